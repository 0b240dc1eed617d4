//! Readers: what takes the octets of one poll and makes a report of them.

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

/// How the end of a page is known where the transport does not announce it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageEnd {
    /// The connection ended, whole or cut: a whole page ends with a whole line, and with what its
    /// form ends with.
    ConnectionClosed,
    /// By the page itself: OpenMetrics ends with a line `# EOF`.
    EndMarker,
    /// So many commands were sent to HAProxy's socket, and each reply ends with an empty line.
    Replies(usize),
}

/// Takes the octets of one poll.
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
    /// What reads one poll; `None` where nothing is polled.
    pub fn reader(&self) -> Option<ReportReader<'_>> {
        ReportReader::new(self)
    }
}

impl<'s> ReportReader<'s> {
    fn new(source: &'s LoadSource) -> Option<Self> {
        let form = match &source.kind {
            LoadKind::Haproxy(
                HaproxySource::Page { proxy, .. } | HaproxySource::Socket { proxy, .. },
            ) => FormatReader::Haproxy(Box::new(Statistics::new(proxy.as_deref()))),
            LoadKind::Nginx(_) => FormatReader::StubStatus(Vec::new()),
            LoadKind::Envoy { cluster, .. } => FormatReader::Envoy(envoy::series(cluster)),
            LoadKind::Prometheus { wanted, .. } => FormatReader::Prometheus(
                SeriesReader::new(wanted.selectors().map(Cow::Borrowed)),
                wanted,
            ),
            LoadKind::Json { wanted, .. } => FormatReader::Json(Vec::new(), wanted),
            LoadKind::Orca => return None,
        };
        Some(Self { source, format: form, octets: 0 })
    }

    /// Takes the next octets, however they are cut.
    ///
    /// # Errors
    /// They cannot be what they should; the rest need not be read.
    pub fn feed(&mut self, octets: &[u8]) -> Result<(), ReportError> {
        self.octets += octets.len();
        let most = match &self.format {
            FormatReader::Haproxy(_) | FormatReader::Envoy(_) | FormatReader::Prometheus(..) => {
                MAX_OCTETS
            }
            FormatReader::StubStatus(_) => stub_status::MAX_OCTETS,
            FormatReader::Json(..) => json::MAX_OCTETS,
        };
        if self.octets > most {
            return Err(ReportError::PageTooLong(most));
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

    /// Says that what was fed is all, and how the transport knows. Not to be asked for where the
    /// transport announces the end.
    ///
    /// # Errors
    /// [`ReportError::Truncated`]: it is a part only.
    pub fn check_end(&self, end: PageEnd) -> Result<(), ReportError> {
        let is_whole = match (&self.format, end) {
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
            // A part of a JSON document is none.
            (FormatReader::Json(..), _) => true,
        };
        if is_whole { Ok(()) } else { Err(ReportError::Truncated) }
    }

    /// The report, once all octets were fed.
    ///
    /// # Errors
    /// There is none in them, or it is absurd.
    pub fn finish(self, memory: &mut PollHistory) -> Result<LoadReport, ReportError> {
        self.source.check_report(match self.format {
            FormatReader::Haproxy(statistics) => statistics.finish(memory),
            FormatReader::StubStatus(page) => stub_status::read(&page),
            FormatReader::Envoy(series) => envoy::report(series, memory),
            FormatReader::Prometheus(series, wanted) => prometheus::report(series, wanted),
            FormatReader::Json(page, wanted) => json::read(&page, wanted),
        }?)
    }
}
