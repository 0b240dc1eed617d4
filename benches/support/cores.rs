//! Who runs where: servers on one core, whatever drives and times them on another.

use std::{
    io,
    process::{Child, Command},
};

use rustix::thread::{CpuSet, sched_setaffinity};

/// The core of servers.
const SERVER: usize = 0;
/// The core of what drives them.
const LOAD: usize = 1;

/// Moves this thread, and with it what it starts from now on, to the load's core.
///
/// # Errors
/// There is no such core.
pub(crate) fn move_to_load_core() -> io::Result<()> {
    move_to(LOAD).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("this takes two cores, one for the server and one for the load: {error}"),
        )
    })
}

/// Starts a program on the servers' core, by a thread of the load's.
///
/// # Errors
/// What [`Command::spawn`] says, or there is no such core.
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
