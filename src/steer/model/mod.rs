//! The model: what is configured ([`Topology`]) and what changes without an edit ([`Conditions`]).
//!
//! The bottom of `steer`: plain values that every other room reads. A load of the configuration
//! makes a topology; conditions change with each health result, drain and load report.

mod amendment;
mod client_group;
mod combined_probe;
mod conditions;
mod datacenter;
mod document_forms;
mod effective_state;
mod endpoint;
mod family;
mod fraction;
mod ids;
mod load_feeds;
mod members_below;
mod numbering;
mod overrides;
mod pool;
mod probes;
mod ramp_times;
mod record_kind;
mod resolved_alias;
mod service;
mod topology;
mod topology_document;

pub use amendment::Amendment;
pub use client_group::ClientGroup;
pub use combined_probe::{CombinedProbe, update_combined};
pub use conditions::{Adjustments, Conditions, FailbackProgress, datacenter_states};
pub use datacenter::{Datacenter, ServingState};
pub use effective_state::{active_probes, effective_state};
pub use endpoint::{Endpoint, EndpointTarget, HealthOverride, SrvHost};
pub use family::Family;
pub use fraction::Fraction;
pub use ids::{
    AliasId, DatacenterId, EndpointId, FeedId, LoadSourceId, MonitorId, PoolId, ProbeId, ServiceId,
    ZoneId,
};
pub use load_feeds::{LoadFeed, LoadFeeds};
pub use numbering::{NumberedTopology, Numbering};
pub use overrides::{
    Override, OverrideIndex, OverrideKind, OverrideSet, OverrideSubject, OverrideValue,
    apply_overrides,
};
pub use pool::{
    AnswerCount, Capacity, Failback, FamilyCoupling, GeoRule, LoadLevel, LoadMeasure, LoadPolicy,
    Member, MemberKind, MinUp, Policy, Pool, Regulation, Spread, Tie,
};
pub use probes::{Probe, ProbeTarget};
pub use ramp_times::RampTimes;
pub use record_kind::{RecordKind, ServiceBinding};
pub use resolved_alias::ResolvedAlias;
pub(super) use resolved_alias::UNRESOLVED;
pub use service::{OnAllDown, Service};
pub use topology::Topology;
pub use topology_document::TopologyDocument;

pub(super) use effective_state::{effective_datacenter, fraction_without_ramp, ramp_fraction};
