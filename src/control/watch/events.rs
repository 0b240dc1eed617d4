//! What the kernel's events say about files that a load reads.

use std::path::PathBuf;

use notify::{
    Event, EventKind,
    event::{AccessKind, AccessMode, CreateKind, ModifyKind},
};

use super::watch_scope::WatchScope;

/// An event that may be part of an edit. Paths are without links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FileEvent {
    /// A file was created, which may be written to at once; or a hard link, which will not be.
    Created(PathBuf),
    /// A program wrote to a file that it still has open.
    Written(PathBuf),
    /// A file that was open for writing was closed.
    Closed(PathBuf),
    /// The path leads to another file now, or to none.
    Changed(PathBuf),
    /// A comparison found that the file differs from what was read. A program may still be writing
    /// to it.
    Differs(PathBuf),
    /// Events were lost: anything may have changed.
    Lost,
}

/// The events about watched paths in an event of the kernel.
pub(super) fn file_events(event: Event, scope: &WatchScope) -> Vec<FileEvent> {
    if event.need_rescan() {
        return vec![FileEvent::Lost];
    }
    let kind = event.kind;
    event.paths.into_iter().filter_map(|path| file_event(kind, path, scope)).collect()
}

/// The event about one path in an event of the kernel, if a load depends on the path.
fn file_event(kind: EventKind, path: PathBuf, scope: &WatchScope) -> Option<FileEvent> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
            scope.is_watched(&path).then_some(FileEvent::Closed(path))
        }
        EventKind::Access(_) => None,
        EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => {
            scope.is_watched(&path).then_some(FileEvent::Written(path))
        }
        EventKind::Create(CreateKind::File) => {
            scope.is_watched_entry(&path).then_some(FileEvent::Created(path))
        }
        _ => scope.is_watched_entry(&path).then_some(FileEvent::Changed(path)),
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{DataChange, Flag, MetadataKind, RenameMode};

    use super::*;
    use crate::config::{Footprint, PathKind, PathState};

    #[test]
    fn only_events_about_watched_paths_are_reported() {
        let zones = PathState {
            path: "/z".into(),
            real_path: "/z".into(),
            kind: PathKind::ZoneDirectory,
            is_link: false,
            stamp: None,
        };
        let scope =
            WatchScope::from_footprint(&Footprint { paths: vec![zones], ..Footprint::default() });
        let reported =
            |kind, path: &str| file_events(Event::new(kind).add_path(path.into()), &scope);
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        let closed = |mode| EventKind::Access(AccessKind::Close(mode));
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        for (kind, path, expected) in [
            (written, "/z/a.toml", vec![FileEvent::Written("/z/a.toml".into())]),
            (written, "/z/access.log", vec![]),
            (closed(AccessMode::Write), "/z/a.toml", vec![FileEvent::Closed("/z/a.toml".into())]),
            (closed(AccessMode::Write), "/z/access.log", vec![]),
            (closed(AccessMode::Read), "/z/a.toml", vec![]),
            (renamed, "/z/a.zone", vec![FileEvent::Changed("/z/a.zone".into())]),
            (renamed, "/z/access.log.1", vec![]),
            (
                EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)),
                "/z",
                vec![FileEvent::Changed("/z".into())],
            ),
            (
                EventKind::Create(CreateKind::File),
                "/z/a.toml",
                vec![FileEvent::Created("/z/a.toml".into())],
            ),
        ] {
            assert_eq!(reported(kind, path), expected, "{kind:?} {path}");
        }
    }

    #[test]
    fn lost_events_are_reported_although_they_name_no_path() {
        let event = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert_eq!(file_events(event, &WatchScope::default()), [FileEvent::Lost]);
    }
}
