//! Reads the clients of a requirement: by address, or by the facts that databases have of them.

use std::net::IpAddr;

use super::texts;
use crate::{
    config::{
        place::Placed,
        problems::Problems,
        reader::{TableReader, ValueReader},
        spec::pool,
        values,
    },
    steer::{ClientSet, GeoRule},
};

/// Reads the keys of a table that name its clients; `subnet` is the key of their addresses. A
/// client that any key matches is meant. `None` where no key is there, or a value has an error.
pub(super) fn read_keys(
    table: &mut TableReader<'_>,
    subnet: &'static str,
    help: &str,
    problems: &mut Problems,
) -> Option<ClientSet> {
    let subnets = table.value(subnet).map(|item| subnets(item, problems));
    let subdivisions =
        table.value("subdivision").map(|item| codes(item, values::subdivision, problems));
    let countries = table.value("country").map(|item| codes(item, values::country, problems));
    let continents = table.value("continent").map(|item| codes(item, values::continent, problems));
    let asns = table.value("asn").map(|item| asns(item, problems));
    let keys = [
        subnets.is_some(),
        subdivisions.is_some(),
        countries.is_some(),
        continents.is_some(),
        asns.is_some(),
    ];
    if !keys.contains(&true) {
        problems.error(table.place, format!("{} names no clients", table.subject)).help(help);
        return None;
    }
    let rule = GeoRule {
        subnets: subnets.unwrap_or(Some(Vec::new()))?,
        subdivisions: subdivisions.unwrap_or(Some(Vec::new()))?,
        countries: countries.unwrap_or(Some(Vec::new()))?,
        continents: continents.unwrap_or(Some(Vec::new()))?,
        asns: asns.unwrap_or(Some(Vec::new()))?,
        ..GeoRule::default()
    };
    if rule == GeoRule::default() {
        problems.error(table.place, format!("{} names no clients", table.subject)).help(help);
        return None;
    }
    Some(ClientSet::Matching(rule))
}

/// Reads addresses and prefixes. An address is the prefix of its whole length.
fn subnets(item: ValueReader<'_>, problems: &mut Problems) -> Option<Vec<ipnet::IpNet>> {
    let texts = texts(item, problems)?;
    let prefix = |text: Placed<&str>| match text.value.parse::<IpAddr>() {
        Ok(address) => Some(address.into()),
        Err(_) => Some(values::prefix(text, problems)?.value),
    };
    all(texts.into_iter().map(prefix).collect())
}

/// Reads codes of the databases: one, or a list of them.
fn codes(
    item: ValueReader<'_>,
    read: impl Fn(Placed<&str>, &mut Problems) -> Option<Placed<Box<str>>>,
    problems: &mut Problems,
) -> Option<Vec<Box<str>>> {
    let texts = texts(item, problems)?;
    let code = |text: Placed<&str>| Some(read(text, problems)?.value);
    all(texts.into_iter().map(code).collect())
}

/// Reads numbers of autonomous systems: one, or a list of them.
fn asns(item: ValueReader<'_>, problems: &mut Problems) -> Option<Vec<u32>> {
    if item.is_text() {
        problems
            .error(item.place, format!("{} must be a number, not a string", item.description()))
            .help("write the number of the autonomous system alone, without quotes: 64500");
        return None;
    }
    let items = match item.as_number() {
        Some(_) => vec![item],
        None => item.list("numbers", problems)?,
    };
    let asn = |item: ValueReader<'_>| Some(pool::asn(item, problems)?.value);
    all(items.into_iter().map(asn).collect())
}

/// The values of a list, if none has an error. All of them are read before, so that every mistake
/// is reported.
fn all<T>(values: Vec<Option<T>>) -> Option<Vec<T>> {
    values.into_iter().collect()
}
