//! Compiles the delegations of tables: NS records at the cut and glue below it, added to the zone
//! that contains the name.

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

/// Adds the delegations of tables to their zones. `partial_zones` are in order of apex.
pub(super) fn add(
    specs: &[DelegateSpec],
    partial_zones: &mut [PartialZone],
    unread: &UnreadZones,
    problems: &mut Problems,
) {
    let mut first_places: HashMap<&Name, SourcePlace> = HashMap::new();
    // Delegations of shorter names come first, so that one below another is reported.
    let mut specs: Vec<&DelegateSpec> = specs.iter().collect();
    specs.sort_by_key(|spec| (spec.name.value.label_count(), spec.name.place));
    for spec in specs {
        let Placed { value: name, place } = &spec.name;
        if let Some(&first) = first_places.get(name) {
            report_duplicate("delegate", &name.to_string(), *place, first, problems);
            continue;
        }
        first_places.insert(name, *place);
        if name.is_wildcard() {
            problems
                .error(*place, format!("\"{name}\" is a wildcard, which cannot be delegated"))
                .help("NS records of a wildcard mean nothing (RFC 4592 section 4.2): delegate each name by itself");
            continue;
        }
        check_glue(spec, problems);
        if let Some(partial) = zone_of(spec, partial_zones, unread, problems)
            && check_cut(spec, &partial_zones[partial], problems)
        {
            partial_zones[partial].delegate(spec);
        }
    }
}

/// The innermost zone above the name. A zone at or below the name is reported.
fn zone_of(
    spec: &DelegateSpec,
    partial_zones: &[PartialZone],
    unread: &UnreadZones,
    problems: &mut Problems,
) -> Option<usize> {
    let Placed { value: name, place } = &spec.name;
    let below = partial_zones.iter().find(|partial| partial.zone.apex.is_at_or_below(name));
    if let Some(partial) = below {
        let apex = &partial.zone.apex;
        problems
            .error(*place, format!("\"{name}\" is delegated, and zone \"{apex}\" is served here"))
            .also(partial.place, "the zone")
            .help("a name is either delegated or served here: remove one of the two");
        return None;
    }
    let holds = |(_, partial): &(usize, &PartialZone)| name.is_at_or_below(&partial.zone.apex);
    let zone = partial_zones
        .iter()
        .enumerate()
        .filter(holds)
        .max_by_key(|(_, partial)| partial.zone.apex.label_count());
    if zone.is_none() && !unread.may_hold(name) && !problems.has_unread_files() {
        problems
            .error(*place, format!("the delegated name \"{name}\" is in none of the zones"))
            .about(NameFault::Missing(Definition::new("zone", &name.to_string())))
            .help("a zone can delegate only names below its apex; the zone above delegates others");
    }
    zone.map(|(at, _)| at)
}

/// Checks that every nameserver below the cut has glue, and that there is no other glue.
fn check_glue(spec: &DelegateSpec, problems: &mut Problems) {
    let DelegateSpec { name, nameservers, glue, .. } = spec;
    for server in nameservers {
        let has_glue = glue.iter().any(|(owner, _)| owner.value == server.value);
        if server.value.is_at_or_below(&name.value) && !has_glue {
            problems
                .error(
                    server.place,
                    format!(
                        "nameserver \"{}\" is inside the zone that it answers for, and has no glue",
                        server.value
                    ),
                )
                .also(name.place, "the delegated name")
                .help(format!(
                    "resolvers cannot ask for its address: write glue = {{ \"{}\" = [\"192.0.2.53\"] }}",
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
                        "glue for \"{}\", which is not a nameserver of \"{}\"",
                        owner.value, name.value
                    ),
                )
                .help("name it among `nameservers`, or remove it");
        } else if !owner.value.is_at_or_below(&name.value) {
            problems
                .error(owner.place, format!("glue for \"{}\", which is not inside \"{}\"", owner.value, name.value))
                .help("its address is asked for where it is served: remove it, or write it into that zone");
        }
    }
}

/// Whether the zone has no records at or below the name, and no cut or DNAME above it.
fn check_cut(spec: &DelegateSpec, partial: &PartialZone, problems: &mut Problems) -> bool {
    let Placed { value: name, place } = &spec.name;
    let below = partial.first_below_cuts.get(name);
    if let Some((owner, rrset)) = below {
        problems
            .error(
                *place,
                format!(
                    "\"{name}\" is delegated, and {owner} has static {} records here",
                    rrset.rtype
                ),
            )
            .also(rrset.place, "the static record")
            .help("its records are no longer answered: remove one of the two");
    }
    let above = cut_above(name, partial);
    if let Some((owner, rrset)) = &above {
        problems
            .error(
                *place,
                format!(
                    "\"{name}\" is delegated below {owner}, which this zone does not answer either"
                ),
            )
            .also(rrset.place, "the delegation or DNAME")
            .help("delegate it there, or remove those records");
    }
    below.is_none() && above.is_none()
}

/// The closest name above in the zone with a cut or a DNAME.
fn cut_above(name: &Name, partial: &PartialZone) -> Option<(Name, StaticRrset)> {
    let mut above = name.parent()?;
    while above.is_at_or_below(&partial.zone.apex) {
        let is_apex = above == partial.zone.apex;
        let cuts = |rrset: &&StaticRrset| {
            rrset.rtype == Rtype::DNAME || rrset.rtype == Rtype::NS && !is_apex
        };
        if let Some(rrset) =
            partial.static_rrsets.get(&above).and_then(|rrset| rrset.iter().find(cuts))
        {
            return Some((above, *rrset));
        }
        above = above.parent()?;
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
        let rrset = StaticRrset { rtype: Rtype::NS, place: *place };
        self.static_rrsets.entry_ref(cut).or_default().push(rrset);
    }
}
