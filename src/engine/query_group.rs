//! A group of queries, answered together so that their cache misses overlap.
//!
//! One name of a hundred thousand and the area of one address are seldom in the cache, least of all
//! after a system call that moved a batch of packets through it. The reads of one lookup depend on
//! each other: hash table, node, records. The reads of different queries do not. So the first read
//! is made for all queries before the second is made for any: short loops, of which the processor
//! runs many iterations at a time. The code that answers a single query then reads the same memory
//! again, from the cache.

use std::{array, hint::black_box};

use arrayvec::ArrayVec;

use super::{
    answer::write_reply,
    parsed_query::ParsedQuery,
    query::{IgnoreReason, Query},
    reply::WrittenReply,
};
use crate::{
    dns::LookupName,
    snapshot::Snapshot,
    steer::{Chart, DrawState, Family},
    zone::{LookupHint, LookupOutcome, LookupResult},
};

/// The maximum number of queries in a group: about as many cache misses as a core can have in
/// progress.
pub const MAX_GROUP: usize = 16;

/// One value for each query of a group.
type PerQuery<T> = ArrayVec<T, MAX_GROUP>;

/// Reusable buffers for the names asked for, of some 400 octets each.
#[derive(Debug)]
pub struct NameBuffers(Box<[LookupName; MAX_GROUP]>);

/// At most [`MAX_GROUP`] queries and the buffers for their replies.
#[derive(Debug)]
pub struct QueryGroup<'n, 'm> {
    names: &'n mut [LookupName; MAX_GROUP],
    members: PerQuery<GroupedQuery<'m>>,
}

#[derive(Debug)]
struct GroupedQuery<'m> {
    /// The value that the caller identifies the query by.
    tag: usize,
    parsed: ParsedQuery<'m>,
    out: &'m mut [u8],
}

impl NameBuffers {
    /// Buffers for one group.
    pub fn new() -> Self {
        Self(Box::new(array::from_fn(|_| LookupName::root())))
    }
}

impl Default for NameBuffers {
    fn default() -> Self {
        Self::new()
    }
}

impl<'n, 'm> QueryGroup<'n, 'm> {
    /// A group without queries, which keeps the names asked for in `names`.
    pub fn new(names: &'n mut NameBuffers) -> Self {
        Self { names: &mut names.0, members: PerQuery::new() }
    }

    /// Adds a query, whose reply will be written into `out`. `out` must be as large as for
    /// [`super::answer()`]. [`QueryGroup::answer`] passes `tag` on with the reply.
    ///
    /// # Errors
    /// [`IgnoreReason`], if no reply must be sent; the query is not added then.
    ///
    /// # Panics
    /// If the group has [`MAX_GROUP`] queries already.
    pub fn add(
        &mut self,
        tag: usize,
        query: Query<'m>,
        out: &'m mut [u8],
    ) -> Result<(), IgnoreReason> {
        let parsed = ParsedQuery::read(query, &mut self.names[self.members.len()])?;
        self.members.push(GroupedQuery { tag, parsed, out });
        Ok(())
    }

    /// Answers all queries in the order in which they were added, each as [`super::answer()`]
    /// would, and empties the group. `each` is called with the tag and the reply of each query.
    pub fn answer(
        &mut self,
        snapshot: &Snapshot,
        draws: &mut DrawState,
        mut each: impl FnMut(usize, WrittenReply),
    ) {
        let zones = &*snapshot.zones;
        // A single query has no other whose cache misses could overlap with its own.
        let is_alone = self.members.len() == 1;
        if !is_alone {
            prefetch(self.members.iter().map(|member| zones.first_cell(member.parsed.name_hash)));
        }
        let hints: PerQuery<_> =
            self.pairs().map(|(member, name)| member.parsed.start_lookup(zones, name)).collect();
        if !is_alone {
            prefetch_names(&self.members, &*self.names, &hints);
        }
        let lookups: PerQuery<_> = self
            .pairs()
            .zip(&hints)
            .map(|((member, name), &hint)| member.parsed.finish_lookup(zones, name, hint))
            .collect();
        if !is_alone {
            prefetch_areas(snapshot, &self.members, &lookups);
        }
        for ((member, name), &lookup) in self.members.iter_mut().zip(&mut *self.names).zip(&lookups)
        {
            let reply = write_reply(&member.parsed, snapshot, name, lookup, draws, member.out);
            each(member.tag, reply);
        }
        self.members.clear();
    }

    fn pairs(&self) -> impl Iterator<Item = (&GroupedQuery<'m>, &LookupName)> {
        self.members.iter().zip(&*self.names)
    }
}

/// Consumes values that were read from memory, so that the reads are not optimised away.
fn prefetch<T: Into<u32>>(values: impl Iterator<Item = T>) {
    black_box(values.fold(0, |sum: u32, value| sum.wrapping_add(value.into())));
}

/// Prefetches the nodes of the names, with their records.
fn prefetch_names(members: &[GroupedQuery<'_>], names: &[LookupName], hints: &[LookupHint<'_>]) {
    let hints = members
        .iter()
        .zip(names)
        .zip(hints)
        .map(|((member, name), &hint)| (hint, name, member.parsed.name_hash));
    prefetch(hints.clone().map(|(hint, _, name_hash)| hint.first_cell(name_hash)));
    let octets: PerQuery<_> =
        hints.map(|(hint, name, name_hash)| hint.octets(name, name_hash)).collect();
    prefetch(octets.iter().flat_map(|octets| [octets.first(), octets.last()]).flatten().copied());
}

/// Prefetches the atlas entries of the clients' addresses, for services that answer with A or AAAA.
/// Other answers of services (SRV, HTTPS, CNAME) are rare and not prefetched.
fn prefetch_areas(
    snapshot: &Snapshot,
    members: &[GroupedQuery<'_>],
    lookups: &[Option<LookupResult<'_>>],
) {
    let client_hint = |(member, lookup): (&GroupedQuery<'_>, &Option<LookupResult<'_>>)| {
        let atlas =
            chart(snapshot, lookup.as_ref()?)?.atlas(Family::asked_by(member.parsed.rtype)?)?;
        Some((atlas, atlas.hint(member.parsed.client())))
    };
    let hints: PerQuery<_> = members.iter().zip(lookups).filter_map(client_hint).collect();
    prefetch(hints.iter().map(|&(atlas, hint)| atlas.prefetch(hint)));
}

/// The chart of the service that the lookup found, if any.
fn chart<'s>(snapshot: &'s Snapshot, lookup: &LookupResult<'_>) -> Option<&'s Chart> {
    let LookupOutcome::Exists { service: Some(service), .. } = lookup.outcome else { return None };
    snapshot.charts.get(service.index()).map(|chart| &**chart)
}
