//! Reads the small languages inside strings: durations, shares, names, prefixes, mail addresses.
//! Each value is either converted or reported at its place.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;

use super::{place::Placed, problems::Problems, quoted::Quoted, reader::ValueReader};
use crate::{dns::Name, printable::is_unprintable};

/// The longest name of a datacenter, monitor, pool or endpoint, in octets.
const MAX_NAME_OCTETS: usize = 253;

/// Reads a duration such as `500ms`, `5s` or `1m30s`, from `min` to `max`.
pub(super) fn duration(
    item: ValueReader<'_>,
    min: Duration,
    max: Duration,
    problems: &mut Problems,
) -> Option<Placed<Duration>> {
    if let Some(seconds) = item.as_number() {
        let found =
            if seconds.fract() == 0.0 { "a whole number" } else { "a number with a fraction" };
        let message = format!(
            "{} must be a string with a number and its unit, not {found}",
            item.description()
        );
        problems.error(item.place, message).help(duration_help(seconds, min, max));
        return None;
    }
    let text = item.text(problems)?;
    let Some(value) = parse_duration(text.value) else {
        let message = format!(
            "{} has {} {}, which is not a duration",
            item.subject,
            item.key,
            Quoted(text.value)
        );
        let help = match text.value.trim().parse() {
            Ok(seconds) => duration_help(seconds, min, max),
            Err(_) => "write a number and its unit: \"500ms\", \"5s\", \"1m30s\"".to_owned(),
        };
        problems.error(text.place, message).help(help);
        return None;
    };
    let (limit, help) = match value {
        _ if value < min => ("minimum", format!("write \"{}\" or more", shown_duration(min))),
        _ if value > max => ("maximum", format!("write \"{}\" or less", shown_duration(max))),
        _ => return Some(Placed::new(value, text.place)),
    };
    let shown = shown_duration(if value < min { min } else { max });
    let message =
        format!("{} has {} {}; the {limit} is {shown}", item.subject, item.key, Quoted(text.value));
    problems.error(text.place, message).help(help);
    None
}

/// Parses a duration such as `1w2d12h30m15s500ms`. `None` where the text is not a duration or is
/// too long.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    const DAY_SECS: u64 = 86_400;
    let (mut rest, mut total) = (text.trim(), Duration::ZERO);
    // Days and weeks always have 24 hours and 7 days: the parser below accepts only units up to
    // hours.
    for (unit, unit_secs) in [('w', 7 * DAY_SECS), ('d', DAY_SECS)] {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        if let Some(tail) = tail.strip_prefix(unit)
            && !tail.starts_with(|next: char| next.is_alphabetic())
        {
            total = total.checked_add(Duration::from_secs(
                number.parse::<u64>().ok()?.checked_mul(unit_secs)?,
            ))?;
            rest = tail.trim_start();
        }
    }
    if rest.is_empty() && text.trim() != "" {
        return Some(total);
    }
    total.checked_add(jiff::fmt::friendly::SpanParser::new().parse_unsigned_duration(rest).ok()?)
}

/// The help for a number without a unit: the same duration with its unit, or the bounds and a
/// sample.
fn duration_help(seconds: f64, min: Duration, max: Duration) -> String {
    let meant =
        Duration::try_from_secs_f64(seconds).ok().filter(|meant| (min..=max).contains(meant));
    match meant {
        Some(meant) => format!("write the unit, in quotes: \"{}\"", shown_duration(meant)),
        None => format!(
            "write a duration from {} to {} with its unit, in quotes: \"{}\"",
            shown_duration(min),
            shown_duration(max),
            shown_duration(Duration::from_secs(5).clamp(min, max))
        ),
    }
}

/// A duration as a configuration writes it.
pub(super) fn shown_duration(duration: Duration) -> String {
    match (duration.as_secs(), duration.subsec_millis()) {
        (secs, 0) if secs > 0 && secs.is_multiple_of(3600) => format!("{}h", secs / 3600),
        (secs, 0) => format!("{secs}s"),
        (0, millis) => format!("{millis}ms"),
        (secs, millis) => format!("{secs}s{millis}ms"),
    }
}

/// The help for names of tables. [`name_fault`] applies the same rule.
pub(super) const NAME_HELP: &str = "use letters, digits, hyphens, underscores, dots and colons; start and end with a letter, a digit or an underscore";

/// Checks the name of a table, to which other tables refer, and which is used in commands, metrics
/// and URLs of the admin API.
pub(super) fn table_name(
    name: Placed<&str>,
    kind: &str,
    problems: &mut Problems,
) -> Option<Placed<Box<str>>> {
    let Some(fault) = name_fault(name.value) else {
        return Some(Placed::new(name.value.into(), name.place));
    };
    let message = format!("the name of {kind} {} {fault}", Quoted(name.value));
    problems.error(name.place, message).help(NAME_HELP);
    None
}

/// Reads the name of a gauge, which the balancer that reports it chooses.
pub(super) fn gauge(name: Placed<&str>, problems: &mut Problems) -> Option<Placed<Box<str>>> {
    let is_refused = |c: char| c.is_whitespace() || is_unprintable(c);
    let fault = match name.value {
        "" => "is empty",
        text if text.len() > MAX_NAME_OCTETS => "is longer than 253 octets",
        text if text.contains(is_refused) => "holds a space or a control character",
        text => return Some(Placed::new(text.into(), name.place)),
    };
    let message = format!("the name of gauge {} {fault}", Quoted(name.value));
    problems
        .error(name.place, message)
        .help("write the gauge's name as in the report: at most 253 octets, no spaces or control characters");
    None
}

/// The reason why a text cannot be the name of a table.
pub(super) fn name_fault(text: &str) -> Option<String> {
    let is_of_name = |c: char| c.is_alphanumeric() || "-_.:".contains(c);
    // `..` would be another path of the admin API, `-x` an option of a command.
    let is_at_ends = |c: char| c.is_alphanumeric() || c == '_';
    if text.len() > MAX_NAME_OCTETS {
        return Some(format!("is longer than {MAX_NAME_OCTETS} octets"));
    }
    match text.chars().find(|c| !is_of_name(*c)) {
        Some(c) if c.is_control() => return Some("holds a control character".to_owned()),
        Some(c) if c.is_whitespace() => return Some("holds a space".to_owned()),
        Some(c) => return Some(format!("holds the character {c:?}")),
        None => {}
    }
    match (text.chars().next(), text.chars().next_back()) {
        (None, _) | (_, None) => Some("is empty".to_owned()),
        (Some(c), _) if !is_at_ends(c) => Some(format!("starts with {c:?}")),
        (_, Some(c)) if !is_at_ends(c) => Some(format!("ends with {c:?}")),
        _ => None,
    }
}

/// The longest reason for a state, in octets.
const MAX_REASON_OCTETS: usize = 200;

/// The help for reasons of states. [`reason_fault`] applies the same rule.
pub const REASON_HELP: &str = "write one line of at most 200 octets without control or invisible characters, such as \"kernel upgrade\"";

/// The fault of a text that cannot be the reason for a datacenter's state, which is shown on
/// terminals, in the log and in the console. `None` if it has none.
pub fn reason_fault(text: &str) -> Option<String> {
    if text.len() > MAX_REASON_OCTETS {
        return Some(format!("has {} octets; the maximum is {MAX_REASON_OCTETS}", text.len()));
    }
    let found = text.chars().find(|c| is_unprintable(*c))?;
    Some(match found.is_control() {
        true => format!("holds the control character {}", found.escape_default()),
        false => format!("holds the invisible character {}", found.escape_default()),
    })
}

/// Reads the reason for a datacenter's state.
pub(super) fn reason(item: ValueReader<'_>, problems: &mut Problems) -> Option<Box<str>> {
    let text = item.text(problems)?;
    let Some(fault) = reason_fault(text.value) else { return Some(text.value.into()) };
    problems.error(text.place, format!("{} {fault}", item.description())).help(REASON_HELP);
    None
}

/// Reads the name of a datacenter, region, monitor or pool that is referred to.
pub(super) fn name_reference(
    item: ValueReader<'_>,
    problems: &mut Problems,
) -> Option<Placed<Box<str>>> {
    item.text(problems).map(|text| text.map(Into::into))
}

/// The longest TTL (RFC 2181 section 8).
const MAX_TTL_SECS: i64 = (1 << 31) - 1;

/// Reads a TTL: a whole number of seconds, or a duration such as `"5m"`.
pub(super) fn ttl(item: ValueReader<'_>, problems: &mut Problems) -> Option<u32> {
    const HELP: &str = "write seconds or a duration: 300 and \"5m\" are five minutes; 2147483647 is the most (RFC 2181 section 8)";
    if !item.is_text() {
        let ttl = item.integer(0, MAX_TTL_SECS, HELP, problems)?;
        return u32::try_from(ttl.value).ok();
    }
    let text = item.text(problems)?;
    let duration = parse_duration(text.value).filter(|duration| duration.subsec_nanos() == 0);
    let secs = duration.and_then(|duration| i64::try_from(duration.as_secs()).ok());
    if let Some(secs) = secs.filter(|secs| *secs <= MAX_TTL_SECS) {
        return u32::try_from(secs).ok();
    }
    let message =
        format!("{} has {} {}, which is not a TTL", item.subject, item.key, Quoted(text.value));
    let help = match text.value.trim().parse::<u32>() {
        Ok(secs) => format!("write {secs} without quotes, or with its unit: \"{secs}s\""),
        Err(_) => HELP.to_owned(),
    };
    problems.error(text.place, message).help(help);
    None
}

/// Reads an address that clients can connect to. `whose` is the object that has it, for messages.
pub(super) fn address(
    text: Placed<&str>,
    whose: &str,
    problems: &mut Problems,
) -> Option<Placed<IpAddr>> {
    let Ok(address) = text.value.parse::<IpAddr>() else {
        let message =
            format!("{whose} has address {}, which is not an IP address", Quoted(text.value));
        let help = match text.value {
            value if value.contains('/') => "omit the prefix length: an endpoint is one address",
            value if value.parse::<std::net::SocketAddr>().is_ok() => {
                "omit the port: DNS answers addresses; the monitor names the port to probe"
            }
            _ => {
                "write an address such as 192.0.2.1 or 2001:db8::1; for a name, use cname = \"...\""
            }
        };
        problems.error(text.place, message).help(help);
        return None;
    };
    let is_broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if address.is_unspecified() || address.is_multicast() || is_broadcast {
        let message =
            format!("{whose} has address {}, to which no client can connect", Quoted(text.value));
        problems.error(text.place, message).help("write the address that clients connect to");
        return None;
    }
    if let IpAddr::V6(v6) = address
        && let Some(v4) = v6.to_ipv4_mapped()
    {
        problems
            .warning(
                text.place,
                format!(
                    "{whose} has address {}, an IPv4 address in IPv6 form: no client reaches it",
                    Quoted(text.value)
                ),
            )
            .help(format!("write \"{v4}\""));
    }
    Some(Placed::new(address, text.place))
}

/// Reads a prefix whose host bits are zero.
pub(super) fn prefix(text: Placed<&str>, problems: &mut Problems) -> Option<Placed<IpNet>> {
    match text.value.parse::<IpNet>() {
        Ok(net) if net == net.trunc() => Some(Placed::new(net, text.place)),
        Ok(net) => {
            problems
                .error(
                    text.place,
                    format!("the prefix {} has bits set after its length", Quoted(text.value)),
                )
                .help(format!("the network is {}", net.trunc()));
            None
        }
        Err(_) => {
            let message = format!("{} is not a prefix", Quoted(text.value));
            let help = match text.value.parse::<IpAddr>() {
                Ok(address) => format!("for this one address write {}", IpNet::from(address)),
                Err(_) => {
                    "write a network and its length: \"203.0.113.0/24\" or \"2001:db8::/32\"".into()
                }
            };
            problems.error(text.place, message).help(help);
            None
        }
    }
}

/// Parses a share such as `50%` as 0.5. It must be more than 0 and at most `max_percent`.
pub(super) fn share(text: &str, max_percent: f64) -> Option<f64> {
    let percent: f64 = text.strip_suffix('%')?.trim_end().parse().ok()?;
    (percent > 0.0 && percent <= max_percent).then_some(percent / 100.0)
}

/// Reads a mail address as the SOA's RNAME: the first label is the local part, with its dots
/// escaped (RFC 1035 section 8).
pub(super) fn hostmaster(text: Placed<&str>, problems: &mut Problems) -> Option<Placed<Name>> {
    let name = text.value.rsplit_once('@').and_then(|(local, domain)| {
        let domain: Name = domain.parse().ok()?;
        (!domain.is_root()).then(|| domain.child(local.as_bytes()).ok()).flatten()
    });
    if name.is_none() {
        let message = format!("hostmaster {} is not a mail address", Quoted(text.value));
        problems
            .error(text.place, message)
            .help("write the address that mail about the zone goes to: hostmaster@example.com");
    }
    name.map(|name| Placed::new(name, text.place))
}

/// The abbreviations of continents in databases.
const CONTINENTS: [&str; 7] = ["AF", "AN", "AS", "EU", "NA", "OC", "SA"];

/// Reads the abbreviation of a continent, in upper case.
pub(super) fn continent(text: Placed<&str>, problems: &mut Problems) -> Option<Placed<Box<str>>> {
    let code = text.value.to_ascii_uppercase();
    if CONTINENTS.contains(&&*code) {
        return Some(Placed::new(code.into(), text.place));
    }
    problems
        .error(text.place, format!("{} is not a continent", Quoted(text.value)))
        .help("the continents are AF, AN (Antarctica), AS, EU, NA, OC and SA");
    None
}

/// Reads an ISO 3166-1 alpha-2 code, in upper case.
pub(super) fn country(text: Placed<&str>, problems: &mut Problems) -> Option<Placed<Box<str>>> {
    let code = text.value.to_ascii_uppercase();
    if code.len() != 2 || !code.bytes().all(|b| b.is_ascii_uppercase()) {
        problems
            .error(text.place, format!("{} is not a country code", Quoted(text.value)))
            .help("write the two letters of ISO 3166-1: \"DE\", \"US\"");
        return None;
    }
    check_country(&code, text, problems).then(|| Placed::new(code.into(), text.place))
}

/// Codes that people write for countries and that no database uses, each with the remedy.
const NOT_COUNTRIES: [(&str, &str); 18] = [
    ("UK", "the United Kingdom is \"GB\" in ISO 3166-1"),
    ("EL", "Greece is \"GR\" in ISO 3166-1"),
    ("EN", "England is part of \"GB\"; to tell it apart write subdivision = [\"GB-ENG\"]"),
    ("EU", "the European Union is not a country; for the continent write continent = [\"EU\"]"),
    ("AP", "Asia and the Pacific are not a country; write continent = [\"AS\", \"OC\"]"),
    (
        "AN",
        "the Netherlands Antilles are \"BQ\", \"CW\" and \"SX\" today; for Antarctica write \"AQ\"",
    ),
    ("SU", "the Soviet Union no longer exists; Russia is \"RU\""),
    ("CS", "today that is \"RS\" (Serbia) and \"ME\" (Montenegro), or \"CZ\" and \"SK\""),
    ("YU", "today that is \"RS\" (Serbia) and \"ME\" (Montenegro)"),
    ("DD", "Germany is \"DE\""),
    ("FX", "France is \"FR\""),
    ("ZR", "the Democratic Republic of the Congo is \"CD\""),
    ("TP", "East Timor is \"TL\""),
    ("BU", "Myanmar is \"MM\""),
    ("JA", "Japan is \"JP\""),
    ("SP", "Spain is \"ES\""),
    ("SF", "Finland is \"FI\""),
    ("KO", "South Korea is \"KR\""),
];

/// Whether a country code in upper case can match a client. A code that ISO 3166-1 leaves to users
/// is only warned about, since a database may use it.
fn check_country(code: &str, text: Placed<&str>, problems: &mut Problems) -> bool {
    if crate::geo::is_country(code) {
        return true;
    }
    if let Some((_, remedy)) = NOT_COUNTRIES.iter().find(|(wrong, _)| *wrong == code) {
        problems.error(text.place, format!("no database calls a country \"{code}\"")).help(*remedy);
        return false;
    }
    problems
        .warning(text.place, format!("no country of ISO 3166-1 has the code \"{code}\""))
        .help("the rule matches no client unless a database of your own uses this code");
    true
}

/// Reads an ISO 3166-2 code, in upper case.
pub(super) fn subdivision(text: Placed<&str>, problems: &mut Problems) -> Option<Placed<Box<str>>> {
    let code = text.value.to_ascii_uppercase();
    let is_code = code.split_once('-').is_some_and(|(country, part)| {
        country.len() == 2
            && country.bytes().all(|b| b.is_ascii_uppercase())
            && (1..=3).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    });
    if !is_code {
        problems
            .error(text.place, format!("{} is not a subdivision code", Quoted(text.value)))
            .help("write country and subdivision as in ISO 3166-2: \"US-CA\", \"DE-BY\"");
        return None;
    }
    let country = code.split_once('-').map_or("", |(country, _)| country);
    check_country(country, text, problems).then(|| Placed::new(code.into(), text.place))
}

#[cfg(test)]
mod name_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_from_milliseconds_to_weeks() {
        for (text, secs) in [
            ("5s", Some(5.0)),
            ("500ms", Some(0.5)),
            ("1m30s", Some(90.0)),
            ("1d", Some(86_400.0)),
            ("1w2d12h", Some(820_800.0)),
            ("2 d 30m", None),
            ("2d 30m", Some(174_600.0)),
            ("1d2w", None),
            ("1day", None),
            ("5", None),
            ("", None),
            ("d", None),
            ("99999999999999999999w", None),
        ] {
            assert_eq!(
                parse_duration(text).map(|duration| duration.as_secs_f64()),
                secs,
                "{text:?}"
            );
        }
    }
}
