//! Unchecked targets and load sources in words: how many, why, the consequence and the remedy.
//! Every report uses these texts.

use super::status::UncheckedStatus;
use crate::probe::NoResult;

impl UncheckedStatus {
    /// Whether more than half are unchecked. For health checks, the server is not ready then.
    pub fn is_mostly_unchecked(&self) -> bool {
        self.unchecked * 2 > self.all
    }

    /// The concern that targets are unchecked, if any are.
    pub fn targets_concern(&self) -> Option<String> {
        let effect = match self.is_mostly_unchecked() {
            true => {
                "these targets keep their last status, so a failed one stays in the answers, and this server is not ready"
            }
            false => "these targets keep their last status, so a failed one stays in the answers",
        };
        self.text("failed targets are not detected", "targets", "health checks", effect)
    }

    /// The concern that load sources are unchecked, if any are.
    pub fn loads_concern(&self) -> Option<String> {
        let effect = "their pools keep the shares of old reports, then use configured weights";
        self.text("load reports cannot be fetched", "load sources", "polls", effect)
    }

    fn text(&self, fault: &str, subjects: &str, checks: &str, effect: &str) -> Option<String> {
        if self.unchecked == 0 {
            return None;
        }
        let present = NoResult::ALL
            .into_iter()
            .filter_map(|reason| Some((reason, self.reasons.get(reason.label())?)));
        let reasons: Vec<String> = present
            .clone()
            .map(|(reason, count)| format!("{}: {count}", reason_text(reason)))
            .collect();
        let remedies: Vec<&str> = present.map(|(reason, _)| remedy(reason)).collect();
        let Self { unchecked, all, .. } = self;
        Some(format!(
            "{fault}: the last two or more {checks} of {unchecked} of {all} {subjects} gave no result ({}): {effect}; {}",
            reasons.join("; "),
            remedies.join("; ")
        ))
    }
}

/// A reason why checks gave no result. No target is unchecked because of [`NoResult::Monitor`] or
/// [`NoResult::Alias`]: those two reasons have concerns of their own, and never reach these texts.
fn reason_text(reason: NoResult) -> &'static str {
    match reason {
        NoResult::Descriptors => "no file descriptors",
        NoResult::Ports => "no local ports",
        NoResult::Memory => "no memory",
        NoResult::Processes => "no processes",
        NoResult::Starved => "short of CPU or suspended",
        NoResult::Late => "not started in time",
        NoResult::Internal => "internal errors",
        NoResult::Monitor => "monitor cannot work",
        NoResult::Alias => "alias not resolved",
    }
}

fn remedy(reason: NoResult) -> &'static str {
    match reason {
        NoResult::Descriptors => {
            "raise the limit of open files (`LimitNOFILE=` of the systemd unit, `ulimit -Hn`) or stop the processes that hold them"
        }
        NoResult::Ports => "widen net.ipv4.ip_local_port_range or lengthen the intervals",
        NoResult::Memory => "free memory, or raise the memory limit of this service",
        NoResult::Processes => "raise the limit of processes (`TasksMax=` of the systemd unit)",
        NoResult::Starved => "find what keeps this server from running, or give it more CPU",
        NoResult::Late => {
            "give this server more CPU, raise its limit of open files, or lengthen the intervals"
        }
        NoResult::Internal => "report the error in the log as a bug",
        NoResult::Monitor | NoResult::Alias => "see the log",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn status(all: u64, reasons: &[(NoResult, u64)]) -> UncheckedStatus {
        let reasons: BTreeMap<_, _> =
            reasons.iter().map(|(reason, count)| (reason.label().to_owned(), *count)).collect();
        UncheckedStatus {
            all,
            unchecked: reasons.values().sum(),
            reasons,
            ..UncheckedStatus::default()
        }
    }

    #[test]
    fn a_server_is_not_ready_with_more_than_half_of_its_targets_unchecked_and_the_concern_has_a_remedy()
     {
        for (all, unchecked, is_mostly_unchecked) in
            [(0, 0, false), (1, 1, true), (2, 1, false), (3, 2, true), (20, 10, false)]
        {
            assert_eq!(
                status(all, &[(NoResult::Late, unchecked)]).is_mostly_unchecked(),
                is_mostly_unchecked,
                "{unchecked} of {all}"
            );
        }
        let text = status(20, &[(NoResult::Descriptors, 9), (NoResult::Starved, 3)])
            .targets_concern()
            .unwrap();
        assert_eq!(
            text,
            "failed targets are not detected: the last two or more health checks of 12 of 20 targets gave no result \
             (no file descriptors: 9; \
             short of CPU or suspended: 3): these targets keep their last status, so a failed one stays in the answers, and this server is not ready; \
             raise the limit of open files (`LimitNOFILE=` of the systemd unit, `ulimit -Hn`) or stop the processes that hold them; \
             find what keeps this server from running, or give it more CPU"
        );
        assert!(
            !status(20, &[(NoResult::Starved, 3)]).targets_concern().unwrap().contains("not ready")
        );
        assert!(
            status(3, &[(NoResult::Ports, 1)])
                .loads_concern()
                .unwrap()
                .contains("1 of 3 load sources")
        );
        assert_eq!(status(20, &[]).targets_concern(), None);
    }
}
