//! Readers: what takes the octets of one poll and makes a report of them.

use std::borrow::Cow;

use super::{
    Fault, Haproxy, LoadKind, LoadReport, LoadSource, Memory, Pointer, Selector, Wanted, envoy,
    haproxy::Statistics,
    json,
    prometheus::{self, Series},
    stub_status,
};

/// The longest page that is read line by line, in octets.
const MOST_OCTETS: usize = 4 << 20;

/// How the end of a page is known where the transport does not announce it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The connection ended, whole or cut: a whole page ends with a whole line, and with what its
    /// form ends with.
    Closed,
    /// By the page itself: OpenMetrics ends with a line `# EOF`.
    Marked,
    /// So many commands were sent to HAProxy's socket, and each reply ends with an empty line.
    Replies(usize),
}

/// Takes the octets of one poll.
#[derive(Debug)]
pub struct Reader<'s> {
    source: &'s LoadSource,
    form: Form<'s>,
    octets: usize,
}

#[derive(Debug)]
enum Form<'s> {
    Haproxy(Box<Statistics>),
    StubStatus(Vec<u8>),
    Envoy(Series<'s>),
    Prometheus(Series<'s>, &'s Wanted<Selector>),
    Json(Vec<u8>, &'s Wanted<Pointer>),
}

impl<'s> Reader<'s> {
    pub(super) fn new(source: &'s LoadSource) -> Option<Self> {
        let form = match &source.kind {
            LoadKind::Haproxy(Haproxy::Page { proxy, .. } | Haproxy::Socket { proxy, .. }) => {
                Form::Haproxy(Box::new(Statistics::new(proxy.as_deref())))
            }
            LoadKind::Nginx(_) => Form::StubStatus(Vec::new()),
            LoadKind::Envoy { cluster, .. } => Form::Envoy(envoy::series(cluster)),
            LoadKind::Prometheus { wanted, .. } => {
                Form::Prometheus(Series::new(wanted.places().map(Cow::Borrowed)), wanted)
            }
            LoadKind::Json { wanted, .. } => Form::Json(Vec::new(), wanted),
            LoadKind::Orca => return None,
        };
        Some(Self { source, form, octets: 0 })
    }

    /// Takes the next octets, however they are cut.
    ///
    /// # Errors
    /// They cannot be what they should; the rest need not be read.
    pub fn feed(&mut self, octets: &[u8]) -> Result<(), Fault> {
        self.octets += octets.len();
        let most = match &self.form {
            Form::Haproxy(_) | Form::Envoy(_) | Form::Prometheus(..) => MOST_OCTETS,
            Form::StubStatus(_) => stub_status::MOST_OCTETS,
            Form::Json(..) => json::MOST_OCTETS,
        };
        if self.octets > most {
            return Err(Fault::LongPage(most));
        }
        match &mut self.form {
            Form::Haproxy(statistics) => statistics.feed(octets),
            Form::Envoy(series) | Form::Prometheus(series, _) => series.feed(octets),
            Form::StubStatus(page) | Form::Json(page, _) => {
                page.extend_from_slice(octets);
                Ok(())
            }
        }
    }

    /// Says that what was fed is all, and how the transport knows. Not to be asked for where the
    /// transport announces the end.
    ///
    /// # Errors
    /// [`Fault::Cut`]: it is a part only.
    pub fn check_end(&self, end: End) -> Result<(), Fault> {
        let is_whole = match (&self.form, end) {
            (Form::Haproxy(statistics), End::Replies(count)) => statistics.holds_replies(count),
            (Form::Haproxy(statistics), End::Closed) => statistics.is_whole(),
            (Form::Envoy(series) | Form::Prometheus(series, _), End::Marked) => {
                series.is_marked_as_whole()
            }
            (_, End::Marked) => true,
            (Form::Envoy(series) | Form::Prometheus(series, _), _) => series.is_at_line_start(),
            (Form::StubStatus(page), _) => page.ends_with(b"\n"),
            // A part of a JSON document is none.
            (Form::Json(..), _) => true,
        };
        if is_whole { Ok(()) } else { Err(Fault::Cut) }
    }

    /// The report, once all octets were fed.
    ///
    /// # Errors
    /// There is none in them, or it is absurd.
    pub fn finish(self, memory: &mut Memory) -> Result<LoadReport, Fault> {
        self.source.settle(match self.form {
            Form::Haproxy(statistics) => statistics.finish(memory),
            Form::StubStatus(page) => stub_status::read(&page),
            Form::Envoy(series) => envoy::report(series, memory),
            Form::Prometheus(series, wanted) => prometheus::report(series, wanted),
            Form::Json(page, wanted) => json::read(&page, wanted),
        }?)
    }
}
