//! portolan: an authoritative DNS server that steers each client to the datacenter that suits it
//! best.
//!
//! One idea carries everything: an answer is a pure function of an immutable
//! [`snapshot::Snapshot`], the question and the client. Health results, drains, edited files and
//! new GeoIP databases never touch a query: each makes a new snapshot, and one atomic pointer swap
//! publishes it.
//!
//! The modules form layers. Each imports only from layers with a lower number and, in layers 8 and
//! 9, also from the modules to its left (`tests/layering.rs`). Layers 1 to 4 and [`engine`] are
//! pure: time, randomness and octets are arguments.
//!
//! | layer | modules |
//! |---|---|
//! | 1 | [`demand`] observed demand by network · [`dns`] names, wire format, EDNS · [`geo`] coordinates, databases, atlas · [`health`] monitors, verdicts · [`load`] load reports · [`listing`] lists in messages · [`number_format`] percentages and counts as reports write them · [`printable`] text of others, made safe to display |
//! | 2 | [`steer`] datacenters, endpoints, pools, policies, wheels, charts |
//! | 3 | [`zone`] RRsets, nodes, lookup, master files |
//! | 4 | [`snapshot`] |
//! | 5 | [`os`] system calls; the only `unsafe` |
//! | 6 | [`dns_client`] one DNS query and its reply, as a client · [`random`] octets that cannot be guessed · [`files`] files read up to a maximum size |
//! | 7 | [`engine`] the answer · [`config`] files to domain values · [`probe`] health checks · [`resolve`] the addresses of aliases |
//! | 8 | [`transport`] sockets · [`control`] the controller · [`admin`] HTTP |
//! | 9 | [`app`], [`cli`] |

pub mod demand;
pub mod dns;
pub mod geo;
pub mod health;
pub mod listing;
pub mod load;
pub mod number_format;
pub mod printable;
pub mod steer;
pub mod zone;

pub mod snapshot;

pub mod os;

pub mod dns_client;
pub mod files;
pub mod random;

pub mod config;
pub mod engine;
pub mod probe;
pub mod resolve;

pub mod admin;
pub mod control;
pub mod transport;

pub mod app;
pub mod cli;
