//! The two ways to a configuration: a full load, and an amendment of an earlier configuration.

use std::sync::Arc;

use super::{
    amend, compile, configuration::Config, diagnostics::Diagnostics, problems::Problems, settings,
    sources::Sources, table_files,
};

impl Config {
    /// Reads and checks all files, and makes a configuration of them. The second value holds the
    /// warnings.
    ///
    /// Speed on one core: about 150,000 pools or services, or 100,000 small zones, in a second.
    ///
    /// # Errors
    /// All mistakes of all files, with the warnings.
    pub fn load(sources: &Sources) -> Result<(Self, Diagnostics), Diagnostics> {
        let mut problems = Problems::default();
        let config_file = sources.config.map(|id| (id, sources.file(id)));
        let settings = settings::read(&sources.locations, config_file, &mut problems);
        let specs = table_files::read_specs(sources, &mut problems);
        problems.begin_checking();
        let (config, base) = compile::compile_full(sources, settings, specs, &mut problems);
        let has_errors = problems.has_errors();
        let (list, omitted) = problems.into_parts();
        let diagnostics = Diagnostics::new(Arc::clone(&sources.files), list, omitted);
        if has_errors {
            return Err(diagnostics);
        }
        Ok((
            Self { amendment_base: Arc::new(base.with_warnings(&diagnostics)), ..config },
            diagnostics,
        ))
    }

    /// Makes the configuration that [`Config::load`] makes of `sources`, but from this
    /// configuration and the tables that differ. `None` where the result would not be certain. The
    /// cost is that of comparing the files and of reading the tables that differ.
    pub fn amend(&self, sources: &Sources) -> Option<(Self, Diagnostics)> {
        amend::amend(self, sources)
    }
}
