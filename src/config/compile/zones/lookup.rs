//! How a name is answered: by its own records, by a wildcard, by a service, or by servers elsewhere.

use super::{
    compiled_zones::CompiledZones,
    finding::{MissingAddress, repeats_apex, written_once},
    service_names::ServiceNames,
};
use crate::{
    dns::{Name, Rtype},
    zone::{BuilderNode, ZoneBuilder},
};

pub(super) enum NameLookup<'z> {
    Elsewhere,
    Redirected,
    Missing,
    AnsweredBy { source: Name, node: Option<BuilderNode<'z>> },
}

/// How a name is answered.
pub(super) enum AddressStatus {
    /// It has an address, or what has one is not ours to say.
    Answered,
    NoAddress(MissingAddress),
}

/// The topmost cut or DNAME above a name of the zone, all in wire form.
pub(super) fn occluding_above<'n>(
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

impl CompiledZones {
    /// The records that answer a name: its own, or those of the wildcard that covers it.
    pub(super) fn lookup(&self, served: &ServiceNames, name: &Name) -> NameLookup<'_> {
        let Some(zone) = self.innermost(name) else { return NameLookup::Elsewhere };
        let builder = &self.list[zone.index()].builder;
        if let Some((_, taken)) = occluding_above(builder, name.as_wire()) {
            return if taken == Rtype::DNAME {
                NameLookup::Redirected
            } else {
                NameLookup::Elsewhere
            };
        }
        let own = builder.node(name.as_wire());
        let is_cut = own.is_some_and(|node| node.has(Rtype::NS)) && name != builder.apex();
        if is_cut {
            return NameLookup::Elsewhere;
        }
        if own.is_some() || served.existing.contains(name) {
            return NameLookup::AnsweredBy { source: name.clone(), node: own };
        }
        let mut at = name.parent();
        while let Some(encloser) = at {
            if builder.node(encloser.as_wire()).is_some() || served.existing.contains(&encloser) {
                let Ok(source) = encloser.child(b"*") else { return NameLookup::Missing };
                let node = builder.node(source.as_wire());
                let is_there = node.is_some() || served.existing.contains(&source);
                return if is_there {
                    NameLookup::AnsweredBy { source, node }
                } else {
                    NameLookup::Missing
                };
            }
            at = encloser.parent();
        }
        NameLookup::Missing
    }

    pub(super) fn address_status(&self, served: &ServiceNames, name: &Name) -> AddressStatus {
        match self.lookup(served, name) {
            NameLookup::Elsewhere => AddressStatus::Answered,
            NameLookup::Redirected => AddressStatus::NoAddress(MissingAddress::Redirected),
            NameLookup::Missing => AddressStatus::NoAddress(MissingAddress::Missing),
            NameLookup::AnsweredBy { source, node } => {
                let has = |rtype| node.is_some_and(|node| node.has(rtype));
                if served.with_cname.contains(&source) {
                    AddressStatus::NoAddress(MissingAddress::ServiceAlias)
                } else if has(Rtype::A)
                    || has(Rtype::AAAA)
                    || served.with_addresses.contains(&source)
                {
                    AddressStatus::Answered
                } else if has(Rtype::CNAME) {
                    AddressStatus::NoAddress(MissingAddress::Alias)
                } else {
                    AddressStatus::NoAddress(MissingAddress::Empty)
                }
            }
        }
    }

    /// What a name was meant to be that ends in its zone's name twice, and does not exist by
    /// itself.
    pub(in crate::config::compile) fn name_written_once(
        &self,
        served: &ServiceNames,
        name: &Name,
    ) -> Option<Name> {
        let apex = &self.list[self.innermost(name)?.index()].apex;
        let is_meant = match self.lookup(served, name) {
            NameLookup::AnsweredBy { source, .. } => source == *name,
            NameLookup::Elsewhere | NameLookup::Redirected => true,
            NameLookup::Missing => false,
        };
        (repeats_apex(name.as_wire(), apex) && !is_meant).then(|| written_once(name, apex))
    }

    /// The CNAME that a name is answered with from static records: the name that holds it, and its
    /// target.
    pub(in crate::config::compile) fn cname_of(
        &self,
        served: &ServiceNames,
        name: &Name,
    ) -> Option<(Name, Name)> {
        let NameLookup::AnsweredBy { source, node: Some(node) } = self.lookup(served, name) else {
            return None;
        };
        let target = node.targets(Rtype::CNAME).next()?;
        Some((source, Name::from_wire(&target).ok()?))
    }

    /// The name whose records or service answer `name`.
    pub(in crate::config::compile) fn answering_owner(
        &self,
        served: &ServiceNames,
        name: &Name,
    ) -> Option<Name> {
        match self.lookup(served, name) {
            NameLookup::AnsweredBy { source, .. } => Some(source),
            NameLookup::Elsewhere | NameLookup::Redirected | NameLookup::Missing => None,
        }
    }
}
