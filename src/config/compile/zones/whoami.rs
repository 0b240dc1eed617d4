//! Checks `whoami` of a zone: a name without records and without a service.

use super::compiled_zones::CompiledZones;
use crate::{
    config::{
        place::Placed,
        problems::Problems,
        spec::{ServiceSpec, ZoneSpec},
    },
    dns::{Name, Rtype},
};

/// Checks that the name of each `whoami` is in its zone and has neither records nor a service.
pub(in crate::config::compile) fn check(
    specs: &[ZoneSpec],
    services: &[ServiceSpec],
    zones: &CompiledZones,
    problems: &mut Problems,
) {
    for spec in specs {
        if let Some(name) = &spec.whoami {
            check_name(name, &spec.apex.value, zones, problems);
            check_services(name, services, problems);
        }
    }
}

fn check_name(
    Placed { value: name, place }: &Placed<Name>,
    apex: &Name,
    zones: &CompiledZones,
    problems: &mut Problems,
) {
    const HELP: &str = "write another name, which has no records";
    if name == apex || name.is_wildcard() {
        let why = if name == apex {
            "the zone's apex, which has SOA and NS records"
        } else {
            "a wildcard"
        };
        problems.error(*place, format!("`whoami` is \"{name}\", {why}")).help(HELP);
        return;
    }
    let Some(zone) = zones.innermost(name) else { return };
    if !zones.is_apex(zone, apex) {
        let other = &zones.list[zone.index()].apex;
        problems
            .error(
                *place,
                format!("`whoami` of zone \"{apex}\" is \"{name}\", which is in zone \"{other}\""),
            )
            .help("write it in that zone, or write another name");
        return;
    }
    if let Some((cut, taken)) = zones.cut_above(zone, name) {
        let what = if taken.rtype == Rtype::DNAME { "a DNAME" } else { "a delegation" };
        problems
            .error(*place, format!("`whoami` is \"{name}\", which is below {what}"))
            .also(taken.place, format!("at {cut}"))
            .help(HELP);
    }
    if let Some(taken) = zones.static_rrsets(zone, name).next() {
        problems
            .error(
                *place,
                format!("`whoami` is \"{name}\", which has static {} records", taken.rtype),
            )
            .also(taken.place, "the static record")
            .help(HELP);
    }
}

fn check_services(
    Placed { value: name, place }: &Placed<Name>,
    services: &[ServiceSpec],
    problems: &mut Problems,
) {
    if let Some(service) = services.iter().find(|service| service.name.value == *name) {
        problems
            .error(*place, format!("`whoami` is \"{name}\", which is a service"))
            .also(service.name.place, "the service")
            .help("rename one of the two");
    }
}
