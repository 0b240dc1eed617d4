//! The holder of a `failover` pool: the member that clients stay with after a member before it has
//! become usable again.

use std::time::Duration;

use crate::steer::model::Failback;

/// The holder, and since when each member has been usable without interruption.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Holder {
    member: Option<u16>,
    usable_since: Vec<Option<Duration>>,
    /// Whether each member was ever usable. A member that is usable for the first time gets its
    /// clients at once: it did not lose them, so no failback has to wait.
    was_usable: Vec<bool>,
}

impl Holder {
    /// The state of a pool with `members` members, none of which has been usable yet.
    pub(super) fn new(members: usize) -> Self {
        Self { member: None, usable_since: vec![None; members], was_usable: vec![false; members] }
    }

    /// A pool of `members` members whose clients were held by `member` in the previous run.
    pub(super) fn restored(members: usize, member: u16) -> Self {
        let member = Some(member).filter(|&member| usize::from(member) < members);
        Self { member, was_usable: vec![true; members], ..Self::new(members) }
    }

    /// The same state for `members` members after a reload; `new_position` maps the old position of
    /// a member to its new one, if it still exists.
    pub(super) fn remapped(
        &self,
        members: usize,
        new_position: impl Fn(u16) -> Option<usize>,
    ) -> Self {
        let mut remapped = Self::new(members);
        remapped.member = self.member.and_then(&new_position).map(|member| member as u16);
        for (old_member, (since, was_usable)) in
            (0_u16..).zip(self.usable_since.iter().zip(&self.was_usable))
        {
            if let Some(member) = new_position(old_member) {
                (remapped.usable_since[member], remapped.was_usable[member]) =
                    (*since, *was_usable);
            }
        }
        remapped
    }

    /// Records which members are usable at `now`, and moves the clients if the holder failed or a
    /// member before it has waited long enough.
    pub(super) fn update(&mut self, usable: &[bool], failback: Failback, now: Duration) {
        for (since, &is_usable) in self.usable_since.iter_mut().zip(usable) {
            *since = if is_usable { since.or(Some(now)) } else { None };
        }
        let first = usable.iter().position(|&is_usable| is_usable).map(|member| member as u16);
        let is_held =
            self.member.is_some_and(|member| usable.get(usize::from(member)) == Some(&true));
        match (self.member, first) {
            // While no member is usable the holder stays; the first that recovers replaces it.
            (_, None) => {}
            (Some(holder), Some(first)) if is_held && first < holder => {
                let must_wait = |member: usize, since: &Option<Duration>| match failback {
                    _ if !self.was_usable[member] => false,
                    Failback::Auto => false,
                    Failback::After(time) => {
                        since.is_none_or(|since| now.saturating_sub(since) < time)
                    }
                    Failback::Manual => true,
                };
                let ready = self.usable_since[..usize::from(holder)]
                    .iter()
                    .zip(usable)
                    .enumerate()
                    .position(|(member, (since, &is_usable))| {
                        is_usable && !must_wait(member, since)
                    });
                self.member = Some(ready.map_or(holder, |member| member as u16));
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

    /// Whether each member was ever usable.
    pub(super) fn was_usable(&self) -> &[bool] {
        &self.was_usable
    }

    /// Moves the clients to the first usable member, on an operator's command.
    pub(super) fn fail_back(&mut self) {
        let first = self.usable_since.iter().position(Option::is_some);
        self.member = first.map(|member| member as u16).or(self.member);
    }

    /// The holder if a member before it is usable. Otherwise `None`: the configured order leads to
    /// the holder by itself.
    pub(super) fn non_preferred_member(&self) -> Option<u16> {
        let holder = self.member?;
        self.usable_since[..usize::from(holder)].iter().any(Option::is_some).then_some(holder)
    }

    /// When a member before the holder will have been usable for long enough; `None` if no time is
    /// configured or none of them is usable.
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
    fn clients_return_as_the_failback_setting_says() {
        // (second, usable members) -> holder.
        let events: [(u32, &[bool], &str); 5] = [
            (0, &[true, true, true], "all are usable"),
            (10, &[false, true, true], "the first fails"),
            (20, &[true, true, true], "the first is usable again"),
            (60, &[true, true, true], "the first has been usable for 40 s"),
            (70, &[true, false, true], "the holder fails"),
        ];
        for (failback, expected) in [
            (Failback::Auto, [0, 1, 0, 0, 0]),
            (Failback::After(30 * SECOND), [0, 1, 1, 0, 0]),
            (Failback::After(300 * SECOND), [0, 1, 1, 1, 0]),
            (Failback::Manual, [0, 1, 1, 1, 0]),
        ] {
            let mut holder = Holder::new(3);
            for ((second, usable, why), expected) in events.into_iter().zip(expected) {
                holder.update(usable, failback, second * SECOND);
                assert_eq!(holder.member, Some(expected), "{failback:?}: {why}");
            }
        }
    }

    #[test]
    fn an_interruption_restarts_the_waiting_time() {
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
    fn a_member_usable_for_the_first_time_gets_its_clients_at_once() {
        let mut holder = Holder::new(2);
        holder.update(&[false, true], Failback::Manual, SECOND);
        holder.update(&[true, true], Failback::Manual, 2 * SECOND);
        assert_eq!(holder.non_preferred_member(), None);
    }

    #[test]
    fn an_added_member_does_not_change_the_holder() {
        let mut holder = Holder::new(2);
        for usable in [[true, true], [false, true], [true, true]] {
            holder.update(&usable, Failback::Manual, SECOND);
        }
        // A third member is inserted as the first.
        let mut remapped = holder.remapped(3, |old| Some(usize::from(old) + 1));
        remapped.update(&[false, true, true], Failback::Manual, 2 * SECOND);
        assert_eq!(remapped.non_preferred_member(), Some(2));
    }

    #[test]
    fn an_operator_ends_the_hold() {
        let mut holder = Holder::restored(2, 1);
        holder.update(&[true, true], Failback::Manual, SECOND);
        assert_eq!(holder.non_preferred_member(), Some(1));
        holder.fail_back();
        assert_eq!((holder.member, holder.non_preferred_member()), (Some(0), None));
    }

    #[test]
    fn the_first_member_that_recovers_from_an_outage_of_all_holds_the_clients() {
        let mut holder = Holder::new(2);
        for usable in [[true, true], [false, false], [false, true], [true, true]] {
            holder.update(&usable, Failback::Manual, SECOND);
        }
        assert_eq!(holder.non_preferred_member(), Some(1));
    }
}
