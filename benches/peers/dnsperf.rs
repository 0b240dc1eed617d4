//! dnsperf: the highest query rate of a server with a bounded number of outstanding queries.

use std::{
    ffi::OsStr,
    io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use crate::BenchResult;

/// Outstanding queries: enough to keep every server busy, and too few to overflow a socket buffer
/// of the default size.
const OUTSTANDING: u32 = 100;
const CLIENTS: u32 = 4;

/// The result of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DnsperfResult {
    pub(crate) completed: u64,
    pub(crate) lost: u64,
    pub(crate) per_second: f64,
}

/// Sends the queries in a file of length-prefixed messages repeatedly.
///
/// # Errors
/// dnsperf is not installed, fails, or prints output that cannot be parsed.
pub(crate) fn run(
    source: Ipv4Addr,
    address: SocketAddr,
    questions: &Path,
    duration: Duration,
) -> BenchResult<DnsperfResult> {
    let output = Command::new("dnsperf")
        .args(["-B", "-f", "inet", "-m", "udp", "-T", "1"])
        .args(["-a", &source.to_string()])
        .args(["-s".as_ref(), OsStr::new(&address.ip().to_string())])
        .args(["-p".as_ref(), OsStr::new(&address.port().to_string())])
        .args([
            "-c",
            &CLIENTS.to_string(),
            "-q",
            &OUTSTANDING.to_string(),
            "-l",
            &duration.as_secs_f64().to_string(),
        ])
        .args(["-d".as_ref(), questions.as_os_str()])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            io::Error::new(error.kind(), format!("dnsperf: {error}; Debian has it in `dnsperf`"))
        })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let score = read(&text).filter(|_| output.status.success());
    score.ok_or_else(|| {
        format!("dnsperf: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr))
            .into()
    })
}

fn read(text: &str) -> Option<DnsperfResult> {
    let figure = |name: &str| {
        let rest = text.lines().find_map(|line| line.trim().strip_prefix(name))?;
        rest.split_whitespace().next()?.parse::<f64>().ok()
    };
    Some(DnsperfResult {
        completed: figure("Queries completed:")? as u64,
        lost: figure("Queries lost:")? as u64,
        per_second: figure("Queries per second:")?,
    })
}
