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
