//! The statistics of one poll, read in pieces.

use super::{bounds::WRONG_FORMAT, parser::StatisticsParser, proxy::Proxy};
use crate::load::{LoadReport, PollHistory, ReportError, line_splitter::LineSplitter};

/// Reads the statistics of one poll.
#[derive(Debug, Default)]
pub(in crate::load) struct Statistics {
    lines: LineSplitter,
    parser: StatisticsParser,
}

impl Statistics {
    /// A reader of one proxy, or of all backends.
    pub(in crate::load) fn new(proxy: Option<&str>) -> Self {
        Self {
            parser: StatisticsParser {
                proxy_filter: proxy.map(Into::into),
                ..StatisticsParser::default()
            },
            ..Self::default()
        }
    }

    /// Reads the next octets.
    ///
    /// # Errors
    /// The octets are no statistics, or exceed a bound.
    pub(in crate::load) fn feed(&mut self, octets: &[u8]) -> Result<(), ReportError> {
        let Self { lines, parser } = self;
        lines.feed(octets, |line| parser.parse_line(line))
    }

    /// Whether `count` replies of the socket are complete. Octets after the last line end count as
    /// an incomplete reply.
    pub(in crate::load) fn has_complete_replies(&self, count: usize) -> bool {
        let replies = &self.parser.replies;
        replies.complete >= count && !replies.is_open && self.lines.is_at_line_start()
    }

    /// Whether the octets read so far are complete lines and complete proxies. The row of a backend
    /// follows those of its servers.
    pub(in crate::load) fn is_complete(&self) -> bool {
        let is_complete = |proxy: &Proxy| proxy.servers.is_empty() || proxy.backend.is_some();
        self.lines.is_at_line_start() && self.parser.proxies.values().all(is_complete)
    }

    /// The report, once all octets have been read.
    ///
    /// # Errors
    /// The page contains no statistics, or they lack the proxy.
    pub(in crate::load) fn finish(
        mut self,
        history: &mut PollHistory,
    ) -> Result<LoadReport, ReportError> {
        let Self { lines, parser } = &mut self;
        lines.finish(|line| parser.parse_line(line))?;
        if !parser.has_statistics {
            return Err(WRONG_FORMAT);
        }
        self.parser.report(history)
    }
}
