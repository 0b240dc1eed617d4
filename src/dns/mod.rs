//! The DNS protocol as bytes: names, types, codes. Layer 1: no I/O, no clock, no allocation on the query path.

mod code;
mod name;
mod rtype;

pub use code::{Opcode, Rcode};
pub use name::{Name, NameError};
pub use rtype::Rtype;
