//! `log`: the events of a running server's journal, as text and as they happen.

use std::{process::ExitCode, thread, time::Duration};

use super::{
    args::LogArguments,
    client::{RemoteError, RemoteServer, ServerList, ServerReply, percent_encoded, read_document},
    output::Output,
};
use crate::control::{Event, EventKind, EventPage, JournalEntry, time_text};

/// The number of events of one request.
const PAGE_EVENTS: usize = 1000;
/// The number of events that are shown if no time is given.
const LATEST_EVENTS: usize = 100;
/// The time that one request waits for new events, in seconds.
const WAIT_SECS: u64 = 20;
/// The interval at which a server that does not answer is asked again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn run(log: &LogArguments, output: &Output) -> ExitCode {
    let mut printer = EventPrinter { output, date: String::new() };
    let server = ServerList::new(&log.remote).and_then(ServerList::single);
    let printed = server.and_then(|server| {
        let journal = RemoteJournal { server, log };
        print_events(&journal, &mut printer)
    });
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(output),
    }
}

/// The events of one server that a command asks for.
struct RemoteJournal<'a> {
    server: RemoteServer,
    log: &'a LogArguments,
}

impl RemoteJournal<'_> {
    /// The events that the server finds, safe to print.
    fn page(&self, query: &str) -> Result<EventPage, RemoteError> {
        Ok(self.reply(query)?.escaped().document)
    }

    fn reply(&self, query: &str) -> Result<ServerReply<EventPage>, RemoteError> {
        let LogArguments { subject, kind, until, .. } = self.log;
        let mut path = format!("/api/v1/events?{query}");
        if let Some(subject) = subject {
            path += &format!("&subject={}", percent_encoded(subject));
        }
        if let Some(kind) = kind {
            path += &format!("&kind={}", percent_encoded(kind));
        }
        if let Some(until) = until {
            path += &format!("&until={}", percent_encoded(&time_text(*until)));
        }
        read_document(&self.server, &path)
    }
}

/// Prints the events that were asked for and then, with `--follow`, each new one until the command
/// is interrupted.
fn print_events(
    journal: &RemoteJournal<'_>,
    printer: &mut EventPrinter<'_>,
) -> Result<(), RemoteError> {
    let log = journal.log;
    let newest = match log.since {
        Some(since) => print_since(journal, since, printer)?,
        None => print_latest(journal, printer)?,
    };
    if log.follow { follow(journal, newest, printer) } else { Ok(()) }
}

/// Prints each event after the one with the id `after`, until the command is interrupted.
fn follow(
    journal: &RemoteJournal<'_>,
    mut after: u64,
    printer: &mut EventPrinter<'_>,
) -> Result<(), RemoteError> {
    let mut is_away = false;
    loop {
        let query = format!("after={after}&limit={PAGE_EVENTS}&wait={WAIT_SECS}");
        let page = match journal.page(&query) {
            Ok(page) => page,
            // The server restarts, for example. Its events keep their ids.
            Err(error @ RemoteError::Unreachable { .. }) => {
                if !std::mem::replace(&mut is_away, true) {
                    printer.output.print_message(&format!("waiting for the server: {error}"));
                }
                thread::sleep(RETRY_INTERVAL);
                continue;
            }
            Err(error) => return Err(error),
        };
        is_away = false;
        // Events that this command does not show are passed over.
        after = match page.events.last() {
            Some(last) if page.has_more => last.id,
            // A server that starts has not read its journal yet.
            _ if page.newest == 0 => after,
            _ => page.newest,
        };
        printer.print_all(&page.events, journal.log);
    }
}

/// Prints the latest events. Returns the id of the journal's newest one.
fn print_latest(
    journal: &RemoteJournal<'_>,
    printer: &mut EventPrinter<'_>,
) -> Result<u64, RemoteError> {
    let log = journal.log;
    let reply = journal.reply(&format!("limit={LATEST_EVENTS}"))?;
    let newest = reply.document.newest;
    if printer.output.json && !log.follow {
        printer.output.print_document(&reply);
        return Ok(newest);
    }
    let page = reply.escaped().document;
    printer.print_all(&page.events, log);
    if page.events.is_empty() && !log.follow {
        printer.output.print_message("no event is recorded that matches");
    }
    if page.has_more {
        printer.output.print_message("there are earlier events: --since 24h shows those of a day");
    }
    Ok(newest)
}

/// Prints all events since a time, page by page. Returns the id of the journal's newest one.
fn print_since(
    journal: &RemoteJournal<'_>,
    since_ms: i64,
    printer: &mut EventPrinter<'_>,
) -> Result<u64, RemoteError> {
    let log = journal.log;
    let since = percent_encoded(&time_text(since_ms));
    let mut all = EventPage::default();
    loop {
        let after = all.events.last().map_or(0, |last| last.id);
        let query = format!("since={since}&after={after}&limit={PAGE_EVENTS}");
        let page = journal.page(&query)?;
        all.newest = page.newest;
        if printer.output.json && !log.follow {
            all.events.extend(page.events);
        } else {
            printer.print_all(&page.events, log);
            all.events = page.events;
        }
        if !page.has_more {
            break;
        }
    }
    if printer.output.json && !log.follow {
        printer.output.print_document(&all);
    }
    Ok(all.newest)
}

/// Prints events, with a line for each date.
struct EventPrinter<'o> {
    output: &'o Output,
    date: String,
}

impl EventPrinter<'_> {
    fn print_all(&mut self, events: &[JournalEntry], log: &LogArguments) {
        for entry in events {
            if self.output.json {
                if log.follow {
                    let line = serde_json::to_string(entry).unwrap_or_default();
                    self.output.print_line(&line);
                }
                continue;
            }
            let time = time_text(entry.time_ms);
            let (date, time) = time.split_once('T').unwrap_or(("", &time));
            if date != self.date {
                self.output.print_line(&format!("{date} (UTC)"));
                self.date = date.to_owned();
            }
            let time = time.split('.').next().unwrap_or_default();
            self.output.print_line(&format!("{time} {}", event_text(&entry.event)));
        }
    }
}

/// An event on one line: `fra drained by ada (127.0.0.1): "upgrade" (active -> draining),
/// generation 41`.
fn event_text(event: &Event) -> String {
    let Event { kind, subject, action, before, after, author, cause, generation } = event;
    let states = match (before, after) {
        (Some(before), Some(after)) => Some(format!("{before} -> {after}")),
        (None, state) | (state, None) => state.clone(),
    };
    let generation = generation.map(|number| format!(", generation {number}")).unwrap_or_default();
    if let (Some(action), Some(author)) = (action, author) {
        let done = past_tense(action);
        let reason = cause.as_ref().map(|cause| format!(": \"{cause}\"")).unwrap_or_default();
        let states = states.map(|states| format!(" ({states})")).unwrap_or_default();
        return format!("{subject} {done} by {author}{reason}{states}{generation}");
    }
    let name = match kind {
        EventKind::Server | EventKind::Configuration | EventKind::Journal
            if subject == kind.as_str() =>
        {
            subject.clone()
        }
        EventKind::Doubt => subject.clone(),
        _ => format!("{} {subject}", kind.as_str()),
    };
    let cause = cause.as_ref().map(|cause| match kind {
        EventKind::State => format!("\"{cause}\""),
        _ => cause.clone(),
    });
    let parts: Vec<String> = [states, cause].into_iter().flatten().collect();
    format!("{name}: {}{generation}", parts.join(": "))
}

/// What an operator did, in the words of a report.
fn past_tense(action: &str) -> String {
    match action {
        "drain" => "drained",
        "undrain" => "put back into service",
        "pause" => "drain paused",
        "resume" => "drain resumed",
        "failback" => "given back",
        "disable" => "disabled",
        "enable" => "enabled",
        "standby" => "made a standby",
        "force-up" => "forced up",
        "force-down" => "forced down",
        "weight" => "given another weight",
        "reload" => "reloaded",
        "reload accepting removals" => "reloaded, removals accepted,",
        other => other,
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::EventAuthor;

    #[test]
    fn an_event_is_one_line_that_says_what_changed_by_whose_action_and_why() {
        let drain = Event {
            action: Some("drain".to_owned()),
            before: Some("active".to_owned()),
            after: Some("draining".to_owned()),
            author: Some(EventAuthor {
                user: Some("ada".to_owned()),
                peer: Some("127.0.0.1".to_owned()),
            }),
            cause: Some("upgrade".to_owned()),
            generation: Some(41),
            ..Event::new(EventKind::Command, "fra")
        };
        let health = Event {
            before: Some("up".to_owned()),
            after: Some("down".to_owned()),
            cause: Some("connection refused".to_owned()),
            ..Event::new(EventKind::Health, "web 192.0.2.1")
        };
        let server =
            Event { after: Some("started".to_owned()), ..Event::new(EventKind::Server, "server") };
        for (event, text) in [
            (
                drain,
                "fra drained by ada (127.0.0.1): \"upgrade\" (active -> draining), generation 41",
            ),
            (health, "health web 192.0.2.1: up -> down: connection refused"),
            (server, "server: started"),
        ] {
            assert_eq!(event_text(&event), text);
        }
    }
}
