//! The shares of `load` pools as reports show them: members that are not answered have none.

/// The shares of a `load` pool, divided among the members that are answered; equal shares if none
/// of those has one.
pub(super) fn shares_in_use(shares: &[f64], is_answered: &[bool]) -> Vec<f64> {
    let kept = |(share, is_answered): (&f64, &bool)| if *is_answered { *share } else { 0.0 };
    let in_use: Vec<f64> = shares.iter().zip(is_answered).map(kept).collect();
    let sum: f64 = in_use.iter().sum();
    let count = is_answered.iter().filter(|is_answered| **is_answered).count();
    match (sum > 0.0, count) {
        (true, _) => in_use.iter().map(|share| share / sum).collect(),
        (false, 0) => vec![0.0; in_use.len()],
        (false, _) => {
            let even = |is_answered: &bool| if *is_answered { 1.0 / count as f64 } else { 0.0 };
            is_answered.iter().take(in_use.len()).map(even).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_member_has_no_share_and_the_others_have_all() {
        assert_eq!(shares_in_use(&[0.5, 0.25, 0.25], &[false, true, true]), [0.0, 0.5, 0.5]);
        assert_eq!(shares_in_use(&[0.5, 0.25, 0.25], &[false, false, true]), [0.0, 0.0, 1.0]);
        assert_eq!(shares_in_use(&[0.5, 0.5], &[false, false]), [0.0, 0.0], "none is answered");
        assert_eq!(
            shares_in_use(&[1.0, 0.0, 0.0], &[false, true, true]),
            [0.0, 0.5, 0.5],
            "no load was known"
        );
    }
}
