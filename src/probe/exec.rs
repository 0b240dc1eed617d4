//! Exec: a program that ends well. No shell, next to no environment, a process group of its own.
//!
//! Whatever ends the probe (its end, its timeout, a reload, the server's) ends the whole group,
//! while the group's leader is not reaped: until then no other process can have its number. A
//! process that leaves the group (`setsid`) is not ended. What the program writes is read, so
//! that it does not wait for us, kept up to a bound and logged at `debug` where it fails.

use std::{convert::Infallible, io, process::Stdio};

use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
};

use super::{
    check::{PassDetails, ProbeError},
    no_result::NoResult,
};
use crate::health::{ExecCheck, Failure};

/// What is kept of each of the program's two streams.
const MAX_OUTPUT_OCTETS: usize = 32 * 1024;

/// What is shown of them.
const MAX_LOGGED_OCTETS: usize = 512;

/// In an argument: the target.
const ADDRESS_PLACEHOLDER: &str = "{address}";

/// A check made ready.
#[derive(Debug)]
pub(super) struct ExecProbe {
    program: Box<str>,
    arguments: Vec<Box<str>>,
    monitor: Box<str>,
}

impl ExecProbe {
    /// # Errors
    /// [`Failure::MonitorUnusable`] where no program is named.
    pub(super) fn new(check: &ExecCheck, monitor: &str) -> Result<Self, Failure> {
        let (program, arguments) = check
            .argv
            .split_first()
            .ok_or_else(|| Failure::MonitorUnusable("its argv names no program".into()))?;
        Ok(Self {
            program: program.clone(),
            arguments: arguments.to_vec(),
            monitor: monitor.into(),
        })
    }

    /// Runs the program for the target, whose own name or address as text is `literal`.
    ///
    /// # Errors
    /// How the program ended, or why it did not run.
    pub(super) async fn probe(&self, literal: &str) -> Result<PassDetails, ProbeError> {
        // Before the program starts, so that its end is not missed.
        let mut ends = signal(SignalKind::child())?;
        let mut child = self.command(literal).spawn().map_err(|error| self.spawn_error(error))?;
        // Declared after the child and so dropped before it, which reaps it.
        let group = ProcessGroup::new(&child);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let reading = {
            let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
            let (out, err) = (&mut out, &mut err);
            async move {
                tokio::join!(read_bounded(stdout, out), read_bounded(stderr, err));
                // A program that closes its output goes on.
                std::future::pending::<Infallible>().await
            }
        };
        let ended = async {
            while !group.has_ended()? {
                ends.recv().await;
            }
            io::Result::Ok(())
        };
        tokio::select! {
            biased;
            never = reading => match never {},
            ended = ended => ended?,
        }
        drop(group);
        let status = child.wait().await?;
        if status.success() {
            return Ok(PassDetails::default());
        }
        tracing::debug!(
            monitor = %self.monitor,
            endpoint = literal,
            %status,
            stdout = %logged_prefix(&out),
            stderr = %logged_prefix(&err),
            "exec monitor's program failed"
        );
        Err(match (status.code(), std::os::unix::process::ExitStatusExt::signal(&status)) {
            (None, Some(signal)) => Failure::Signal(signal),
            (code, _) => Failure::ExitCode(code.unwrap_or_default()),
        }
        .into())
    }

    fn command(&self, literal: &str) -> Command {
        let mut command = Command::new(&*self.program);
        command
            .args(
                self.arguments
                    .iter()
                    .map(|argument| argument.replace(ADDRESS_PLACEHOLDER, literal)),
            )
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("PORTOLAN_TARGET", literal)
            .env("PORTOLAN_MONITOR", &*self.monitor)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    fn spawn_error(&self, error: io::Error) -> ProbeError {
        match NoResult::from_spawn(&error) {
            Some(reason) => ProbeError::Local(reason, error),
            None => {
                Failure::MonitorUnusable(format!("cannot run {}: {error}", self.program).into())
                    .into()
            }
        }
    }
}

/// A process group that ends when this is dropped.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    fn new(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(id.cast_signed())))
    }

    /// Whether the leader has ended. It is left to be reaped.
    fn has_ended(&self) -> io::Result<bool> {
        let Some(leader) = self.0 else { return Ok(true) };
        loop {
            match waitid(
                WaitId::Pid(leader),
                WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG,
            ) {
                Ok(ended) => return Ok(ended.is_some()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // An error means that all of it has ended.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Reads a stream to its end and keeps what comes first.
async fn read_bounded(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut octets = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut octets).await {
        let room = MAX_OUTPUT_OCTETS - kept.len();
        kept.extend(octets.iter().take(length.min(room)));
    }
}

/// The beginning of an output, without control sequences.
fn logged_prefix(output: &[u8]) -> String {
    output.escape_ascii().take(MAX_LOGGED_OCTETS).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_program_is_noticed_before_it_is_reaped() {
        let mut ends = signal(SignalKind::child()).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "exit 7"]).process_group(0);
        let mut child = command.spawn().unwrap();
        let group = ProcessGroup::new(&child);
        while !group.has_ended().unwrap() {
            ends.recv().await;
        }
        // A zombie: its number, which is the group's, belongs to it alone.
        let leader = group.0.unwrap().as_raw_nonzero();
        let status = std::fs::read_to_string(format!("/proc/{leader}/stat")).unwrap();
        assert!(status.contains(") Z "), "{status}");
        drop(group);
        assert_eq!(child.wait().await.unwrap().code(), Some(7));
    }
}
