//! Compiles specifications to domain values: names become positions, and what does not fit together
//! is reported. A full load compiles all tables (`full_load`); an amendment compiles the tables
//! that differ (`amendment`).
//!
//! Each step continues after a mistake with what is left, so that one run finds all mistakes. Only
//! a run without errors yields a configuration.

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
mod requirements;
mod safety;
mod services;
mod symbols;
mod targets;
mod topological_order;
mod zones;

pub(super) use amendment::AmendmentCompiler;
pub(super) use credentials::credential_faults;
pub(super) use databases::resolve_databases;
pub(super) use full_load::compile_full;
