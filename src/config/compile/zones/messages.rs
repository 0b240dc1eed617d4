//! The messages of findings: what is wrong, with what consequence, and what to write instead.

use std::net::IpAddr;

use super::{
    super::answer_size::TOO_MANY_RECORDS,
    finding::{FindingKind, MissingAddress, ZoneFinding, written_once},
};
use crate::{
    config::hostname::UrlOrPort,
    dns::{Name, Rtype},
};

/// The message of a finding and its help. Names in tables are absolute, without a final dot.
pub(super) fn message_and_help(
    finding: &ZoneFinding,
    apex: &Name,
    is_of_table: bool,
) -> (String, String) {
    let ZoneFinding { owner, rtype, kind: what, .. } = finding;
    match what {
        FindingKind::NoAddress(missing) => no_address(finding, *missing, is_of_table),
        FindingKind::NoGlue => no_glue(finding),
        FindingKind::SingleLabel => single_label(finding, apex),
        FindingKind::Address(address) => address_message(finding, *address),
        FindingKind::SiblingCyclicGlue(other) => sibling_cyclic_glue(finding, other),
        FindingKind::RepeatedApex => repeated_apex(finding, apex, is_of_table),
        FindingKind::UrlOrPort(fault) => url_or_port_message(finding, fault),
        FindingKind::Occluded { occluder, occluder_type, names } => {
            occluded(finding, occluder, *occluder_type, *names)
        }
        FindingKind::Ipv4Mapped => (
            format!(
                "the AAAA of {owner} is an IPv4 address in IPv6 form (::ffff:...): no client reaches it"
            ),
            "write an A record with the IPv4 address".into(),
        ),
        FindingKind::TooManyRecords { records } => (
            format!("{owner} has {records} {rtype} records: {TOO_MANY_RECORDS}"),
            "remove some of them, or divide them among several names".into(),
        ),
        FindingKind::WildcardNs => (
            format!("the NS records of {owner} delegate nothing: a wildcard cannot be delegated"),
            "delegate each name by itself".into(),
        ),
        FindingKind::DsWithoutDelegation => (
            format!("the DS record of {owner} has no delegation beside it: no resolver uses it"),
            match owner == apex {
                true => "write it into the zone above, beside the NS records of this one".into(),
                false => format!("add the NS records of {owner}, or remove it"),
            },
        ),
        FindingKind::CnameLoop(path) => {
            let names: Vec<String> = path.iter().map(ToString::to_string).collect();
            (
                format!(
                    "the {rtype} of {owner} leads back to itself: {}; clients get no address",
                    names.join(" -> ")
                ),
                "give one of the names an address in place of its CNAME".into(),
            )
        }
        FindingKind::DnameLoop(path) => {
            let names: Vec<String> = path.iter().map(ToString::to_string).collect();
            (
                format!(
                    "the DNAME of {owner} leads back below it: {}; no name below it is answered",
                    names.join(" -> ")
                ),
                "name a target that no DNAME leads back from".into(),
            )
        }
        FindingKind::NonAsciiOwner(labels) => (
            format!(
                "no resolver asks for {owner}: internationalised names are asked for as A-labels"
            ),
            format!("write {labels}."),
        ),
    }
}

fn shown(target: Option<&Name>) -> String {
    target.map(ToString::to_string).unwrap_or_default()
}

/// A name server, mail exchange or SRV host has no address.
fn no_address(
    finding: &ZoneFinding,
    missing: MissingAddress,
    is_of_table: bool,
) -> (String, String) {
    let (owner, target) = (&finding.owner, shown(finding.target.as_ref()));
    let dot =
        if is_of_table { "" } else { "; a name of another zone ends in a dot in a master file" };
    let (role, consequence) = match finding.rtype {
        Rtype::NS => ("name server", "resolvers cannot ask it"),
        Rtype::MX => ("mail exchange", "mail to it is not delivered"),
        _ => ("SRV target", "clients cannot connect to it"),
    };
    let missing = match missing {
        MissingAddress::Alias => {
            return (
                format!(
                    "the {role} {target} of {owner} is a CNAME, which RFC 2181 section 10.3 forbids: some resolvers and clients do not follow it"
                ),
                format!(
                    "give {target} A or AAAA records in place of the CNAME, or name the CNAME's target here"
                ),
            );
        }
        MissingAddress::ServiceAlias => {
            return (
                format!(
                    "the {role} {target} of {owner} is a service that answers a CNAME, which RFC 2181 section 10.3 forbids: some resolvers and clients do not follow it"
                ),
                format!(
                    "write `addresses` or `alias` in place of `cname` in the service {target}, or name another host here"
                ),
            );
        }
        MissingAddress::Redirected => {
            return (
                format!(
                    "the {role} {target} of {owner} is below a DNAME, which redirects it: {consequence}"
                ),
                "name a host that is not below the DNAME".into(),
            );
        }
        MissingAddress::Missing => "does not exist",
        MissingAddress::Empty => "has no A or AAAA record",
    };
    (
        format!("the {role} {target} of {owner} {missing}: {consequence}"),
        format!("add an A or AAAA record of {target}, or a service of that name{dot}"),
    )
}

/// A host of an SRV service has no address.
pub(super) fn host_message(host: &Name, missing: MissingAddress) -> (String, String) {
    let records =
        || format!("add an A or AAAA record of {host} to its zone, or a service of that name");
    let (what, help) = match missing {
        MissingAddress::Missing => ("does not exist: clients cannot connect to it", records()),
        MissingAddress::Empty => {
            ("has no A or AAAA record: clients cannot connect to it", records())
        }
        MissingAddress::Alias | MissingAddress::ServiceAlias => (
            "is answered with a CNAME, which RFC 2782 forbids: some clients do not follow it",
            format!("give {host} addresses in place of the CNAME, or name the CNAME's target here"),
        ),
        MissingAddress::Redirected => (
            "is below a DNAME, which redirects it: clients cannot connect to it",
            "name a host that is not below the DNAME".to_owned(),
        ),
    };
    (format!("the target {host} {what}"), help)
}

/// A name ends in the zone's name twice: its final dot is missing, or, in a table, the zone was
/// appended by hand.
fn repeated_apex(finding: &ZoneFinding, apex: &Name, is_of_table: bool) -> (String, String) {
    let ZoneFinding { owner, rtype, target, .. } = finding;
    let (message, name) = match target {
        Some(target) => (
            format!(
                "the {rtype} of {owner} leads to {target}, which ends in the zone's name twice"
            ),
            target,
        ),
        None => (format!("the name {owner} ends in the zone's name twice"), owner),
    };
    let meant = written_once(name, apex);
    let help = match is_of_table {
        true => format!("names in *.toml files are absolute: write \"{meant}\""),
        false => format!(
            "write {meant}. with a dot at the end: a name without it ends in the name of the last $ORIGIN, or else in the zone's"
        ),
    };
    (message, help)
}

/// A name contains a URL or a port.
fn url_or_port_message(
    ZoneFinding { owner, rtype, target, .. }: &ZoneFinding,
    fault: &UrlOrPort,
) -> (String, String) {
    let subject = match target {
        Some(target) => format!("the {rtype} of {owner} leads to {target}, which"),
        None => format!("the name {owner}"),
    };
    match fault {
        UrlOrPort::Url(host) => (
            format!("{subject} has \"://\" in it: DNS holds host names, not URLs"),
            format!("write the host's name alone: {host}"),
        ),
        UrlOrPort::Port(port) => (
            format!("{subject} has a port in it: no client asks for that name"),
            format!("omit \":{port}\": DNS holds host names; an SRV record has a port"),
        ),
    }
}

/// A name server has an address that cannot be found.
fn sibling_cyclic_glue(finding: &ZoneFinding, other: &Name) -> (String, String) {
    let (owner, server) = (&finding.owner, shown(finding.target.as_ref()));
    (
        format!(
            "the delegation of {owner} has no address of {server}: only the servers of {other} have it, and those cannot be found without {owner}"
        ),
        format!("add an A or AAAA record of {server} (glue) to this zone"),
    )
}

/// A name server below its own delegation has no glue.
fn no_glue(ZoneFinding { owner, target, .. }: &ZoneFinding) -> (String, String) {
    let server = shown(target.as_ref());
    (
        format!(
            "the delegation of {owner} has no address of {server}, which is below it: resolvers cannot find the server"
        ),
        format!("add an A or AAAA record of {server} (glue) to this zone"),
    )
}

fn single_label(ZoneFinding { owner, target, .. }: &ZoneFinding, apex: &Name) -> (String, String) {
    let server = shown(target.as_ref());
    (
        format!(
            "the name server {server} of {owner} has a single label: no such host exists in DNS"
        ),
        format!("write the whole name: {server}.{apex}, or that of another zone"),
    )
}

/// An address is written in place of a name.
fn address_message(
    ZoneFinding { owner, rtype, .. }: &ZoneFinding,
    address: IpAddr,
) -> (String, String) {
    let address_type = if address.is_ipv4() { "A" } else { "AAAA" };
    (
        format!(
            "the {rtype} of {owner} leads to {address}, which is an address where DNS requires a name: no client can follow it"
        ),
        match *rtype {
            Rtype::CNAME => format!("write an {address_type} record in its place"),
            _ => format!("write the host's name here, and an {address_type} record of that name"),
        },
    )
}

/// Records are never answered.
fn occluded(
    finding: &ZoneFinding,
    occluder: &Name,
    occluder_type: Rtype,
    names: usize,
) -> (String, String) {
    let ZoneFinding { owner, rtype, .. } = finding;
    let others = match names {
        0 | 1 => String::new(),
        2 => ", nor are those of 1 more name".to_owned(),
        _ => format!(", nor are those of {} more names", names - 1),
    };
    let (why, help) = match occluder_type {
        Rtype::DNAME => (
            "which redirects every name below it",
            format!("remove them, or the DNAME of {occluder}"),
        ),
        _ => (
            "which is delegated to other servers",
            format!("move them to the zone {occluder}, or remove the NS records of {occluder}"),
        ),
    };
    let place = if occluder == owner { "at" } else { "below" };
    (
        format!(
            "the {rtype} records of {owner} are not answered{others}: they are {place} {occluder}, {why}"
        ),
        help,
    )
}
