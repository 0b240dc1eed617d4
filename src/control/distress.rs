//! Distress in words: whose clients find no usable member of a service in one family, and what they
//! are answered instead. Read from the compiled charts, so that every report says the same and says
//! what queries get.

use std::fmt::Display;

use crate::{
    listing,
    steer::{
        Chart, Compiler, FallbackStage, Family, OnAllDown, PoolId, Service, ServiceId,
        UnusableArea, answered_endpoints_in,
    },
};

/// Clients of one service and one family that are answered in the same way without a usable member.
#[derive(Debug)]
pub(super) struct DistressedClients {
    pub service: ServiceId,
    pub family: Family,
    pub stage: FallbackStage,
    /// The pool that they are answered from; nothing where that is NODATA.
    pub pool: Option<PoolId>,
    /// Members are usable again, but too few to answer those alone.
    pub is_recovering: bool,
    /// Their areas, in ascending order.
    areas: Vec<UnusableArea>,
}

/// The distress of a service that `is_wanted` names, IPv4 first, each way of answering once.
pub(super) fn distressed_clients(
    (service, chart): (ServiceId, &Chart),
    is_wanted: impl Fn(Family, &UnusableArea) -> bool,
) -> Vec<DistressedClients> {
    let mut found: Vec<DistressedClients> = Vec::new();
    for family in [Family::V4, Family::V6] {
        for distress in
            chart.unusable_areas(family).iter().filter(|distress| is_wanted(family, distress))
        {
            let UnusableArea { stage: plight, pool, is_recovering, .. } = *distress;
            let way = (family, plight, pool, is_recovering);
            match found
                .iter_mut()
                .find(|one| (one.family, one.stage, one.pool, one.is_recovering) == way)
            {
                Some(known) => known.areas.push(*distress),
                None => found.push(DistressedClients {
                    service,
                    family,
                    stage: plight,
                    pool,
                    is_recovering,
                    areas: vec![*distress],
                }),
            }
        }
    }
    found
}

impl DistressedClients {
    /// `www.example.com AAAA (country DE)`.
    pub(super) fn subject(&self, compiler: &Compiler) -> String {
        let service = self.service(compiler);
        subject_text(
            &service.name,
            service.kind.record_type(self.family),
            &self.client_texts(compiler),
            MAX_NAMED_CLIENTS,
        )
    }

    /// Whose clients they are; nothing where they are all of the service's.
    pub(super) fn client_texts(&self, compiler: &Compiler) -> Vec<String> {
        let areas: Vec<u32> = self.areas.iter().map(|distress| distress.area).collect();
        compiler.describe_areas(self.service, &areas)
    }

    /// What they are answered with, in a phrase.
    pub(super) fn answer_text(&self, compiler: &Compiler, chart: &Chart) -> String {
        let service = self.service(compiler);
        let reaches = self.areas.iter().map(|distress| distress.answer_index);
        let topology = compiler.topology();
        let endpoints = answered_endpoints_in(chart, self.family, reaches);
        let names = endpoints.iter().map(|id| &topology.endpoints[id.index()].name);
        let names = listing::join_first(names, MAX_NAMED_MEMBERS, endpoints.len());
        let pool_name = |id: PoolId| &topology.pools[id.index()].name;
        match (self.stage, self.pool, service.on_all_down) {
            (FallbackStage::OtherFamily, ..) => self.other_family(chart),
            (_, None, _) if chart.is_unresolved() => {
                "SERVFAIL: an alias was never resolved".to_owned()
            }
            (_, None, OnAllDown::Empty) => "NODATA (on-all-down = \"empty\")".to_owned(),
            (_, None, _) => "NODATA".to_owned(),
            (FallbackStage::AllDown, Some(pool), _) if pool != service.pool => {
                format!("pool {} (on-all-down): {names}", pool_name(pool))
            }
            (FallbackStage::AllDown, Some(_), _) if self.is_recovering => format!(
                "{names}, whatever their health: recovering, until half of the members by weight are usable again or \
                 `rise` x interval has passed"
            ),
            (FallbackStage::AllDown, Some(_), OnAllDown::Pool(other)) => {
                format!("{names}, as if up: pool {} has no usable member either", pool_name(other))
            }
            (FallbackStage::AllDown, Some(_), _) => {
                format!("{names}, as if up (on-all-down = \"all\")")
            }
            (FallbackStage::OnlyDrainedLeft, ..) => {
                format!("{names}, draining or forced down: no other member is left")
            }
            (FallbackStage::OnlyDisabledLeft, ..) => {
                format!("{names}, disabled: no other member is left")
            }
            (FallbackStage::Normal, ..) => "usable members".to_owned(),
        }
    }

    /// NODATA because the other family is answered, with or without usable members.
    fn other_family(&self, chart: &Chart) -> String {
        let other = chart.unusable_areas(self.family.other());
        let is_distressed = |at: &UnusableArea| other.iter().any(|there| there.area == at.area);
        let word = self.family.other().word();
        match self.areas.iter().any(is_distressed) {
            true => format!("NODATA: {word} alone has members left to answer with"),
            false => format!("NODATA: {word} alone has usable members"),
        }
    }

    fn service<'a>(&self, compiler: &'a Compiler) -> &'a Service {
        &compiler.topology().services[self.service.index()]
    }
}

/// As many members are named.
const MAX_NAMED_MEMBERS: usize = 3;
/// As many kinds of clients are named.
const MAX_NAMED_CLIENTS: usize = 3;

/// `www.example.com AAAA (country DE; country AT and 2 more)`, with the first clients, `most` of
/// them; no brackets for all clients.
pub(super) fn subject_text(
    name: impl Display,
    rtype: &str,
    clients: &[String],
    most: usize,
) -> String {
    match clients.len() {
        0 => format!("{name} {rtype}"),
        count if count > most => {
            format!("{name} {rtype} ({} and {} more)", clients[..most].join("; "), count - most)
        }
        _ => format!("{name} {rtype} ({})", clients.join("; ")),
    }
}
