//! Reads `[zone."NAME"]`: the apex, its nameservers and hostmaster, and its master file.

use crate::{
    config::{
        hostname,
        place::{Placed, SourcePlace},
        problems::Problems,
        quoted::Quoted,
        reader::{TableReader, ValueReader},
        values,
    },
    dns::Name,
};

/// A zone as written.
#[derive(Debug)]
pub(in crate::config) struct ZoneSpec {
    pub(in crate::config) apex: Placed<Name>,
    pub(in crate::config) nameservers: Option<Placed<Vec<Placed<Name>>>>,
    pub(in crate::config) hostmaster: Option<Placed<Name>>,
    pub(in crate::config) ttl_secs: u32,
    pub(in crate::config) negative_ttl_secs: u32,
    pub(in crate::config) records: Option<Placed<Box<str>>>,
    pub(in crate::config) client_subnet: bool,
    /// The absolute name whose TXT record shows clients the address and location that the server
    /// sees.
    pub(in crate::config) whoami: Option<Placed<Name>>,
    /// The places of `nameservers` and `hostmaster`, valid or not, or of an unknown key that may
    /// mean them.
    pub(in crate::config) written_nameservers: Option<SourcePlace>,
    pub(in crate::config) written_hostmaster: Option<SourcePlace>,
}

/// The default TTL of a zone's records, in seconds.
pub(in crate::config) const DEFAULT_TTL_SECS: u32 = 300;
/// The default SOA MINIMUM of a zone, in seconds.
const DEFAULT_NEGATIVE_TTL_SECS: u32 = 60;

impl ZoneSpec {
    pub(super) fn read(
        name: Placed<&str>,
        mut table: TableReader<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let apex = hostname::defined_name(name, "the zone's name", problems);
        let [written_nameservers, written_hostmaster] =
            ["nameservers", "hostmaster"].map(|key| table.value(key));
        let nameservers = written_nameservers.and_then(|item| nameservers(item, problems));
        let hostmaster =
            written_hostmaster.and_then(|item| values::hostmaster(item.text(problems)?, problems));
        let ttl_secs = table.optional("ttl", problems, values::ttl).unwrap_or(DEFAULT_TTL_SECS);
        let negative_ttl_secs = table
            .optional("negative-ttl", problems, values::ttl)
            .unwrap_or(DEFAULT_NEGATIVE_TTL_SECS);
        let records = table.optional("records", problems, values::name_reference);
        let client_subnet =
            table.optional("client-subnet", problems, ValueReader::boolean).unwrap_or(true);
        let whoami = table
            .value("whoami")
            .zip(apex.as_ref())
            .and_then(|(item, apex)| whoami(item, apex, problems));
        let unknown_keys = table.finish(problems);
        let written = |item: Option<ValueReader<'_>>, key| {
            item.map(|item| item.place).or_else(|| {
                unknown_keys.iter().find_map(|unknown_key| unknown_key.place_if_meant(key))
            })
        };
        Some(Self {
            apex: apex?,
            nameservers,
            hostmaster,
            ttl_secs,
            negative_ttl_secs,
            records,
            client_subnet,
            whoami,
            written_nameservers: written(written_nameservers, "nameservers"),
            written_hostmaster: written(written_hostmaster, "hostmaster"),
        })
    }
}

/// Reads the name of `whoami`: relative to the zone, unless it ends in the zone's name or in a dot.
fn whoami(
    item: ValueReader<'_>,
    apex: &Placed<Name>,
    problems: &mut Problems,
) -> Option<Placed<Name>> {
    let text = item.text(problems)?;
    let written = hostname::defined_name(text, "the name of `whoami`", problems)?;
    let apex = &apex.value;
    if written.value.is_at_or_below(apex) {
        return Some(written);
    }
    let relative = format!("{}.{apex}", text.value);
    match relative.parse() {
        Ok(name) if !text.value.ends_with('.') => Some(Placed::new(name, text.place)),
        _ => {
            problems
                .error(
                    text.place,
                    format!(
                        "`whoami` of zone \"{apex}\" is {}, which is outside the zone",
                        Quoted(text.value)
                    ),
                )
                .help("write a name without the zone, such as whoami = \"whoami\"");
            None
        }
    }
}

pub(super) fn nameservers(
    item: ValueReader<'_>,
    problems: &mut Problems,
) -> Option<Placed<Vec<Placed<Name>>>> {
    let texts = item.texts("names", problems)?;
    if texts.is_empty() {
        problems
            .error(item.place, format!("{} names no nameserver", item.subject))
            .help("name at least one: nameservers = [\"ns1.example.com\"]");
        return None;
    }
    let mut names: Vec<Placed<Name>> = Vec::with_capacity(texts.len());
    // All names are read before the first error ends the reading, so that each error is reported.
    let read: Vec<_> = texts
        .into_iter()
        .map(|text| hostname::referenced_name(text, "nameserver", problems))
        .collect();
    for name in read {
        let name = name?;
        if names.iter().any(|known| known.value == name.value) {
            problems
                .error(name.place, format!("nameserver \"{}\" is listed twice", name.value))
                .help("remove one of the two");
        }
        names.push(name);
    }
    Some(Placed::new(names, item.place))
}
