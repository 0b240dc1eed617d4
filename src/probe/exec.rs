//! Exec: the target passes when a program exits with code 0. It runs without a shell, with a
//! minimal environment and in a new process group.
//!
//! Whatever ends the probe (the program's end, the timeout, a reload, the end of the server) kills
//! the whole group before its leader is reaped: until then no other process can have its id. A
//! process that leaves the group (`setsid`) is not killed. The output of the program is read, so
//! that the program does not block; its first octets are kept, and logged at `debug` on failure.

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
    no_result::NoResult,
    result::{PassDetails, ProbeError},
};
use crate::health::{ExecCheck, Failure};

/// The maximum number of octets that are kept of each output stream.
const MAX_OUTPUT_OCTETS: usize = 32 * 1024;

/// The maximum number of octets of a stream that are logged.
const MAX_LOGGED_OCTETS: usize = 512;

/// The placeholder for the target in an argument.
const ADDRESS_PLACEHOLDER: &str = "{address}";

/// A prepared check: the program and its arguments.
#[derive(Debug)]
pub(super) struct ExecProbe {
    program: Box<str>,
    arguments: Vec<Box<str>>,
    monitor: Box<str>,
}

impl ExecProbe {
    /// # Errors
    /// [`Failure::MonitorUnusable`] if `argv` is empty.
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

    /// Runs the program for the target `literal`, a name or an address as text.
    ///
    /// # Errors
    /// How the program ended, or the reason why it did not run.
    pub(super) async fn probe(&self, literal: &str) -> Result<PassDetails, ProbeError> {
        // Registered before the program starts, so that its end is not missed.
        let mut child_signals = signal(SignalKind::child())?;
        let mut child = self.command(literal).spawn().map_err(|error| self.spawn_error(error))?;
        // Declared after the child, so the group is killed before the child is reaped.
        let group = ProcessGroup::new(&child);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let reading = {
            let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
            let (out, err) = (&mut out, &mut err);
            async move {
                tokio::join!(read_bounded(stdout, out), read_bounded(stderr, err));
                // A program that closes its output may still run.
                std::future::pending::<Infallible>().await
            }
        };
        let ended = async {
            while !group.has_ended()? {
                child_signals.recv().await;
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

/// A process group that is killed on drop.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    fn new(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(id.cast_signed())))
    }

    /// Whether the leader has ended. Does not reap it.
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
            // An error means that the whole group has ended.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Reads a stream to its end and keeps its first [`MAX_OUTPUT_OCTETS`].
async fn read_bounded(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut octets = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut octets).await {
        let room = MAX_OUTPUT_OCTETS - kept.len();
        kept.extend(octets.iter().take(length.min(room)));
    }
}

/// The beginning of an output, with control characters escaped.
fn logged_prefix(output: &[u8]) -> String {
    output.escape_ascii().take(MAX_LOGGED_OCTETS).map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_program_is_noticed_before_it_is_reaped() {
        let mut child_signals = signal(SignalKind::child()).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "exit 7"]).process_group(0);
        let mut child = command.spawn().unwrap();
        let group = ProcessGroup::new(&child);
        while !group.has_ended().unwrap() {
            child_signals.recv().await;
        }
        // The leader is a zombie: no other process can have its id, which is that of the group.
        let leader = group.0.unwrap().as_raw_nonzero();
        let status = std::fs::read_to_string(format!("/proc/{leader}/stat")).unwrap();
        assert!(status.contains(") Z "), "{status}");
        drop(group);
        assert_eq!(child.wait().await.unwrap().code(), Some(7));
    }
}
