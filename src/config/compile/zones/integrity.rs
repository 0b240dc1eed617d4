//! Checks the records of zones against each other: targets without an address, occluded records,
//! CNAME loops.
//!
//! Every finding is a warning: the zones are served as they are. Wildcards, services and
//! delegations count as answers, and names outside the zones served here are never checked. The
//! records are read from the zone builders, in one pass; only if something was found are master
//! files read again, for its lines (`locate`).

use super::{
    super::answer_size::MAX_RECORDS_PER_TYPE,
    compiled_zones::CompiledZones,
    finding::{FindingKind, ZoneFinding, repeats_apex},
    locate::{self, TableRecords},
    lookup::{AddressStatus, occluding_above},
    messages,
    service_names::ServiceNames,
};
use crate::{
    config::{a_labels, diagnostic::Diagnostic, hostname, problems::Problems, sources::Sources},
    dns::{Name, Rtype},
    zone::BuilderNode,
};

/// The maximum number of findings of one zone that are reported, each with its place; the rest is
/// counted.
const MAX_REPORTED: usize = 100;

impl CompiledZones {
    /// Warns of everything that is found in the static records.
    pub(in crate::config::compile) fn warn(
        &self,
        sources: &Sources,
        service_names: &ServiceNames,
        written: &TableRecords<'_>,
        problems: &mut Problems,
    ) {
        for zone in 0..self.list.len() {
            let mut check = IntegrityCheck {
                zones: self,
                service_names,
                zone,
                findings: Vec::new(),
                omitted: 0,
            };
            check.run();
            let (findings, more) = (check.findings, check.omitted);
            let places = locate::places(sources, self, zone, written, &findings);
            for (finding, located) in findings.iter().zip(&places) {
                self.report(zone, finding, *located, problems);
            }
            if let (Some(last), true) = (places.last(), more > 0) {
                problems
                    .warning(
                        last.place,
                        format!("zone {} has {more} more faults like these", self.list[zone].apex),
                    )
                    .help("they are reported once those above are fixed");
            }
        }
    }

    /// Completes the builders, so that their records can be read.
    pub(in crate::config::compile) fn settle(&mut self) {
        self.list.iter_mut().for_each(|zone| zone.builder.flush());
    }

    fn report(
        &self,
        zone: usize,
        finding: &ZoneFinding,
        located: locate::FindingPlace,
        problems: &mut Problems,
    ) {
        // These mistakes in tables are reported when the table is read.
        let is_reported = |finding: &ZoneFinding| match finding.kind {
            FindingKind::Address(_) | FindingKind::Ipv4Mapped | FindingKind::UrlOrPort(_) => true,
            FindingKind::SingleLabel => finding
                .target
                .as_ref()
                .is_some_and(|target| !hostname::has_hostname_characters(target)),
            _ => false,
        };
        if located.is_in_table && is_reported(finding) {
            return;
        }
        let (message, help) =
            messages::message_and_help(finding, &self.list[zone].apex, located.is_in_table);
        let diagnostic: &mut Diagnostic = problems.warning(located.place, message);
        diagnostic.help(help);
        if let (FindingKind::Occluded { occluder_type, .. }, Some(barrier)) =
            (&finding.kind, located.occluder)
        {
            diagnostic.also(barrier, format!("the {occluder_type}"));
        }
    }

    /// The fault of a host that an SRV record of a table names, and how to fix it.
    pub(in crate::config::compile) fn host_fault(
        &self,
        service_names: &ServiceNames,
        host: &Name,
    ) -> Option<(String, String)> {
        match self.address_status(service_names, host) {
            AddressStatus::Answered => None,
            AddressStatus::NoAddress(missing) => Some(messages::host_message(host, missing)),
        }
    }
}

/// The pass over the records of one zone.
struct IntegrityCheck<'z> {
    zones: &'z CompiledZones,
    service_names: &'z ServiceNames,
    zone: usize,
    findings: Vec<ZoneFinding>,
    omitted: usize,
}

impl IntegrityCheck<'_> {
    fn run(&mut self) {
        let builder = &self.zones.list[self.zone].builder;
        let apex = builder.apex();
        let occludes = |node: BuilderNode<'_>| {
            node.has(Rtype::DNAME) || node.number() != 0 && node.has(Rtype::NS)
        };
        let referenced = if builder.nodes().any(occludes) { Some(self.referenced()) } else { None };
        let mut occluded = OccludedNames::default();
        let mut repeated: Option<ZoneFinding> = None;
        for node in builder.nodes() {
            if let Some(referenced) = &referenced
                && self.note_occluded(node, referenced, &mut occluded)
            {
                if referenced.get(node.number() as usize).copied().unwrap_or_default() {
                    self.check_mapped(node);
                }
                continue;
            }
            for rrset in node.rrsets() {
                self.check_count(node, rrset.rtype, rrset.count);
                match rrset.rtype {
                    Rtype::NS
                    | Rtype::MX
                    | Rtype::SRV
                    | Rtype::CNAME
                    | Rtype::DNAME
                    | Rtype::PTR => {
                        self.check_targets(node, rrset.rtype);
                    }
                    Rtype::AAAA => self.check_mapped(node),
                    _ => {}
                }
            }
            let is_host_name = self.check_owner(node);
            if is_host_name
                && repeats_apex(node.wire(), apex)
                && node.types().next().is_some()
                && repeated.is_none()
            {
                repeated = self.finding(node, None, FindingKind::RepeatedApex);
            }
            self.check_letters(node);
            self.check_delegation(node);
        }
        let occluded = occluded.list.into_iter().map(|(_, finding)| finding);
        for finding in occluded.chain(repeated) {
            self.push_finding(Some(finding));
        }
    }

    fn check_count(&mut self, node: BuilderNode<'_>, rtype: Rtype, records: u16) {
        if u64::from(records) > MAX_RECORDS_PER_TYPE {
            let finding = self.finding(node, None, FindingKind::TooManyRecords { records });
            self.push_finding(finding.map(|finding| ZoneFinding { rtype, ..finding }));
        }
    }

    fn finding(
        &self,
        node: BuilderNode<'_>,
        about: Option<(Rtype, Name)>,
        what: FindingKind,
    ) -> Option<ZoneFinding> {
        let owner = Name::from_wire(node.wire()).ok()?;
        let (rtype, target) = match about {
            Some((rtype, target)) => (rtype, Some(target)),
            None => (node.types().next()?, None),
        };
        Some(ZoneFinding { owner, rtype, target, kind: what })
    }

    fn push_finding(&mut self, finding: Option<ZoneFinding>) {
        if self.findings.len() < MAX_REPORTED {
            self.findings.extend(finding)
        } else {
            self.omitted += usize::from(finding.is_some())
        }
    }

    /// By node: whether an NS, MX or SRV record of the zone leads to it. Addresses of such names
    /// below a cut are glue.
    fn referenced(&self) -> Vec<bool> {
        let builder = &self.zones.list[self.zone].builder;
        let mut referenced = Vec::new();
        for node in builder.nodes() {
            for rtype in [Rtype::NS, Rtype::MX, Rtype::SRV] {
                for number in node
                    .targets(rtype)
                    .filter_map(|target| builder.node(&target))
                    .map(BuilderNode::number)
                {
                    if referenced.len() <= number as usize {
                        referenced.resize(number as usize + 1, false);
                    }
                    referenced[number as usize] = true;
                }
            }
        }
        referenced
    }

    /// Finds records that are never answered because a cut or DNAME above, or a cut at the name
    /// itself, occludes them. Returns whether a name above does.
    fn note_occluded(
        &self,
        node: BuilderNode<'_>,
        referenced: &[bool],
        occluded: &mut OccludedNames,
    ) -> bool {
        let above = occluding_above(&self.zones.list[self.zone].builder, node.wire());
        let is_below = above.is_some();
        let is_cut = node.number() != 0 && node.has(Rtype::NS);
        let Some((occluder, occluder_type)) =
            above.or_else(|| is_cut.then(|| (node.wire(), Rtype::NS)))
        else {
            return false;
        };
        let is_glue = referenced.get(node.number() as usize).copied().unwrap_or_default();
        let is_used = |rtype: &Rtype| match *rtype {
            // Records of signed zones: those at a cut prove the delegation, and the others do no
            // harm.
            Rtype::RRSIG | Rtype::NSEC | Rtype::NSEC3 => true,
            Rtype::A | Rtype::AAAA => is_glue && occluder_type == Rtype::NS,
            Rtype::NS | Rtype::DS => !is_below,
            _ => false,
        };
        let first = node.types().find(|rtype| !is_used(rtype));
        if let (Some(rtype), Ok(name), Ok(occluder)) =
            (first, Name::from_wire(node.wire()), Name::from_wire(occluder))
        {
            let what =
                FindingKind::Occluded { occluder: occluder.clone(), occluder_type, names: 0 };
            occluded.add(occluder, ZoneFinding { owner: name, rtype, target: None, kind: what });
        }
        is_below
    }

    /// Checks the targets of an RRset.
    fn check_targets(&mut self, node: BuilderNode<'_>, rtype: Rtype) {
        for target in node.targets(rtype) {
            let Ok(target) = Name::from_wire(&target) else { continue };
            if let Some(what) = self.target_fault(node, rtype, &target) {
                self.push_finding(self.finding(node, Some((rtype, target)), what));
            }
        }
    }

    fn target_fault(
        &self,
        node: BuilderNode<'_>,
        rtype: Rtype,
        target: &Name,
    ) -> Option<FindingKind> {
        let apex = &self.zones.list[self.zone].apex;
        // The root as a mail exchange or SRV host means that there is none (RFC 7505, RFC 2782).
        if target.is_root() {
            return None;
        }
        let needs_address = matches!(rtype, Rtype::NS | Rtype::MX | Rtype::SRV);
        let is_host = needs_address || rtype == Rtype::CNAME;
        if let (true, Some(address)) = (is_host, hostname::as_address(target, apex))
            && !matches!(self.zones.address_status(self.service_names, target), AddressStatus::Answered if target.is_at_or_below(apex))
        {
            return Some(FindingKind::Address(address));
        }
        if let (true, Some(fault)) = (is_host, hostname::url_or_port(target, apex)) {
            return Some(FindingKind::UrlOrPort(fault));
        }
        if repeats_apex(target.as_wire(), apex)
            && self.zones.name_written_once(self.service_names, target).is_some()
        {
            return Some(FindingKind::RepeatedApex);
        }
        match rtype {
            Rtype::CNAME => {
                return self
                    .zones
                    .cname_loop(self.service_names, node, target)
                    .map(FindingKind::CnameLoop);
            }
            Rtype::DNAME => return self.zones.dname_loop(node).map(FindingKind::DnameLoop),
            _ => {}
        }
        if !needs_address {
            return None;
        }
        if rtype == Rtype::NS && target.label_count() == 1 && !target.is_at_or_below(apex) {
            return Some(FindingKind::SingleLabel);
        }
        let owner = Name::from_wire(node.wire()).ok()?;
        if rtype == Rtype::NS && node.number() != 0 && target.is_at_or_below(&owner) {
            let builder = &self.zones.list[self.zone].builder;
            let glue = builder.node(target.as_wire());
            let has_glue = glue.is_some_and(|glue| glue.has(Rtype::A) || glue.has(Rtype::AAAA));
            return (!has_glue).then_some(FindingKind::NoGlue);
        }
        if rtype == Rtype::NS && node.number() != 0 {
            return self.sibling_fault(&owner, target).or_else(|| self.no_address(target));
        }
        self.no_address(target)
    }

    fn no_address(&self, target: &Name) -> Option<FindingKind> {
        match self.zones.address_status(self.service_names, target) {
            AddressStatus::Answered => None,
            AddressStatus::NoAddress(missing) => Some(FindingKind::NoAddress(missing)),
        }
    }

    /// Finds a name server below another delegation whose servers resolvers cannot find without
    /// this one (RFC 9471 section 2.2).
    fn sibling_fault(&self, owner: &Name, server: &Name) -> Option<FindingKind> {
        let builder = &self.zones.list[self.zone].builder;
        let is_ours = self.zones.innermost(server).is_some_and(|zone| zone.index() == self.zone);
        let other = self.zones.sibling_cut(self.zone, server).filter(|_| is_ours)?;
        // Missing glue is reported at the server's own delegation.
        let is_its_own = builder.node(other.as_wire()).is_some_and(|node| {
            node.targets(Rtype::NS)
                .any(|target| Name::from_wire(&target).is_ok_and(|target| target == *server))
        });
        let is_found =
            is_its_own || self.zones.is_reachable(self.zone, &other, &mut vec![owner.clone()]);
        (!is_found).then_some(FindingKind::SiblingCyclicGlue(other))
    }

    fn check_mapped(&mut self, node: BuilderNode<'_>) {
        let rrset = node.rrsets().find(|rrset| rrset.rtype == Rtype::AAAA);
        let is_mapped = |stored: &[u8]| stored.starts_with(b"\0\0\0\0\0\0\0\0\0\0\xff\xff");
        if rrset.is_some_and(|rrset| rrset.records().any(|record| is_mapped(record.stored_rdata())))
        {
            let finding = self.finding(node, None, FindingKind::Ipv4Mapped);
            self.push_finding(finding.map(|finding| ZoneFinding { rtype: Rtype::AAAA, ..finding }));
        }
    }

    /// Finds a URL or a port in the name of a host. Returns whether there is none.
    fn check_owner(&mut self, node: BuilderNode<'_>) -> bool {
        let apex = &self.zones.list[self.zone].apex;
        if !node.wire().contains(&b':') {
            return true;
        }
        let fault =
            Name::from_wire(node.wire()).ok().and_then(|owner| hostname::url_or_port(&owner, apex));
        if let (Some(fault), Some(rtype)) = (fault, node.types().find(|rtype| is_of_host(*rtype))) {
            let finding = self.finding(node, None, FindingKind::UrlOrPort(fault));
            self.push_finding(finding.map(|finding| ZoneFinding { rtype, ..finding }));
            return false;
        }
        true
    }

    /// Finds NS records of a wildcard, and DS records without a delegation.
    fn check_delegation(&mut self, node: BuilderNode<'_>) {
        let has_ns = node.has(Rtype::NS);
        if has_ns && node.wire().starts_with(b"\x01*") {
            let finding = self.finding(node, None, FindingKind::WildcardNs);
            self.push_finding(finding.map(|finding| ZoneFinding { rtype: Rtype::NS, ..finding }));
        }
        if node.has(Rtype::DS) && (node.number() == 0 || !has_ns) {
            let finding = self.finding(node, None, FindingKind::DsWithoutDelegation);
            self.push_finding(finding.map(|finding| ZoneFinding { rtype: Rtype::DS, ..finding }));
        }
    }

    /// Finds host names with octets that no resolver sends. Names of services may have any octet
    /// (RFC 6763 section 4.1).
    fn check_letters(&mut self, node: BuilderNode<'_>) {
        if node.wire().is_ascii() {
            return;
        }
        if let (Some(labels), Some(rtype)) =
            (a_labels::a_labels_of_wire(node.wire()), node.types().find(|rtype| is_of_host(*rtype)))
        {
            let finding = self.finding(node, None, FindingKind::NonAsciiOwner(labels));
            self.push_finding(finding.map(|finding| ZoneFinding { rtype, ..finding }));
        }
    }
}

/// The occluded records, by the name that occludes them.
#[derive(Default)]
struct OccludedNames {
    list: Vec<(Name, ZoneFinding)>,
    index: hashbrown::HashMap<Name, usize>,
}

impl OccludedNames {
    fn add(&mut self, occluder: Name, finding: ZoneFinding) {
        let index = *self.index.entry(occluder.clone()).or_insert_with(|| {
            self.list.push((occluder, finding));
            self.list.len() - 1
        });
        if let FindingKind::Occluded { names, .. } = &mut self.list[index].1.kind {
            *names += 1;
        }
    }
}

/// Whether records of a type are usual at host names.
fn is_of_host(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::A | Rtype::AAAA | Rtype::CNAME | Rtype::MX | Rtype::NS)
}
