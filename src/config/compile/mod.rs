//! From specifications to domain values: names become positions, and what does not fit together is
//! reported.
//!
//! Each step goes on after a mistake with what is left, so that one run finds all of them; only a
//! run without any error yields a configuration.

mod aliases;
mod amendment;
mod answer_size;
mod answer_size_check;
mod cname_loops;
mod credentials;
mod databases;
mod datacenters;
mod full_load;
mod geo;
mod load_source_check;
mod monitors;
mod name_scope;
mod pool_graph;
mod pools;
mod regulation;
mod services;
mod symbols;
mod targets;
mod topological_order;
mod zones;

pub(super) use amendment::AmendmentCompiler;
pub(super) use credentials::credential_faults;
pub(super) use databases::resolve_databases;
pub(super) use full_load::compile_full;
