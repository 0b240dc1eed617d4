//! The views of `status`: what its argument names.

/// What a command `status` shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StatusView {
    /// What is wrong first, then a summary.
    Overview,
    /// Every service, the worst first.
    Services,
    /// Every datacenter, in order of name.
    Datacenters,
    /// Every target, failing ones first.
    Targets,
    /// What operators set over the files, and what the files take out of service.
    Overrides,
    /// Files whose newest content is not in use.
    Held,
    /// Everything that has this name.
    Subject(String),
}

impl StatusView {
    pub(super) fn named(argument: Option<&str>) -> Self {
        match argument {
            None | Some("") => Self::Overview,
            Some("services") => Self::Services,
            Some("datacenters") => Self::Datacenters,
            Some("targets") => Self::Targets,
            Some("overrides") => Self::Overrides,
            Some("held") => Self::Held,
            Some(name) => Self::Subject(name.to_owned()),
        }
    }
}
