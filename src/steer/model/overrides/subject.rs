//! What an override can concern, by name: the names stay valid when the configuration changes.

use std::fmt;

/// The subject of an override. It need not exist in the configuration: an override of a datacenter
/// that is removed from the files applies again once the datacenter returns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum OverrideSubject {
    /// All datacenters of a region.
    Region(Box<str>),
    /// The datacenter of this name.
    Datacenter(Box<str>),
    /// Every endpoint of a pool, and of the pools below it.
    Pool(Box<str>),
    /// A member of a pool.
    Member {
        /// The name of the pool.
        pool: Box<str>,
        /// The name of the member.
        member: Box<str>,
    },
    /// A member that a service lists itself.
    ServiceMember {
        /// The name of the service.
        service: Box<str>,
        /// The name of the member.
        member: Box<str>,
    },
}

impl OverrideSubject {
    /// The kind of subject as documents name it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Region(_) => "region",
            Self::Datacenter(_) => "datacenter",
            Self::Pool(_) => "pool",
            Self::Member { .. } => "member",
            Self::ServiceMember { .. } => "service-member",
        }
    }

    /// The subjects that a text can mean, in the order in which they are looked for. A kind before
    /// a colon (`pool:eu`) excludes the others.
    pub fn candidates(text: &str) -> Vec<Self> {
        if let Some((service, member)) =
            text.strip_prefix("service:").and_then(|rest| rest.rsplit_once('/'))
        {
            return vec![Self::ServiceMember { service: service.into(), member: member.into() }];
        }
        let named = |kind: fn(Box<str>) -> Self, prefix: &str| {
            text.strip_prefix(prefix).map(|name| kind(name.into()))
        };
        if let Some((pool, member)) = text.rsplit_once('/') {
            let pool = pool.strip_prefix("pool:").unwrap_or(pool);
            return vec![Self::Member { pool: pool.into(), member: member.into() }];
        }
        let plain = [Self::Datacenter, Self::Region, Self::Pool].map(|kind| kind(text.into()));
        let prefixed = [
            named(Self::Datacenter, "datacenter:"),
            named(Self::Region, "region:"),
            named(Self::Pool, "pool:"),
        ];
        plain.into_iter().chain(prefixed.into_iter().flatten()).collect()
    }
}

impl fmt::Display for OverrideSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Datacenter(name) | Self::Region(name) | Self::Pool(name) => f.write_str(name),
            Self::Member { pool, member } => write!(f, "{pool}/{member}"),
            Self::ServiceMember { service, member } => write!(f, "service:{service}/{member}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_means_the_subjects_that_its_form_allows() {
        let words = |text: &str| {
            let candidates = OverrideSubject::candidates(text);
            let shown = candidates.iter().map(|subject| format!("{} {subject}", subject.as_str()));
            shown.collect::<Vec<_>>().join(", ")
        };
        for (text, expected) in [
            ("fra", "datacenter fra, region fra, pool fra"),
            ("pool:fra", "datacenter pool:fra, region pool:fra, pool pool:fra, pool fra"),
            ("web/a", "member web/a"),
            ("web/2001:db8::1", "member web/2001:db8::1"),
            ("service:www.example.com/a", "service-member service:www.example.com/a"),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }
}
