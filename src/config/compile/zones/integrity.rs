//! What the names of the zones say of each other: targets without an address, hidden records, CNAME
//! circles.
//!
//! Everything here is a warning: the zones are served as they are. Wildcards, services and
//! delegations count as answers, and what lies in no zone of ours is never judged. The records are
//! read where the builder has them, in one pass; only where something was found are master files
//! read again, for its lines (`locate`).

use std::net::IpAddr;

use hashbrown::HashSet;

use super::{super::fit::MOST_RECORDS, Zones, locate, locate::Written, wording};
use crate::{
    config::{diagnostics::Diagnostic, hostname, problems::Problems, sources::Sources},
    dns::{Name, Rtype},
    steer::{Kind, Service},
    zone::{DraftedNode, ZoneBuilder},
};

/// How many findings of one zone are reported, each with its place; the rest is counted.
const SHOWN: usize = 100;
/// How many CNAMEs are followed, as resolvers do about as many.
pub(super) const LONGEST_CHAIN: usize = 32;

/// Something in a zone that cannot be meant.
pub(super) struct Finding {
    pub(super) owner: Name,
    pub(super) rtype: Rtype,
    /// The name in the record that it is about.
    pub(super) target: Option<Name>,
    pub(super) what: What,
}

pub(super) enum What {
    /// A name server, mail exchange or SRV host has no address.
    NoAddress(Lack),
    /// A name server below its own delegation has no address here.
    NoGlue,
    /// A name server's name is one label.
    SingleLabel,
    /// The target is an address.
    Address(IpAddr),
    /// Only servers of another delegation know the name server's address, and they cannot be found
    /// without this one.
    GlueInCircle(Name),
    /// A target, or an owner, ends in the zone's name twice.
    Doubled,
    /// A URL or a port stands in the owner or the target.
    Stray(hostname::Stray),
    /// An IPv4 address in IPv6 form.
    Mapped,
    /// Records that are never answered, below that name, and how many names there are.
    Hidden { by: Name, by_type: Rtype, names: usize },
    /// More records of one type than resolvers accept.
    Many { records: u16 },
    /// NS records of a wildcard, which delegate nothing (RFC 4592 section 4.2).
    WildcardServers,
    /// A DS record at the apex, or at a name that is not delegated.
    LoneDs,
    /// A chain of CNAMEs and DNAMEs that comes back to its start.
    Circle(Vec<Name>),
    /// DNAMEs that lead names back below the first of them.
    Endless(Vec<Name>),
    /// The octets of the owner are text that resolvers ask for as these A-labels.
    Unicode(String),
}

/// Why a name has no address.
#[derive(Clone, Copy)]
pub(super) enum Lack {
    Missing,
    Empty,
    Alias,
    /// A service that answers a CNAME.
    ServiceAlias,
    Redirected,
}

/// How a name is answered.
enum Standing {
    /// It has an address, or what has one is not ours to say.
    Fine,
    Lacks(Lack),
}

/// What services add to the names of the zones.
pub(in crate::config::compile) struct Served {
    /// Services that answer addresses.
    holders: HashSet<Name>,
    /// Those of them that may answer a CNAME instead.
    aliases: HashSet<Name>,
    /// The names of all services, and those above them: they exist.
    existing: HashSet<Name>,
}

impl Served {
    pub(in crate::config::compile) fn new(
        services: &[Service],
        may_answer_cname: impl Fn(&&Service) -> bool,
    ) -> Self {
        let answers = |service: &&Service| !matches!(service.kind, Kind::Srv);
        let names: Vec<&Name> = services.iter().map(|service| &service.name).collect();
        Self {
            aliases: services
                .iter()
                .filter(may_answer_cname)
                .map(|service| service.name.clone())
                .collect(),
            holders: services.iter().filter(answers).map(|service| service.name.clone()).collect(),
            existing: super::with_ancestors(&names),
        }
    }
}

impl Zones {
    /// Warns of everything that is found in the static records.
    pub(in crate::config::compile) fn warn(
        &self,
        sources: &Sources,
        served: &Served,
        written: &Written<'_>,
        problems: &mut Problems,
    ) {
        for number in 0..self.list.len() {
            let mut pass = Pass { zones: self, served, number, findings: Vec::new(), more: 0 };
            pass.run();
            let (findings, more) = (pass.findings, pass.more);
            let places = locate::places(sources, self, number, written, &findings);
            for (finding, located) in findings.iter().zip(&places) {
                self.report(number, finding, *located, problems);
            }
            if let (Some(last), true) = (places.last(), more > 0) {
                problems
                    .warning(
                        last.place,
                        format!(
                            "zone {} has {more} more faults like these",
                            self.list[number].apex
                        ),
                    )
                    .help("they are reported once those above are fixed");
            }
        }
    }

    /// Lays out every record, so that the builders can be asked for them.
    pub(in crate::config::compile) fn settle(&mut self) {
        self.list.iter_mut().for_each(|zone| zone.builder.settle());
    }

    fn report(
        &self,
        zone: usize,
        finding: &Finding,
        located: locate::Located,
        problems: &mut Problems,
    ) {
        // The reader of the table has reported it.
        let is_reported = |finding: &Finding| match finding.what {
            What::Address(_) | What::Mapped | What::Stray(_) => true,
            What::SingleLabel => {
                finding.target.as_ref().is_some_and(|target| !hostname::is_plain(target))
            }
            _ => false,
        };
        if located.is_of_table && is_reported(finding) {
            return;
        }
        let (message, help) = wording::of(finding, &self.list[zone].apex, located.is_of_table);
        let diagnostic: &mut Diagnostic = problems.warning(located.place, message);
        diagnostic.help(help);
        if let (What::Hidden { by_type, .. }, Some(barrier)) = (&finding.what, located.barrier) {
            diagnostic.also(barrier, format!("the {by_type}"));
        }
    }

    /// Where a record of this zone that hides others is written.
    pub(super) fn barrier_of(finding: &Finding) -> Option<(&Name, Rtype)> {
        match &finding.what {
            What::Hidden { by, by_type, .. } => Some((by, *by_type)),
            _ => None,
        }
    }

    /// The records that answer a name: its own, or those of the wildcard that covers it.
    fn answering(&self, served: &Served, name: &Name) -> Answering<'_> {
        let Some(zone) = self.innermost(name) else { return Answering::Elsewhere };
        let builder = &self.list[zone.index()].builder;
        if let Some((_, taken)) = barrier_above(builder, name.as_wire()) {
            return if taken == Rtype::DNAME {
                Answering::Redirected
            } else {
                Answering::Elsewhere
            };
        }
        let own = builder.node(name.as_wire());
        let is_cut = own.is_some_and(|node| node.has(Rtype::NS)) && name != builder.apex();
        if is_cut {
            return Answering::Elsewhere;
        }
        if own.is_some() || served.existing.contains(name) {
            return Answering::By { source: name.clone(), node: own };
        }
        let mut at = name.parent();
        while let Some(encloser) = at {
            if builder.node(encloser.as_wire()).is_some() || served.existing.contains(&encloser) {
                let Ok(source) = encloser.child(b"*") else { return Answering::Missing };
                let node = builder.node(source.as_wire());
                let is_there = node.is_some() || served.existing.contains(&source);
                return if is_there { Answering::By { source, node } } else { Answering::Missing };
            }
            at = encloser.parent();
        }
        Answering::Missing
    }

    fn standing(&self, served: &Served, name: &Name) -> Standing {
        match self.answering(served, name) {
            Answering::Elsewhere => Standing::Fine,
            Answering::Redirected => Standing::Lacks(Lack::Redirected),
            Answering::Missing => Standing::Lacks(Lack::Missing),
            Answering::By { source, node } => {
                let has = |rtype| node.is_some_and(|node| node.has(rtype));
                if served.aliases.contains(&source) {
                    Standing::Lacks(Lack::ServiceAlias)
                } else if has(Rtype::A) || has(Rtype::AAAA) || served.holders.contains(&source) {
                    Standing::Fine
                } else if has(Rtype::CNAME) {
                    Standing::Lacks(Lack::Alias)
                } else {
                    Standing::Lacks(Lack::Empty)
                }
            }
        }
    }

    /// What is wrong with a host that an SRV record of a table names, and how to fix it.
    pub(in crate::config::compile) fn host_fault(
        &self,
        served: &Served,
        host: &Name,
    ) -> Option<(String, String)> {
        match self.standing(served, host) {
            Standing::Fine => None,
            Standing::Lacks(lack) => Some(wording::of_host(host, lack)),
        }
    }

    /// What a name was meant to be that ends in its zone's name twice, and does not exist by
    /// itself.
    pub(in crate::config::compile) fn doubled(&self, served: &Served, name: &Name) -> Option<Name> {
        let apex = &self.list[self.innermost(name)?.index()].apex;
        let is_meant = match self.answering(served, name) {
            Answering::By { source, .. } => source == *name,
            Answering::Elsewhere | Answering::Redirected => true,
            Answering::Missing => false,
        };
        (is_doubled(name.as_wire(), apex) && !is_meant).then(|| written_once(name, apex))
    }

    /// The CNAME that a name is answered with from static records: the name that holds it, and its
    /// target.
    pub(in crate::config::compile) fn cname_of(
        &self,
        served: &Served,
        name: &Name,
    ) -> Option<(Name, Name)> {
        let Answering::By { source, node: Some(node) } = self.answering(served, name) else {
            return None;
        };
        let target = node.targets(Rtype::CNAME).next()?;
        Some((source, Name::from_wire(&target).ok()?))
    }

    /// The name whose records or service answer `name`.
    pub(in crate::config::compile) fn source_of(
        &self,
        served: &Served,
        name: &Name,
    ) -> Option<Name> {
        match self.answering(served, name) {
            Answering::By { source, .. } => Some(source),
            Answering::Elsewhere | Answering::Redirected | Answering::Missing => None,
        }
    }
}

enum Answering<'z> {
    Elsewhere,
    Redirected,
    Missing,
    By { source: Name, node: Option<DraftedNode<'z>> },
}

/// The topmost cut or DNAME above a name of the zone, all in wire form.
pub(super) fn barrier_above<'n>(
    builder: &ZoneBuilder,
    name: &'n [u8],
) -> Option<(&'n [u8], Rtype)> {
    let apex = builder.apex().as_wire();
    let (mut found, mut at) = (None, name);
    while at.len() > apex.len() {
        at = &at[1 + usize::from(at[0])..];
        let Some(node) = builder.node(at) else { continue };
        let is_cut = at.len() > apex.len() && node.has(Rtype::NS);
        let rtype =
            if is_cut { Some(Rtype::NS) } else { node.has(Rtype::DNAME).then_some(Rtype::DNAME) };
        found = rtype.map(|rtype| (at, rtype)).or(found);
    }
    found
}

/// The pass over one zone.
struct Pass<'z> {
    zones: &'z Zones,
    served: &'z Served,
    number: usize,
    findings: Vec<Finding>,
    more: usize,
}

impl Pass<'_> {
    fn run(&mut self) {
        let builder = &self.zones.list[self.number].builder;
        let apex = builder.apex();
        let hides = |node: DraftedNode<'_>| {
            node.has(Rtype::DNAME) || node.number() != 0 && node.has(Rtype::NS)
        };
        let referenced = if builder.nodes().any(hides) { Some(self.referenced()) } else { None };
        let mut hidden = Hidden::default();
        let mut doubled: Option<Finding> = None;
        for node in builder.nodes() {
            if let Some(referenced) = &referenced
                && self.hide(node, referenced, &mut hidden)
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
                && is_doubled(node.wire(), apex)
                && node.types().next().is_some()
                && doubled.is_none()
            {
                doubled = self.finding(node, None, What::Doubled);
            }
            self.check_letters(node);
            self.check_delegation(node);
        }
        let hidden = hidden.list.into_iter().map(|(_, finding)| finding);
        for finding in hidden.chain(doubled) {
            self.note(Some(finding));
        }
    }

    fn check_count(&mut self, node: DraftedNode<'_>, rtype: Rtype, records: u16) {
        if u64::from(records) > MOST_RECORDS {
            let finding = self.finding(node, None, What::Many { records });
            self.note(finding.map(|finding| Finding { rtype, ..finding }));
        }
    }

    fn finding(
        &self,
        node: DraftedNode<'_>,
        about: Option<(Rtype, Name)>,
        what: What,
    ) -> Option<Finding> {
        let owner = Name::from_wire(node.wire()).ok()?;
        let (rtype, target) = match about {
            Some((rtype, target)) => (rtype, Some(target)),
            None => (node.types().next()?, None),
        };
        Some(Finding { owner, rtype, target, what })
    }

    fn note(&mut self, finding: Option<Finding>) {
        if self.findings.len() < SHOWN {
            self.findings.extend(finding)
        } else {
            self.more += usize::from(finding.is_some())
        }
    }

    /// By node: whether an NS, MX or SRV record of the zone leads to it. Addresses of such names
    /// below a cut are glue.
    fn referenced(&self) -> Vec<bool> {
        let builder = &self.zones.list[self.number].builder;
        let mut referenced = Vec::new();
        for node in builder.nodes() {
            for rtype in [Rtype::NS, Rtype::MX, Rtype::SRV] {
                for number in node
                    .targets(rtype)
                    .filter_map(|target| builder.node(&target))
                    .map(DraftedNode::number)
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

    /// Notes records that are never answered because a name above, or a cut at the name itself,
    /// hands them out. Whether a name above does.
    fn hide(&self, node: DraftedNode<'_>, referenced: &[bool], hidden: &mut Hidden) -> bool {
        let above = barrier_above(&self.zones.list[self.number].builder, node.wire());
        let is_below = above.is_some();
        let is_cut = node.number() != 0 && node.has(Rtype::NS);
        let Some((by, by_type)) = above.or_else(|| is_cut.then(|| (node.wire(), Rtype::NS))) else {
            return false;
        };
        let is_glue = referenced.get(node.number() as usize).copied().unwrap_or_default();
        let is_used = |rtype: &Rtype| match *rtype {
            // Of signed zones: those at a cut are its proof, and others are of no use to anybody.
            Rtype::RRSIG | Rtype::NSEC | Rtype::NSEC3 => true,
            Rtype::A | Rtype::AAAA => is_glue && by_type == Rtype::NS,
            Rtype::NS | Rtype::DS => !is_below,
            _ => false,
        };
        let first = node.types().find(|rtype| !is_used(rtype));
        if let (Some(rtype), Ok(name), Ok(by)) =
            (first, Name::from_wire(node.wire()), Name::from_wire(by))
        {
            let what = What::Hidden { by: by.clone(), by_type, names: 0 };
            hidden.add(by, Finding { owner: name, rtype, target: None, what });
        }
        is_below
    }

    /// Checks where the records of an RRset lead.
    fn check_targets(&mut self, node: DraftedNode<'_>, rtype: Rtype) {
        for target in node.targets(rtype) {
            let Ok(target) = Name::from_wire(&target) else { continue };
            if let Some(what) = self.fault(node, rtype, &target) {
                self.note(self.finding(node, Some((rtype, target)), what));
            }
        }
    }

    fn fault(&self, node: DraftedNode<'_>, rtype: Rtype, target: &Name) -> Option<What> {
        let apex = &self.zones.list[self.number].apex;
        // The root as a mail exchange or SRV host says that there is none (RFC 7505, RFC 2782).
        if target.is_root() {
            return None;
        }
        let needs_address = matches!(rtype, Rtype::NS | Rtype::MX | Rtype::SRV);
        let is_host = needs_address || rtype == Rtype::CNAME;
        if let (true, Some(address)) = (is_host, hostname::as_address(target, apex))
            && !matches!(self.zones.standing(self.served, target), Standing::Fine if target.is_at_or_below(apex))
        {
            return Some(What::Address(address));
        }
        if let (true, Some(stray)) = (is_host, hostname::stray(target, apex)) {
            return Some(What::Stray(stray));
        }
        if is_doubled(target.as_wire(), apex) && self.zones.doubled(self.served, target).is_some() {
            return Some(What::Doubled);
        }
        match rtype {
            Rtype::CNAME => {
                return self.zones.cname_circle(self.served, node, target).map(What::Circle);
            }
            Rtype::DNAME => return self.zones.dname_circle(node).map(What::Endless),
            _ => {}
        }
        if !needs_address {
            return None;
        }
        if rtype == Rtype::NS && target.label_count() == 1 && !target.is_at_or_below(apex) {
            return Some(What::SingleLabel);
        }
        let owner = Name::from_wire(node.wire()).ok()?;
        if rtype == Rtype::NS && node.number() != 0 && target.is_at_or_below(&owner) {
            let builder = &self.zones.list[self.number].builder;
            let glue = builder.node(target.as_wire());
            let has_glue = glue.is_some_and(|glue| glue.has(Rtype::A) || glue.has(Rtype::AAAA));
            return (!has_glue).then_some(What::NoGlue);
        }
        if rtype == Rtype::NS && node.number() != 0 {
            return self.sibling_fault(&owner, target).or_else(|| self.no_address(target));
        }
        self.no_address(target)
    }

    fn no_address(&self, target: &Name) -> Option<What> {
        match self.zones.standing(self.served, target) {
            Standing::Fine => None,
            Standing::Lacks(lack) => Some(What::NoAddress(lack)),
        }
    }

    /// A name server below another delegation, whose servers resolvers cannot find without asking
    /// this one (RFC 9471 section 2.2).
    fn sibling_fault(&self, owner: &Name, server: &Name) -> Option<What> {
        let builder = &self.zones.list[self.number].builder;
        let is_ours = self.zones.innermost(server).is_some_and(|zone| zone.index() == self.number);
        let other = self.zones.sibling_cut(self.number, server).filter(|_| is_ours)?;
        // That it lacks glue is reported at its own delegation.
        let is_its_own = builder.node(other.as_wire()).is_some_and(|node| {
            node.targets(Rtype::NS)
                .any(|target| Name::from_wire(&target).is_ok_and(|target| target == *server))
        });
        let is_found =
            is_its_own || self.zones.is_reachable(self.number, &other, &mut vec![owner.clone()]);
        (!is_found).then_some(What::GlueInCircle(other))
    }

    fn check_mapped(&mut self, node: DraftedNode<'_>) {
        let rrset = node.rrsets().find(|rrset| rrset.rtype == Rtype::AAAA);
        let is_mapped = |stored: &[u8]| stored.starts_with(b"\0\0\0\0\0\0\0\0\0\0\xff\xff");
        if rrset.is_some_and(|rrset| rrset.records().any(|record| is_mapped(record.stored()))) {
            let finding = self.finding(node, None, What::Mapped);
            self.note(finding.map(|finding| Finding { rtype: Rtype::AAAA, ..finding }));
        }
    }

    /// Notes a URL or a port in the name of a host. Whether there is none.
    fn check_owner(&mut self, node: DraftedNode<'_>) -> bool {
        let apex = &self.zones.list[self.number].apex;
        if !node.wire().contains(&b':') {
            return true;
        }
        let stray =
            Name::from_wire(node.wire()).ok().and_then(|owner| hostname::stray(&owner, apex));
        if let (Some(stray), Some(rtype)) = (stray, node.types().find(|rtype| is_of_host(*rtype))) {
            let finding = self.finding(node, None, What::Stray(stray));
            self.note(finding.map(|finding| Finding { rtype, ..finding }));
            return false;
        }
        true
    }

    /// What stands where no delegation is.
    fn check_delegation(&mut self, node: DraftedNode<'_>) {
        let has_ns = node.has(Rtype::NS);
        if has_ns && node.wire().starts_with(b"\x01*") {
            let finding = self.finding(node, None, What::WildcardServers);
            self.note(finding.map(|finding| Finding { rtype: Rtype::NS, ..finding }));
        }
        if node.has(Rtype::DS) && (node.number() == 0 || !has_ns) {
            let finding = self.finding(node, None, What::LoneDs);
            self.note(finding.map(|finding| Finding { rtype: Rtype::DS, ..finding }));
        }
    }

    /// Names of hosts with octets that no resolver asks for. Names of services may have any (RFC
    /// 6763 section 4.1).
    fn check_letters(&mut self, node: DraftedNode<'_>) {
        if node.wire().is_ascii() {
            return;
        }
        if let (Some(labels), Some(rtype)) =
            (hostname::a_labels(node.wire()), node.types().find(|rtype| is_of_host(*rtype)))
        {
            let finding = self.finding(node, None, What::Unicode(labels));
            self.note(finding.map(|finding| Finding { rtype, ..finding }));
        }
    }
}

/// What is hidden, by the name that hides it.
#[derive(Default)]
struct Hidden {
    list: Vec<(Name, Finding)>,
    at: hashbrown::HashMap<Name, usize>,
}

impl Hidden {
    fn add(&mut self, by: Name, finding: Finding) {
        let at = *self.at.entry(by.clone()).or_insert_with(|| {
            self.list.push((by, finding));
            self.list.len() - 1
        });
        if let What::Hidden { names, .. } = &mut self.list[at].1.what {
            *names += 1;
        }
    }
}

/// Whether records of a type are asked for at names of hosts.
fn is_of_host(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::A | Rtype::AAAA | Rtype::CNAME | Rtype::MX | Rtype::NS)
}

/// A name without the second of the apexes that it ends in.
pub(super) fn written_once(name: &Name, apex: &Name) -> Name {
    let wire = name.as_wire();
    let front = [&wire[..wire.len() - apex.as_wire().len()], &[0]].concat();
    Name::from_wire(&front).unwrap_or_else(|_| name.clone())
}

/// Whether a name ends in the apex twice. Below a top-level domain such names are real ones:
/// `com.com`.
fn is_doubled(wire: &[u8], apex: &Name) -> bool {
    let apex = apex.as_wire();
    let labels = &apex[..apex.len() - 1];
    let is_single = labels.first().is_none_or(|&length| usize::from(length) + 1 == labels.len());
    let Some(front) = wire.strip_suffix(apex) else { return false };
    !is_single && front.ends_with(labels)
}
