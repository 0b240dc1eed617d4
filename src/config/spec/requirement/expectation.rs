//! Reads `[[expect]]`: the answer that some clients are to get.

use super::{client_set, names, read_name};
use crate::{
    config::{
        place::Placed,
        problems::Problems,
        quoted::Quoted,
        reader::{TableSubject, ValueReader},
        values,
    },
    dns::Rtype,
    steer::ClientSet,
};

/// The difference from a share that is accepted where the share is written alone.
const DEFAULT_TOLERANCE: f64 = 0.01;

const CLIENT_HELP: &str = "write client = \"203.0.113.9\", or country = \"DE\", continent = \"EU\", subdivision = \"US-CA\" or asn = 64500";
const SHARE_HELP: &str = "write a percentage and how far it may be off: \"75% +- 2%\"";

/// An expectation as written.
#[derive(Debug)]
pub(in crate::config) struct ExpectationSpec {
    pub(in crate::config) name: Placed<Box<str>>,
    pub(in crate::config) service: Placed<Box<str>>,
    pub(in crate::config) rtype: Option<Placed<Rtype>>,
    pub(in crate::config) clients: ClientSet,
    pub(in crate::config) answer: Option<WrittenRule>,
    pub(in crate::config) shares: Vec<ShareSpec>,
    /// Names of datacenters and regions that are down.
    pub(in crate::config) down: Vec<Placed<Box<str>>>,
    /// Names of datacenters and regions that are drained.
    pub(in crate::config) drained: Vec<Placed<Box<str>>>,
}

/// The items of an answer, as written.
#[derive(Debug)]
pub(in crate::config) struct WrittenRule {
    pub(in crate::config) items: Vec<Placed<Box<str>>>,
    /// Whether the items are those that must not be answered.
    pub(in crate::config) is_excluding: bool,
}

/// The share of an item, as written.
#[derive(Debug)]
pub(in crate::config) struct ShareSpec {
    pub(in crate::config) item: Placed<Box<str>>,
    pub(in crate::config) share: f64,
    pub(in crate::config) tolerance: f64,
}

impl ExpectationSpec {
    pub(in crate::config) fn read(item: ValueReader<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = item.table(TableSubject { kind: "expectation", name: "" }, problems)?;
        let name = read_name(&mut table, "Germans go to Frankfurt", problems);
        const SERVICE_HELP: &str = "write the name of a service: service = \"www.example.com\"";
        let service = table
            .required("service", SERVICE_HELP, problems)
            .and_then(|item| values::name_reference(item, problems));
        let rtype = table.value("type").map(|item| rtype(item, problems));
        let clients = client_set::read_keys(&mut table, "client", CLIENT_HELP, problems);
        let (answer, not) = (table.value("answer"), table.value("not"));
        let shares = table.value("share");
        if answer.is_none() && not.is_none() && shares.is_none() {
            problems.error(table.place, format!("{} expects nothing", table.subject)).help(
                "write answer = [\"fra\"], not = [\"iad\"] or share = { fra = \"75% +- 2%\" }",
            );
        }
        if let (Some(_), Some(not)) = (answer, not) {
            problems
                .error(not.place, format!("{} has both `answer` and `not`", table.subject))
                .help("`answer` lists all that may be answered: omit `not`");
        }
        let mut rule = |item: Option<ValueReader<'_>>, is_excluding| {
            Some(WrittenRule { items: names(item?, problems)?, is_excluding })
        };
        let answer = rule(answer, false).or(rule(not, true));
        let shares = shares.map(|item| share_list(item, problems)).unwrap_or_default();
        let [down, drained] = match table.value("when") {
            Some(item) => states(item, problems),
            None => Default::default(),
        };
        table.finish(problems);
        Some(Self {
            name: name?,
            service: service?,
            rtype: rtype.map_or(Some(None), |rtype| rtype.map(Some))?,
            clients: clients?,
            answer,
            shares,
            down,
            drained,
        })
    }
}

fn rtype(item: ValueReader<'_>, problems: &mut Problems) -> Option<Placed<Rtype>> {
    let words = [Rtype::A, Rtype::AAAA, Rtype::SRV, Rtype::HTTPS, Rtype::SVCB]
        .map(|rtype| (rtype.mnemonic().unwrap_or_default(), rtype));
    item.keyword(&words, problems).map(|rtype| Placed::new(rtype, item.place))
}

/// Reads `share`: a table whose keys are items.
fn share_list(item: ValueReader<'_>, problems: &mut Problems) -> Vec<ShareSpec> {
    let subject = TableSubject { kind: "`share` of", name: item.subject.name };
    let Some(table) = item.table(subject, problems) else { return Vec::new() };
    let share = |(name, item): (Placed<&str>, ValueReader<'_>)| {
        let parsed = item.as_text().and_then(parse_share);
        if parsed.is_none() {
            let written = item.as_text().map(|text| format!(": {}", Quoted(text)));
            let message = format!(
                "{subject} has no share for {}{}",
                Quoted(name.value),
                written.unwrap_or_default()
            );
            problems.error(item.place, message).help(SHARE_HELP);
        }
        let (share, tolerance) = parsed?;
        Some(ShareSpec { item: name.map(Into::into), share, tolerance })
    };
    table.entries().filter_map(share).collect()
}

/// Parses `75% +- 2%`, or `75%` alone, as fractions.
fn parse_share(text: &str) -> Option<(f64, f64)> {
    let (share, tolerance) = match text.split_once("+-").or_else(|| text.split_once('±')) {
        Some((share, tolerance)) => (share, Some(tolerance)),
        None => (text, None),
    };
    let percent = |text: &str| {
        let percent: f64 = text.trim().strip_suffix('%')?.trim_end().parse().ok()?;
        (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
    };
    Some((percent(share)?, tolerance.map_or(Some(DEFAULT_TOLERANCE), percent)?))
}

/// Reads `when`: the datacenters that are down, and those that are drained.
fn states(item: ValueReader<'_>, problems: &mut Problems) -> [Vec<Placed<Box<str>>>; 2] {
    let subject = TableSubject { kind: "`when` of", name: item.subject.name };
    let Some(mut table) = item.table(subject, problems) else { return Default::default() };
    let lists = ["down", "drained"]
        .map(|key| table.value(key).and_then(|item| names(item, problems)).unwrap_or_default());
    table.finish(problems);
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_a_tolerance_of_one_percent_where_none_is_written() {
        for (text, expected) in [
            ("75% +- 2%", Some((0.75, 0.02))),
            ("75 %±0.5%", Some((0.75, 0.005))),
            ("0%", Some((0.0, 0.01))),
            ("75", None),
            ("101%", None),
            ("75% +- two", None),
        ] {
            assert_eq!(parse_share(text), expected, "{text}");
        }
    }
}
