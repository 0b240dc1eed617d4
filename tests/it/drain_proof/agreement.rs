//! The comparison of all reports of both servers with 1,000 answers for each row.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use serde_json::Value;

use super::{
    replies::{MemberNames, QueryClient, ReplyCounts, datacenter},
    reports::{AnsweredNames, ReportSet, explained_shares, list, names_and_types, text},
    rows::{Row, rows, services},
    site::Site,
};
use crate::harness::{Server, ServerDirectory};

/// The tolerance of a share, in percentage points, where the same clients get the same answers in
/// every run. Elsewhere five standard deviations are tolerated.
const TOLERANCE: f64 = 4.0;
/// The number of attempts to measure within one generation.
const ATTEMPTS: usize = 5;
const DATACENTERS: [&str; 3] = ["fra", "iad", "nrt"];

/// The reports of a server, and the answers of the same generation.
#[derive(Debug)]
pub(super) struct ServerSample {
    reports: ReportSet,
    pub(super) rows: Vec<(Row, ReplyCounts)>,
    /// The groups of clients of services, each with the members that its example is answered with.
    examples: Vec<(Row, Value, Vec<&'static str>)>,
    /// By datacenter: how many answers the metrics counted.
    counted: BTreeMap<&'static str, usize>,
}

/// Measures both servers, and asserts that all reports of each agree with its answers: those read
/// now, and those that a command for both has just printed.
pub(super) fn assert_agreement(site: &Site, why: &str, printed: &[Value]) -> [ServerSample; 2] {
    let names = MemberNames::new(site);
    let measured = std::thread::scope(|scope| {
        let threads = [0, 1].map(|index| {
            let (directory, server) = (&site.directories[index], &site.servers[index]);
            let names = &names;
            scope.spawn(move || ServerSample::of(directory, server, names))
        });
        threads.map(|thread| thread.join().unwrap())
    });
    for (index, (sample, node)) in measured.iter().zip(["north", "south"]).enumerate() {
        let mut contradictions = sample.contradictions();
        if let Some(printed) = printed.get(index) {
            contradictions.extend(sample.printed_contradictions(printed));
        }
        assert!(
            contradictions.is_empty(),
            "{why}: {node}: {} contradictions\n{}",
            contradictions.len(),
            contradictions.join("\n")
        );
    }
    measured
}

impl ServerSample {
    /// Reads the reports and asks all queries, again if the generation changed meanwhile.
    fn of(directory: &ServerDirectory, server: &Server, names: &MemberNames) -> Self {
        let mut asker = QueryClient::new(server.address, names);
        for _ in 0..ATTEMPTS {
            let generation = server.status().generation;
            let reports = ReportSet::read(directory, server);
            let counters = || DATACENTERS.map(|name| counted_answers(server, name));
            let before = counters();
            let asked = rows().into_iter().map(|row| (row, asker.ask_all(row))).collect();
            let after = counters();
            let examples = ask_examples(&reports, &mut asker);
            if server.status().generation == generation {
                let counted = DATACENTERS.iter().zip(before.iter().zip(after));
                let counted = counted.map(|(name, (before, after))| (*name, after - before));
                return Self { reports, rows: asked, examples, counted: counted.collect() };
            }
        }
        panic!("the generation changed during each of {ATTEMPTS} attempts\n{}", server.log());
    }

    /// The names and types that are answered with a member of a datacenter.
    pub(super) fn names_and_types_of(&self, wanted: &str) -> AnsweredNames {
        self.answered(|_, member| datacenter(member) == wanted)
    }

    /// The replies to the rows of a service.
    pub(super) fn of_service(&self, service: &str) -> impl Iterator<Item = &(Row, ReplyCounts)> {
        self.rows.iter().filter(move |(row, _)| row.service == service)
    }

    /// Every report that answers contradict, a line each.
    fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (index, (row, replies)) in self.rows.iter().enumerate() {
            found.extend(self.explanation_contradictions(index));
            found.extend(self.share_contradictions(*row, replies));
        }
        for service in services() {
            found.extend(self.group_contradictions(service));
            found.extend(self.pool_contradictions(service));
            found.extend(self.list_contradictions(service));
        }
        found.extend(self.example_contradictions());
        found.extend(self.datacenter_contradictions());
        found.extend(self.override_contradictions(&self.reports.status["overrides"]));
        found
    }

    /// Whether a measured share of a row agrees with a reported range, in percent: nothing and all
    /// exactly.
    fn is_within(
        &self,
        (row, replies): (Row, &ReplyCounts),
        (least, greatest): (f64, f64),
        measured: f64,
    ) -> bool {
        let part = ((least + greatest) / 200.0).clamp(0.0, 1.0);
        let deviation = (part * (1.0 - part) / replies.answers.len() as f64).sqrt() * 100.0;
        // The share of a ramp is another one in each run.
        let has_ramp = list(&self.reports.status["ramps"]).next().is_some();
        let tolerance = match row.is_by_client() && !has_ramp {
            true => TOLERANCE,
            false => TOLERANCE.max(5.0 * deviation),
        };
        match (least, greatest) {
            (_, 0.0) => measured == 0.0,
            (least, _) if least > 99.99 => measured == 100.0,
            _ => (least - tolerance..=greatest + tolerance).contains(&measured),
        }
    }

    /// `explain`: the shares of a row.
    fn explanation_contradictions(&self, index: usize) -> Vec<String> {
        let (row, replies) = &self.rows[index];
        let by_type = explained_shares(self.reports.explanation(index));
        let mut found = Vec::new();
        let explained = by_type.iter().flat_map(BTreeMap::keys).cloned();
        let members: BTreeSet<String> =
            explained.chain(replies.members().into_iter().map(str::to_owned)).collect();
        for member in members {
            // An HTTPS record names the members of A and of AAAA, which may be the same.
            let shares = by_type.iter().map(|shares| shares.get(&member).copied().unwrap_or(0.0));
            let least = shares.clone().fold(0.0, f64::max);
            let greatest = shares.sum::<f64>().min(100.0);
            let measured = replies.percent(&member);
            if !self.is_within((*row, replies), (least, greatest), measured) {
                let said = format!("{least} to {greatest}");
                found.push(contradiction("explain", *row, &member, &said, measured));
            }
        }
        found
    }

    /// `status NAME`: each member that it lists has a share within its range, and no other has one.
    /// The hints of an HTTPS record are the answers of type A and AAAA.
    fn share_contradictions(&self, row: Row, replies: &ReplyCounts) -> Vec<String> {
        let types = if row.rtype == "HTTPS" { &["A", "AAAA"][..] } else { &[row.rtype] };
        let ranges: Vec<BTreeMap<String, (f64, f64)>> = types
            .iter()
            .filter_map(|rtype| self.reports.share_ranges(row.service, rtype))
            .collect();
        if ranges.len() != types.len() {
            return vec![format!("{row:?}: status {} says nothing about the type", row.service)];
        }
        let listed = ranges.iter().flat_map(BTreeMap::keys).cloned();
        let answered = replies.members().into_iter().map(str::to_owned);
        let mut found = Vec::new();
        for member in listed.chain(answered).collect::<BTreeSet<_>>() {
            let of_types = ranges.iter().map(|of| of.get(&member).copied().unwrap_or_default());
            let least = of_types.clone().map(|(least, _)| least).fold(0.0, f64::max);
            let greatest = of_types.map(|(_, greatest)| greatest).sum::<f64>().min(100.0);
            let measured = match row.rtype {
                "HTTPS" => replies.percent(&member),
                _ => replies.percent_of_members(&member),
            };
            if !self.is_within((row, replies), (least, greatest), measured) {
                let said = format!("{least} to {greatest}");
                found.push(contradiction("status NAME", row, &member, &said, measured));
            }
        }
        found
    }

    /// `status NAME`: a member with a share is in answers to the clients of some area.
    fn group_contradictions(&self, service: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (row, _) in self.of_service(service) {
            let of_type = || self.of_service(service).filter(|(other, _)| other.rtype == row.rtype);
            let ranges = self.reports.share_ranges(service, row.rtype).unwrap_or_default();
            for (member, (_, greatest)) in ranges {
                if greatest > 1.0 && of_type().all(|(_, replies)| replies.count(&member) == 0) {
                    let said = format!("up to {greatest}");
                    found.push(contradiction("status NAME", *row, &member, &said, 0.0));
                }
            }
        }
        found
    }

    /// `status NAME`: the client that is the example of a group is answered with its members.
    fn example_contradictions(&self) -> Vec<String> {
        let contradicts = |(_, example, answered): &&(Row, Value, Vec<&str>)| {
            let members: Vec<&Value> = list(&example["members"]).collect();
            let is_member = |name: &&str| members.iter().any(|member| member["name"] == **name);
            answered.is_empty() != members.is_empty() || !answered.iter().all(is_member)
        };
        let text = |(row, example, answered): &(Row, Value, Vec<&str>)| {
            format!("{} {}: {answered:?} for {example}", row.service, row.rtype)
        };
        self.examples.iter().filter(contradicts).map(text).collect()
    }

    /// The members of the pool in `status NAME`, whose shares are those of one address family, and
    /// the shares of a `load` pool in the status document.
    fn pool_contradictions(&self, service: &str) -> Vec<String> {
        let mut found = Vec::new();
        let named_by = |member: &str, rtype: &str| {
            let mut of_type = self.of_service(service).filter(|(row, _)| row.rtype == rtype);
            of_type.any(|(_, replies)| replies.count(member) > 0)
        };
        for member in self.reports.pool_members(service) {
            let (name, Some(percent)) = (text(&member["name"]), member["percent"].as_f64()) else {
                continue;
            };
            let mut types = self.of_service(service).map(|(row, _)| row.rtype);
            if percent == 0.0 && types.any(|rtype| named_by(&name, rtype)) {
                found.push(format!("{service}: the pool table says 0 % for {name}: {member}"));
            }
            let is_close = |(row, replies): &(Row, ReplyCounts)| {
                self.is_within((*row, replies), (percent, percent), replies.percent(&name))
            };
            if percent > 0.0 && !self.of_service(service).any(is_close) {
                found.push(format!("{service}: the pool table says {percent} % for {name}"));
            }
        }
        for (name, percent) in self.reports.load_shares(service) {
            for (row, replies) in self.of_service(service) {
                let measured = replies.percent(&name);
                if !self.is_within((*row, replies), (percent, percent), measured) {
                    let said = percent.to_string();
                    found.push(contradiction("load pool", *row, &name, &said, measured));
                }
            }
        }
        found
    }

    /// `status services`: the datacenters that the answers of a service name.
    fn list_contradictions(&self, service: &str) -> Option<String> {
        let named: BTreeSet<String> = self
            .of_service(service)
            .flat_map(|(_, replies)| replies.members())
            .map(|member| datacenter(member).to_owned())
            .collect();
        let listed = self.reports.datacenters_of(service);
        (named != listed)
            .then(|| format!("{service}: status services lists {listed:?}, answers name {named:?}"))
    }

    /// The names and types with an answer that names a member for which `is_wanted` holds.
    fn answered(&self, is_wanted: impl Fn(Row, &str) -> bool) -> AnsweredNames {
        let names = |(row, replies): &&(Row, ReplyCounts)| {
            replies.members().into_iter().any(|member| is_wanted(*row, member))
        };
        self.rows
            .iter()
            .filter(names)
            .map(|(row, _)| (row.service.to_owned(), row.rtype.to_owned()))
            .collect()
    }

    /// `status datacenters` and the metrics.
    fn datacenter_contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        for status in list(&self.reports.status["datacenters"]) {
            let name = text(&status["name"]);
            let is_out = matches!(status["state"].as_str(), Some("draining" | "disabled"));
            let answered = match is_out {
                true => self.names_and_types_of(&name),
                false => AnsweredNames::new(),
            };
            let listed = names_and_types(&status["still-answered"]);
            if listed != answered || status["effective"] != (is_out && answered.is_empty()) {
                found.push(format!("{name}: answered for {answered:?}, reported: {status}"));
            }
            let replies: usize =
                self.rows.iter().map(|(_, replies)| replies.count_of_first(&name)).sum();
            let counted = self.counted[&*name];
            if counted != replies {
                found.push(format!("{name}: {replies} replies, the metrics count {counted}"));
            }
        }
        found
    }

    /// Overrides that take their subjects out of answers.
    fn override_contradictions(&self, overrides: &Value) -> Vec<String> {
        let takes_away =
            |one: &&Value| matches!(one["value"].as_str(), Some("draining" | "disabled" | "down"));
        let check = |one: &Value| {
            let subject = text(&one["subject"]);
            let answered = self.answered(|row, member| is_part(&subject, row, member));
            let agrees = names_and_types(&one["still-answered"]) == answered
                && one["effective"] == answered.is_empty();
            (!agrees).then(|| format!("{subject}: answered for {answered:?}, reported: {one}"))
        };
        list(overrides).filter(takes_away).filter_map(check).collect()
    }

    /// What a command that set overrides printed: whether they are effective, and which names and
    /// types are still answered.
    fn printed_contradictions(&self, printed: &Value) -> Vec<String> {
        let mut found = self.override_contradictions(&printed["overrides"]);
        for outcome in list(&printed["outcomes"]) {
            let name = text(&outcome["datacenter"]);
            let answered = self.names_and_types_of(&name);
            let is_out = matches!(outcome["state"].as_str(), Some("draining" | "disabled"));
            let listed = names_and_types(&outcome["still-answered"]);
            let agrees = outcome["answered-count"] == answered.len()
                && outcome["effective"] == (is_out && answered.is_empty())
                && (!is_out || listed == answered);
            if !agrees {
                found.push(format!("{name}: answered for {answered:?}, printed: {outcome}"));
            }
        }
        found
    }
}

/// Asks for the example of each group of clients that `status NAME` shows.
fn ask_examples(
    reports: &ReportSet,
    asker: &mut QueryClient<'_>,
) -> Vec<(Row, Value, Vec<&'static str>)> {
    let mut answered = Vec::new();
    for row in rows() {
        for example in reports.examples(row) {
            let client: Ipv4Addr = text(&example["client"]).parse().unwrap();
            let [a, b, c, _] = client.octets();
            let members = asker.ask(row, &[[a, b, c]]).answers.remove(0);
            answered.push((row, example.clone(), members));
        }
    }
    answered
}

fn contradiction(report: &str, row: Row, member: &str, said: &str, measured: f64) -> String {
    let Row { service, rtype, area } = row;
    format!("{service} {rtype} {area:?}: {report} says {said} % for {member}: {measured} %")
}

/// Whether a member of a row belongs to the subject of an override.
fn is_part(subject: &str, row: Row, member: &str) -> bool {
    match subject.split_once('/') {
        Some((pool, wanted)) => {
            let is_of_pool = match pool.strip_prefix("service:") {
                Some(service) => row.service == service,
                None => row.service == format!("{pool}.example.org"),
            };
            is_of_pool && member == wanted
        }
        None => match subject {
            "eu" => datacenter(member) == "fra",
            "web-fra" => row.service == "geo.example.org" && datacenter(member) == "fra",
            _ => datacenter(member) == subject,
        },
    }
}

fn counted_answers(server: &Server, datacenter: &str) -> usize {
    let label = format!("datacenter=\"{datacenter}\"");
    server.metric("portolan_datacenter_answers_total", &label) as usize
}
