//! The admin API of a server, asked over HTTP/1.1 with a connection for each request.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// The timeout of a reply.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Gets the document at a path.
pub(crate) fn get(admin: SocketAddr, path: &str) -> io::Result<String> {
    request(admin, &format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n"))
}

/// Posts an empty JSON object to a path.
pub(crate) fn post(admin: SocketAddr, path: &str) -> io::Result<String> {
    let head = format!("POST {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n");
    request(
        admin,
        &format!("{head}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"),
    )
}

/// The sum of a metric's series.
pub(crate) fn metric(page: &str, name: &str) -> f64 {
    let of_series = |line: &str| {
        let rest = line.strip_prefix(name).filter(|rest| rest.starts_with([' ', '{']))?;
        rest.rsplit(' ').next()?.parse::<f64>().ok()
    };
    page.lines().filter_map(of_series).sum()
}

fn request(admin: SocketAddr, request: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(request.as_bytes())?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    let reply = String::from_utf8_lossy(&reply).into_owned();
    if !reply.starts_with("HTTP/1.1 200") {
        return Err(io::Error::other(format!(
            "the admin API replied {}",
            reply.lines().next().unwrap_or_default()
        )));
    }
    Ok(reply)
}

/// Probes that the server itself counts as late.
pub(crate) fn late_probes(admin: SocketAddr) -> io::Result<f64> {
    Ok(metric(&get(admin, "/metrics")?, "portolan_probes_late_total"))
}
