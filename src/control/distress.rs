//! Distress in words: whose clients find no usable member of a service in one family, and what they are answered instead. Read
//! from the compiled charts, so that every report says the same and says what queries get.

use crate::{
    listing,
    steer::{Chart, Compiler, Distress, Family, OnAllDown, Plight, PoolId, Service, ServiceId, answered_in},
};

/// Clients of one service and one family that are answered in the same way without a usable member.
#[derive(Debug)]
pub(super) struct Distressed {
    pub service: ServiceId,
    pub family: Family,
    pub plight: Plight,
    /// The pool that they are answered from; nothing where that is NODATA.
    pub pool: Option<PoolId>,
    /// Members are usable again, but too few to answer those alone.
    pub is_recovering: bool,
    /// Their areas, in ascending order.
    areas: Vec<Distress>,
}

/// The distress of a service that `is_wanted` names, IPv4 first, each way of answering once.
pub(super) fn of(
    (service, chart): (ServiceId, &Chart),
    is_wanted: impl Fn(Family, &Distress) -> bool,
) -> Vec<Distressed> {
    let mut found: Vec<Distressed> = Vec::new();
    for family in [Family::V4, Family::V6] {
        for distress in chart.distress(family).iter().filter(|distress| is_wanted(family, distress)) {
            let Distress { plight, pool, is_recovering, .. } = *distress;
            let way = (family, plight, pool, is_recovering);
            match found.iter_mut().find(|one| (one.family, one.plight, one.pool, one.is_recovering) == way) {
                Some(known) => known.areas.push(*distress),
                None => found.push(Distressed { service, family, plight, pool, is_recovering, areas: vec![*distress] }),
            }
        }
    }
    found
}

/// What charts were compiled from.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    pub compiler: &'a Compiler,
}

impl Setting<'_> {
    /// `www.example.com AAAA (country DE)`.
    pub(super) fn subject(self, distressed: &Distressed) -> String {
        let service = self.service(distressed);
        let whose = clients_text(&self.clients(distressed));
        format!("{} {}{whose}", service.name, service.kind.records(distressed.family))
    }

    /// Whose clients they are; nothing where they are all of the service's.
    pub(super) fn clients(self, distressed: &Distressed) -> Vec<String> {
        let areas: Vec<u32> = distressed.areas.iter().map(|distress| distress.area).collect();
        self.compiler.area_words(distressed.service, &areas)
    }

    /// What they are answered with, in a phrase.
    pub(super) fn answers(self, distressed: &Distressed, chart: &Chart) -> String {
        let service = self.service(distressed);
        let reaches = distressed.areas.iter().map(|distress| distress.reach);
        let topology = self.compiler.topology();
        let endpoints = answered_in(chart, distressed.family, reaches);
        let names = endpoints.iter().map(|id| &topology.endpoints[id.index()].name);
        let names = listing::first_of(names, MEMBERS, endpoints.len());
        let pool_name = |id: PoolId| &topology.pools[id.index()].name;
        match (distressed.plight, distressed.pool, service.on_all_down) {
            (Plight::OtherFamily, ..) => self.other_family(distressed, chart),
            (_, None, OnAllDown::Empty) => "NODATA (on-all-down = \"empty\")".to_owned(),
            (_, None, _) => "NODATA".to_owned(),
            (Plight::AllDown, Some(pool), _) if pool != service.pool => {
                format!("pool {} (on-all-down): {names}", pool_name(pool))
            }
            (Plight::AllDown, Some(_), _) if distressed.is_recovering => format!(
                "{names}, whatever their health: recovering, until half of the members by weight are usable again or \
                 `rise` x interval has passed"
            ),
            (Plight::AllDown, Some(_), OnAllDown::Pool(other)) => {
                format!("{names}, as if up: pool {} has no usable member either", pool_name(other))
            }
            (Plight::AllDown, Some(_), _) => format!("{names}, as if up (on-all-down = \"all\")"),
            (Plight::Drained, ..) => format!("{names}, draining or forced down: no other member is left"),
            (Plight::Disabled, ..) => format!("{names}, disabled: no other member is left"),
            (Plight::None, ..) => "usable members".to_owned(),
        }
    }

    /// NODATA because the other family is answered, with or without usable members.
    fn other_family(self, distressed: &Distressed, chart: &Chart) -> String {
        let other = chart.distress(distressed.family.other());
        let is_distressed = |at: &Distress| other.iter().any(|there| there.area == at.area);
        let word = distressed.family.other().word();
        match distressed.areas.iter().any(is_distressed) {
            true => format!("NODATA: {word} alone has members left to answer with"),
            false => format!("NODATA: {word} alone has usable members"),
        }
    }

    fn service(&self, distressed: &Distressed) -> &Service {
        &self.compiler.topology().services[distressed.service.index()]
    }
}

/// As many members are named.
const MEMBERS: usize = 3;
/// As many kinds of clients are named.
const CLIENTS: usize = 3;

/// ` (country DE; country AT and 2 more)`; nothing for all clients.
fn clients_text(words: &[String]) -> String {
    match words.len() {
        0 => String::new(),
        count if count > CLIENTS => format!(" ({} and {} more)", words[..CLIENTS].join("; "), count - CLIENTS),
        _ => format!(" ({})", words.join("; ")),
    }
}
