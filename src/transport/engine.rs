//! The engine as the transports call it: a type parameter of the shards, so that tests can replace
//! it by one that panics, and the server pays nothing for that.

use crate::{
    engine::{self, IgnoreReason, Query, QueryGroup, WrittenReply},
    snapshot::Snapshot,
    steer::DrawState,
};

/// The calls that answer queries. See [`crate::engine`] for the meaning of arguments and errors.
pub(super) trait Engine: Copy + Send + 'static {
    /// Adds a query to a group; `tag` identifies it in [`Engine::answer_group`].
    fn add<'m>(
        self,
        group: &mut QueryGroup<'_, 'm>,
        tag: usize,
        query: Query<'m>,
        out: &'m mut [u8],
    ) -> Result<(), IgnoreReason>;

    /// Answers the queries of a group, and passes each reply to `each` with the query's tag.
    fn answer_group(
        self,
        group: &mut QueryGroup<'_, '_>,
        snapshot: &Snapshot,
        draws: &mut DrawState,
        each: impl FnMut(usize, WrittenReply),
    );

    /// Answers one query into `out`.
    fn answer(
        self,
        snapshot: &Snapshot,
        query: &Query<'_>,
        draws: &mut DrawState,
        out: &mut [u8],
    ) -> Result<WrittenReply, IgnoreReason>;
}

/// The engine of the program, [`crate::engine`].
#[derive(Debug, Clone, Copy)]
pub(super) struct DnsEngine;

impl Engine for DnsEngine {
    #[inline]
    fn add<'m>(
        self,
        group: &mut QueryGroup<'_, 'm>,
        tag: usize,
        query: Query<'m>,
        out: &'m mut [u8],
    ) -> Result<(), IgnoreReason> {
        group.add(tag, query, out)
    }

    #[inline]
    fn answer_group(
        self,
        group: &mut QueryGroup<'_, '_>,
        snapshot: &Snapshot,
        draws: &mut DrawState,
        each: impl FnMut(usize, WrittenReply),
    ) {
        group.answer(snapshot, draws, each);
    }

    #[inline]
    fn answer(
        self,
        snapshot: &Snapshot,
        query: &Query<'_>,
        draws: &mut DrawState,
        out: &mut [u8],
    ) -> Result<WrittenReply, IgnoreReason> {
        engine::answer(snapshot, query, draws, out)
    }
}
