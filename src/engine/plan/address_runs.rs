//! Runs of addresses as numbers, and two atlases walked side by side.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::client_family::ClientFamily;
use crate::geo::{Atlas, Run};

/// Consecutive addresses of one area.
#[derive(Debug, Clone, Copy)]
pub(super) struct AddressRun {
    pub(super) first: u128,
    pub(super) last: u128,
    pub(super) area: u32,
    pub(super) is_special: bool,
}

/// Consecutive addresses of one area in each of two atlases.
#[derive(Debug, Clone, Copy)]
pub(super) struct JointRun {
    pub(super) first: u128,
    pub(super) last: u128,
    /// The areas in the first and in the second atlas.
    pub(super) areas: (u32, u32),
    /// Whether the second atlas has the addresses in a special-purpose area.
    pub(super) is_special: bool,
}

/// The runs of one family in two atlases, in address order.
pub(super) fn joint_runs<'a>(
    first: &'a Atlas,
    second: &'a Atlas,
    clients: ClientFamily,
) -> impl Iterator<Item = JointRun> + 'a {
    let is_same = std::ptr::eq(first, second);
    let mut others = runs_of(first, clients);
    let mut other = others.next();
    let mut bases = runs_of(second, clients);
    let mut rest: Option<AddressRun> = None;
    std::iter::from_fn(move || {
        let base = rest.take().or_else(|| bases.next())?;
        let joint = |last, area| JointRun {
            first: base.first,
            last,
            areas: (area, base.area),
            is_special: base.is_special,
        };
        if is_same {
            return Some(joint(base.last, base.area));
        }
        while other.is_some_and(|run| run.last < base.first) {
            other = others.next();
        }
        let (last, area) =
            other.map_or((base.last, base.area), |run| (base.last.min(run.last), run.area));
        if last < base.last {
            rest = Some(AddressRun { first: last + 1, ..base });
        }
        Some(joint(last, area))
    })
}

fn runs_of(atlas: &Atlas, clients: ClientFamily) -> impl Iterator<Item = AddressRun> + '_ {
    let number = |address| match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    };
    let address_run = move |run: Run| AddressRun {
        first: number(run.first),
        last: number(run.last),
        area: run.area.0,
        is_special: run.is_special,
    };
    atlas.runs().filter(move |run| clients.holds(run)).map(address_run)
}

/// The address with this number.
pub(super) fn address(number: u128, clients: ClientFamily) -> IpAddr {
    match clients {
        ClientFamily::V4 => Ipv4Addr::from(number as u32).into(),
        ClientFamily::V6 => Ipv6Addr::from(number).into(),
    }
}
