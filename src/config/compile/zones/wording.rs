//! What a finding of `integrity` says: what is wrong, with what consequence, and what to write instead.

use super::integrity::{Finding, Lack, What};
use crate::dns::{Name, Rtype};

/// The message of a finding, and its help.
pub(super) fn of(finding: &Finding, apex: &Name) -> (String, String) {
    let Finding { owner, rtype, what, .. } = finding;
    match what {
        What::NoAddress(lack) => no_address(finding, *lack),
        What::NoGlue | What::SingleLabel | What::Address(_) | What::Doubled => of_target(finding, apex),
        What::Hidden { by, by_type, names } => hidden(finding, (by, *by_type), *names),
        What::Mapped => (
            format!("the AAAA of {owner} is an IPv4 address in IPv6 form (::ffff:...): no client reaches it"),
            "write an A record with the IPv4 address".into(),
        ),
        What::WildcardServers => (
            format!("the NS records of {owner} delegate nothing: a wildcard cannot be delegated"),
            "delegate each name by itself".into(),
        ),
        What::LoneDs => (
            format!("the DS record of {owner} has no delegation beside it: no resolver uses it"),
            match owner == apex {
                true => "write it into the zone above, beside the NS records of this one".into(),
                false => format!("add the NS records of {owner}, or remove it"),
            },
        ),
        What::Circle(path) => {
            let names: Vec<String> = path.iter().map(ToString::to_string).collect();
            (
                format!("the {rtype} of {owner} leads back to itself: {}; clients get no address", names.join(" -> ")),
                "give one of the names an address in place of its CNAME".into(),
            )
        }
        What::Unicode(labels) => (
            format!("no resolver asks for {owner}: internationalised names are asked for as A-labels"),
            format!("write {labels}."),
        ),
    }
}

fn shown(target: Option<&Name>) -> String {
    target.map(ToString::to_string).unwrap_or_default()
}

/// A name server, mail exchange or SRV host without an address.
fn no_address(finding: &Finding, lack: Lack) -> (String, String) {
    let (owner, target) = (&finding.owner, shown(finding.target.as_ref()));
    let (role, consequence) = match finding.rtype {
        Rtype::NS => ("name server", "resolvers cannot ask it"),
        Rtype::MX => ("mail exchange", "mail to it is not delivered"),
        _ => ("SRV target", "clients cannot connect to it"),
    };
    let lack = match lack {
        Lack::Alias => {
            return (
                format!(
                    "the {role} {target} of {owner} is a CNAME, which RFC 2181 section 10.3 forbids: some resolvers and clients do not follow it"
                ),
                format!("give {target} A or AAAA records in place of the CNAME, or name the CNAME's target here"),
            );
        }
        Lack::Redirected => {
            return (
                format!("the {role} {target} of {owner} lies below a DNAME, which redirects it: {consequence}"),
                "name a host that is not below the DNAME".into(),
            );
        }
        Lack::Missing => "does not exist",
        Lack::Empty => "has no A or AAAA record",
    };
    (
        format!("the {role} {target} of {owner} {lack}: {consequence}"),
        format!(
            "add an A or AAAA record of {target}, or a service of that name; a name of another zone ends in a dot in a master file"
        ),
    )
}

/// A target that is wrong by itself.
fn of_target(finding: &Finding, apex: &Name) -> (String, String) {
    const DOT: &str = "write a dot at the end of an absolute name: without it the zone's name is added";
    let Finding { owner, rtype, target, what } = finding;
    let target = target.as_ref().map(ToString::to_string);
    match (what, target) {
        (What::NoGlue, Some(target)) => (
            format!(
                "the delegation of {owner} has no address of {target}, which lies below it: resolvers cannot find out where to ask"
            ),
            format!("add an A or AAAA record of {target} (glue) to this zone"),
        ),
        (What::SingleLabel, Some(target)) => (
            format!("the name server {target} of {owner} has a single label: no such host exists in DNS"),
            format!("write the whole name: {target}.{apex}, or that of another zone"),
        ),
        (What::Address(address), _) => {
            let address_type = if address.is_ipv4() { "A" } else { "AAAA" };
            (
                format!(
                    "the {rtype} of {owner} leads to {address}, which is an address where DNS has a name: no client can follow it"
                ),
                match *rtype {
                    Rtype::CNAME => format!("write an {address_type} record in its place"),
                    _ => format!("write the host's name here, and an {address_type} record of that name"),
                },
            )
        }
        (_, Some(target)) => (
            format!("the {rtype} of {owner} leads to {target}, which ends in the zone's name twice and does not exist"),
            DOT.into(),
        ),
        (_, None) => (format!("the name {owner} ends in the zone's name twice"), DOT.into()),
    }
}

/// Records that are never answered.
fn hidden(finding: &Finding, (by, by_type): (&Name, Rtype), names: usize) -> (String, String) {
    let Finding { owner, rtype, .. } = finding;
    let others = match names {
        0 | 1 => String::new(),
        2 => ", nor are those of 1 more name".to_owned(),
        _ => format!(", nor are those of {} more names", names - 1),
    };
    let (why, help) = match by_type {
        Rtype::DNAME => ("which redirects every name below it", format!("remove them, or the DNAME of {by}")),
        _ => (
            "which is delegated to other servers",
            format!("move them to the zone {by}, or remove the NS records of {by}"),
        ),
    };
    let place = if by == owner { "at" } else { "below" };
    (format!("the {rtype} records of {owner} are not answered{others}: they stand {place} {by}, {why}"), help)
}
