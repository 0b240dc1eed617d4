//! The search tree of a MaxMind DB file, walked once in address order.
//!
//! The file may be damaged or malicious, so every step is checked: nodes and records are in range,
//! no path is longer than an address, and no more nodes are visited than the tree has. A valid tree
//! reaches each node once, so the last check ends the walk of a tree with cycles or shared
//! branches.

use super::address::Address;

/// The number of zero octets between the tree and the records.
const SEPARATOR: usize = 16;

/// A fault of a search tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeFault {
    /// A node points neither at a node nor at a record.
    Pointer {
        /// The pointer in the node.
        value: u32,
        /// The number of nodes in the tree.
        nodes: u32,
    },
    /// A path continues after the last bit of an address.
    Depth,
    /// A branch is reached more than once.
    Cycle,
    /// The octets between the tree and the records are not zero.
    Separator,
}

/// A search tree inside a file whose metadata has been checked against its size.
pub(super) struct SearchTree<'a> {
    nodes: &'a [u8],
    node_count: u32,
    record_bits: u16,
    /// The octets after the separator: the records, and the metadata that follows them. Decoding
    /// checks where a record ends.
    records_length: usize,
    visited: u32,
}

impl<'a> SearchTree<'a> {
    /// The tree of a file, with `node_count` nodes of two pointers of 24, 28 or 32 bits each.
    ///
    /// # Errors
    /// [`TreeFault::Separator`], if the tree and the separator do not agree with the metadata.
    pub(super) fn new(
        file: &'a [u8],
        node_count: u32,
        record_bits: u16,
    ) -> Result<Self, TreeFault> {
        let size = (node_count as usize) * usize::from(record_bits) / 4;
        let nodes = file.get(..size).ok_or(TreeFault::Separator)?;
        let separator = file.get(size..size + SEPARATOR).ok_or(TreeFault::Separator)?;
        if separator.iter().any(|&octet| octet != 0) {
            return Err(TreeFault::Separator);
        }
        let records_length = file.len() - size - SEPARATOR;
        Ok(Self { nodes, node_count, record_bits, records_length, visited: 0 })
    }

    /// The node at which the IPv4 space starts: the root, or in an IPv6 tree the node below 96 zero
    /// bits, or the pointer at which that path ends earlier.
    pub(super) fn ipv4_root(&self, is_ipv6: bool) -> u32 {
        let mut pointer = 0;
        for _ in 0..if is_ipv6 { 96 } else { 0 } {
            if pointer >= self.node_count {
                break;
            }
            pointer = self.children(pointer).0;
        }
        pointer
    }

    /// The two pointers of a node. With 28 bits, the middle octet has the top four bits of both,
    /// those of the left pointer first.
    #[inline]
    fn children(&self, node: u32) -> (u32, u32) {
        let node = node as usize;
        match self.record_bits {
            24 => match self.nodes.get(node * 6..node * 6 + 6) {
                Some(&[a, b, c, d, e, f]) => {
                    (u32::from_be_bytes([0, a, b, c]), u32::from_be_bytes([0, d, e, f]))
                }
                _ => (u32::MAX, u32::MAX),
            },
            28 => match self.nodes.get(node * 7..node * 7 + 7) {
                Some(&[a, b, c, mid, d, e, f]) => (
                    u32::from_be_bytes([mid >> 4, a, b, c]),
                    u32::from_be_bytes([mid & 15, d, e, f]),
                ),
                _ => (u32::MAX, u32::MAX),
            },
            _ => match self.nodes.get(node * 8..node * 8 + 8) {
                Some(&[a, b, c, d, e, f, g, h]) => {
                    (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
                }
                _ => (u32::MAX, u32::MAX),
            },
        }
    }

    /// Walks all networks below `root` in address order. `leaf` gets the first address, the prefix
    /// length and the offset of the record of each. A branch for which `is_skipped` returns true
    /// (by first address, length and node) is not entered, and is a network without a record.
    ///
    /// # Errors
    /// A [`TreeFault`], or the error of `leaf`.
    pub(super) fn walk<K: Address, E: From<TreeFault>>(
        &mut self,
        root: u32,
        is_skipped: impl Fn(K, u8, u32) -> bool,
        mut leaf: impl FnMut(K, u8, Option<u32>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut right_branches = Vec::with_capacity(usize::from(K::WIDTH));
        let (mut pointer, mut start, mut depth) = (root, K::MIN, 0u8);
        loop {
            if pointer < self.node_count && !is_skipped(start, depth, pointer) {
                self.visit(depth == K::WIDTH)?;
                let (left, right) = self.children(pointer);
                depth += 1;
                let half =
                    start.with_bits(K::host_bits(depth - 1).without_bits(K::host_bits(depth)));
                right_branches.push((right, half, depth));
                pointer = left;
                continue;
            }
            let record =
                if pointer <= self.node_count { None } else { Some(self.record_offset(pointer)?) };
            leaf(start, depth, record)?;
            match right_branches.pop() {
                Some(next) => (pointer, start, depth) = next,
                None => return Ok(()),
            }
        }
    }

    #[inline]
    fn visit(&mut self, is_past_the_last_bit: bool) -> Result<(), TreeFault> {
        if is_past_the_last_bit {
            return Err(TreeFault::Depth);
        }
        if self.visited == self.node_count {
            return Err(TreeFault::Cycle);
        }
        self.visited += 1;
        Ok(())
    }

    /// The offset of a record. Pointers above the node count are offsets from the start of the
    /// separator.
    #[inline]
    fn record_offset(&self, pointer: u32) -> Result<u32, TreeFault> {
        let offset = (pointer - self.node_count).checked_sub(SEPARATOR as u32);
        offset
            .filter(|&offset| (offset as usize) < self.records_length)
            .ok_or(TreeFault::Pointer { value: pointer, nodes: self.node_count })
    }
}
