//! Who runs where: servers on one core, whatever drives and times them on another.

use std::process::{Command, Stdio};

use crate::Failed;

/// As `taskset -c` takes it.
pub(crate) const SERVER: &str = "0";
/// The other one.
pub(crate) const LOAD: &str = "1";

/// Moves this thread, and with it what it starts from now on, to the load's core.
///
/// # Errors
/// There is no such core, or no taskset.
pub(crate) fn move_to_load_core() -> Failed<()> {
    let pid = std::process::id().to_string();
    let moved = Command::new("taskset").args(["-cp", LOAD, &pid]).stdout(Stdio::null()).status();
    match moved {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err("this takes two cores: one for the server, one for the load".into()),
        Err(error) => Err(format!("taskset: {error}; Debian has it in `util-linux`").into()),
    }
}
