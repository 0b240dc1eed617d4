//! Delegations of tables: NS records at the cut and the glue below it, as records of the zone that
//! holds the name.

use hashbrown::HashMap;

use super::{
    super::symbols::report_duplicate,
    partial_zone::{PartialZone, StaticRrset},
    unread_zones::UnreadZones,
};
use crate::{
    config::{
        definition::Definition,
        diagnostic::NameFault,
        place::{Placed, SourcePlace},
        problems::Problems,
        spec::DelegateSpec,
    },
    dns::{Name, Rtype},
    zone::Record,
};

/// Adds what tables delegate to the zones; `drafts` are in order of apex.
pub(super) fn add(
    specs: &[DelegateSpec],
    drafts: &mut [PartialZone],
    unread: &UnreadZones,
    problems: &mut Problems,
) {
    let mut first_of: HashMap<&Name, SourcePlace> = HashMap::new();
    // Those above come first, so that one below another is told of.
    let mut specs: Vec<&DelegateSpec> = specs.iter().collect();
    specs.sort_by_key(|spec| (spec.name.value.label_count(), spec.name.place));
    for spec in specs {
        let Placed { value: name, place } = &spec.name;
        if let Some(&first) = first_of.get(name) {
            report_duplicate("delegate", &name.to_string(), *place, first, problems);
            continue;
        }
        first_of.insert(name, *place);
        if name.is_wildcard() {
            problems
                .error(*place, format!("\"{name}\" is a wildcard, which nothing can be delegated at"))
                .help("NS records of a wildcard mean nothing (RFC 4592 section 4.2): delegate each name by itself");
            continue;
        }
        check_glue(spec, problems);
        if let Some(draft) = zone_of(spec, drafts, unread, problems)
            && check_cut(spec, &drafts[draft], problems)
        {
            drafts[draft].delegate(spec);
        }
    }
}

/// The innermost zone above the name; not one at or below it.
fn zone_of(
    spec: &DelegateSpec,
    drafts: &[PartialZone],
    unread: &UnreadZones,
    problems: &mut Problems,
) -> Option<usize> {
    let Placed { value: name, place } = &spec.name;
    let below = drafts.iter().find(|draft| draft.zone.apex.is_at_or_below(name));
    if let Some(draft) = below {
        let apex = &draft.zone.apex;
        problems
            .error(*place, format!("\"{name}\" is delegated, and zone \"{apex}\" is served here"))
            .also(draft.place, "the zone")
            .help("either others answer for the name or we do: remove one of the two");
        return None;
    }
    let holds = |(_, draft): &(usize, &PartialZone)| name.is_at_or_below(&draft.zone.apex);
    let zone = drafts
        .iter()
        .enumerate()
        .filter(holds)
        .max_by_key(|(_, draft)| draft.zone.apex.label_count());
    if zone.is_none() && !unread.may_hold(name) && !problems.has_unread_files() {
        problems
            .error(*place, format!("the delegated name \"{name}\" is in none of the zones"))
            .about(NameFault::Missing(Definition::new("zone", &name.to_string())))
            .help(
                "a zone of ours can hand out names below its apex; who is above hands out others",
            );
    }
    zone.map(|(at, _)| at)
}

/// Every nameserver below the cut has glue, and there is no other glue.
fn check_glue(spec: &DelegateSpec, problems: &mut Problems) {
    let DelegateSpec { name, nameservers, glue, .. } = spec;
    for server in nameservers {
        let has_glue = glue.iter().any(|(owner, _)| owner.value == server.value);
        if server.value.is_at_or_below(&name.value) && !has_glue {
            problems
                .error(
                    server.place,
                    format!(
                        "nameserver \"{}\" is inside of what it answers for, and has no glue",
                        server.value
                    ),
                )
                .also(name.place, "the delegated name")
                .help(format!(
                    "nobody can ask for its address: write glue = {{ \"{}\" = [\"192.0.2.53\"] }}",
                    server.value
                ));
        }
    }
    for (owner, _) in glue {
        if !nameservers.iter().any(|server| server.value == owner.value) {
            problems
                .error(
                    owner.place,
                    format!(
                        "glue for \"{}\", which is no nameserver of \"{}\"",
                        owner.value, name.value
                    ),
                )
                .help("name it among `nameservers`, or remove it");
        } else if !owner.value.is_at_or_below(&name.value) {
            problems
                .error(owner.place, format!("glue for \"{}\", which is not inside of \"{}\"", owner.value, name.value))
                .help("its address is asked for where it is served: remove it, or write it into that zone");
        }
    }
}

/// Whether the zone leaves the name, and everything below it, to others.
fn check_cut(spec: &DelegateSpec, draft: &PartialZone, problems: &mut Problems) -> bool {
    let Placed { value: name, place } = &spec.name;
    let below = draft.first_below_cuts.get(name);
    if let Some((owner, taken)) = below {
        problems
            .error(
                *place,
                format!(
                    "\"{name}\" is delegated, and {owner} has static {} records here",
                    taken.rtype
                ),
            )
            .also(taken.place, "the static record")
            .help("nobody is answered from it any more: remove one of the two");
    }
    let above = cut_above(name, draft);
    if let Some((owner, taken)) = &above {
        problems
            .error(
                *place,
                format!("\"{name}\" is delegated below {owner}, which is not ours either"),
            )
            .also(taken.place, "where it is handed out")
            .help("delegate it there, or remove those records");
    }
    below.is_none() && above.is_none()
}

/// The closest name above that is handed out or redirected, within the zone.
fn cut_above(name: &Name, draft: &PartialZone) -> Option<(Name, StaticRrset)> {
    let mut at = name.parent()?;
    while at.is_at_or_below(&draft.zone.apex) {
        let is_apex = at == draft.zone.apex;
        let cuts = |taken: &&StaticRrset| {
            taken.rtype == Rtype::DNAME || taken.rtype == Rtype::NS && !is_apex
        };
        if let Some(taken) = draft.static_rrsets.get(&at).and_then(|taken| taken.iter().find(cuts))
        {
            return Some((at, *taken));
        }
        at = at.parent()?;
    }
    None
}

impl PartialZone {
    fn delegate(&mut self, spec: &DelegateSpec) {
        let Placed { value: cut, place } = &spec.name;
        let record = |owner: &Name, rtype, rdata: &[u8]| Record {
            owner: owner.clone(),
            rtype,
            ttl_secs: spec.ttl_secs,
            rdata: rdata.into(),
        };
        let servers =
            spec.nameservers.iter().map(|server| record(cut, Rtype::NS, server.value.as_wire()));
        let glue = spec.glue.iter().flat_map(|(owner, addresses)| {
            addresses.iter().map(|address| match address {
                std::net::IpAddr::V4(v4) => record(&owner.value, Rtype::A, &v4.octets()),
                std::net::IpAddr::V6(v6) => record(&owner.value, Rtype::AAAA, &v6.octets()),
            })
        });
        for record in servers.chain(glue) {
            self.hash.add_record(&record);
            self.zone.add(record);
        }
        self.files.push(place.file());
        let taken = StaticRrset { rtype: Rtype::NS, place: *place };
        self.static_rrsets.entry_ref(cut).or_default().push(taken);
    }
}
