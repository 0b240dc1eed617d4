//! What is known of addresses before any database is asked: which named prefixes contain them, and
//! whether they are special-purpose or carry IPv4. Laid over the databases' networks when an atlas
//! is surveyed.

use hashbrown::HashMap;
use ipnet::IpNet;

use super::{
    address::{Address, Ipv4Embedding, as_lookup_prefix},
    special_purpose,
};

/// What addresses of a stretch have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct PrefixClass {
    /// Positions of the named prefixes that contain it, longest first.
    pub(super) named: Vec<u32>,
    /// Special-purpose.
    pub(super) is_special: bool,
    /// Looked up as the IPv4 address it carries.
    pub(super) is_embedded_ipv4: bool,
}

/// Consecutive stretches that cover a whole space.
#[derive(Debug)]
pub(super) struct Overlay<K> {
    /// Last address and class.
    pub(super) stretches: Vec<(K, u32)>,
}

/// The distinct classes; the first is that of nearly all addresses: nothing named, nothing special.
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
    /// Of the prefixes of this family among `named`.
    pub(super) fn new(named: &[IpNet], classes: &mut PrefixClasses) -> Self {
        let mut prefixes: Vec<(K, u8, PrefixKind)> = marked_prefixes(named)
            .filter_map(|(prefix, mark)| {
                K::of_prefix(&prefix).map(|(first, length)| (first, length, mark))
            })
            .collect();
        // Wider before narrower where both start: each then opens inside those that are open
        // already.
        prefixes.sort_by_key(|&(first, length, _)| (first, length));
        let mut sweep =
            OverlaySweep { open: Vec::new(), stretches: Vec::new(), next: Some(K::MIN), classes };
        for (first, length, mark) in prefixes {
            sweep.close_below(Some(first));
            sweep.cover_up_to(first.preceding());
            sweep.open.push((first.last_of(length), mark));
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
    // Backwards, so that of equal prefixes the first is innermost.
    let named = named.iter().enumerate().rev();
    let named = named.map(|(position, prefix)| {
        (as_lookup_prefix(prefix.trunc()), PrefixKind::Named(position as u32))
    });
    let special = special_purpose::blocks().map(|block| (block, PrefixKind::Special));
    let carried = Ipv4Embedding::ALL.into_iter().map(|carriage| {
        let (first, length) = carriage.block();
        (first.prefix(length), PrefixKind::EmbeddedIpv4)
    });
    named.chain(special).chain(carried)
}

/// Prefixes nest or are apart, so the open ones are a stack.
struct OverlaySweep<'a, K> {
    open: Vec<(K, PrefixKind)>,
    stretches: Vec<(K, u32)>,
    /// The first address that no stretch covers yet.
    next: Option<K>,
    classes: &'a mut PrefixClasses,
}

impl<K: Address> OverlaySweep<'_, K> {
    /// Closes the prefixes that end before `first`; all, without one.
    fn close_below(&mut self, first: Option<K>) {
        while let Some(&(last, _)) = self.open.last()
            && first.is_none_or(|first| last < first)
        {
            self.cover_up_to(Some(last));
            self.open.pop();
        }
    }

    /// Covers everything up to `last` with what is open.
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
        for (_, mark) in self.open.iter().rev() {
            match *mark {
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
