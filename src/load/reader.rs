//! Readers: each turns the octets of one poll into a report.

use std::borrow::Cow;

use super::{
    HaproxySource, JsonPointer, LoadKind, LoadReport, LoadSource, PollHistory, ReportError,
    ReportMapping, Selector, envoy,
    haproxy::Statistics,
    json,
    prometheus::{self, SeriesReader},
    stub_status,
};

/// The longest page that is read line by line, in octets.
const MAX_OCTETS: usize = 4 << 20;

/// How the end of a page is recognised if the transport does not announce it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageEnd {
    /// By the end of the connection, which may also have truncated the page. So a page counts as
    /// complete only if it ends with a complete line and with the last element of its format.
    ConnectionClosed,
    /// By an end marker: OpenMetrics ends with a line `# EOF`.
    EndMarker,
    /// By the replies to this number of commands on HAProxy's socket. Each ends with an empty line.
    Replies(usize),
}

/// Reads the octets of one poll.
#[derive(Debug)]
pub struct ReportReader<'s> {
    source: &'s LoadSource,
    format: FormatReader<'s>,
    octets: usize,
}

#[derive(Debug)]
enum FormatReader<'s> {
    Haproxy(Box<Statistics>),
    StubStatus(Vec<u8>),
    Envoy(SeriesReader<'s>),
    Prometheus(SeriesReader<'s>, &'s ReportMapping<Selector>),
    Json(Vec<u8>, &'s ReportMapping<JsonPointer>),
}

impl LoadSource {
    /// A reader for one poll; `None` if the source is not polled.
    pub fn reader(&self) -> Option<ReportReader<'_>> {
        ReportReader::new(self)
    }
}

impl<'s> ReportReader<'s> {
    fn new(source: &'s LoadSource) -> Option<Self> {
        let format = match &source.kind {
            LoadKind::Haproxy(
                HaproxySource::Page { proxy, .. } | HaproxySource::Socket { proxy, .. },
            ) => FormatReader::Haproxy(Box::new(Statistics::new(proxy.as_deref()))),
            LoadKind::Nginx(_) => FormatReader::StubStatus(Vec::new()),
            LoadKind::Envoy { cluster, .. } => FormatReader::Envoy(envoy::series(cluster)),
            LoadKind::Prometheus { mapping, .. } => FormatReader::Prometheus(
                SeriesReader::new(mapping.selectors().map(Cow::Borrowed)),
                mapping,
            ),
            LoadKind::Json { mapping, .. } => FormatReader::Json(Vec::new(), mapping),
            LoadKind::Orca => return None,
        };
        Some(Self { source, format, octets: 0 })
    }

    /// Reads the next octets. Pieces may end anywhere.
    ///
    /// # Errors
    /// The page cannot become a report; the rest of it need not be read.
    pub fn feed(&mut self, octets: &[u8]) -> Result<(), ReportError> {
        self.octets += octets.len();
        let max_octets = match &self.format {
            FormatReader::Haproxy(_) | FormatReader::Envoy(_) | FormatReader::Prometheus(..) => {
                MAX_OCTETS
            }
            FormatReader::StubStatus(_) => stub_status::MAX_OCTETS,
            FormatReader::Json(..) => json::MAX_OCTETS,
        };
        if self.octets > max_octets {
            return Err(ReportError::PageTooLong(max_octets));
        }
        match &mut self.format {
            FormatReader::Haproxy(statistics) => statistics.feed(octets),
            FormatReader::Envoy(series) | FormatReader::Prometheus(series, _) => {
                series.feed(octets)
            }
            FormatReader::StubStatus(page) | FormatReader::Json(page, _) => {
                page.extend_from_slice(octets);
                Ok(())
            }
        }
    }

    /// Checks that the octets read so far are a complete page. Not needed if the transport
    /// announces the end of the page.
    ///
    /// # Errors
    /// [`ReportError::Truncated`] if a part of the page is missing.
    pub fn check_end(&self, end: PageEnd) -> Result<(), ReportError> {
        let is_complete = match (&self.format, end) {
            (FormatReader::Haproxy(statistics), PageEnd::Replies(count)) => {
                statistics.has_complete_replies(count)
            }
            (FormatReader::Haproxy(statistics), PageEnd::ConnectionClosed) => {
                statistics.is_complete()
            }
            (
                FormatReader::Envoy(series) | FormatReader::Prometheus(series, _),
                PageEnd::EndMarker,
            ) => series.has_end_marker(),
            (_, PageEnd::EndMarker) => true,
            (FormatReader::Envoy(series) | FormatReader::Prometheus(series, _), _) => {
                series.is_at_line_start()
            }
            (FormatReader::StubStatus(page), _) => page.ends_with(b"\n"),
            // A truncated JSON document does not parse, so `finish` detects it.
            (FormatReader::Json(..), _) => true,
        };
        if is_complete { Ok(()) } else { Err(ReportError::Truncated) }
    }

    /// The report, once all octets have been read.
    ///
    /// # Errors
    /// The page contains no report, or one with an impossible number.
    pub fn finish(self, history: &mut PollHistory) -> Result<LoadReport, ReportError> {
        self.source.check_report(match self.format {
            FormatReader::Haproxy(statistics) => statistics.finish(history),
            FormatReader::StubStatus(page) => stub_status::read(&page),
            FormatReader::Envoy(series) => envoy::report(series, history),
            FormatReader::Prometheus(series, mapping) => prometheus::report(series, mapping),
            FormatReader::Json(page, mapping) => json::read(&page, mapping),
        }?)
    }
}
