//! CPU cores: servers run on one, the load generator and everything else on another.

use std::{
    io,
    process::{Child, Command},
};

use rustix::thread::{CpuSet, sched_setaffinity};

/// The core of the servers.
const SERVER: usize = 0;
/// The core of the load generator.
const LOAD: usize = 1;

/// Moves this thread, and all threads that it starts from now on, to the load's core.
///
/// # Errors
/// The core does not exist.
pub(crate) fn move_to_load_core() -> io::Result<()> {
    move_to(LOAD).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("this takes two cores, one for the server and one for the load: {error}"),
        )
    })
}

/// Starts a program on the servers' core, from a thread on the load's core.
///
/// # Errors
/// [`Command::spawn`] fails, or the core does not exist.
pub(crate) fn spawn_server(command: &mut Command) -> io::Result<Child> {
    move_to(SERVER)?;
    let child = command.spawn();
    let moved = move_to(LOAD);
    let mut child = child?;
    if let Err(error) = moved {
        child.kill()?;
        return Err(error);
    }
    Ok(child)
}

fn move_to(core: usize) -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(sched_setaffinity(None, &cores)?)
}
