//! Load sources: where a balancer says how it is, and how to read it.

use std::{fmt, net::IpAddr, num::NonZeroU64, path::Path, time::Duration};

use super::{JsonPointer, LoadReport, ReportError, ReportMapping, Selector, orca};

/// Where a balancer says how it is, how to read it, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LoadSource {
    /// The name in `[load.NAME]`.
    pub name: Box<str>,
    /// What is read, and where.
    pub kind: LoadKind,
    /// From the start of one poll to the start of the next, jittered ±10 %.
    pub interval: Duration,
    /// A poll that has no report after this has failed. Shorter than `interval`.
    pub timeout: Duration,
    /// A report older than this says nothing any more. Longer than `interval`.
    pub stale_after: Duration,
    /// Whether a part of the servers down means that part of the capacity gone.
    pub scales_by_servers: bool,
    /// The most connections, whatever the balancer says of it.
    pub limit: Option<NonZeroU64>,
}

/// What is read, and where.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LoadKind {
    /// HAProxy's statistics.
    Haproxy(HaproxySource),
    /// nginx's `stub_status`.
    Nginx(LoadPage),
    /// One cluster of Envoy's statistics, as Prometheus text.
    Envoy {
        /// Where.
        page: LoadPage,
        /// The cluster's name.
        cluster: Box<str>,
    },
    /// Any page in the Prometheus text format.
    Prometheus {
        /// Where.
        page: LoadPage,
        /// What.
        wanted: ReportMapping<Selector>,
    },
    /// Any JSON document.
    Json {
        /// Where.
        page: LoadPage,
        /// What.
        wanted: ReportMapping<JsonPointer>,
    },
    /// Nothing is polled: the header `endpoint-load-metrics` of the health check's own reply.
    Orca,
}

/// HAProxy's statistics, of one proxy or of all backends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HaproxySource {
    /// As CSV over HTTP.
    Page {
        /// Where.
        page: LoadPage,
        /// Of this proxy.
        proxy: Option<Box<str>>,
    },
    /// From its socket.
    Socket {
        /// Where.
        path: Box<Path>,
        /// Of this proxy.
        proxy: Option<Box<str>>,
    },
}

/// A page over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LoadPage {
    /// Speak TLS.
    pub tls: bool,
    /// At whom.
    pub host: PageHost,
    /// The TCP port.
    pub port: u16,
    /// The request target, starting with `/`; `{address}` in it stands for the address of whom the
    /// source is attached to.
    pub path: Box<str>,
    /// Headers to send.
    pub headers: Vec<PageHeader>,
    /// Over TLS: fail where the certificate is not valid.
    pub verify: bool,
    /// Over TLS: a PEM file of authorities to trust instead of the system's.
    pub authorities: Option<Box<Path>>,
}

/// Whom a page is asked from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PageHost {
    /// A name, resolved at each poll.
    Name(Box<str>),
    /// An address.
    Address(IpAddr),
    /// The address of whom the source is attached to: `{address}`.
    Attached,
}

/// A header to send. Its value may be a secret, and is not shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PageHeader {
    /// The name.
    pub name: Box<str>,
    /// The value.
    pub value: Box<str>,
}

impl fmt::Debug for PageHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ...", self.name)
    }
}

/// What stands for the address in a page's URL.
const ADDRESS_PLACEHOLDER: &str = "{address}";

impl LoadPage {
    /// Whether each endpoint has a page of its own.
    pub fn is_per_address(&self) -> bool {
        self.host == PageHost::Attached || self.path.contains(ADDRESS_PLACEHOLDER)
    }

    /// The request target for this address.
    pub fn path_for(&self, address: Option<IpAddr>) -> String {
        match address {
            Some(address) => self.path.replace(ADDRESS_PLACEHOLDER, &address.to_string()),
            None => self.path.to_string(),
        }
    }
}

impl LoadSource {
    /// The page that is polled, if it is one.
    pub fn page(&self) -> Option<&LoadPage> {
        match &self.kind {
            LoadKind::Haproxy(HaproxySource::Page { page, .. })
            | LoadKind::Nginx(page)
            | LoadKind::Envoy { page, .. }
            | LoadKind::Prometheus { page, .. }
            | LoadKind::Json { page, .. } => Some(page),
            LoadKind::Haproxy(HaproxySource::Socket { .. }) | LoadKind::Orca => None,
        }
    }

    /// Whether each endpoint that it is attached to is polled by itself.
    pub fn is_per_address(&self) -> bool {
        self.page().is_some_and(LoadPage::is_per_address)
    }

    /// Whether it is polled at all.
    pub fn is_polled(&self) -> bool {
        self.kind != LoadKind::Orca
    }

    /// Reads the header `endpoint-load-metrics` of a health check's reply.
    ///
    /// # Errors
    /// It is no load report, or an absurd one.
    pub fn read_header(&self, value: &str) -> Result<LoadReport, ReportError> {
        self.check_report(orca::read(value)?)
    }

    /// The share of the whole capacity that is left by what the report says of servers; 1 where it
    /// says nothing, or the source does not go by it.
    pub fn capacity_left(&self, report: &LoadReport) -> f64 {
        let share_up = || report.servers.and_then(super::ServerCount::share_up);
        match self.scales_by_servers {
            true => report.capacity_share.or_else(share_up).unwrap_or(1.0),
            false => 1.0,
        }
    }

    /// Puts the configured limit into a report and lets nothing absurd through.
    pub(super) fn check_report(&self, mut report: LoadReport) -> Result<LoadReport, ReportError> {
        if let Some(limit) = self.limit {
            report.limit = Some(limit.get() as f64);
        }
        report.check()?;
        Ok(report)
    }
}
