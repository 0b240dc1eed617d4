//! Following a name through our zones: RFC 1034 section 4.3.2 step by step, aliases included.

use std::net::IpAddr;

use super::{
    additional::push_additional,
    answer::Query,
    frame::Frame,
    referral::refer,
    steered::{self, Drawn, draw},
    whoami,
};
use crate::{
    dns::{ClientSubnet, Full, Header, LookupName, Rcode, ReplyWriter, Rtype, Section},
    snapshot::Snapshot,
    steer::{Chart, Draws, ServiceId},
    zone::{Finding, Node, Outcome, Place, ReadyRecord, ReadyRrset, Zone, hash},
};

/// How many aliases are followed, those of services and DNAMEs included.
pub(super) const MAX_CHAIN: usize = 16;

/// Answers a question that is ours to look at, given what the lookup of its name found; the
/// sections go into the frame's writer. `subnet` is the client subnet, where one came.
pub(super) fn walk(
    snapshot: &Snapshot,
    query: &Query<'_>,
    rtype: Rtype,
    subnet: Option<ClientSubnet<'_>>,
    (name, finding): (&mut LookupName, Option<Finding<'_>>),
    draws: &mut Draws,
    frame: &mut Frame<'_, '_>,
) -> Rcode {
    let whole_at = Header::OCTETS as u16;
    let mut walk =
        Walk { snapshot, query, rtype, subnet, name, whole_at, apex: None, hops: 0, trail: None };
    match walk.run(finding, draws, frame) {
        Ok(rcode) => rcode,
        Err(Full) => {
            frame.truncate();
            Rcode::NOERROR
        }
    }
}

/// Where a walk stands.
pub(super) struct Walk<'s, 'q> {
    pub(super) snapshot: &'s Snapshot,
    pub(super) query: &'q Query<'q>,
    pub(super) rtype: Rtype,
    /// The client subnet, where one came and the zone looks at it.
    subnet: Option<ClientSubnet<'q>>,
    /// The name being answered.
    name: &'q mut LookupName,
    /// Where the message has it: labels up to the apex's or to the root.
    whole_at: u16,
    /// Where the message has the apex of the zone of that name, where the name ends in a pointer to
    /// it.
    apex: Option<Apex>,
    hops: usize,
    /// What was passed; nothing until the first alias, which most names are not.
    trail: Option<Trail>,
}

#[derive(Clone, Copy, PartialEq)]
struct Apex {
    at: u16,
    labels: usize,
}

/// The aliases that a walk passed.
struct Trail {
    /// The hash of each name that was an alias.
    visited: [u64; MAX_CHAIN],
    /// Zone and node of each DNAME that redirected.
    redirected: [(u32, u32); MAX_CHAIN],
}

impl Trail {
    const EMPTY: Self =
        Self { visited: [0; MAX_CHAIN], redirected: [(u32::MAX, u32::MAX); MAX_CHAIN] };
}

/// What a step leads to.
enum Step {
    /// The walk ends with this code.
    End(Rcode),
    /// `name` is another one.
    Alias,
}

impl Walk<'_, '_> {
    /// The first address of the client subnet, where one is to be looked at.
    #[inline]
    pub(super) fn subnet(&self) -> Option<IpAddr> {
        self.subnet.and_then(|subnet| subnet.address())
    }

    /// The client subnet, where one came and the zone looks at it.
    pub(super) fn client_subnet(&self) -> Option<ClientSubnet<'_>> {
        self.subnet
    }

    fn run(
        &mut self,
        first: Option<Finding<'_>>,
        draws: &mut Draws,
        frame: &mut Frame<'_, '_>,
    ) -> Result<Rcode, Full> {
        let Some(mut finding) = first else { return Ok(Rcode::REFUSED) };
        frame.is_authoritative = true;
        if !finding.zone.client_subnet {
            self.subnet = None;
            frame.drop_subnet();
        }
        loop {
            if let Step::End(rcode) = self.step(&finding, draws, frame)? {
                return Ok(rcode);
            }
            self.hops += 1;
            match self.snapshot.zones.find(self.name, self.rtype) {
                Some(next) => finding = next,
                None => return Ok(Rcode::NOERROR),
            }
        }
    }

    fn step(
        &mut self,
        finding: &Finding<'_>,
        draws: &mut Draws,
        frame: &mut Frame<'_, '_>,
    ) -> Result<Step, Full> {
        let zone = finding.zone;
        match finding.outcome {
            Outcome::Exists { node, service, .. } => {
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
                        if frame.asked() != Rtype::ANY || !self.try_next_type(frame) {
                            break;
                        }
                    }
                }
                self.push_soa(zone, frame)?;
                Ok(Step::End(Rcode::NOERROR))
            }
            Outcome::Delegated(cut) => {
                // What was answered before the cut is ours; a bare referral is not (RFC 1034
                // section 4.3.1).
                frame.is_authoritative = self.hops > 0;
                refer(zone, cut, self.place(zone, cut.label_count()), frame)?;
                Ok(Step::End(Rcode::NOERROR))
            }
            Outcome::Redirected(owner) => self.redirect(finding, owner, frame),
            Outcome::Missing => {
                self.push_soa(zone, frame)?;
                Ok(Step::End(Rcode::NXDOMAIN))
            }
        }
    }

    /// Answers from static records; `None` where there are none of the type.
    fn answer_static(
        &mut self,
        finding: &Finding<'_>,
        node: Node<'_>,
        frame: &mut Frame<'_, '_>,
    ) -> Result<Option<Step>, Full> {
        let zone = finding.zone;
        let place = self.place(zone, self.name.label_count());
        let found = match self.rtype {
            Rtype::ANY => {
                frame.bound_any();
                smallest(node)
            }
            rtype => node.rrsets().find(|rrset| {
                rrset.rtype == rtype
                    || rrset.rtype == Rtype::CNAME && rtype != Rtype::RRSIG && rtype != Rtype::NSEC
            }),
        };
        let Some(rrset) = found else {
            let is_whoami = matches!(self.rtype, Rtype::TXT | Rtype::ANY) && node.is_whoami();
            return if is_whoami { self.answer_whoami(place, frame) } else { Ok(None) };
        };
        let start = frame.writer.position();
        if rrset.rtype == Rtype::CNAME && !matches!(self.rtype, Rtype::CNAME | Rtype::ANY) {
            if !self.visit() {
                return Ok(Some(Step::End(Rcode::NOERROR)));
            }
            rrset.write(&mut frame.writer, place)?;
            frame.writer.count(Section::Answer, rrset.count);
            if let Some(record) = rrset.records().next() {
                self.follow(zone, record, start, place);
            }
            return Ok(Some(Step::Alias));
        }
        rrset.write(&mut frame.writer, place)?;
        frame.writer.count(Section::Answer, rrset.count);
        if self.rtype != Rtype::ANY {
            push_additional(zone, &rrset, start, place, &mut frame.writer);
        }
        Ok(Some(Step::End(Rcode::NOERROR)))
    }

    /// Answers from what a service draws; `None` where that is no record.
    fn answer_steered(
        &mut self,
        service: ServiceId,
        zone: &Zone,
        draws: &mut Draws,
        frame: &mut Frame<'_, '_>,
    ) -> Result<Option<Step>, Full> {
        if self
            .trail
            .as_ref()
            .is_some_and(|trail| trail.visited.contains(&hash(self.name.as_wire())))
        {
            return Ok(Some(Step::End(Rcode::NOERROR)));
        }
        let owner = self.place(zone, self.name.label_count()).owner;
        match draw(self, service, owner, draws, frame)? {
            Drawn::Nothing => Ok(self.is_unknown(service).then_some(Step::End(Rcode::SERVFAIL))),
            Drawn::Records => Ok(Some(Step::End(Rcode::NOERROR))),
            Drawn::Alias { target_at, target } => {
                let is_new = self.hops + 1 < MAX_CHAIN
                    && self.visit()
                    && self.name.assemble(&[], target).is_ok();
                if !is_new || self.rtype == Rtype::CNAME {
                    return Ok(Some(Step::End(Rcode::NOERROR)));
                }
                self.moved(target_at, None);
                Ok(Some(Step::Alias))
            }
        }
    }

    /// Whether a service has nothing to answer but aliases that were never resolved. What it has of
    /// the type is not known then, and NODATA would be kept as if it were: the answer is SERVFAIL.
    #[inline]
    fn is_unknown(&self, service: ServiceId) -> bool {
        let chart = self.snapshot.charts.get(service.index());
        chart.is_some_and(|chart| chart.is_unresolved() && self.may_have_type(chart))
    }

    #[cold]
    fn may_have_type(&self, chart: &Chart) -> bool {
        self.rtype == Rtype::ANY || steered::family(chart, self.rtype).is_some()
    }

    /// Goes on to the next type that ANY of a service may be answered with; `false` after the last
    /// one.
    #[cold]
    fn try_next_type(&mut self, frame: &mut Frame<'_, '_>) -> bool {
        self.rtype = match self.rtype {
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
        place: Place,
        frame: &mut Frame<'_, '_>,
    ) -> Result<Option<Step>, Full> {
        whoami::answer(self, place.owner, frame).map(|()| Some(Step::End(Rcode::NOERROR)))
    }

    /// Rewrites a name below a DNAME (RFC 6672 section 3.1).
    #[cold]
    fn redirect(
        &mut self,
        finding: &Finding<'_>,
        owner: Node<'_>,
        frame: &mut Frame<'_, '_>,
    ) -> Result<Step, Full> {
        let zone = finding.zone;
        let Some(rrset) = owner.rrset(Rtype::DNAME) else { return Ok(Step::End(Rcode::SERVFAIL)) };
        let Some(record) = rrset.records().next() else { return Ok(Step::End(Rcode::SERVFAIL)) };
        if self.hops + 1 >= MAX_CHAIN || !self.visit() {
            return Ok(Step::End(Rcode::NOERROR));
        }
        if self.note_redirect((finding.zone_id.0, owner.number())) {
            rrset.write(&mut frame.writer, self.place(zone, owner.label_count()))?;
            frame.writer.count(Section::Answer, rrset.count);
        }
        let place = self.place(zone, self.name.label_count());
        let mut target = LookupName::root();
        record.name(zone.apex.as_wire(), &mut target);
        let mut rewritten = LookupName::root();
        if rewritten.assemble(self.name.prefix(owner.label_count()), target.as_wire()).is_err() {
            return Ok(Step::End(Rcode::YXDOMAIN));
        }
        let target_at =
            push_cname(&mut frame.writer, place.owner, rrset.ttl_secs(), rewritten.as_wire())?;
        frame.writer.count(Section::Answer, 1);
        *self.name = rewritten;
        self.moved(target_at, None);
        // A DNAME whose target lies below it would lengthen the name until it no longer fits.
        let is_endless = target.suffix(owner.label_count()) == owner.name();
        let is_end = is_endless || matches!(self.rtype, Rtype::CNAME | Rtype::ANY);
        Ok(if is_end { Step::End(Rcode::NOERROR) } else { Step::Alias })
    }

    /// Notes that the name is an alias; `false` where it was one before, so that its record is
    /// written already, or the chain is too long.
    fn visit(&mut self) -> bool {
        let here = hash(self.name.as_wire());
        let trail = self.trail.get_or_insert(Trail::EMPTY);
        let (before, after) = trail.visited.split_at_mut(self.hops.min(MAX_CHAIN));
        match after.first_mut() {
            Some(free) if !before.contains(&here) => {
                *free = here;
                true
            }
            _ => false,
        }
    }

    /// Notes that a DNAME redirects; `false` where it did before. Only after [`Self::visit`].
    fn note_redirect(&mut self, here: (u32, u32)) -> bool {
        let trail = self.trail.get_or_insert(Trail::EMPTY);
        let is_known = trail.redirected.contains(&here);
        trail.redirected[self.hops] = here;
        !is_known
    }

    /// Goes on with the target of a CNAME that was written at `start`.
    #[inline(never)]
    fn follow(&mut self, zone: &Zone, record: ReadyRecord<'_>, start: usize, place: Place) {
        record.name(zone.apex.as_wire(), self.name);
        let labels = zone.apex_labels();
        let apex = record.is_compressed().then_some(Apex { at: place.apex, labels });
        self.moved((start + record.name_offset()) as u16, apex);
    }

    fn moved(&mut self, whole_at: u16, apex: Option<Apex>) {
        (self.whole_at, self.apex) = (whole_at, apex);
    }

    /// Where the message has the suffix of so many labels of the name, and the zone's apex.
    fn place(&self, zone: &Zone, labels: usize) -> Place {
        Place { owner: self.suffix_at(labels), apex: self.suffix_at(zone.apex_labels()) }
    }

    fn suffix_at(&self, labels: usize) -> u16 {
        let start = |labels| self.name.suffix_start(labels) as u16;
        match self.apex {
            Some(apex) if labels <= apex.labels => apex.at + start(labels) - start(apex.labels),
            _ => self.whole_at + start(labels),
        }
    }

    /// Writes the SOA of a negative answer (RFC 2308 section 3).
    fn push_soa(&self, zone: &Zone, frame: &mut Frame<'_, '_>) -> Result<(), Full> {
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
fn smallest(node: Node<'_>) -> Option<ReadyRrset<'_>> {
    node.rrsets().min_by_key(|rrset| (rrset.rtype != Rtype::CNAME, rrset.octets()))
}

/// Writes a CNAME record and says where its target starts.
pub(super) fn push_cname(
    writer: &mut ReplyWriter<'_>,
    owner: u16,
    ttl_secs: u32,
    target: &[u8],
) -> Result<u16, Full> {
    push_fixed(writer, owner, Rtype::CNAME, ttl_secs, target.len() as u16)?;
    let at = writer.position() as u16;
    writer.push(target)?;
    Ok(at)
}

/// Writes what stands in front of a record's rdata.
pub(super) fn push_fixed(
    writer: &mut ReplyWriter<'_>,
    owner: u16,
    rtype: Rtype,
    ttl_secs: u32,
    length: u16,
) -> Result<(), Full> {
    writer.push_array(fixed(owner, rtype, ttl_secs, length))
}

/// What stands in front of a record's rdata: owner as a pointer, type, class, TTL, length (RFC 1035
/// section 3.2.1).
#[inline]
pub(super) fn fixed(owner: u16, rtype: Rtype, ttl_secs: u32, length: u16) -> [u8; 12] {
    let [[a, b], [c, d], [k, l]] = [0xc000 | owner, rtype.0, length].map(u16::to_be_bytes);
    let [g, h, i, j] = ttl_secs.to_be_bytes();
    [a, b, c, d, 0, 1, g, h, i, j, k, l]
}
