//! The `policy` of a pool, and keys that only pools of one policy have.

use crate::config::{place::Placed, problems::Problems, reader::ValueReader};

/// The name of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum PolicyName {
    Weighted,
    Failover,
    Nearest,
    Geo,
    All,
    Load,
}

pub(super) fn report_wrong_policy(item: ValueReader<'_>, policy: &str, problems: &mut Problems) {
    problems
        .error(
            item.place,
            format!("{} has `{}`, and its policy is not {policy}", item.subject, item.key),
        )
        .help(match policy {
            "geo" => {
                "write policy = \"geo\", or `members` in place of `rules` and `default`".to_owned()
            }
            _ => format!("write policy = \"{policy}\", or omit `{}`", item.key),
        });
}

/// Reads the key `policy` of a pool or service.
pub(super) fn read(item: ValueReader<'_>, problems: &mut Problems) -> Option<Placed<PolicyName>> {
    let words = [
        ("weighted", PolicyName::Weighted),
        ("failover", PolicyName::Failover),
        ("nearest", PolicyName::Nearest),
        ("geo", PolicyName::Geo),
        ("all", PolicyName::All),
        ("load", PolicyName::Load),
    ];
    item.keyword(&words, problems).map(|word| Placed::new(word, item.place))
}
