//! Reads `[delegate."NAME"]`: a name that other servers answer, with everything below it.

use std::net::IpAddr;

use super::zone;
use crate::{
    config::{
        hostname,
        place::{Placed, SourcePlace},
        problems::Problems,
        reader::{TableReader, TableSubject, ValueReader},
        values,
    },
    dns::Name,
};

/// A delegation as written.
#[derive(Debug)]
pub(in crate::config) struct DelegateSpec {
    pub(in crate::config) name: Placed<Name>,
    /// The names of the nameservers; never empty.
    pub(in crate::config) nameservers: Vec<Placed<Name>>,
    /// The addresses of nameservers, by their names.
    pub(in crate::config) glue: Vec<(Placed<Name>, Vec<IpAddr>)>,
    pub(in crate::config) ttl_secs: u32,
}

/// The default TTL of a delegation's records, in seconds: a delegation changes as rarely as
/// nameservers move.
const DEFAULT_TTL_SECS: u32 = 3600;

const HELP: &str =
    "write nameservers = [\"ns1.example.net\"]: the servers that answer for the name";

impl DelegateSpec {
    pub(super) fn read(
        name: Placed<&str>,
        mut table: TableReader<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let delegated_name = hostname::defined_name(name, "the delegated name", problems);
        let nameservers = table
            .required("nameservers", HELP, problems)
            .and_then(|item| zone::nameservers(item, problems));
        let glue = table.value("glue").map_or(Some(Vec::new()), |item| glue(item, problems));
        let ttl_secs = table.optional("ttl", problems, values::ttl).unwrap_or(DEFAULT_TTL_SECS);
        table.finish(problems);
        Some(Self { name: delegated_name?, nameservers: nameservers?.value, glue: glue?, ttl_secs })
    }
}

/// Reads the table `glue`, such as `{ "ns1.eu.example.com" = ["192.0.2.53"] }`.
fn glue(
    item: ValueReader<'_>,
    problems: &mut Problems,
) -> Option<Vec<(Placed<Name>, Vec<IpAddr>)>> {
    let subject = TableSubject { kind: "`glue` of delegate", name: item.subject.name };
    let table = item.table(subject, problems)?;
    let read: Vec<_> = table
        .entries()
        .map(|(name, addresses)| {
            let addresses = addresses_of(name, addresses, problems);
            Some((hostname::referenced_name(name, "glue for", problems)?, addresses?))
        })
        .collect();
    read.into_iter().collect()
}

fn addresses_of(
    name: Placed<&str>,
    item: ValueReader<'_>,
    problems: &mut Problems,
) -> Option<Vec<IpAddr>> {
    let whose = format!("nameserver {}", crate::config::quoted::Quoted(name.value));
    let texts = item.with_key("glue").texts("addresses", problems)?;
    if texts.is_empty() {
        no_address(name.place, &whose, problems);
        return None;
    }
    let read: Vec<_> =
        texts.into_iter().map(|text| values::address(text, &whose, problems)).collect();
    read.into_iter().map(|address| address.map(|address| address.value)).collect()
}

fn no_address(place: SourcePlace, whose: &str, problems: &mut Problems) {
    problems.error(place, format!("{whose} has no address")).help(
        "write at least one, or omit the whole entry: glue = { \"ns1.eu.example.com\" = [\"192.0.2.53\"] }",
    );
}
