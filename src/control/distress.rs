//! Distress in words: which clients find no usable member of a service in one family, and what they
//! are answered instead. It is read from the compiled charts, so that all reports agree with each
//! other and with the answers to queries.

use super::subject_text::subject_text;
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
    /// The pool whose members answer; `None` if the answer is NODATA.
    pub pool: Option<PoolId>,
    /// Whether members are usable again, but too few to answer with those alone.
    pub is_recovering: bool,
    /// The areas of these clients, in ascending order.
    areas: Vec<UnusableArea>,
}

/// The distressed clients of a service in the areas for which `is_wanted` holds: one entry for each
/// family and kind of answer, IPv4 first.
pub(super) fn distressed_clients(
    (service, chart): (ServiceId, &Chart),
    is_wanted: impl Fn(Family, &UnusableArea) -> bool,
) -> Vec<DistressedClients> {
    let mut found: Vec<DistressedClients> = Vec::new();
    for family in [Family::V4, Family::V6] {
        for unusable in chart.unusable_areas(family).iter().filter(|area| is_wanted(family, area)) {
            let UnusableArea { stage, pool, is_recovering, .. } = *unusable;
            let answer = (family, stage, pool, is_recovering);
            match found.iter_mut().find(|known| {
                (known.family, known.stage, known.pool, known.is_recovering) == answer
            }) {
                Some(known) => known.areas.push(*unusable),
                None => found.push(DistressedClients {
                    service,
                    family,
                    stage,
                    pool,
                    is_recovering,
                    areas: vec![*unusable],
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

    /// A description of each group of these clients; empty if they are all clients of the service.
    pub(super) fn client_texts(&self, compiler: &Compiler) -> Vec<String> {
        let areas: Vec<u32> = self.areas.iter().map(|unusable| unusable.area).collect();
        compiler.describe_areas(self.service, &areas)
    }

    /// What these clients are answered with, in a phrase.
    pub(super) fn answer_text(&self, compiler: &Compiler, chart: &Chart) -> String {
        let service = self.service(compiler);
        let answers = self.areas.iter().map(|unusable| unusable.answer_index);
        let topology = compiler.topology();
        let endpoints = answered_endpoints_in(chart, self.family, answers);
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

    /// The phrase for clients that get NODATA in this family because only the other family has
    /// members to answer with. These are usable, or are answered as a fallback.
    fn other_family(&self, chart: &Chart) -> String {
        let other = chart.unusable_areas(self.family.other());
        let is_distressed =
            |unusable: &UnusableArea| other.iter().any(|other| other.area == unusable.area);
        let word = self.family.other().as_str();
        match self.areas.iter().any(is_distressed) {
            true => format!("NODATA: {word} alone has members left to answer with"),
            false => format!("NODATA: {word} alone has usable members"),
        }
    }

    fn service<'a>(&self, compiler: &'a Compiler) -> &'a Service {
        &compiler.topology().services[self.service.index()]
    }
}

/// The maximum number of members that a phrase names.
const MAX_NAMED_MEMBERS: usize = 3;
/// The maximum number of groups of clients that a phrase names.
const MAX_NAMED_CLIENTS: usize = 3;
