//! `status`: the state of running servers.
//!
//! | file | content |
//! |---|---|
//! | `view` | what the argument names |
//! | `overview` | the default: what is wrong first, then a summary that fits the screen |
//! | `full`, `problems`, `steering`, `headline` | the status document as text |
//! | `failing` | what is wrong, all of it |
//! | `lists` | services, targets, datacenters |
//! | `overrides` | what operators set over the files |
//! | `subject` | one name in full |
//! | `table` | aligned columns |
//! | `watch` | the report drawn again each second |

mod failing;
mod full;
mod headline;
mod lists;
mod overrides;
mod overview;
mod problems;
mod steering;
mod subject;
mod table;
mod view;
mod watch;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use self::view::StatusView;
use super::{
    args::StatusArguments,
    client::{
        RemoteError, RemoteServer, ServerList, ServerReply, ServerReport, ask_each,
        escape_document, percent_encoded, read_document, report_replies,
    },
    exit::CommandExit,
    output::Output,
    screen::Screen,
    text::StatusStyle,
};
use crate::{
    admin::ListPage,
    control::{
        DatacenterStatus, OverrideStatus, ServiceState, ServiceStatus, Status, SubjectReport,
        TargetStatus,
    },
    number_format::thousands,
};

/// The number of entries that one request for a list asks for.
const PAGE: usize = 1000;

pub(super) fn run(arguments: &StatusArguments, output: &Output) -> ExitCode {
    let list = match ServerList::new(&arguments.remote) {
        Ok(list) => list,
        Err(error) => return output.fail(&error),
    };
    let request = StatusRequest {
        view: StatusView::named(arguments.view.as_deref()),
        failing: arguments.failing,
        is_complete: output.json,
    };
    let style = StatusStyle { is_coloured: output.is_coloured() };
    if arguments.watch {
        return watch::run(output, |screen| frame(&list, &request, screen, style));
    }
    let screen = Screen::of_process();
    let report = |reply: ServerReply<StatusReply>, _: &Output| {
        let exit = match arguments.exit_code && reply.document.must_act {
            true => CommandExit::MustAct,
            false => CommandExit::Success,
        };
        ServerReport { exit, ..request.report(reply, screen, style) }
    };
    let replies = ask_each(&list.servers, |server| request.ask(server, arguments.exit_code));
    report_replies(replies, output, report).code()
}

/// The reports about all servers, one below the other.
fn frame(list: &ServerList, request: &StatusRequest, screen: Screen, style: StatusStyle) -> String {
    let lines = screen.lines / list.servers.len();
    let text = |reply: Result<ServerReply<StatusReply>, RemoteError>| match reply {
        Ok(reply) => {
            let report = request.report(reply, Screen { lines, ..screen }, style);
            format!("{}\n{}", report.heading, report.text)
        }
        Err(error) => style.bad(&format!("error: {error}")) + "\n",
    };
    let replies = ask_each(&list.servers, |server| request.ask(server, false));
    replies.into_iter().map(text).collect::<Vec<_>>().join("\n")
}

/// What is asked of each server.
struct StatusRequest {
    view: StatusView,
    /// Whether only what fails is listed.
    failing: bool,
    /// Whether the status document has all entries of its lists.
    is_complete: bool,
}

/// What a server says about a view.
struct StatusReply {
    /// Whether an operator must act: the server has a concern, as `/readyz` lists them. False where
    /// that was not asked.
    must_act: bool,
    document: ViewDocument,
}

/// The document of a view.
enum ViewDocument {
    Status(Box<Status>),
    Services { page: ListPage<ServiceStatus>, overrides: Vec<OverrideStatus> },
    Targets(ListPage<TargetStatus>),
    Subject(Box<SubjectReport>),
}

/// The reply about overrides.
#[derive(Deserialize)]
struct OverrideList {
    overrides: Vec<OverrideStatus>,
}

impl StatusRequest {
    /// Asks one server for what the view shows, and for its concerns if the exit code needs them.
    fn ask(
        &self,
        server: &RemoteServer,
        needs_concerns: bool,
    ) -> Result<ServerReply<StatusReply>, RemoteError> {
        let (server_status, document) = match &self.view {
            StatusView::Services => {
                let reply = self.all_pages(server, "/api/v1/services")?;
                let overrides = read_document::<OverrideList>(server, "/api/v1/overrides")?;
                let OverrideList { overrides } = overrides.document;
                (reply.server, ViewDocument::Services { page: reply.document, overrides })
            }
            StatusView::Targets => {
                let reply = self.all_pages(server, "/api/v1/targets")?;
                (reply.server, ViewDocument::Targets(reply.document))
            }
            StatusView::Subject(name) => {
                let path = format!("/api/v1/subjects/{}", percent_encoded(name));
                let reply = read_document(server, &path)?;
                (reply.server, ViewDocument::Subject(reply.document))
            }
            StatusView::Overview
            | StatusView::Datacenters
            | StatusView::Overrides
            | StatusView::Held => {
                let reply = self.status(server)?;
                (reply.server, ViewDocument::Status(reply.document))
            }
        };
        let must_act = match &document {
            ViewDocument::Status(status) => !status.concerns.is_empty(),
            _ => needs_concerns && !self.status(server)?.document.concerns.is_empty(),
        };
        Ok(ServerReply { server: server_status, document: StatusReply { must_act, document } })
    }

    fn status(&self, server: &RemoteServer) -> Result<ServerReply<Box<Status>>, RemoteError> {
        let is_full = self.is_complete || self.failing || self.view != StatusView::Overview;
        let path = if is_full { "/api/v1/status?full=true" } else { "/api/v1/status" };
        read_document(server, path)
    }

    /// All pages of a list as one.
    fn all_pages<T: DeserializeOwned>(
        &self,
        server: &RemoteServer,
        path: &str,
    ) -> Result<ServerReply<ListPage<T>>, RemoteError> {
        let page = |offset: usize| {
            let failing = self.failing;
            let path = format!("{path}?failing={failing}&offset={offset}&limit={PAGE}");
            read_document::<ListPage<T>>(server, &path)
        };
        let mut all = page(0)?;
        while let Some(offset) = all.document.next {
            let more = page(offset)?.document;
            all.document.entries.extend(more.entries);
            all.document.next = more.next;
        }
        Ok(all)
    }

    fn report(
        &self,
        reply: ServerReply<StatusReply>,
        screen: Screen,
        style: StatusStyle,
    ) -> ServerReport {
        let heading = reply.server_line();
        let ServerReply { server, document: StatusReply { document, .. } } = reply;
        let (text, document) = match document {
            ViewDocument::Status(status) => {
                let text = self.status_text(&escape_document((*status).clone()), screen, style);
                // A status has a field for its server.
                (text, to_value(&Status { server, ..*status }))
            }
            ViewDocument::Services { page, overrides } => {
                let (list, overrides) = (escape_document(page.clone()), escape_document(overrides));
                let text = self.services_text(&list, &overrides, screen, style);
                (text, to_value(&ServerReply { server, document: page }))
            }
            ViewDocument::Targets(page) => {
                let text = self.targets_text(&escape_document(page.clone()), screen, style);
                (text, to_value(&ServerReply { server, document: page }))
            }
            ViewDocument::Subject(report) => {
                let text = subject::render(&escape_document((*report).clone()), screen, style);
                (text, to_value(&ServerReply { server, document: report }))
            }
        };
        ServerReport { exit: CommandExit::Success, document, heading, text, messages: Vec::new() }
    }

    /// The views of the status document.
    fn status_text(&self, status: &Status, screen: Screen, style: StatusStyle) -> String {
        match self.view {
            StatusView::Overrides => overrides::view(status, screen, style),
            StatusView::Datacenters => self.datacenters_text(status, screen, style),
            StatusView::Held => {
                let mut text = String::new();
                // Writing to a string does not fail.
                let _ = problems::held(&mut text, status, style);
                let is_empty = text.is_empty();
                if is_empty { "every file is in use as it is\n" } else { text.trim_start() }
                    .to_owned()
            }
            _ if self.failing => failing::render(status, screen, style),
            _ => overview::render(status, screen, style),
        }
    }

    fn datacenters_text(&self, status: &Status, screen: Screen, style: StatusStyle) -> String {
        let is_shown = |datacenter: &&DatacenterStatus| {
            !self.failing || datacenter.down > 0 || datacenter.still_answered_count > 0
        };
        let shown: Vec<&DatacenterStatus> = status.datacenters.iter().filter(is_shown).collect();
        match (shown.is_empty(), self.failing) {
            (true, true) => "no datacenter has a target that is down\n".to_owned(),
            (true, false) => "no datacenter is configured\n".to_owned(),
            (false, _) => lists::datacenters(&shown, status.now, screen, style),
        }
    }

    fn services_text(
        &self,
        page: &ListPage<ServiceStatus>,
        overrides: &[OverrideStatus],
        screen: Screen,
        style: StatusStyle,
    ) -> String {
        let all: usize = ServiceState::ALL.map(|state| page.counts.of(state)).iter().sum();
        let counts = lists::counts_text(&page.counts);
        let heading = format!("{} services: {counts}\n", thousands(all as u64));
        let heading = heading + &overrides::first_lines(overrides, screen);
        if page.entries.is_empty() {
            return heading;
        }
        heading + "\n" + &lists::services(&page.entries, screen, style)
    }

    fn targets_text(
        &self,
        page: &ListPage<TargetStatus>,
        screen: Screen,
        style: StatusStyle,
    ) -> String {
        match (page.entries.is_empty(), self.failing) {
            (true, true) => "no target fails\n".to_owned(),
            (true, false) => "no target is probed\n".to_owned(),
            (false, _) => lists::targets(&page.entries, page.now, screen, style),
        }
    }
}

fn to_value(document: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(document).unwrap_or_default()
}
