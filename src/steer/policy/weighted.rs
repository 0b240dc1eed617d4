//! `weighted` and `load`: shares among the usable members, by weight as configured or as load
//! reports make it.

use super::{Ballot, Selection};

pub(super) fn select(ballot: &mut Ballot<'_>) -> Selection {
    let sharing = ballot.sharing();
    let groups = if sharing.is_empty() { Vec::new() } else { vec![sharing] };
    Selection { groups, is_ranked: false, deliberate: false }
}
