//! Queries answered together, so that what they read of memory comes together, too.
//!
//! A name among a hundred thousand and an address among all are seldom in a cache, least of all
//! behind a system call that moved a batch of packets through it; and one look-up's readings wait
//! for each other: table, node, records. Those of different queries do not. So the first reading of
//! all goes before the second of any: short loops, of which the processor runs many turns at a
//! time. What they read is then read again, from the cache, by the code that answers any single
//! query.

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

/// How many queries a group has at most: as many as a core has readings under way.
pub const MAX_GROUP: usize = 16;

/// One for each query of a group.
type PerQuery<T> = ArrayVec<T, MAX_GROUP>;

/// Room for the names asked for, to be used again: some 400 octets each.
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
    /// The caller's mark.
    tag: usize,
    parsed: ParsedQuery<'m>,
    out: &'m mut [u8],
}

impl NameBuffers {
    /// Room for one group.
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
    /// Without queries yet.
    pub fn new(names: &'n mut NameBuffers) -> Self {
        Self { names: &mut names.0, members: PerQuery::new() }
    }

    /// Takes one more query, whose reply goes into `out`, which is as [`super::answer()`] wants it.
    /// `tag` says whose it is.
    ///
    /// # Errors
    /// [`IgnoreReason`] says why nothing is to be sent.
    ///
    /// # Panics
    /// In a group of [`MAX_GROUP`].
    pub fn add(
        &mut self,
        mark: usize,
        query: Query<'m>,
        out: &'m mut [u8],
    ) -> Result<(), IgnoreReason> {
        let parsed = ParsedQuery::read(query, &mut self.names[self.members.len()])?;
        self.members.push(GroupedQuery { tag: mark, parsed, out });
        Ok(())
    }

    /// Answers all, as [`super::answer()`] would, in the order in which they came; `each` is told
    /// the mark and the reply.
    pub fn answer(
        &mut self,
        snapshot: &Snapshot,
        draws: &mut DrawState,
        mut each: impl FnMut(usize, WrittenReply),
    ) {
        let zones = &*snapshot.zones;
        // Whoever comes alone has nobody to share the waiting with.
        let is_alone = self.members.len() == 1;
        if !is_alone {
            prefetch(self.members.iter().map(|member| zones.first_cell(member.parsed.name_hash)));
        }
        let leads: PerQuery<_> =
            self.pairs().map(|(member, name)| member.parsed.start_lookup(zones, name)).collect();
        if !is_alone {
            prefetch_names(&self.members, &*self.names, &leads);
        }
        let findings: PerQuery<_> = self
            .pairs()
            .zip(&leads)
            .map(|((member, name), &lead)| member.parsed.finish_lookup(zones, name, lead))
            .collect();
        if !is_alone {
            prefetch_areas(snapshot, &self.members, &findings);
        }
        for ((member, name), &finding) in
            self.members.iter_mut().zip(&mut *self.names).zip(&findings)
        {
            let reply = write_reply(&member.parsed, snapshot, (name, finding), draws, member.out);
            each(member.tag, reply);
        }
        self.members.clear();
    }

    fn pairs(&self) -> impl Iterator<Item = (&GroupedQuery<'m>, &LookupName)> {
        self.members.iter().zip(&*self.names)
    }
}

/// Reads: what was read is in the cache afterwards.
fn prefetch<T: Into<u32>>(readings: impl Iterator<Item = T>) {
    black_box(readings.fold(0, |sum: u32, reading| sum.wrapping_add(reading.into())));
}

/// Fetches the names, with their records.
fn prefetch_names(members: &[GroupedQuery<'_>], names: &[LookupName], leads: &[LookupHint<'_>]) {
    let leads = members
        .iter()
        .zip(names)
        .zip(leads)
        .map(|((member, name), &lead)| (lead, name, member.parsed.name_hash));
    prefetch(leads.clone().map(|(lead, _, hashed)| lead.first_cell(hashed)));
    let octets: PerQuery<_> = leads.map(|(lead, name, hashed)| lead.octets(name, hashed)).collect();
    prefetch(octets.iter().flat_map(|octets| [octets.first(), octets.last()]).flatten().copied());
}

/// Fetches that part of the atlases where the clients are. What else services answer than addresses
/// (SRV, HTTPS, CNAME) is rare, and not fetched ahead.
fn prefetch_areas(
    snapshot: &Snapshot,
    members: &[GroupedQuery<'_>],
    findings: &[Option<LookupResult<'_>>],
) {
    let lead = |(member, finding): (&GroupedQuery<'_>, &Option<LookupResult<'_>>)| {
        let atlas =
            chart(snapshot, finding.as_ref()?)?.atlas(Family::asked_by(member.parsed.rtype)?)?;
        Some((atlas, atlas.hint(member.parsed.client())))
    };
    let leads: PerQuery<_> = members.iter().zip(findings).filter_map(lead).collect();
    prefetch(leads.iter().map(|&(atlas, lead)| atlas.prefetch(lead)));
}

/// The chart of the service of that name.
fn chart<'s>(snapshot: &'s Snapshot, finding: &LookupResult<'_>) -> Option<&'s Chart> {
    let LookupOutcome::Exists { service: Some(service), .. } = finding.outcome else { return None };
    snapshot.charts.get(service.index()).map(|chart| &**chart)
}
