//! Reads `[[assert]]`: the datacenters that clients must never be answered outside of.

use super::{client_set, names, read_name};
use crate::{
    config::{
        place::Placed,
        problems::Problems,
        reader::{TableReader, TableSubject, ValueReader},
    },
    steer::{ClientSet, FailureDepth},
};

const SERVICES_HELP: &str =
    "write services = [\"www.example.com\"], or \"*.example.com\" for all services below a name";
const CLIENTS_HELP: &str = "write clients = { country = [\"DE\"] }, with continent, subdivision, subnet, asn or all = true in its place";
const ONLY_HELP: &str = "write only = [\"eu\"]: the datacenters or regions that may be answered";

/// An assertion as written.
#[derive(Debug)]
pub(in crate::config) struct AssertionSpec {
    pub(in crate::config) name: Placed<Box<str>>,
    /// Names of services, or `*.` and the name that they are below.
    pub(in crate::config) services: Vec<Placed<Box<str>>>,
    pub(in crate::config) clients: ClientSet,
    /// Names of datacenters and regions.
    pub(in crate::config) only: Vec<Placed<Box<str>>>,
    pub(in crate::config) under: FailureDepth,
}

impl AssertionSpec {
    pub(in crate::config) fn read(item: ValueReader<'_>, problems: &mut Problems) -> Option<Self> {
        let mut table = item.table(TableSubject { kind: "assertion", name: "" }, problems)?;
        let name = read_name(&mut table, "German data stays in the EU", problems);
        let services = list("services", SERVICES_HELP, &mut table, problems);
        let clients = table
            .required("clients", CLIENTS_HELP, problems)
            .and_then(|item| clients(item, problems));
        let only = list("only", ONLY_HELP, &mut table, problems);
        let under = table.value("under").map(|item| item.keyword(&DEPTHS, problems));
        table.finish(problems);
        Some(Self {
            name: name?,
            services: services?,
            clients: clients?,
            only: only?,
            under: under.unwrap_or(Some(FailureDepth::Now))?,
        })
    }
}

/// The words of `under`.
const DEPTHS: [(&str, FailureDepth); 3] = [
    ("now", FailureDepth::Now),
    ("any-one-down", FailureDepth::AnyOneDown),
    ("any-two-down", FailureDepth::AnyTwoDown),
];

/// Reads a list of names that must not be empty.
fn list(
    key: &'static str,
    help: &str,
    table: &mut TableReader<'_>,
    problems: &mut Problems,
) -> Option<Vec<Placed<Box<str>>>> {
    let item = table.required(key, help, problems)?;
    let names = names(item, problems)?;
    if names.is_empty() {
        problems.error(item.place, format!("{} names nothing", item.description())).help(help);
    }
    (!names.is_empty()).then_some(names)
}

fn clients(item: ValueReader<'_>, problems: &mut Problems) -> Option<ClientSet> {
    let subject = TableSubject { kind: "`clients` of", name: item.subject.name };
    let mut table = item.table(subject, problems)?;
    let all = table.value("all");
    let has_keys = ["subnet", "subdivision", "country", "continent", "asn"]
        .into_iter()
        .any(|key| table.has(key));
    let clients = match all {
        Some(all) => {
            // The keys are known, although `all` makes them superfluous.
            client_set::read_keys(&mut table, "subnet", "", &mut Problems::default());
            let is_all = all.boolean(problems);
            if has_keys {
                problems
                    .error(all.place, format!("{subject} has `all` and other keys"))
                    .help("omit `all` to mean the clients of the other keys");
            } else if is_all == Some(false) {
                problems.error(all.place, format!("{subject} names no clients")).help(CLIENTS_HELP);
            }
            (is_all == Some(true) && !has_keys).then_some(ClientSet::All)
        }
        None => client_set::read_keys(&mut table, "subnet", CLIENTS_HELP, problems),
    };
    table.finish(problems);
    clients
}
