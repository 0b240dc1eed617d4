//! The audit trail: two log records for each change that is requested over the admin API. The first
//! says what is requested and by which user, before anything changes; the second says the result. A
//! change that was made is also an event of the journal.
//!
//! The user is what the client claims in `X-Portolan-User`, and the user agent likewise: the admin
//! API has no accounts. Only the address of the peer is known for certain.

use std::{convert::Infallible, fmt::Display, net::SocketAddr};

use axum::{
    extract::FromRequestParts,
    http::{HeaderName, header::USER_AGENT, request::Parts},
};
use tracing::field::display;

use crate::control::{
    ControllerHandle, DrainOptions, Event, EventAuthor, EventKind, OverrideAuthor,
};

/// The header in which a client names its user. `portolan drain` sends the login name.
pub const USER_HEADER: HeaderName = HeaderName::from_static("x-portolan-user");
/// The maximum length of claims and of requested names in the log, in characters; longer ones are
/// cut.
const MAX_CLAIM_CHARS: usize = 200;

/// The address that a request came from, among the request's extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct PeerAddress(pub SocketAddr);

/// The author of a request, as far as it is known.
#[derive(Debug)]
pub(super) struct Author {
    peer: Option<SocketAddr>,
    user: Option<String>,
    user_agent: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Author {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let claim = |name: HeaderName| {
            let value = parts.headers.get(name).filter(|value| !value.is_empty())?;
            Some(shortened(&String::from_utf8_lossy(value.as_bytes())))
        };
        let peer = parts.extensions.get::<PeerAddress>().map(|peer| peer.0);
        Ok(Self { peer, user: claim(USER_HEADER), user_agent: claim(USER_AGENT) })
    }
}

impl Author {
    /// The author of an override.
    pub(super) fn of_override(&self) -> OverrideAuthor {
        OverrideAuthor {
            user: self.user.clone(),
            peer: self.peer.map(|peer| peer.ip().to_canonical().to_string()),
        }
    }
}

/// What a client wrote, short enough for a log record.
fn shortened(text: &str) -> String {
    text.chars().take(MAX_CLAIM_CHARS).collect()
}

/// A change that a client requested, for the log.
#[derive(Debug)]
pub(super) struct AuditedChange {
    action: &'static str,
    /// A datacenter or a region.
    datacenter: Option<String>,
    pool: Option<String>,
    /// The subjects of overrides, separated by spaces.
    subjects: Option<String>,
    /// The operator's reason for a drain.
    reason: Option<String>,
    author: Author,
}

impl AuditedChange {
    /// A change that does not concern a single datacenter or pool.
    pub(super) fn new(action: &'static str, author: Author) -> Self {
        Self { action, datacenter: None, pool: None, subjects: None, reason: None, author }
    }

    /// A change of a datacenter, or of all datacenters of a region.
    pub(super) fn of_datacenter(action: &'static str, datacenter: &str, author: Author) -> Self {
        Self { datacenter: Some(shortened(datacenter)), ..Self::new(action, author) }
    }

    /// A change of a pool.
    pub(super) fn of_pool(action: &'static str, pool: &str, author: Author) -> Self {
        Self { pool: Some(shortened(pool)), ..Self::new(action, author) }
    }

    /// A change of the overrides of some subjects.
    pub(super) fn of_subjects(action: &'static str, subjects: &[String], author: Author) -> Self {
        Self { subjects: Some(shortened(&subjects.join(" "))), ..Self::new(action, author) }
    }

    /// Logs the request; `drain` holds the details if it is a drain.
    pub(super) fn log_request(&mut self, drain: Option<&DrainOptions>) {
        self.reason = drain.and_then(|drain| drain.reason.clone());
        let Author { peer, user, user_agent } = &self.author;
        tracing::info!(
            action = self.action,
            datacenter = self.datacenter.as_deref(),
            pool = self.pool.as_deref(),
            subjects = self.subjects.as_deref(),
            peer = peer.map(display),
            user = user.as_deref(),
            user_agent = user_agent.as_deref(),
            reason = drain.and_then(|drain| drain.reason.as_deref()),
            for_secs = drain.and_then(|drain| drain.for_secs),
            over_secs = drain.and_then(|drain| drain.over_secs),
            force = drain.map(|drain| drain.force),
            "operator request received"
        );
    }

    fn event(&self, generation: Option<u64>) -> Event {
        let Self { action, datacenter, pool, subjects: _, reason, author } = self;
        let subject = datacenter.as_ref().or(pool.as_ref());
        let OverrideAuthor { user, peer } = author.of_override();
        Event {
            action: Some((*action).to_owned()),
            author: Some(EventAuthor { user, peer }),
            cause: reason.clone(),
            generation,
            ..Event::new(EventKind::Command, subject.map_or("configuration", String::as_str))
        }
    }

    /// Appends the change to the journal, with the generation that contains it if there is a new
    /// one. For changes that were made, and not for requests that found nothing to do.
    pub(super) fn record(&self, generation: Option<u64>, controller: &ControllerHandle) {
        controller.record_command(self.event(generation));
    }

    /// Logs the result, with the generation that contains the change if there is a new one.
    pub(super) fn log_result<E: Display>(&self, result: Result<Option<u64>, &E>) {
        let Author { peer, user, .. } = &self.author;
        let (action, datacenter, pool) =
            (self.action, self.datacenter.as_deref(), self.pool.as_deref());
        let subjects = self.subjects.as_deref();
        let (peer, user) = (peer.map(display), user.as_deref());
        match result {
            Ok(generation) => {
                tracing::info!(
                    action,
                    datacenter,
                    pool,
                    subjects,
                    peer,
                    user,
                    generation,
                    "operator request done"
                );
            }
            Err(error) => {
                tracing::warn!(action, datacenter, pool, subjects, peer, user, %error, "operator request refused")
            }
        }
    }
}
