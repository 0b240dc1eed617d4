//! What is known of addresses before any database is asked: which named prefixes contain them, and
//! whether they are special-purpose or carry IPv4. Laid over the databases' networks when an atlas
//! is surveyed.

use hashbrown::HashMap;
use ipnet::IpNet;

use super::{
    address::{Address, Carriage, as_looked_up},
    special,
};

/// What addresses of a stretch have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Class {
    /// Positions of the named prefixes that contain it, longest first.
    pub(super) named: Vec<u32>,
    /// Special-purpose.
    pub(super) is_special: bool,
    /// Looked up as the IPv4 address it carries.
    pub(super) is_carried: bool,
}

/// Consecutive stretches that cover a whole space.
#[derive(Debug)]
pub(super) struct Overlay<K> {
    /// Last address and class.
    pub(super) stretches: Vec<(K, u32)>,
}

/// The distinct classes; the first is that of nearly all addresses: nothing named, nothing special.
#[derive(Debug)]
pub(super) struct Classes {
    list: Vec<Class>,
    known: HashMap<Class, u32>,
}

#[derive(Debug, Clone, Copy)]
enum Mark {
    Named(u32),
    Special,
    Carried,
}

impl Classes {
    pub(super) fn new() -> Self {
        let list = vec![Class::default()];
        Self { known: [(Class::default(), 0)].into_iter().collect(), list }
    }

    fn intern(&mut self, class: Class) -> u32 {
        let next = self.list.len() as u32;
        *self.known.entry(class).or_insert_with_key(|class| {
            self.list.push(class.clone());
            next
        })
    }

    pub(super) fn into_list(self) -> Vec<Class> {
        self.list
    }
}

impl<K: Address> Overlay<K> {
    /// Of the prefixes of this family among `named`.
    pub(super) fn new(named: &[IpNet], classes: &mut Classes) -> Self {
        let mut prefixes: Vec<(K, u8, Mark)> = marks(named)
            .filter_map(|(prefix, mark)| {
                K::of_prefix(&prefix).map(|(first, length)| (first, length, mark))
            })
            .collect();
        // Wider before narrower where both start: each then opens inside those that are open
        // already.
        prefixes.sort_by_key(|&(first, length, _)| (first, length));
        let mut sweep =
            Sweep { open: Vec::new(), stretches: Vec::new(), next: Some(K::MIN), classes };
        for (first, length, mark) in prefixes {
            sweep.close_below(Some(first));
            sweep.reach(first.preceding());
            sweep.open.push((first.last_of(length), mark));
        }
        sweep.close_below(None);
        sweep.reach(Some(K::MAX));
        Self { stretches: sweep.stretches }
    }

    /// The class of an address.
    pub(super) fn class_at(&self, address: K) -> u32 {
        let stretch = self.stretches.partition_point(|&(last, _)| last < address);
        self.stretches[stretch].1
    }
}

fn marks(named: &[IpNet]) -> impl Iterator<Item = (IpNet, Mark)> {
    // Backwards, so that of equal prefixes the first is innermost.
    let named = named.iter().enumerate().rev();
    let named = named
        .map(|(position, prefix)| (as_looked_up(prefix.trunc()), Mark::Named(position as u32)));
    let special = special::blocks().map(|block| (block, Mark::Special));
    let carried = Carriage::ALL.into_iter().map(|carriage| {
        let (first, length) = carriage.block();
        (first.prefix(length), Mark::Carried)
    });
    named.chain(special).chain(carried)
}

/// Prefixes nest or are apart, so the open ones are a stack.
struct Sweep<'a, K> {
    open: Vec<(K, Mark)>,
    stretches: Vec<(K, u32)>,
    /// The first address that no stretch covers yet.
    next: Option<K>,
    classes: &'a mut Classes,
}

impl<K: Address> Sweep<'_, K> {
    /// Closes the prefixes that end before `first`; all, without one.
    fn close_below(&mut self, first: Option<K>) {
        while let Some(&(last, _)) = self.open.last()
            && first.is_none_or(|first| last < first)
        {
            self.reach(Some(last));
            self.open.pop();
        }
    }

    /// Covers everything up to `last` with what is open.
    fn reach(&mut self, last: Option<K>) {
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

    fn class(&self) -> Class {
        let mut class = Class::default();
        for (_, mark) in self.open.iter().rev() {
            match *mark {
                Mark::Named(position) => class.named.push(position),
                Mark::Special => class.is_special = true,
                Mark::Carried => class.is_carried = true,
            }
        }
        if class.is_carried { Class { is_carried: true, ..Class::default() } } else { class }
    }
}
