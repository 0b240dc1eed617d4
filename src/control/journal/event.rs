//! An event: one change that can alter answers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One change that can alter answers, as the code that makes the change describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// The kind of the change.
    pub kind: EventKind,
    /// The name of what changed: a datacenter, `MONITOR TARGET`, a pool, `POOL/MEMBER`, a file.
    pub subject: String,
    /// What an operator asked for: `drain`, `reload`; `None` if no operator did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub action: Option<String>,
    /// The state before the change; `None` if there was none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<String>,
    /// The state after the change; `None` if there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<String>,
    /// The operator who asked for the change; `None` if the server made it by itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub author: Option<EventAuthor>,
    /// Why the change was made: an operator's reason, the failure of a health check.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cause: Option<String>,
    /// The generation of the first snapshot with the change, if it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub generation: Option<u64>,
}

impl Event {
    /// An event of which only kind and subject are known.
    pub fn new(kind: EventKind, subject: impl Into<String>) -> Self {
        Self {
            kind,
            subject: subject.into(),
            action: None,
            before: None,
            after: None,
            author: None,
            cause: None,
            generation: None,
        }
    }

    /// The texts that may come from outside of the program.
    pub(super) fn texts_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let Self { subject, action, before, after, cause, author, .. } = self;
        let author = author.iter_mut().filter_map(|author| author.user.as_mut());
        let states = [action, before, after, cause].into_iter().flatten();
        std::iter::once(subject).chain(states).chain(author)
    }
}

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The server started or stopped.
    Server,
    /// A configuration was applied or refused.
    Configuration,
    /// A file is held at its last good content, or no longer is; or a removal is held.
    HeldFile,
    /// The health status of a target changed.
    Health,
    /// Health status is frozen because most targets failed at once, or no longer is.
    Doubt,
    /// The state of a datacenter changed.
    State,
    /// An operator's command was carried out.
    Command,
    /// An override was set or removed, or ended.
    Override,
    /// A safety rule held a change, or no longer does.
    Safety,
    /// The shares of a pool's members, or the share that the pool keeps, changed.
    Shares,
    /// A gradual drain, slow start or failback began, passed a quarter, or ended.
    Ramp,
    /// Another member holds the clients of a `failover` pool.
    Holder,
    /// A pool recovers from an outage of all members, or has recovered.
    Recovery,
    /// The addresses of an alias changed.
    Alias,
    /// Another GeoIP database is in use.
    Database,
    /// The journal itself: events were lost, or a file of it is damaged.
    Journal,
    /// A kind that a later version of the program wrote.
    #[serde(other)]
    Other,
}

impl EventKind {
    /// Every kind that this version writes, in the order in which documents list them.
    pub const ALL: [Self; 16] = [
        Self::Server,
        Self::Configuration,
        Self::HeldFile,
        Self::Health,
        Self::Doubt,
        Self::State,
        Self::Command,
        Self::Override,
        Self::Safety,
        Self::Shares,
        Self::Ramp,
        Self::Holder,
        Self::Recovery,
        Self::Alias,
        Self::Database,
        Self::Journal,
    ];

    /// The keyword in documents and in filters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Configuration => "configuration",
            Self::HeldFile => "held-file",
            Self::Health => "health",
            Self::Doubt => "doubt",
            Self::State => "state",
            Self::Command => "command",
            Self::Override => "override",
            Self::Safety => "safety",
            Self::Shares => "shares",
            Self::Ramp => "ramp",
            Self::Holder => "holder",
            Self::Recovery => "recovery",
            Self::Alias => "alias",
            Self::Database => "database",
            Self::Journal => "journal",
            Self::Other => "other",
        }
    }

    /// The kind of this keyword.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether an event must be on the disk at once: a person would have to remember it otherwise.
    pub(super) fn is_urgent(self) -> bool {
        matches!(
            self,
            Self::Server | Self::Configuration | Self::Command | Self::Override | Self::Safety
        )
    }
}

/// The operator who asked for a change. Only the address is certain: the admin API has no accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EventAuthor {
    /// The user that the client named.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user: Option<String>,
    /// The address that the request came from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub peer: Option<String>,
}

impl fmt::Display for EventAuthor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.user, &self.peer) {
            (Some(user), Some(peer)) => write!(f, "{user} ({peer})"),
            (Some(user), None) => f.write_str(user),
            (None, Some(peer)) => f.write_str(peer),
            (None, None) => f.write_str("an unnamed client"),
        }
    }
}
