//! What is kept of a page at most, and the error of a page in another format.

use crate::load::ReportError;

pub(super) const WRONG_FORMAT: ReportError =
    ReportError::WrongFormat("HAProxy's statistics in CSV");
pub(super) const MAX_SERVERS: usize = 4096;
pub(super) const MAX_PROXIES: usize = 4096;
/// The longest name of a proxy or a server, in octets.
pub(super) const MAX_NAME_OCTETS: usize = 256;
