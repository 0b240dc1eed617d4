//! The file of overrides in the state directory: a JSON object with a `version`.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::steer::{
    Fraction, HealthOverride, Override, OverrideSet, OverrideSubject, OverrideValue, SafetyRule,
    ServingState,
};

const VERSION: u32 = 1;

/// The overrides of a previous run.
#[derive(Debug, Default)]
pub(in crate::control) struct StoredOverrideSet {
    /// The overrides that are left.
    pub set: OverrideSet,
    /// Why some of them may be lost; `None` if none is.
    pub fault: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct OverrideFile {
    version: u32,
    overrides: Vec<OverrideSpec>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct OverrideSpec {
    subject: SubjectSpec,
    value: ValueSpec,
    author: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    reason: Option<String>,
    set: i64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    starts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    ends: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    over_secs: Option<u64>,
    /// The share that is kept while the drain is paused, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    hold: Option<f64>,
    /// The names of the safety rules that its author went around.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    accepted: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SubjectSpec {
    Region(String),
    Datacenter(String),
    Pool(String),
    /// A pool and a member.
    Member(String, String),
    /// A service and a member.
    ServiceMember(String, String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ValueSpec {
    Active,
    Standby,
    Draining,
    Disabled,
    Returning,
    ForcedUp,
    ForcedDown,
    Weight(u16),
}

/// Why the file is not used.
#[derive(Debug)]
pub(in crate::control) enum OverrideFileError {
    /// The file is not the JSON document that it should be.
    Malformed(serde_json::Error),
    /// Another version of the program wrote the file.
    Version(u32),
}

impl fmt::Display for OverrideFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => error.fmt(f),
            Self::Version(found) => {
                write!(f, "it has version {found}; this program reads version {VERSION}")
            }
        }
    }
}

impl std::error::Error for OverrideFileError {}

/// The overrides of a file.
///
/// # Errors
/// The file is damaged, or of another version.
pub(in crate::control) fn decode(octets: &[u8]) -> Result<OverrideSet, OverrideFileError> {
    #[derive(Deserialize)]
    struct OverrideFileHeader {
        version: u32,
    }
    let malformed = OverrideFileError::Malformed;
    let header: OverrideFileHeader = serde_json::from_slice(octets).map_err(malformed)?;
    if header.version != VERSION {
        return Err(OverrideFileError::Version(header.version));
    }
    let file: OverrideFile = serde_json::from_slice(octets).map_err(malformed)?;
    Ok(file.overrides.into_iter().map(from_spec).collect())
}

/// The file of these overrides.
pub(in crate::control) fn encode(set: &OverrideSet) -> Vec<u8> {
    let overrides = set.iter().map(|one| to_spec(one)).collect();
    // Text keys and finite numbers always have a form.
    serde_json::to_vec_pretty(&OverrideFile { version: VERSION, overrides }).unwrap_or_default()
}

fn to_spec(one: &Override) -> OverrideSpec {
    let text = |text: &str| text.to_owned();
    OverrideSpec {
        subject: match &one.subject {
            OverrideSubject::Region(name) => SubjectSpec::Region(text(name)),
            OverrideSubject::Datacenter(name) => SubjectSpec::Datacenter(text(name)),
            OverrideSubject::Pool(name) => SubjectSpec::Pool(text(name)),
            OverrideSubject::Member { pool, member } => {
                SubjectSpec::Member(text(pool), text(member))
            }
            OverrideSubject::ServiceMember { service, member } => {
                SubjectSpec::ServiceMember(text(service), text(member))
            }
        },
        value: match one.value {
            OverrideValue::State(ServingState::Active) => ValueSpec::Active,
            OverrideValue::State(ServingState::Standby) => ValueSpec::Standby,
            OverrideValue::State(ServingState::Draining) => ValueSpec::Draining,
            OverrideValue::State(ServingState::Disabled) => ValueSpec::Disabled,
            OverrideValue::Return => ValueSpec::Returning,
            OverrideValue::Force(HealthOverride::Up) => ValueSpec::ForcedUp,
            OverrideValue::Force(HealthOverride::Down) => ValueSpec::ForcedDown,
            OverrideValue::Weight(weight) => ValueSpec::Weight(weight),
        },
        author: text(&one.author),
        peer: one.peer.as_deref().map(text),
        reason: one.reason.as_deref().map(text),
        set: one.set_at,
        starts: one.starts,
        ends: one.ends,
        over_secs: one.over.map(|over| over.as_secs()),
        hold: one.hold.map(Fraction::share),
        accepted: one.accepted.iter().map(|rule| rule.as_str().to_owned()).collect(),
    }
}

fn from_spec(spec: OverrideSpec) -> Override {
    Override {
        subject: match spec.subject {
            SubjectSpec::Region(name) => OverrideSubject::Region(name.into()),
            SubjectSpec::Datacenter(name) => OverrideSubject::Datacenter(name.into()),
            SubjectSpec::Pool(name) => OverrideSubject::Pool(name.into()),
            SubjectSpec::Member(pool, member) => {
                OverrideSubject::Member { pool: pool.into(), member: member.into() }
            }
            SubjectSpec::ServiceMember(service, member) => {
                OverrideSubject::ServiceMember { service: service.into(), member: member.into() }
            }
        },
        value: match spec.value {
            ValueSpec::Active => OverrideValue::State(ServingState::Active),
            ValueSpec::Standby => OverrideValue::State(ServingState::Standby),
            ValueSpec::Draining => OverrideValue::State(ServingState::Draining),
            ValueSpec::Disabled => OverrideValue::State(ServingState::Disabled),
            ValueSpec::Returning => OverrideValue::Return,
            ValueSpec::ForcedUp => OverrideValue::Force(HealthOverride::Up),
            ValueSpec::ForcedDown => OverrideValue::Force(HealthOverride::Down),
            ValueSpec::Weight(weight) => OverrideValue::Weight(weight),
        },
        author: spec.author.into(),
        peer: spec.peer.map(Into::into),
        reason: spec.reason.map(Into::into),
        set_at: spec.set,
        starts: spec.starts,
        ends: spec.ends,
        over: spec.over_secs.map(Duration::from_secs),
        hold: spec.hold.map(Fraction::from_share),
        accepted: spec.accepted.iter().filter_map(|name| SafetyRule::from_word(name)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_of_every_kind_are_read_back_as_they_were_saved() {
        let member = || OverrideSubject::Member { pool: "web".into(), member: "a".into() };
        let inline = OverrideSubject::ServiceMember {
            service: "www.example.com".into(),
            member: "2001:db8::1".into(),
        };
        let states = [ServingState::Active, ServingState::Standby, ServingState::Disabled];
        let mut values: Vec<(OverrideSubject, OverrideValue)> = states
            .map(|state| {
                (OverrideSubject::Datacenter(state.as_str().into()), OverrideValue::State(state))
            })
            .into();
        values.extend([
            (OverrideSubject::Region("eu".into()), OverrideValue::State(ServingState::Draining)),
            (OverrideSubject::Pool("web".into()), OverrideValue::Return),
            (member(), OverrideValue::Force(HealthOverride::Up)),
            (inline, OverrideValue::Force(HealthOverride::Down)),
            (member(), OverrideValue::Weight(65_535)),
        ]);
        let one = |(subject, value): (OverrideSubject, OverrideValue)| Override {
            subject,
            value,
            author: "anna".into(),
            peer: Some("192.0.2.1:1234".into()),
            reason: Some("\"why\"".into()),
            set_at: 1_800_000_000,
            starts: Some(1_800_000_060),
            ends: Some(1_800_003_600),
            over: Some(Duration::from_secs(90)),
            hold: Some(Fraction::from_share(0.3)),
            accepted: vec![SafetyRule::MaxMoved],
        };
        let count = values.len();
        let set: OverrideSet = values.into_iter().map(one).collect();
        assert_eq!((set.len(), decode(&encode(&set)).unwrap()), (count, set));
    }

    #[test]
    fn a_damaged_file_and_one_of_another_version_are_refused() {
        for octets in [
            &b"{\"version\":1,\"overr"[..],
            b"",
            b"{\"version\":2,\"overrides\":[]}",
            b"{\"version\":1,\"overrides\":[{}]}",
        ] {
            assert!(decode(octets).is_err());
        }
    }
}
