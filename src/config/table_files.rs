//! Reads every file of tables below the zones directory.

use std::path::Path;

use super::{
    place::{FileId, SourcePlace},
    problems::Problems,
    sources::{FileRole, SourceReadError, Sources},
    spec::Specs,
};

/// Reads every file of tables, and reports files and directories that cannot be read.
pub(super) fn read_specs(sources: &Sources, problems: &mut Problems) -> Specs {
    let mut specs = Specs::default();
    for id in sources.ids_with_role(FileRole::Directory) {
        if let Err(reason) = &sources.file(id).content {
            unread_directory(id, id == sources.zones, reason, problems);
        }
    }
    for id in sources.ids_with_role(FileRole::Tables) {
        let file = sources.file(id);
        if specs.exceed_value_limit() {
            problems.mute(id);
            continue;
        }
        match &file.content {
            Ok(octets) => {
                specs.read(id, octets, file.path.parent().unwrap_or(Path::new("")), problems);
            }
            Err(reason) => {
                problems
                    .error(
                        SourcePlace::whole_file(id),
                        format!("the file cannot be read: {reason}"),
                    )
                    .help(reason.remedy());
                problems.mute(id);
            }
        }
    }
    specs
}

/// Reports that a directory, or an entry of one, could not be read: which zones it holds is not
/// known.
fn unread_directory(id: FileId, is_root: bool, reason: &SourceReadError, problems: &mut Problems) {
    let place = SourcePlace::whole_file(id);
    match reason {
        SourceReadError::Io(Some(libc::ENOENT), _) if is_root => problems
            .error(place, format!("the zones directory cannot be read: {reason}"))
            .help("create it and put your *.toml and *.zone files there, or name another with --zones DIR"),
        _ => problems
            .error(place, format!("cannot be read, and which zones it holds is not known: {reason}"))
            .help(reason.remedy()),
    };
}
