//! The largest answer of each pool: the number of records of each type, and their octets.
//!
//! Only answers that are possible while all members are healthy are counted, so that an error is
//! never false. An alias counts as one address of each family, since its addresses are not known
//! here.

use std::cmp::Reverse;

use super::pools::CompiledPools;
use crate::{
    config::spec::ServiceSpec,
    dns::Rtype,
    steer::{
        AnswerCount, Endpoint, EndpointTarget, Member, MemberKind, Policy, Pool, PoolId,
        RecordKind, ServingState, SrvHost,
    },
    zone::{MAX_RRSET_OCTETS, RECORD_FIXED_OCTETS},
};

/// The maximum number of records of one type in an answer that BIND accepts as a resolver: its
/// default of `max-records-per-type`.
pub(super) const MAX_RECORDS_PER_TYPE: u64 = 100;
/// The consequence of more records, for messages.
pub(super) const TOO_MANY_RECORDS: &str = "resolvers with BIND 9.18.28 or later answer SERVFAIL for more than 100 records of one type (max-records-per-type)";

/// The octets of priority, weight and port in an SRV record.
const SRV_NUMBERS_OCTETS: usize = 6;

/// The size of the records of one type in an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct AnswerSize {
    pub(super) records: u64,
    pub(super) octets: u64,
}

/// The types of records that come from endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum AnswerType {
    A,
    Aaaa,
    Srv,
}

/// The largest answer of a pool or an endpoint, by type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LargestAnswer([AnswerSize; 3]);

/// A limit on the size of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum SizeLimit {
    /// The octets that a DNS message has room for.
    Octets,
    /// The number of records that resolvers accept.
    Records,
}

impl SizeLimit {
    /// The first limit that a size exceeds, if any.
    pub(super) fn exceeded_by(size: AnswerSize) -> Option<Self> {
        [Self::Octets, Self::Records].into_iter().find(|&limit| size.exceeds(limit))
    }
}

impl AnswerType {
    pub(super) const ALL: [Self; 3] = [Self::A, Self::Aaaa, Self::Srv];

    pub(super) fn rtype(self) -> Rtype {
        match self {
            Self::A => Rtype::A,
            Self::Aaaa => Rtype::AAAA,
            Self::Srv => Rtype::SRV,
        }
    }

    /// Whether a service answers with records of this type.
    pub(super) fn is_answered_by(self, spec: &ServiceSpec) -> bool {
        match (&spec.kind, self) {
            (RecordKind::Srv, answer_type) => answer_type == Self::Srv,
            (RecordKind::Addresses | RecordKind::Binding(_), Self::A) => true,
            (RecordKind::Addresses | RecordKind::Binding(_), Self::Aaaa) => spec.ipv6,
            (RecordKind::Addresses | RecordKind::Binding(_), Self::Srv) => false,
        }
    }
}

impl AnswerSize {
    pub(super) fn plus(self, other: Self) -> Self {
        let (records, octets) =
            (self.records.saturating_add(other.records), self.octets.saturating_add(other.octets));
        Self { records, octets }
    }

    pub(super) fn at_most(self, other: Self) -> Self {
        Self { records: self.records.min(other.records), octets: self.octets.min(other.octets) }
    }

    pub(super) fn exceeds(self, limit: SizeLimit) -> bool {
        match limit {
            SizeLimit::Octets => self.octets > MAX_RRSET_OCTETS as u64,
            SizeLimit::Records => self.records > MAX_RECORDS_PER_TYPE,
        }
    }
}

impl LargestAnswer {
    pub(super) fn size(self, answer_type: AnswerType) -> AnswerSize {
        self.0[answer_type as usize]
    }

    /// The larger size of each type.
    fn max_by_type(self, other: Self) -> Self {
        let larger = |answer_type: AnswerType| {
            std::cmp::max_by_key(self.size(answer_type), other.size(answer_type), |size| {
                size.octets
            })
        };
        Self(AnswerType::ALL.map(larger))
    }

    /// The answer of an endpoint alone.
    pub(super) fn for_endpoint(endpoint: &Endpoint) -> Self {
        let records = |answer_type: AnswerType| {
            rdata_sizes(endpoint, answer_type)
                .fold(AnswerSize::default(), |sum, octets| sum.plus(record_size(octets)))
        };
        Self(AnswerType::ALL.map(records))
    }

    /// The largest answer of a pool. `inner_answer` returns that of a pool in it.
    pub(super) fn for_pool(
        pool: &Pool,
        compiled: &CompiledPools,
        inner_answer: impl Fn(PoolId) -> Self,
    ) -> Self {
        let below = |member: &Member| match member.kind {
            MemberKind::Pool(inner) => inner_answer(inner),
            MemberKind::Endpoint(id) => Self::for_endpoint(&compiled.endpoints[id.index()]),
        };
        let count = match (&pool.policy, pool.answers) {
            (Policy::All, _) | (_, AnswerCount::All) => usize::MAX,
            (_, AnswerCount::Count(count)) => count.get() as usize,
        };
        if count == 1 {
            // Most pools answer one member: no sums are needed.
            return pool.members.iter().map(below).fold(Self::default(), Self::max_by_type);
        }
        let sets = candidate_sets(pool, compiled);
        let largest = |answer_type: AnswerType| {
            let sums = sets.iter().map(|set| {
                largest_sum(set.iter().map(|member| below(member).size(answer_type)), count)
            });
            sums.max_by_key(|size| size.octets).unwrap_or_default()
        };
        Self(AnswerType::ALL.map(largest))
    }
}

pub(super) fn record_size(rdata_octets: usize) -> AnswerSize {
    AnswerSize { records: 1, octets: (RECORD_FIXED_OCTETS + rdata_octets) as u64 }
}

/// The rdata sizes of an endpoint's records of a type, in octets.
pub(super) fn rdata_sizes(
    endpoint: &Endpoint,
    answer_type: AnswerType,
) -> impl Iterator<Item = usize> {
    const A_OCTETS: usize = 4;
    const AAAA_OCTETS: usize = 16;
    let addresses = match (&endpoint.target, answer_type) {
        (EndpointTarget::Addresses(addresses), AnswerType::A) => {
            addresses.iter().filter(|address| address.is_ipv4()).count()
        }
        (EndpointTarget::Addresses(addresses), AnswerType::Aaaa) => {
            addresses.iter().filter(|address| address.is_ipv6()).count()
        }
        (EndpointTarget::Alias(_), AnswerType::A | AnswerType::Aaaa)
        | (EndpointTarget::Host(_), AnswerType::Srv) => 1,
        (EndpointTarget::Addresses(_) | EndpointTarget::Alias(_), AnswerType::Srv)
        | (EndpointTarget::Cname(_), _)
        | (EndpointTarget::Host(_), _) => 0,
    };
    let octets = match (&endpoint.target, answer_type) {
        (EndpointTarget::Host(SrvHost { name, .. }), _) => {
            SRV_NUMBERS_OCTETS + name.as_wire().len()
        }
        (_, AnswerType::A) => A_OCTETS,
        (_, AnswerType::Aaaa | AnswerType::Srv) => AAAA_OCTETS,
    };
    std::iter::repeat_n(octets, addresses)
}

/// The sets of members that one answer may combine. Standbys answer only where no other member
/// does.
fn candidate_sets<'p>(pool: &'p Pool, compiled: &CompiledPools) -> Vec<Vec<&'p Member>> {
    let members_at = |positions: &[u32]| {
        positions
            .iter()
            .filter_map(|&position| pool.members.get(position as usize))
            .collect::<Vec<_>>()
    };
    if let Policy::Geo { rules, default } = &pool.policy {
        // A client that only one rule matches gets the rule's members, then those of `default`.
        let rule_sets = rules.iter().map(|rule| {
            let default: &[u32] =
                if rule.strict || rule.members.is_empty() { &[] } else { default };
            members_at(&[&rule.members, default].concat())
        });
        return rule_sets.chain([members_at(default)]).collect();
    }
    let is_standby = |member: &&Member| {
        let state = match member.kind {
            MemberKind::Endpoint(id) => compiled.endpoints[id.index()].state,
            MemberKind::Pool(_) => ServingState::Active,
        };
        member.weight == 0 || state != ServingState::Active
    };
    let (standby, active): (Vec<_>, Vec<_>) = pool.members.iter().partition(is_standby);
    vec![active, standby]
}

/// The sum of the `count` largest sizes.
fn largest_sum(sizes: impl Iterator<Item = AnswerSize>, count: usize) -> AnswerSize {
    let mut sizes: Vec<AnswerSize> = sizes.collect();
    sizes.sort_unstable_by_key(|size| Reverse(size.octets));
    sizes.into_iter().take(count).fold(AnswerSize::default(), AnswerSize::plus)
}
