//! The progress of a long command, on a terminal: after the first second, a line for each step.

use std::{
    io::{self, IsTerminal},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::cli::output::Output;

/// Commands that end within this time show no progress.
const QUIET_TIME: Duration = Duration::from_secs(1);

/// Shows the step in progress until it is dropped.
pub(super) struct ProgressLine {
    /// `None` if stderr is not a terminal.
    writer: Option<ProgressWriter>,
}

struct ProgressWriter {
    steps: Sender<String>,
    thread: JoinHandle<()>,
}

impl ProgressLine {
    pub(super) fn start(output: &Output) -> Self {
        if !io::stderr().is_terminal() || output.json {
            return Self { writer: None };
        }
        let (steps, received) = mpsc::channel::<String>();
        let (output, started) = (*output, Instant::now());
        let thread = std::thread::spawn(move || {
            let mut latest: Option<String> = None;
            loop {
                let quiet = QUIET_TIME.saturating_sub(started.elapsed());
                let wait = if latest.is_some() { quiet } else { Duration::from_secs(3600) };
                match received.recv_timeout(wait) {
                    Ok(step) => latest = Some(step),
                    Err(RecvTimeoutError::Timeout) => {
                        let step = latest.take().map(|step| format!("plan: {step} ..."));
                        step.into_iter().for_each(|line| output.print_message(&line));
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        Self { writer: Some(ProgressWriter { steps, thread }) }
    }

    /// Says which step begins.
    pub(super) fn step(&self, text: impl Into<String>) {
        if let Some(writer) = &self.writer {
            // The thread ends only after this sender.
            let _ = writer.steps.send(text.into());
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if let Some(ProgressWriter { steps, thread }) = self.writer.take() {
            drop(steps);
            let _ = thread.join();
        }
    }
}
