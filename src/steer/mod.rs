//! Steering: who may be answered (datacenters, endpoints, pools, services) and how that is compiled into wheels. Layer 2: pure.

mod datacenter;
mod endpoint;
mod pool;
mod service;
mod topology;

pub use datacenter::{Datacenter, State};
pub use endpoint::{Endpoint, Force, Target};
pub use pool::{Answers, Member, MemberKind, MinUp, Policy, Pool, Rule, Spread, Tie};
pub use service::{OnAllDown, Service};
pub use topology::{
    DatacenterId, EndpointId, MonitorId, PoolId, Probe, ProbeId, ProbeTarget, ServiceId, Topology, ZoneId,
};

mod chart;
mod draws;

pub use chart::{Answer, Chart, Course, Family, Rdata};
pub use draws::Draws;
