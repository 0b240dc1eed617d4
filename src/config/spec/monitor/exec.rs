//! Reads `exec` of a monitor: a program that checks the target.

use std::path::{Path, PathBuf};

use crate::{
    config::{
        place::Placed,
        problems::Problems,
        quoted::Quoted,
        reader::{TableSubject, ValueReader},
    },
    health::ExecCheck,
};

const HELP: &str = "write exec = { argv = [\"/usr/lib/portolan/check\", \"{address}\"] }";

pub(super) fn check(
    item: ValueReader<'_>,
    directory: &Path,
    problems: &mut Problems,
) -> Option<ExecCheck> {
    let mut table =
        item.table(TableSubject { kind: "`exec` of monitor", name: item.subject.name }, problems)?;
    let argv =
        table.required("argv", HELP, problems).and_then(|item| argv(item, directory, problems));
    table.finish(problems);
    Some(ExecCheck { argv: argv? })
}

fn argv(item: ValueReader<'_>, directory: &Path, problems: &mut Problems) -> Option<Vec<Box<str>>> {
    let mut words = item.texts("strings: a program and its arguments", problems)?;
    if let Some(word) = words.iter().find(|word| word.value.contains('\0')) {
        problems
            .error(word.place, format!("{} has an argument with a NUL in it", item.subject))
            .help("no program can be given one: omit it");
        return None;
    }
    match words.first_mut().filter(|program| !program.value.is_empty()) {
        Some(program) => {
            let program = program_path(program, item, directory, problems);
            Some(
                [program]
                    .into_iter()
                    .chain(words.iter().skip(1).map(|word| word.value.into()))
                    .collect(),
            )
        }
        None => {
            problems.error(item.place, format!("{} names no program", item.subject)).help(HELP);
            None
        }
    }
}

/// The path of a program: on the PATH if its name has no slash, else relative to the directory of
/// the file that names it. A missing program is only a warning: it may be installed later.
fn program_path(
    program: &Placed<&str>,
    item: ValueReader<'_>,
    directory: &Path,
    problems: &mut Problems,
) -> Box<str> {
    let (found, shown) = if program.value.contains('/') {
        let path = directory.join(program.value);
        (is_program(&path), path)
    } else {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&paths)
            .any(|directory| is_program(&directory.join(program.value)));
        (found, PathBuf::from(program.value))
    };
    let path = shown.display().to_string();
    if !found {
        problems
            .warning(
                program.place,
                format!(
                    "{} runs {}, which is not an executable file on this host",
                    item.subject,
                    Quoted(&path)
                ),
            )
            .help("install it and make it executable; until then the monitor gives no results");
    }
    path.into()
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
