//! Requirements: what the configuration says about its own answers, and the verification of it.
//!
//! An expectation is checked for its clients under one set of states. An assertion is proved: for
//! every network, every failure of datacenters up to its depth, every type, and whatever stage of
//! the fallback answers. Both read the choices that charts are made from, so that no second rule
//! decides what is answered.
//!
//! | file | step |
//! |---|---|
//! | `model` | requirements as configured |
//! | `assumed` | the conditions under assumed states, and which outages can change an endpoint |
//! | `clients` | the areas of each survey that the clients of a requirement are in |
//! | `plans` | the chart plans of the services concerned, each once |
//! | `items` | which answered records an item such as `fra` or `192.0.2.1` means |
//! | `trail` | the pools from a service to an answer |
//! | `expect` | expectations |
//! | `prove` | assertions |
//! | `verify` | all requirements, and requirements that no configuration can meet |
//! | `answer_mismatch`, `example_client` | an answer that is not allowed, and clients that get it |
//! | `violation` | what was found, in words |

mod answer_mismatch;
mod assumed;
mod clients;
mod example_client;
mod expect;
mod items;
mod model;
mod plans;
mod prove;
mod requirement_context;
mod trail;
mod verify;
mod violation;

pub use model::{
    AnswerItem, AnswerRule, Assertion, AssumedStates, ClientSet, Expectation, ExpectedShare,
    FailureDepth, RequirementId, Requirements,
};
pub use verify::verify;
pub use violation::{Counterexample, RequirementFault, Violation};
