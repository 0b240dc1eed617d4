//! End-to-end tests: the real program on free ports in a temporary directory, with real sockets and
//! real balancers.
//!
//! | file | what it is |
//! |---|---|
//! | `harness` | starts and stops the program, edits its files, waits for answers and log records |
//! | `query` | questions and replies over UDP and TCP |
//! | `script` | reads and plays the scenarios of `tests/scenarios` |
//! | `http` | the admin address |
//! | `balancers` | nginx and HAProxy |
//! | `ports` `programs` `wire` | free ports, installed programs, queries in wire format; benchmarks share them |
//! | `upstream` | Knot, in the place of a recursive resolver |
//! | `aliases` `attacks` `bindings` `unchecked` `memory_bounds` `certificates` `check` `control` `cookies` `drain_proof` `failing_loads` `failures` `files` `health` `held_files` `hostile` `journal` `loads` `logs` `monitors` `overrides` `plan` `regions` `reload` `remote` `reports` `requirements` `resolvers` `safety` `scenarios` `secrets` `status` | the tests |

#![allow(
    dead_code,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a test's own modules"
)]

mod aliases;
mod attacks;
mod balancers;
mod bindings;
mod certificates;
mod check;
mod control;
mod cookies;
mod drain_proof;
mod failing_loads;
mod failures;
mod files;
mod harness;
mod health;
mod held_files;
mod hostile;
mod http;
mod journal;
mod loads;
mod logs;
mod memory_bounds;
mod monitors;
mod overrides;
mod plan;
#[path = "../support/ports.rs"]
mod ports;
#[path = "../support/programs.rs"]
mod programs;
mod query;
mod regions;
mod reload;
mod remote;
mod reports;
mod requirements;
mod resolvers;
mod safety;
mod scenarios;
mod script;
mod secrets;
mod status;
mod unchecked;
mod upstream;
#[path = "../support/wire.rs"]
mod wire;
