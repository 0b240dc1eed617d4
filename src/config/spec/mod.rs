//! Specifications: the tables as written, each value with its place, before any name is resolved.
//! One file for each kind of table.

pub(super) mod datacenter;
pub(super) mod delegate;
pub(super) mod endpoint;
pub(super) mod load;
pub(super) mod monitor;
mod policy_name;
pub(super) mod pool;
pub(super) mod regulation;
pub(super) mod requirement;
pub(super) mod safety;
pub(super) mod service;
mod service_type;
mod specs;
pub(super) mod table_header;
pub(super) mod zone;

pub(super) use datacenter::DatacenterSpec;
pub(super) use delegate::DelegateSpec;
pub(super) use endpoint::EndpointSpec;
pub(super) use policy_name::PolicyName;
pub(super) use pool::{MemberSpec, MemberTarget, OnAllDownSpec, PoolSpec, RuleSpec};
pub(super) use regulation::RampSpec;
pub(super) use requirement::{AssertionSpec, ExpectationSpec, WrittenRule};
pub(super) use safety::MinimumSpec;
pub(super) use service::{ServicePool, ServiceSpec};
pub(super) use specs::{Specs, TableContext, is_toml};
pub(super) use zone::ZoneSpec;
