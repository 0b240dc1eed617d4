//! Following a name through our zones: RFC 1034 section 4.3.2 step by step, aliases included.

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

/// How many aliases are followed, those of services and DNAMEs included.
pub(super) const MAX_CHAIN: usize = 16;

/// Answers a question that is ours to look at, given what the lookup of its name found; the
/// sections go into the writer of `reply`.
pub(super) fn walk(
    context: QueryContext<'_, '_>,
    name: &mut LookupName,
    finding: Option<LookupResult<'_>>,
    draws: &mut DrawState,
    frame: &mut ReplyBuilder<'_, '_>,
) -> Rcode {
    let name_offset = Header::OCTETS as u16;
    let mut walk = NameWalk { context, name, name_offset, apex: None, hops: 0, trail: None };
    match walk.run(finding, draws, frame) {
        Ok(rcode) => rcode,
        Err(BufferFull) => {
            frame.truncate();
            Rcode::NOERROR
        }
    }
}

/// Where a walk stands.
struct NameWalk<'s, 'q> {
    context: QueryContext<'s, 'q>,
    /// The name being answered.
    name: &'q mut LookupName,
    /// Where the message has it: labels up to the apex's or to the root.
    name_offset: u16,
    /// Where the message has the apex of the zone of that name, where the name ends in a pointer to
    /// it.
    apex: Option<ApexPointer>,
    hops: usize,
    /// What was passed; nothing until the first alias, which most names are not.
    trail: Option<VisitedAliases>,
}

#[derive(Clone, Copy, PartialEq)]
struct ApexPointer {
    at: u16,
    labels: usize,
}

/// The aliases that a walk passed.
struct VisitedAliases {
    /// The hash of each name that was an alias.
    visited: [u64; MAX_CHAIN],
    /// Zone and node of each DNAME that redirected.
    redirected: [(u32, u32); MAX_CHAIN],
}

impl VisitedAliases {
    const EMPTY: Self =
        Self { visited: [0; MAX_CHAIN], redirected: [(u32::MAX, u32::MAX); MAX_CHAIN] };
}

/// What a step leads to.
enum WalkStep {
    /// The walk ends with this code.
    End(Rcode),
    /// `read_target` is another one.
    Alias,
}

impl NameWalk<'_, '_> {
    fn run(
        &mut self,
        first: Option<LookupResult<'_>>,
        draws: &mut DrawState,
        frame: &mut ReplyBuilder<'_, '_>,
    ) -> Result<Rcode, BufferFull> {
        let Some(mut finding) = first else { return Ok(Rcode::REFUSED) };
        frame.is_authoritative = true;
        if !finding.zone.client_subnet {
            self.context.client_subnet = None;
            frame.drop_subnet();
        }
        loop {
            if let WalkStep::End(rcode) = self.step(&finding, draws, frame)? {
                return Ok(rcode);
            }
            self.hops += 1;
            match self.context.snapshot.zones.find(self.name, self.context.rtype) {
                Some(next) => finding = next,
                None => return Ok(Rcode::NOERROR),
            }
        }
    }

    fn step(
        &mut self,
        finding: &LookupResult<'_>,
        draws: &mut DrawState,
        frame: &mut ReplyBuilder<'_, '_>,
    ) -> Result<WalkStep, BufferFull> {
        let zone = finding.zone;
        match finding.outcome {
            LookupOutcome::Exists { node, service, .. } => {
                if let Some(node) = node
                    && let Some(step) = self.answer_static(finding, node, frame)?
                {
                    return Ok(step);
                }
                if let Some(service) = service {
                    loop {
                        if let Some(step) = self.answer_steered(service, zone, draws, frame)? {
                            return Ok(step);
                        }
                        if frame.asked_type() != Rtype::ANY || !self.try_next_type(frame) {
                            break;
                        }
                    }
                }
                self.push_soa(zone, frame)?;
                Ok(WalkStep::End(Rcode::NOERROR))
            }
            LookupOutcome::Delegated(cut) => {
                // What was answered before the cut is ours; a bare referral is not (RFC 1034
                // section 4.3.1).
                frame.is_authoritative = self.hops > 0;
                refer(zone, cut, self.place(zone, cut.label_count()), frame)?;
                Ok(WalkStep::End(Rcode::NOERROR))
            }
            LookupOutcome::Redirected(owner) => self.redirect(finding, owner, frame),
            LookupOutcome::Missing => {
                self.push_soa(zone, frame)?;
                Ok(WalkStep::End(Rcode::NXDOMAIN))
            }
        }
    }

    /// Answers from static records; `None` where there are none of the type.
    fn answer_static(
        &mut self,
        finding: &LookupResult<'_>,
        node: Node<'_>,
        frame: &mut ReplyBuilder<'_, '_>,
    ) -> Result<Option<WalkStep>, BufferFull> {
        let zone = finding.zone;
        let place = self.place(zone, self.name.label_count());
        let found = match self.context.rtype {
            Rtype::ANY => {
                frame.bound_any();
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
            return if is_whoami { self.answer_whoami(place, frame) } else { Ok(None) };
        };
        let start = frame.writer.position();
        if rrset.rtype == Rtype::CNAME && !matches!(self.context.rtype, Rtype::CNAME | Rtype::ANY) {
            if !self.mark_visited() {
                return Ok(Some(WalkStep::End(Rcode::NOERROR)));
            }
            rrset.write(&mut frame.writer, place)?;
            frame.writer.count(Section::Answer, rrset.count);
            if let Some(record) = rrset.records().next() {
                self.follow(zone, record, start, place);
            }
            return Ok(Some(WalkStep::Alias));
        }
        rrset.write(&mut frame.writer, place)?;
        frame.writer.count(Section::Answer, rrset.count);
        if self.context.rtype != Rtype::ANY {
            push_additional(zone, &rrset, start, place, &mut frame.writer);
        }
        Ok(Some(WalkStep::End(Rcode::NOERROR)))
    }

    /// Answers from what a service draws; `None` where that is no record.
    fn answer_steered(
        &mut self,
        service: ServiceId,
        zone: &Zone,
        draws: &mut DrawState,
        frame: &mut ReplyBuilder<'_, '_>,
    ) -> Result<Option<WalkStep>, BufferFull> {
        if self
            .trail
            .as_ref()
            .is_some_and(|trail| trail.visited.contains(&hash_name(self.name.as_wire())))
        {
            return Ok(Some(WalkStep::End(Rcode::NOERROR)));
        }
        let owner = self.place(zone, self.name.label_count()).owner;
        match draw(&self.context, service, owner, draws, frame)? {
            ServiceAnswer::NoData => {
                Ok(self.is_unresolved(service).then_some(WalkStep::End(Rcode::SERVFAIL)))
            }
            ServiceAnswer::Records => Ok(Some(WalkStep::End(Rcode::NOERROR))),
            ServiceAnswer::Alias { target_at, target } => {
                let is_new = self.hops + 1 < MAX_CHAIN
                    && self.mark_visited()
                    && self.name.assemble(&[], target).is_ok();
                if !is_new || self.context.rtype == Rtype::CNAME {
                    return Ok(Some(WalkStep::End(Rcode::NOERROR)));
                }
                self.set_name_offset(target_at, None);
                Ok(Some(WalkStep::Alias))
            }
        }
    }

    /// Whether a service has nothing to answer but aliases that were never resolved. What it has of
    /// the type is not known then, and NODATA would be kept as if it were: the answer is SERVFAIL.
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

    /// Goes on to the next type that ANY of a service may be answered with; `false` after the last
    /// one.
    #[cold]
    fn try_next_type(&mut self, frame: &mut ReplyBuilder<'_, '_>) -> bool {
        self.context.rtype = match self.context.rtype {
            Rtype::ANY => {
                frame.bound_any();
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

    /// Answers from what the server sees of the client, where the name is the zone's `whoami`.
    #[cold]
    fn answer_whoami(
        &mut self,
        place: NameOffsets,
        frame: &mut ReplyBuilder<'_, '_>,
    ) -> Result<Option<WalkStep>, BufferFull> {
        whoami::answer(&self.context, place.owner, frame)
            .map(|()| Some(WalkStep::End(Rcode::NOERROR)))
    }

    /// Rewrites a name below a DNAME (RFC 6672 section 3.1).
    #[cold]
    fn redirect(
        &mut self,
        finding: &LookupResult<'_>,
        owner: Node<'_>,
        frame: &mut ReplyBuilder<'_, '_>,
    ) -> Result<WalkStep, BufferFull> {
        let zone = finding.zone;
        let Some(rrset) = owner.rrset(Rtype::DNAME) else {
            return Ok(WalkStep::End(Rcode::SERVFAIL));
        };
        let Some(record) = rrset.records().next() else {
            return Ok(WalkStep::End(Rcode::SERVFAIL));
        };
        if self.hops + 1 >= MAX_CHAIN || !self.mark_visited() {
            return Ok(WalkStep::End(Rcode::NOERROR));
        }
        if self.note_redirect((finding.zone_id.0, owner.number())) {
            rrset.write(&mut frame.writer, self.place(zone, owner.label_count()))?;
            frame.writer.count(Section::Answer, rrset.count);
        }
        let place = self.place(zone, self.name.label_count());
        let mut target = LookupName::root();
        record.read_target(zone.apex.as_wire(), &mut target);
        let mut rewritten = LookupName::root();
        if rewritten.assemble(self.name.prefix(owner.label_count()), target.as_wire()).is_err() {
            return Ok(WalkStep::End(Rcode::YXDOMAIN));
        }
        let target_at =
            push_cname(&mut frame.writer, place.owner, rrset.ttl_secs(), rewritten.as_wire())?;
        frame.writer.count(Section::Answer, 1);
        *self.name = rewritten;
        self.set_name_offset(target_at, None);
        // A DNAME whose target lies below it would lengthen the name until it no longer fits.
        let is_endless = target.suffix(owner.label_count()) == owner.name();
        let is_end = is_endless || matches!(self.context.rtype, Rtype::CNAME | Rtype::ANY);
        Ok(if is_end { WalkStep::End(Rcode::NOERROR) } else { WalkStep::Alias })
    }

    /// Notes that the name is an alias; `false` where it was one before, so that its record is
    /// written already, or the chain is too long.
    fn mark_visited(&mut self) -> bool {
        let here = hash_name(self.name.as_wire());
        let trail = self.trail.get_or_insert(VisitedAliases::EMPTY);
        let (before, after) = trail.visited.split_at_mut(self.hops.min(MAX_CHAIN));
        match after.first_mut() {
            Some(free) if !before.contains(&here) => {
                *free = here;
                true
            }
            _ => false,
        }
    }

    /// Notes that a DNAME redirects; `false` where it did before. Only after
    /// [`Self::mark_visited`].
    fn note_redirect(&mut self, here: (u32, u32)) -> bool {
        let trail = self.trail.get_or_insert(VisitedAliases::EMPTY);
        let is_known = trail.redirected.contains(&here);
        trail.redirected[self.hops] = here;
        !is_known
    }

    /// Goes on with the target of a CNAME that was written at `start`.
    #[inline(never)]
    fn follow(&mut self, zone: &Zone, record: StoredRecord<'_>, start: usize, place: NameOffsets) {
        record.read_target(zone.apex.as_wire(), self.name);
        let labels = zone.apex_labels();
        let apex = record.is_compressed().then_some(ApexPointer { at: place.apex, labels });
        self.set_name_offset((start + record.target_offset()) as u16, apex);
    }

    fn set_name_offset(&mut self, whole_at: u16, apex: Option<ApexPointer>) {
        (self.name_offset, self.apex) = (whole_at, apex);
    }

    /// Where the message has the suffix of so many labels of the name, and the zone's apex.
    fn place(&self, zone: &Zone, labels: usize) -> NameOffsets {
        NameOffsets { owner: self.suffix_at(labels), apex: self.suffix_at(zone.apex_labels()) }
    }

    fn suffix_at(&self, labels: usize) -> u16 {
        let start = |labels| self.name.suffix_start(labels) as u16;
        match self.apex {
            Some(apex) if labels <= apex.labels => apex.at + start(labels) - start(apex.labels),
            _ => self.name_offset + start(labels),
        }
    }

    /// Writes the SOA of a negative answer (RFC 2308 section 3).
    fn push_soa(&self, zone: &Zone, frame: &mut ReplyBuilder<'_, '_>) -> Result<(), BufferFull> {
        let Some(soa) = zone.soa() else { return Ok(()) };
        let labels = zone.apex_labels();
        let ttl_secs = zone.negative_ttl_secs().min(frame.negative_ttl_secs);
        soa.write_with_ttl(&mut frame.writer, self.place(zone, labels), ttl_secs)?;
        frame.writer.count(Section::Authority, soa.count);
        Ok(())
    }
}

/// The RRset that ANY is answered with: a CNAME, else the smallest; of equals the first (RFC 8482
/// section 4.1).
fn smallest_rrset(node: Node<'_>) -> Option<StoredRrset<'_>> {
    node.rrsets().min_by_key(|rrset| (rrset.rtype != Rtype::CNAME, rrset.octets()))
}
