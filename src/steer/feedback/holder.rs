//! The holder of a `failover` pool: the member that clients stay with when one before it is usable
//! again.

use std::time::Duration;

use crate::steer::model::Failback;

/// Who holds a pool's clients, and since when each member has been usable without a break.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Holder {
    member: Option<u16>,
    usable_since: Vec<Option<Duration>>,
    /// Whether each was ever usable: who comes for the first time does not come back.
    was_usable: Vec<bool>,
}

impl Holder {
    /// Nobody yet, of so many members.
    pub(super) fn new(members: usize) -> Self {
        Self { member: None, usable_since: vec![None; members], was_usable: vec![false; members] }
    }

    /// As it was in an earlier life.
    pub(super) fn restored(members: usize, member: u16) -> Self {
        let member = Some(member).filter(|&member| usize::from(member) < members);
        Self { member, was_usable: vec![true; members], ..Self::new(members) }
    }

    /// The same over other members; `now_at` says where each of the old ones is, if it is there
    /// still.
    pub(super) fn remapped(&self, members: usize, now_at: impl Fn(u16) -> Option<usize>) -> Self {
        let mut moved = Self::new(members);
        moved.member = self.member.and_then(&now_at).map(|at| at as u16);
        for (old, (since, was_usable)) in
            (0_u16..).zip(self.usable_since.iter().zip(&self.was_usable))
        {
            if let Some(at) = now_at(old) {
                (moved.usable_since[at], moved.was_usable[at]) = (*since, *was_usable);
            }
        }
        moved
    }

    /// Takes note of who is usable at `now`.
    pub(super) fn update(&mut self, usable: &[bool], failback: Failback, now: Duration) {
        for (since, &is_usable) in self.usable_since.iter_mut().zip(usable) {
            *since = if is_usable { since.or(Some(now)) } else { None };
        }
        let first = usable.iter().position(|&is_usable| is_usable).map(|at| at as u16);
        let is_held =
            self.member.is_some_and(|member| usable.get(usize::from(member)) == Some(&true));
        match (self.member, first) {
            // Where nobody is usable the pool comes to nothing, and whoever recovers first will
            // hold it.
            (_, None) => {}
            (Some(holder), Some(first)) if is_held && first < holder => {
                let waits = |at: usize, since: &Option<Duration>| match failback {
                    _ if !self.was_usable[at] => false,
                    Failback::Auto => false,
                    Failback::After(time) => {
                        since.is_none_or(|since| now.saturating_sub(since) < time)
                    }
                    Failback::Manual => true,
                };
                let proven = self.usable_since[..usize::from(holder)]
                    .iter()
                    .zip(usable)
                    .enumerate()
                    .position(|(at, (since, &is_usable))| is_usable && !waits(at, since));
                self.member = Some(proven.map_or(holder, |at| at as u16));
            }
            (Some(_), Some(_)) if is_held => {}
            (_, first) => self.member = first,
        }
        self.was_usable.iter_mut().zip(usable).for_each(|(was, &is)| *was |= is);
    }

    /// The member that holds the clients; `None` before any member was usable.
    pub(super) fn member(&self) -> Option<u16> {
        self.member
    }

    /// Of each member, whether it was ever usable.
    pub(super) fn was_usable(&self) -> &[bool] {
        &self.was_usable
    }

    /// Gives the clients to the first usable member: an operator's word.
    pub(super) fn fail_back(&mut self) {
        self.member =
            self.usable_since.iter().position(Option::is_some).map(|at| at as u16).or(self.member);
    }

    /// The holder, where a member before it is usable; else the order written says it all.
    pub(super) fn non_preferred_member(&self) -> Option<u16> {
        let holder = self.member?;
        self.usable_since[..usize::from(holder)].iter().any(Option::is_some).then_some(holder)
    }

    /// When a member before the holder will have been usable for long enough.
    pub(super) fn next_due(&self, failback: Failback) -> Option<Duration> {
        let Failback::After(time) = failback else { return None };
        let before = &self.usable_since[..usize::from(self.member?)];
        before.iter().flatten().map(|since| *since + time).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn clients_go_back_as_the_pool_says() {
        // (second, usable members) -> holder.
        let story: [(u32, &[bool], &str); 5] = [
            (0, &[true, true, true], "all are usable"),
            (10, &[false, true, true], "the first fails"),
            (20, &[true, true, true], "the first is back"),
            (60, &[true, true, true], "the first is proven after 40 s"),
            (70, &[true, false, true], "the holder fails"),
        ];
        for (failback, holders) in [
            (Failback::Auto, [0, 1, 0, 0, 0]),
            (Failback::After(30 * SECOND), [0, 1, 1, 0, 0]),
            (Failback::After(300 * SECOND), [0, 1, 1, 1, 0]),
            (Failback::Manual, [0, 1, 1, 1, 0]),
        ] {
            let mut holder = Holder::new(3);
            for ((second, usable, why), wanted) in story.into_iter().zip(holders) {
                holder.update(usable, failback, second * SECOND);
                assert_eq!(holder.member, Some(wanted), "{failback:?}: {why}");
            }
        }
    }

    #[test]
    fn a_break_starts_the_time_anew() {
        let mut holder = Holder::new(2);
        let failback = Failback::After(30 * SECOND);
        for (second, first) in
            [(0, true), (1, false), (10, true), (35, false), (36, true), (60, true)]
        {
            holder.update(&[first, true], failback, second * SECOND);
        }
        assert_eq!(holder.member, Some(1));
        assert_eq!(holder.next_due(failback), Some(66 * SECOND));
        holder.update(&[true, true], failback, 66 * SECOND);
        assert_eq!((holder.member, holder.non_preferred_member()), (Some(0), None));
    }

    #[test]
    fn who_comes_for_the_first_time_does_not_come_back() {
        let mut holder = Holder::new(2);
        holder.update(&[false, true], Failback::Manual, SECOND);
        holder.update(&[true, true], Failback::Manual, 2 * SECOND);
        assert_eq!(holder.non_preferred_member(), None);
    }

    #[test]
    fn other_members_do_not_change_who_holds() {
        let mut holder = Holder::new(2);
        for usable in [[true, true], [false, true], [true, true]] {
            holder.update(&usable, Failback::Manual, SECOND);
        }
        // A third one is put first.
        let mut moved = holder.remapped(3, |old| Some(usize::from(old) + 1));
        moved.update(&[false, true, true], Failback::Manual, 2 * SECOND);
        assert_eq!(moved.non_preferred_member(), Some(2));
    }

    #[test]
    fn an_operator_gives_the_clients_back() {
        let mut holder = Holder::restored(2, 1);
        holder.update(&[true, true], Failback::Manual, SECOND);
        assert_eq!(holder.non_preferred_member(), Some(1));
        holder.fail_back();
        assert_eq!((holder.member, holder.non_preferred_member()), (Some(0), None));
    }

    #[test]
    fn when_nobody_is_usable_whoever_recovers_first_holds() {
        let mut holder = Holder::new(2);
        for usable in [[true, true], [false, false], [false, true], [true, true]] {
            holder.update(&usable, Failback::Manual, SECOND);
        }
        assert_eq!(holder.non_preferred_member(), Some(1));
    }
}
