//! Bounds of what is kept of a page, and the error for a page in another format.

use crate::load::ReportError;

/// The error of a page that is not CSV of HAProxy's statistics.
pub(super) const WRONG_FORMAT: ReportError =
    ReportError::WrongFormat("HAProxy's statistics in CSV");
/// The maximum number of servers that are kept.
pub(super) const MAX_SERVERS: usize = 4096;
/// The maximum number of proxies that are kept.
pub(super) const MAX_PROXIES: usize = 4096;
/// The longest name of a proxy or a server, in octets.
pub(super) const MAX_NAME_OCTETS: usize = 256;
