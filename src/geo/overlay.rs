//! The overlay: the properties of addresses that do not depend on a database. Which named prefixes
//! contain them, and whether they are special-purpose or embed IPv4. A grid combines it with the
//! networks of the databases.

use hashbrown::HashMap;
use ipnet::IpNet;

use super::{
    address::{Address, Ipv4Embedding, as_lookup_prefix},
    special_purpose,
};

/// The properties that all addresses of a stretch have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct PrefixClass {
    /// The positions of the named prefixes that contain the stretch, longest first.
    pub(super) named: Vec<u32>,
    /// Whether the addresses are special-purpose.
    pub(super) is_special: bool,
    /// Whether the addresses are looked up as the IPv4 addresses that they embed.
    pub(super) is_embedded_ipv4: bool,
}

/// Consecutive stretches of addresses that cover a whole address space.
#[derive(Debug)]
pub(super) struct Overlay<K> {
    /// The last address and the class of each stretch.
    pub(super) stretches: Vec<(K, u32)>,
}

/// The distinct classes. Nearly all addresses have the first one, without any property.
#[derive(Debug)]
pub(super) struct PrefixClasses {
    list: Vec<PrefixClass>,
    numbers: HashMap<PrefixClass, u32>,
}

#[derive(Debug, Clone, Copy)]
enum PrefixKind {
    Named(u32),
    Special,
    EmbeddedIpv4,
}

impl PrefixClasses {
    pub(super) fn new() -> Self {
        let list = vec![PrefixClass::default()];
        Self { numbers: [(PrefixClass::default(), 0)].into_iter().collect(), list }
    }

    fn intern(&mut self, class: PrefixClass) -> u32 {
        let next = self.list.len() as u32;
        *self.numbers.entry(class).or_insert_with_key(|class| {
            self.list.push(class.clone());
            next
        })
    }

    pub(super) fn into_list(self) -> Vec<PrefixClass> {
        self.list
    }
}

impl<K: Address> Overlay<K> {
    /// The overlay of the prefixes of this family among `named`.
    pub(super) fn new(named: &[IpNet], classes: &mut PrefixClasses) -> Self {
        let mut prefixes: Vec<(K, u8, PrefixKind)> = marked_prefixes(named)
            .filter_map(|(prefix, kind)| {
                K::of_prefix(&prefix).map(|(first, length)| (first, length, kind))
            })
            .collect();
        // Of prefixes with the same start the wider comes first, so that each prefix opens inside
        // those that are open already.
        prefixes.sort_by_key(|&(first, length, _)| (first, length));
        let mut sweep =
            OverlaySweep { open: Vec::new(), stretches: Vec::new(), next: Some(K::MIN), classes };
        for (first, length, kind) in prefixes {
            sweep.close_below(Some(first));
            sweep.cover_up_to(first.preceding());
            sweep.open.push((first.last_of(length), kind));
        }
        sweep.close_below(None);
        sweep.cover_up_to(Some(K::MAX));
        Self { stretches: sweep.stretches }
    }

    /// The class of an address.
    pub(super) fn class_at(&self, address: K) -> u32 {
        let stretch = self.stretches.partition_point(|&(last, _)| last < address);
        self.stretches[stretch].1
    }
}

fn marked_prefixes(named: &[IpNet]) -> impl Iterator<Item = (IpNet, PrefixKind)> {
    // In reverse order, so that of equal prefixes the first is innermost.
    let named = named.iter().enumerate().rev();
    let named = named.map(|(position, prefix)| {
        (as_lookup_prefix(prefix.trunc()), PrefixKind::Named(position as u32))
    });
    let special = special_purpose::blocks().map(|block| (block, PrefixKind::Special));
    let embeddings = Ipv4Embedding::ALL.into_iter().map(|embedding| {
        let (first, length) = embedding.block();
        (first.prefix(length), PrefixKind::EmbeddedIpv4)
    });
    named.chain(special).chain(embeddings)
}

/// A sweep over the address space. Prefixes are nested or disjoint, so the open ones form a stack.
struct OverlaySweep<'a, K> {
    open: Vec<(K, PrefixKind)>,
    stretches: Vec<(K, u32)>,
    /// The first address that no stretch covers yet.
    next: Option<K>,
    classes: &'a mut PrefixClasses,
}

impl<K: Address> OverlaySweep<'_, K> {
    /// Closes the open prefixes that end before `first`, or all open prefixes if it is `None`.
    fn close_below(&mut self, first: Option<K>) {
        while let Some(&(last, _)) = self.open.last()
            && first.is_none_or(|first| last < first)
        {
            self.cover_up_to(Some(last));
            self.open.pop();
        }
    }

    /// Covers all addresses up to `last` with the class of the open prefixes.
    fn cover_up_to(&mut self, last: Option<K>) {
        let (Some(next), Some(last)) = (self.next, last) else { return };
        if last < next {
            return;
        }
        let class = self.classes.intern(self.class());
        match self.stretches.last_mut() {
            Some((end, same)) if *same == class => *end = last,
            _ => self.stretches.push((last, class)),
        }
        self.next = last.following();
    }

    fn class(&self) -> PrefixClass {
        let mut class = PrefixClass::default();
        for (_, kind) in self.open.iter().rev() {
            match *kind {
                PrefixKind::Named(position) => class.named.push(position),
                PrefixKind::Special => class.is_special = true,
                PrefixKind::EmbeddedIpv4 => class.is_embedded_ipv4 = true,
            }
        }
        if class.is_embedded_ipv4 {
            PrefixClass { is_embedded_ipv4: true, ..PrefixClass::default() }
        } else {
            class
        }
    }
}
