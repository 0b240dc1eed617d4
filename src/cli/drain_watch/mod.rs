//! `drain --watch`: follows a drain on each server until caches have forgotten what was drained and
//! the load reports agree.
//!
//! | file | content |
//! |---|---|
//! | `progress` | how far a drain is, from status documents |
//! | `progress_text` | the same as text |
//! | here | the requests, and the output as it changes |

mod progress;
mod progress_text;

#[cfg(test)]
mod tests;

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use serde::Serialize;

use self::{
    progress::{DrainProgress, DrainStage, WatchedDrain},
    progress_text::{progress_line, progress_text},
};
use super::{
    client::{RemoteError, RemoteServer, ask_each, escape_document, read_document},
    exit::CommandExit,
    output::Output,
    screen::Screen,
    terminal_frames::{FramePlace, TerminalFrames},
};
use crate::control::{DrainReport, Status, unix_now};

/// The time between two requests.
const INTERVAL: Duration = Duration::from_secs(1);
/// A server that does not answer for this long is given up, in seconds.
const SERVER_TIMEOUT_SECS: i64 = 60;

/// The drains that a command began on one server.
#[derive(Debug)]
pub(super) struct WatchedServer {
    server: RemoteServer,
    drains: Vec<WatchedDrain>,
    /// Why the server does not answer at present, and since when.
    silence: Option<(String, i64)>,
}

impl WatchedServer {
    /// Watches what `reports` of the server name.
    pub(super) fn new<'a>(
        server: RemoteServer,
        reports: impl IntoIterator<Item = &'a DrainReport>,
    ) -> Self {
        let drains = reports.into_iter().flat_map(WatchedDrain::of_report).collect();
        Self { server, drains, silence: None }
    }

    /// Follows the newest status document, or notes that there is none. `now` is in seconds since
    /// 1970, by the clock of this host.
    fn follow(&mut self, status: Result<Box<Status>, RemoteError>, now: i64) {
        match status {
            Ok(status) => {
                self.silence = None;
                let status = escape_document(*status);
                self.drains.iter_mut().for_each(|drain| drain.follow(&status));
            }
            Err(error) => {
                let since = self.silence.take().map_or(now, |(_, since)| since);
                self.silence = Some((error.to_string(), since));
            }
        }
    }

    /// How the watch of this server ended; `None` while it goes on.
    fn exit(&self, now: i64) -> Option<CommandExit> {
        if self.silence.as_ref().is_some_and(|(_, since)| now - since >= SERVER_TIMEOUT_SECS) {
            return Some(CommandExit::Failure);
        }
        let exits: Option<Vec<CommandExit>> =
            self.drains.iter().map(|drain| drain.progress().stage.exit()).collect();
        Some(exits?.into_iter().max().unwrap_or(CommandExit::Success))
    }
}

/// Watches until each drain has ended; returns the worst end. On a terminal the progress is drawn
/// in place, else each change of a stage is a line, with `--json` a document.
pub(super) fn run(mut servers: Vec<WatchedServer>, output: &Output) -> CommandExit {
    servers.retain(|server| !server.drains.is_empty());
    let is_drawn = !output.json && io::stdout().is_terminal();
    let has_names = servers.len() > 1;
    let mut frames = TerminalFrames::new(FramePlace::Below);
    let mut told = Vec::new();
    loop {
        let remotes: Vec<RemoteServer> =
            servers.iter().map(|server| server.server.clone()).collect();
        let replies = ask_each(&remotes, |server| {
            read_document::<Box<Status>>(server, "/api/v1/status?full=true")
        });
        let now = unix_now();
        for (server, reply) in servers.iter_mut().zip(replies) {
            server.follow(reply.map(|reply| reply.document), now);
        }
        if is_drawn {
            let screen = Screen::of_process();
            let text = progress_of_all(&servers, has_names, screen);
            if frames.draw(&output.printable(&text), screen).is_err() {
                return CommandExit::Failure;
            }
        } else {
            print_changes(&servers, has_names, &mut told, output);
        }
        let exits: Option<Vec<CommandExit>> =
            servers.iter().map(|server| server.exit(now)).collect();
        if let Some(exits) = exits {
            return exits.into_iter().max().unwrap_or(CommandExit::Success);
        }
        std::thread::sleep(INTERVAL);
    }
}

/// The progress on each server, below its name if there are several.
fn progress_of_all(servers: &[WatchedServer], has_names: bool, screen: Screen) -> String {
    let mut text = String::new();
    for server in servers {
        if has_names {
            text += &format!("{}\n", server.server.shown_url());
        }
        if let Some((why, _)) = &server.silence {
            text += &format!("no answer: {}\n", why.lines().next().unwrap_or_default());
        }
        for drain in &server.drains {
            text += &progress_text(drain.progress(), screen);
        }
    }
    text
}

/// One change of a stage, as `--json` prints it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct StageDocument<'a> {
    server: String,
    #[serde(flatten)]
    progress: &'a DrainProgress,
}

/// Prints each drain whose stage is another one than was told last.
fn print_changes(
    servers: &[WatchedServer],
    has_names: bool,
    told: &mut Vec<Option<DrainStage>>,
    output: &Output,
) {
    let drains =
        servers.iter().flat_map(|server| server.drains.iter().map(move |drain| (server, drain)));
    for (index, (server, drain)) in drains.enumerate() {
        let progress = drain.progress();
        let stage = progress.stage.without_numbers();
        if told.len() <= index {
            told.push(None);
        }
        if told[index].as_ref() == Some(&stage) {
            continue;
        }
        told[index] = Some(stage);
        let url = server.server.shown_url();
        if output.json {
            output.print_document(&StageDocument { server: url, progress });
        } else if has_names {
            output.print_line(&format!("{url}: {}", progress_line(progress)));
        } else {
            output.print_line(&progress_line(progress));
        }
    }
}
