//! Load sources: where a balancer publishes its load, and in which format.

use std::{fmt, net::IpAddr, num::NonZeroU64, path::Path, time::Duration};

use super::{JsonPointer, LoadReport, ReportError, ReportMapping, Selector, ServerCount, orca};

/// Where a balancer publishes its load, in which format, and how often it is polled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LoadSource {
    /// The name in `[load.NAME]`.
    pub name: Box<str>,
    /// The format, and the page or socket that is read.
    pub kind: LoadKind,
    /// From the start of one poll to the start of the next, jittered ±10 %.
    pub interval: Duration,
    /// The time after which a poll without a complete report has failed. Shorter than `interval`.
    pub timeout: Duration,
    /// The age at which a report expires. Longer than `interval`.
    pub stale_after: Duration,
    /// Whether servers that are down reduce the capacity in proportion.
    pub scales_by_servers: bool,
    /// The maximum number of connections; overrides the limit that the balancer reports.
    pub limit: Option<NonZeroU64>,
}

/// The format of a load source, and the page or socket that is read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LoadKind {
    /// HAProxy's statistics, over HTTP or from its socket.
    Haproxy(HaproxySource),
    /// The page of nginx's `stub_status` module.
    Nginx(LoadPage),
    /// The statistics of one Envoy cluster, as Prometheus text.
    Envoy {
        /// The page of statistics, in CSV.
        page: LoadPage,
        /// The name of the cluster.
        cluster: Box<str>,
    },
    /// Any page in the Prometheus text format.
    Prometheus {
        /// The page that is polled.
        page: LoadPage,
        /// The series that make up the report.
        mapping: ReportMapping<Selector>,
    },
    /// A JSON document of any structure.
    Json {
        /// The page that is polled.
        page: LoadPage,
        /// The places in the document that make up the report.
        mapping: ReportMapping<JsonPointer>,
    },
    /// The header `endpoint-load-metrics` of health check replies. Nothing is polled.
    Orca,
}

/// HAProxy's statistics, of one proxy or of all backends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HaproxySource {
    /// The statistics page, in CSV over HTTP.
    Page {
        /// The page of statistics, in CSV.
        page: LoadPage,
        /// The proxy to read; `None` reads all backends.
        proxy: Option<Box<str>>,
    },
    /// HAProxy's runtime API on a Unix socket.
    Socket {
        /// The path of the socket.
        path: Box<Path>,
        /// The proxy to read; `None` reads all backends.
        proxy: Option<Box<str>>,
    },
}

/// A page that is polled over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LoadPage {
    /// Whether to use TLS.
    pub tls: bool,
    /// The host that serves the page.
    pub host: PageHost,
    /// The TCP port to connect to.
    pub port: u16,
    /// The request target, starting with `/`. `{address}` in it is replaced by the address of the
    /// endpoint that the source is attached to.
    pub path: Box<str>,
    /// Headers to send with the request.
    pub headers: Vec<PageHeader>,
    /// With TLS: whether an invalid certificate makes the poll fail.
    pub verify: bool,
    /// With TLS: a PEM file of authorities to trust instead of the system's.
    pub authorities: Option<Box<Path>>,
}

/// The host that serves a page.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PageHost {
    /// A host name, resolved at each poll.
    Name(Box<str>),
    /// A fixed address from the configuration.
    Address(IpAddr),
    /// The address of the endpoint that the source is attached to: `{address}`.
    Attached,
}

/// A header to send. Its value may be a secret, so `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PageHeader {
    /// The name of the field.
    pub name: Box<str>,
    /// The value of the field.
    pub value: Box<str>,
}

impl fmt::Debug for PageHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ...", self.name)
    }
}

/// Replaced by the endpoint's address in a page's URL.
const ADDRESS_PLACEHOLDER: &str = "{address}";

impl LoadPage {
    /// Whether each endpoint has its own page.
    pub fn is_per_address(&self) -> bool {
        self.host == PageHost::Attached || self.path.contains(ADDRESS_PLACEHOLDER)
    }

    /// The request target for an endpoint's address.
    pub fn path_for(&self, address: Option<IpAddr>) -> String {
        match address {
            Some(address) => self.path.replace(ADDRESS_PLACEHOLDER, &address.to_string()),
            None => self.path.to_string(),
        }
    }
}

impl LoadSource {
    /// The page that is polled; `None` for a socket and for headers.
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

    /// Whether each endpoint that the source is attached to is polled separately.
    pub fn is_per_address(&self) -> bool {
        self.page().is_some_and(LoadPage::is_per_address)
    }

    /// Whether the source is polled.
    pub fn is_polled(&self) -> bool {
        self.kind != LoadKind::Orca
    }

    /// Reads the header `endpoint-load-metrics` of a health check's reply.
    ///
    /// # Errors
    /// The value is no load report, or contains an impossible number.
    pub fn read_header(&self, value: &str) -> Result<LoadReport, ReportError> {
        self.check_report(orca::read(value)?)
    }

    /// The share of the capacity that remains by the servers of the report, from 0 to 1. It is 1 if
    /// the report says nothing about servers, or if the source does not scale by them.
    pub fn capacity_left(&self, report: &LoadReport) -> f64 {
        let share_up = || report.servers.and_then(ServerCount::share_up);
        match self.scales_by_servers {
            true => report.capacity_share.or_else(share_up).unwrap_or(1.0),
            false => 1.0,
        }
    }

    /// Sets the configured limit, if any, and checks every number of a report.
    pub(super) fn check_report(&self, mut report: LoadReport) -> Result<LoadReport, ReportError> {
        if let Some(limit) = self.limit {
            report.limit = Some(limit.get() as f64);
        }
        report.check()?;
        Ok(report)
    }
}
