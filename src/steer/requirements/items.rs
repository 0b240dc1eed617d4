//! Items of requirements: which records of an answer a datacenter, a region, a member or an address
//! means.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::model::AnswerItem;
use crate::steer::{
    chart::{EndpointAnswer, Rdata},
    model::{EndpointId, EndpointTarget, MemberKind, ServiceId, Topology},
};

/// An item, resolved for one service.
pub(super) struct ItemMatcher<'a> {
    pub(super) item: &'a AnswerItem,
    /// Endpoints of which the item means every record.
    whole: BTreeSet<EndpointId>,
    /// Endpoints that are in a datacenter of the item, and may be in others, too.
    touched: BTreeSet<EndpointId>,
    /// Endpoints that have the address of the item.
    with_address: BTreeSet<EndpointId>,
}

impl<'a> ItemMatcher<'a> {
    /// Finds what an item means among the endpoints of a service.
    pub(super) fn new(topology: &Topology, service: ServiceId, item: &'a AnswerItem) -> Self {
        let roots = || topology.services[service.index()].roots();
        let below = topology.endpoints_below(roots());
        let among = |is_meant: &dyn Fn(EndpointId) -> bool| {
            below.iter().copied().filter(|&id| is_meant(id)).collect::<BTreeSet<_>>()
        };
        let datacenters = |id: EndpointId| &topology.endpoints[id.index()].datacenters;
        let none = BTreeSet::new;
        let (whole, touched, with_address) = match item {
            AnswerItem::Datacenters { ids, .. } => (
                among(&|id| {
                    let mut all = datacenters(id).iter();
                    !datacenters(id).is_empty() && all.all(|one| ids.contains(one))
                }),
                among(&|id| datacenters(id).iter().any(|one| ids.contains(one))),
                none(),
            ),
            AnswerItem::Member(name) => {
                let pools = roots().map(MemberKind::Pool);
                let named = topology
                    .members_below(pools)
                    .filter(|member| topology.member_name(*member) == &**name);
                (topology.endpoints_of(named).collect(), none(), none())
            }
            AnswerItem::Address(address) => {
                let has = |id: EndpointId| match &topology.endpoints[id.index()].target {
                    EndpointTarget::Addresses(addresses) => addresses.contains(address),
                    _ => false,
                };
                (none(), none(), among(&has))
            }
        };
        Self { item, whole, touched, with_address }
    }

    /// Whether the service can answer no record of the item.
    pub(super) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.touched.is_empty() && self.with_address.is_empty()
    }

    /// Whether the item means a record of an answer; `address` is `None` for a record that is none.
    pub(super) fn covers(&self, endpoint: EndpointId, address: Option<IpAddr>) -> bool {
        self.whole.contains(&endpoint)
            || matches!(self.item, AnswerItem::Address(own) if address == Some(*own))
    }

    /// Whether a record of an answer may be from the item: an endpoint of several datacenters is in
    /// each of them.
    pub(super) fn touches(&self, endpoint: EndpointId, address: Option<IpAddr>) -> bool {
        self.touched.contains(&endpoint) || self.covers(endpoint, address)
    }

    /// Whether an endpoint has a record of the item.
    pub(super) fn is_of(&self, answer: &EndpointAnswer) -> bool {
        addresses(answer).into_iter().any(|address| self.covers(answer.endpoint, address))
    }
}

/// The addresses of an endpoint's records; one `None` for a CNAME or an SRV record.
pub(super) fn addresses(answer: &EndpointAnswer) -> Vec<Option<IpAddr>> {
    match &answer.rdata {
        Rdata::A(list) => list.iter().map(|&octets| Some(Ipv4Addr::from(octets).into())).collect(),
        Rdata::Aaaa(list) => {
            list.iter().map(|&octets| Some(Ipv6Addr::from(octets).into())).collect()
        }
        Rdata::Cname(_) | Rdata::Srv(_) => vec![None],
    }
}

/// An endpoint's records with its datacenters, such as `192.0.2.1 (fra)`.
pub(super) fn answer_text(topology: &Topology, answer: &EndpointAnswer) -> String {
    let endpoint = &topology.endpoints[answer.endpoint.index()];
    let records = match &endpoint.target {
        EndpointTarget::Alias(name) => format!("alias {name}"),
        _ => answer.rdata.texts().join(" "),
    };
    let names: Vec<&str> =
        endpoint.datacenters.iter().map(|id| &*topology.datacenters[id.index()].name).collect();
    match &names[..] {
        [] => format!("{records} (no datacenter)"),
        names => format!("{records} ({})", names.join("+")),
    }
}
