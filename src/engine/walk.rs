//! The walk: follows a name through the zones, by the steps of RFC 1034 section 4.3.2, and follows
//! aliases.

use super::{
    additional::push_additional,
    query_context::QueryContext,
    record_header::push_cname,
    referral::refer,
    reply_builder::ReplyBuilder,
    service_answer::{self, ServiceAnswer, draw},
    whoami,
};
use crate::{
    dns::{BufferFull, Header, LookupName, Rcode, Rtype, Section},
    steer::{Chart, DrawState, ServiceId},
    zone::{
        LookupOutcome, LookupResult, NameOffsets, Node, StoredRecord, StoredRrset, Zone, hash_name,
    },
};

/// The maximum number of aliases followed for one query, including those of services and DNAMEs.
pub(super) const MAX_CHAIN: usize = 16;

/// Writes the sections of the answer into `reply`, from the result of the lookup of `name`, and
/// returns the response code.
pub(super) fn walk(
    context: QueryContext<'_, '_>,
    name: &mut LookupName,
    lookup: Option<LookupResult<'_>>,
    draws: &mut DrawState,
    reply: &mut ReplyBuilder<'_, '_>,
) -> Rcode {
    let name_offset = Header::OCTETS as u16;
    let mut walk = NameWalk { context, name, name_offset, apex: None, hops: 0, trail: None };
    match walk.run(lookup, draws, reply) {
        Ok(rcode) => rcode,
        Err(BufferFull) => {
            reply.truncate();
            Rcode::NOERROR
        }
    }
}

/// The state of a walk.
struct NameWalk<'s, 'q> {
    context: QueryContext<'s, 'q>,
    /// The name at which the walk is.
    name: &'q mut LookupName,
    /// The offset of the name in the message, where its labels are up to those of `apex`, or up to
    /// the root.
    name_offset: u16,
    /// The apex of the zone, if the name in the message ends in a pointer to it.
    apex: Option<ApexPointer>,
    hops: usize,
    /// The aliases visited; `None` until the first one, because most names are not aliases.
    trail: Option<VisitedAliases>,
}

#[derive(Clone, Copy, PartialEq)]
struct ApexPointer {
    offset: u16,
    labels: usize,
}

/// The aliases that a walk has visited, to detect loops.
struct VisitedAliases {
    /// The hashes of the names that were aliases.
    visited: [u64; MAX_CHAIN],
    /// The zone and node of each DNAME whose record is in the reply.
    redirected: [(u32, u32); MAX_CHAIN],
}

impl VisitedAliases {
    const EMPTY: Self =
        Self { visited: [0; MAX_CHAIN], redirected: [(u32::MAX, u32::MAX); MAX_CHAIN] };
}

/// The result of a step.
enum WalkStep {
    /// The walk ends with this response code.
    End(Rcode),
    /// The name was an alias; [`NameWalk::name`] is its target now.
    Alias,
}

impl NameWalk<'_, '_> {
    fn run(
        &mut self,
        first: Option<LookupResult<'_>>,
        draws: &mut DrawState,
        reply: &mut ReplyBuilder<'_, '_>,
    ) -> Result<Rcode, BufferFull> {
        let Some(mut lookup) = first else { return Ok(Rcode::REFUSED) };
        reply.is_authoritative = true;
        if !lookup.zone.client_subnet {
            self.context.client_subnet = None;
            reply.drop_subnet();
        }
        loop {
            if let WalkStep::End(rcode) = self.step(&lookup, draws, reply)? {
                return Ok(rcode);
            }
            self.hops += 1;
            match self.context.snapshot.zones.find(self.name, self.context.rtype) {
                Some(next) => lookup = next,
                None => return Ok(Rcode::NOERROR),
            }
        }
    }

    fn step(
        &mut self,
        lookup: &LookupResult<'_>,
        draws: &mut DrawState,
        reply: &mut ReplyBuilder<'_, '_>,
    ) -> Result<WalkStep, BufferFull> {
        let zone = lookup.zone;
        match lookup.outcome {
            LookupOutcome::Exists { node, service, .. } => {
                if let Some(node) = node
                    && let Some(step) = self.answer_static(lookup, node, reply)?
                {
                    return Ok(step);
                }
                if let Some(service) = service {
                    loop {
                        if let Some(step) = self.answer_steered(service, zone, draws, reply)? {
                            return Ok(step);
                        }
                        if reply.asked_type() != Rtype::ANY || !self.try_next_type(reply) {
                            break;
                        }
                    }
                }
                self.push_soa(zone, reply)?;
                Ok(WalkStep::End(Rcode::NOERROR))
            }
            LookupOutcome::Delegated(cut) => {
                // A CNAME before the cut is an authoritative answer; a referral alone is not (RFC
                // 1034 section 4.3.1).
                reply.is_authoritative = self.hops > 0;
                refer(zone, cut, self.name_offsets(zone, cut.label_count()), reply)?;
                Ok(WalkStep::End(Rcode::NOERROR))
            }
            LookupOutcome::Redirected(owner) => self.redirect(lookup, owner, reply),
            LookupOutcome::Missing => {
                self.push_soa(zone, reply)?;
                Ok(WalkStep::End(Rcode::NXDOMAIN))
            }
        }
    }

    /// Answers from static records; `None` if the node has none of the type.
    fn answer_static(
        &mut self,
        lookup: &LookupResult<'_>,
        node: Node<'_>,
        reply: &mut ReplyBuilder<'_, '_>,
    ) -> Result<Option<WalkStep>, BufferFull> {
        let zone = lookup.zone;
        let offsets = self.name_offsets(zone, self.name.label_count());
        let found = match self.context.rtype {
            Rtype::ANY => {
                reply.bound_any();
                smallest_rrset(node)
            }
            rtype => node.rrsets().find(|rrset| {
                rrset.rtype == rtype
                    || rrset.rtype == Rtype::CNAME && rtype != Rtype::RRSIG && rtype != Rtype::NSEC
            }),
        };
        let Some(rrset) = found else {
            let is_whoami =
                matches!(self.context.rtype, Rtype::TXT | Rtype::ANY) && node.is_whoami();
            return if is_whoami { self.answer_whoami(offsets, reply) } else { Ok(None) };
        };
        let start = reply.writer.position();
        if rrset.rtype == Rtype::CNAME && !matches!(self.context.rtype, Rtype::CNAME | Rtype::ANY) {
            if !self.mark_visited() {
                return Ok(Some(WalkStep::End(Rcode::NOERROR)));
            }
            rrset.write(&mut reply.writer, offsets)?;
            reply.writer.count(Section::Answer, rrset.count);
            if let Some(record) = rrset.records().next() {
                self.follow(zone, record, start, offsets);
            }
            return Ok(Some(WalkStep::Alias));
        }
        rrset.write(&mut reply.writer, offsets)?;
        reply.writer.count(Section::Answer, rrset.count);
        if self.context.rtype != Rtype::ANY {
            push_additional(zone, &rrset, start, offsets, &mut reply.writer);
        }
        Ok(Some(WalkStep::End(Rcode::NOERROR)))
    }

    /// Answers from what a service draws; `None` if it has no record of the type.
    fn answer_steered(
        &mut self,
        service: ServiceId,
        zone: &Zone,
        draws: &mut DrawState,
        reply: &mut ReplyBuilder<'_, '_>,
    ) -> Result<Option<WalkStep>, BufferFull> {
        if self
            .trail
            .as_ref()
            .is_some_and(|trail| trail.visited.contains(&hash_name(self.name.as_wire())))
        {
            return Ok(Some(WalkStep::End(Rcode::NOERROR)));
        }
        let owner = self.name_offsets(zone, self.name.label_count()).owner;
        match draw(&self.context, service, owner, draws, reply)? {
            ServiceAnswer::NoData => {
                Ok(self.is_unresolved(service).then_some(WalkStep::End(Rcode::SERVFAIL)))
            }
            ServiceAnswer::Records => Ok(Some(WalkStep::End(Rcode::NOERROR))),
            ServiceAnswer::Alias { target_offset, target } => {
                let is_new = self.hops + 1 < MAX_CHAIN
                    && self.mark_visited()
                    && self.name.assemble(&[], target).is_ok();
                if !is_new || self.context.rtype == Rtype::CNAME {
                    return Ok(Some(WalkStep::End(Rcode::NOERROR)));
                }
                self.set_name_offset(target_offset, None);
                Ok(Some(WalkStep::Alias))
            }
        }
    }

    /// Whether all that a service has are aliases that were never resolved. Which types it has is
    /// then unknown, and resolvers would cache NODATA, so the answer is SERVFAIL.
    #[inline]
    fn is_unresolved(&self, service: ServiceId) -> bool {
        let chart = self.context.snapshot.charts.get(service.index());
        chart.is_some_and(|chart| chart.is_unresolved() && self.may_have_type(chart))
    }

    #[cold]
    fn may_have_type(&self, chart: &Chart) -> bool {
        self.context.rtype == Rtype::ANY
            || service_answer::family(chart, self.context.rtype).is_some()
    }

    /// Sets the next type that ANY of a service may be answered with; `false` after the last one.
    #[cold]
    fn try_next_type(&mut self, reply: &mut ReplyBuilder<'_, '_>) -> bool {
        self.context.rtype = match self.context.rtype {
            Rtype::ANY => {
                reply.bound_any();
                Rtype::CNAME
            }
            Rtype::CNAME => Rtype::A,
            Rtype::A => Rtype::AAAA,
            Rtype::AAAA => Rtype::SRV,
            Rtype::SRV => Rtype::HTTPS,
            Rtype::HTTPS => Rtype::SVCB,
            _ => return false,
        };
        true
    }

    /// Answers the `whoami` name of the zone.
    #[cold]
    fn answer_whoami(
        &mut self,
        offsets: NameOffsets,
        reply: &mut ReplyBuilder<'_, '_>,
    ) -> Result<Option<WalkStep>, BufferFull> {
        whoami::answer(&self.context, offsets.owner, reply)
            .map(|()| Some(WalkStep::End(Rcode::NOERROR)))
    }

    /// Rewrites a name below a DNAME (RFC 6672 section 3.1).
    #[cold]
    fn redirect(
        &mut self,
        lookup: &LookupResult<'_>,
        owner: Node<'_>,
        reply: &mut ReplyBuilder<'_, '_>,
    ) -> Result<WalkStep, BufferFull> {
        let zone = lookup.zone;
        let Some(rrset) = owner.rrset(Rtype::DNAME) else {
            return Ok(WalkStep::End(Rcode::SERVFAIL));
        };
        let Some(record) = rrset.records().next() else {
            return Ok(WalkStep::End(Rcode::SERVFAIL));
        };
        if self.hops + 1 >= MAX_CHAIN || !self.mark_visited() {
            return Ok(WalkStep::End(Rcode::NOERROR));
        }
        if self.mark_redirect((lookup.zone_id.0, owner.number())) {
            rrset.write(&mut reply.writer, self.name_offsets(zone, owner.label_count()))?;
            reply.writer.count(Section::Answer, rrset.count);
        }
        let offsets = self.name_offsets(zone, self.name.label_count());
        let mut target = LookupName::root();
        record.read_target(zone.apex.as_wire(), &mut target);
        let mut rewritten = LookupName::root();
        if rewritten.assemble(self.name.prefix(owner.label_count()), target.as_wire()).is_err() {
            return Ok(WalkStep::End(Rcode::YXDOMAIN));
        }
        let target_offset =
            push_cname(&mut reply.writer, offsets.owner, rrset.ttl_secs(), rewritten.as_wire())?;
        reply.writer.count(Section::Answer, 1);
        *self.name = rewritten;
        self.set_name_offset(target_offset, None);
        // A DNAME whose target lies below it would lengthen the name until it no longer fits.
        let is_endless = target.suffix(owner.label_count()) == owner.name();
        let is_end = is_endless || matches!(self.context.rtype, Rtype::CNAME | Rtype::ANY);
        Ok(if is_end { WalkStep::End(Rcode::NOERROR) } else { WalkStep::Alias })
    }

    /// Records that the name is an alias; `false` if it was visited before, so that its record is
    /// in the reply already, or if the chain is too long.
    fn mark_visited(&mut self) -> bool {
        let name_hash = hash_name(self.name.as_wire());
        let trail = self.trail.get_or_insert(VisitedAliases::EMPTY);
        let (before, after) = trail.visited.split_at_mut(self.hops.min(MAX_CHAIN));
        match after.first_mut() {
            Some(free) if !before.contains(&name_hash) => {
                *free = name_hash;
                true
            }
            _ => false,
        }
    }

    /// Records that a DNAME redirects; `false` if it did before. [`Self::mark_visited`] must have
    /// returned `true` for this step.
    fn mark_redirect(&mut self, dname: (u32, u32)) -> bool {
        let trail = self.trail.get_or_insert(VisitedAliases::EMPTY);
        let is_known = trail.redirected.contains(&dname);
        trail.redirected[self.hops] = dname;
        !is_known
    }

    /// Makes the target of a CNAME record, which was written at `start`, the name of the walk.
    #[inline(never)]
    fn follow(
        &mut self,
        zone: &Zone,
        record: StoredRecord<'_>,
        start: usize,
        offsets: NameOffsets,
    ) {
        record.read_target(zone.apex.as_wire(), self.name);
        let labels = zone.apex_labels();
        let apex = record.is_compressed().then_some(ApexPointer { offset: offsets.apex, labels });
        self.set_name_offset((start + record.target_offset()) as u16, apex);
    }

    fn set_name_offset(&mut self, offset: u16, apex: Option<ApexPointer>) {
        (self.name_offset, self.apex) = (offset, apex);
    }

    /// The offsets in the message of the name's last `labels` labels, and of the apex of the zone.
    fn name_offsets(&self, zone: &Zone, labels: usize) -> NameOffsets {
        NameOffsets {
            owner: self.suffix_offset(labels),
            apex: self.suffix_offset(zone.apex_labels()),
        }
    }

    fn suffix_offset(&self, labels: usize) -> u16 {
        let start = |labels| self.name.suffix_start(labels) as u16;
        match self.apex {
            Some(apex) if labels <= apex.labels => apex.offset + start(labels) - start(apex.labels),
            _ => self.name_offset + start(labels),
        }
    }

    /// Writes the SOA of a negative answer (RFC 2308 section 3).
    fn push_soa(&self, zone: &Zone, reply: &mut ReplyBuilder<'_, '_>) -> Result<(), BufferFull> {
        let Some(soa) = zone.soa() else { return Ok(()) };
        let labels = zone.apex_labels();
        let ttl_secs = zone.negative_ttl_secs().min(reply.negative_ttl_secs);
        soa.write_with_ttl(&mut reply.writer, self.name_offsets(zone, labels), ttl_secs)?;
        reply.writer.count(Section::Authority, soa.count);
        Ok(())
    }
}

/// The RRset that ANY is answered with: a CNAME, otherwise the smallest RRset, the first of equals
/// (RFC 8482 section 4.1).
fn smallest_rrset(node: Node<'_>) -> Option<StoredRrset<'_>> {
    node.rrsets().min_by_key(|rrset| (rrset.rtype != Rtype::CNAME, rrset.octets()))
}
