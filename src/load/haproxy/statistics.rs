//! The statistics of one poll, fed in pieces.

use super::{bounds::WRONG_FORMAT, parser::StatisticsParser, proxy::Proxy};
use crate::load::{LoadReport, PollHistory, ReportError, line_splitter::LineSplitter};

/// What is kept of a page while it goes by.
#[derive(Debug, Default)]
pub(in crate::load) struct Statistics {
    lines: LineSplitter,
    tables: StatisticsParser,
}

impl Statistics {
    /// Keeps one proxy, or all backends.
    pub(in crate::load) fn new(proxy: Option<&str>) -> Self {
        Self {
            tables: StatisticsParser {
                proxy_filter: proxy.map(Into::into),
                ..StatisticsParser::default()
            },
            ..Self::default()
        }
    }

    /// Takes the next octets.
    ///
    /// # Errors
    /// They are no statistics, or more than is kept.
    pub(in crate::load) fn feed(&mut self, octets: &[u8]) -> Result<(), ReportError> {
        let Self { lines, tables } = self;
        lines.feed(octets, |line| tables.line(line))
    }

    /// Whether so many replies of the socket came, each to its end. What follows the last line end
    /// counts as cut off.
    pub(in crate::load) fn has_complete_replies(&self, count: usize) -> bool {
        let replies = &self.tables.replies;
        replies.complete >= count && !replies.is_open && self.lines.is_at_line_start()
    }

    /// Whether everything fed so far was whole lines and whole proxies: the backend's own row comes
    /// after its servers'.
    pub(in crate::load) fn is_complete(&self) -> bool {
        let is_whole = |proxy: &Proxy| proxy.servers.is_empty() || proxy.backend.is_some();
        self.lines.is_at_line_start() && self.tables.proxies.values().all(is_whole)
    }

    /// The report.
    ///
    /// # Errors
    /// There were no statistics, or the proxy is not in them.
    pub(in crate::load) fn finish(
        mut self,
        memory: &mut PollHistory,
    ) -> Result<LoadReport, ReportError> {
        let Self { lines, tables } = &mut self;
        lines.finish(|line| tables.line(line))?;
        if !tables.has_statistics {
            return Err(WRONG_FORMAT);
        }
        self.tables.report(memory)
    }
}
