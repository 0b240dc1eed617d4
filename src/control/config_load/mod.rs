//! From files to a compiled configuration: everything that a reload does, apart from the
//! controller's task and from every query.
//!
//! | step | file |
//! |---|---|
//! | what a load continues from, what asked for it, what came of it | `reload` |
//! | read the files; which of those that disappeared keep their content for a while | `loader`, `config::Sources`, `removal` |
//! | choose for each file its new version or its last good one | `file_selection` |
//! | hold what would remove too much | `loader`, `removal` |
//! | open databases, renumber the topology, compile charts | `assemble`, `databases` |
//! | verify requirements that are enforced | `requirements` |
//! | the charts that the load would put in force, judged by the safety rules | `trial`, `rules`, `judgement`, `last_run` |
//! | build zones, or share those in force | `zones` |
//! | the result | `loaded_config`, or `load_error` |
//! | a configuration that was in force earlier | `past` |

mod assemble;
mod judgement;
mod last_run;
mod load_error;
mod loaded_config;
mod loader;
mod past;
mod reload;
mod requirements;
mod rules;
mod trial;
mod zones;

#[cfg(test)]
mod tests;

pub(super) use judgement::{Judgement, JudgementBase};
pub use load_error::ConfigLoadError;
pub use loaded_config::LoadedConfig;
pub(super) use loader::load;
pub(super) use past::PastConfig;
pub(super) use reload::{ReloadBase, ReloadOutcome, ReloadTrigger, RequirementPolicy};
