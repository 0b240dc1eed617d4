//! The two ways to a configuration: a full load, and an amendment of an earlier configuration.

use std::sync::Arc;

use super::{
    amend, compile, configuration::Config, diagnostics::Diagnostics, problems::Problems, settings,
    sources::Sources, table_files,
};

impl Config {
    /// Checks everything and puts it together. The second value holds the warnings.
    ///
    /// About 150,000 pools or services, and 100,000 small zones, a second on one core.
    ///
    /// # Errors
    /// All mistakes of all files, with the warnings.
    pub fn load(sources: &Sources) -> Result<(Self, Diagnostics), Diagnostics> {
        let mut problems = Problems::default();
        let config_file = sources.config.map(|id| (id, sources.file(id)));
        let settings = settings::read(&sources.locations, config_file, &mut problems);
        let specs = table_files::read_specs(sources, &mut problems);
        problems.begin_checking();
        let (config, foundation) = compile::compile_full(sources, settings, specs, &mut problems);
        let has_errors = problems.has_errors();
        let (list, omitted) = problems.into_parts();
        let diagnostics = Diagnostics::new(Arc::clone(&sources.files), list, omitted);
        if has_errors {
            return Err(diagnostics);
        }
        Ok((
            Self { amendment_base: Arc::new(foundation.with_warnings(&diagnostics)), ..config },
            diagnostics,
        ))
    }

    /// Makes the configuration that [`Config::load`] makes of `sources`, but from this one and the
    /// tables that differ. `None` where the result would not be certain. The cost is that of
    /// comparing the files and of reading the tables that differ.
    pub fn amend(&self, sources: &Sources) -> Option<(Self, Diagnostics)> {
        amend::amend(self, sources)
    }
}
