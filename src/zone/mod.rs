//! Zones: static records, the nodes they make, and how a name is looked up among them (RFC 1034 section 4.3.2). Layer 3: pure.

pub mod master;
mod record;

pub use record::Record;
