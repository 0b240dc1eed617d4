//! HTTP requests to the admin address of a server.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use portolan::control::Status;

use crate::{harness::Server, query::REPLY_TIMEOUT};

impl Server {
    /// Requests one document and returns HTTP status and body.
    pub fn http(&self, path: &str) -> (u16, String) {
        let address = self.admin.expect("the admin address is on");
        let mut stream = TcpStream::connect_timeout(&address, REPLY_TIMEOUT).unwrap();
        stream.set_read_timeout(Some(crate::harness::WAIT_TIMEOUT)).unwrap();
        // With HTTP/1.0 the body ends with the connection and is not chunked.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (head, body) =
            reply.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{path}: {reply:?}"));
        (head.split_whitespace().nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// The document of `/api/v1/status`.
    pub fn status(&self) -> Status {
        let (code, body) = self.http("/api/v1/status");
        assert_eq!(code, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The status of each target, sorted by address.
    pub fn verdicts(&self) -> Vec<(String, String)> {
        let targets = self.status().targets.into_iter();
        let mut verdicts: Vec<_> = targets.map(|target| (target.target, target.verdict)).collect();
        verdicts.sort();
        verdicts
    }

    /// The sum of the samples of a metric whose labels contain `labels`.
    pub fn metric(&self, name: &str, labels: &str) -> f64 {
        let (code, page) = self.http("/metrics");
        assert_eq!(code, 200);
        let samples = page.lines().filter(|line| !line.starts_with('#') && line.contains(labels));
        let samples = samples.filter(|line| line.split(['{', ' ']).next() == Some(name));
        samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }
}
