//! gRPC: one call of the health checking protocol (`grpc.health.v1.Health/Check`). Its request and
//! its reply have one field each, so they are encoded and decoded here.

use std::net::SocketAddr;

use h2::RecvStream;
use hyper::{
    Method, Request, Response, Uri,
    body::Bytes,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TE, USER_AGENT},
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    host_header::authority,
    http2, proxy,
    result::{PassDetails, ProbeError},
    tls::{self, TlsClient},
};
use crate::health::{Failure, GrpcCheck, StatusRange};

const CHECK_PATH: &str = "/grpc.health.v1.Health/Check";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The maximum number of octets of a reply's messages that are read.
const MAX_MESSAGE_OCTETS: usize = 4096;

/// The names of gRPC's status codes, by number.
const STATUS_NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The names of the serving statuses of a service, by number.
const SERVING_STATUS_NAMES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/// A prepared check: its files read, its request encoded.
#[derive(Debug)]
pub(super) struct GrpcProbe {
    check: GrpcCheck,
    request_message: Bytes,
    tls: Option<TlsClient>,
}

impl GrpcProbe {
    /// Reads the files that the check names, so call it on a blocking thread.
    ///
    /// # Errors
    /// The reason why no probe of this check can pass.
    pub(super) fn new(check: &GrpcCheck) -> Result<Self, Failure> {
        let tls =
            check.tls.as_ref().map(|options| TlsClient::new(options, &[b"h2"])).transpose()?;
        Ok(Self {
            check: check.clone(),
            request_message: encode_request(&check.service).into(),
            tls,
        })
    }

    /// Probes the target `literal`, a name or an address as text, at `address`.
    ///
    /// # Errors
    /// The reason why the target does not pass.
    pub(super) async fn probe(
        &self,
        literal: &str,
        address: SocketAddr,
    ) -> Result<PassDetails, ProbeError> {
        let Some(tls) = &self.tls else {
            let stream = proxy::open(address, self.check.proxy_protocol).await?;
            return self.call(stream, literal, address).await;
        };
        let name = tls::server_name(self.check.host.as_deref(), literal)?;
        let stream = proxy::open(address, self.check.proxy_protocol).await?;
        self.call(tls.connect(name, stream).await?, literal, address).await
    }

    async fn call<S>(
        &self,
        stream: S,
        literal: &str,
        address: SocketAddr,
    ) -> Result<PassDetails, ProbeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let host = match &self.check.host {
            Some(host) => host.to_string(),
            None => authority(literal, address.port(), scheme),
        };
        let uri = Uri::builder().scheme(scheme).authority(host).path_and_query(CHECK_PATH).build();
        let mut request = Request::new(self.request_message.clone());
        *request.method_mut() = Method::POST;
        *request.uri_mut() =
            uri.map_err(|_| Failure::MonitorUnusable("its host is not a valid authority".into()))?;
        for (name, value) in [
            (CONTENT_TYPE, "application/grpc"),
            (TE, "trailers"),
            (USER_AGENT, concat!("portolan/", env!("CARGO_PKG_VERSION"))),
        ] {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        http2::exchange(stream, request, evaluate_reply).await
    }
}

async fn evaluate_reply(reply: Response<RecvStream>) -> Result<PassDetails, ProbeError> {
    let (head, mut body) = reply.into_parts();
    let got = head.status.as_u16();
    if got != 200 {
        return Err(
            Failure::Status { got, want: [StatusRange { first: 200, last: 200 }].into() }.into()
        );
    }
    let is_grpc = |value: &HeaderValue| value.as_bytes().starts_with(b"application/grpc");
    if !head.headers.get(CONTENT_TYPE).is_some_and(is_grpc) {
        return Err(Failure::NotGrpc.into());
    }
    // A call that fails at once may have its status in the header, without trailers.
    let mut has_status = head.headers.contains_key(GRPC_STATUS);
    if has_status {
        check_status(&head.headers)?;
    }
    let mut read = Vec::new();
    while let Some(octets) = body.data().await {
        let octets = octets.map_err(|error| http2::error_in_body(&error))?;
        if read.len() + octets.len() > MAX_MESSAGE_OCTETS {
            return Err(Failure::NotGrpc.into());
        }
        read.extend_from_slice(&octets);
    }
    if let Some(trailers) = body.trailers().await.map_err(|error| http2::error_in_body(&error))? {
        check_status(&trailers)?;
        has_status = true;
    }
    if !has_status {
        return Err(Failure::NotGrpc.into());
    }
    match decode_serving_status(&read).ok_or(Failure::NotGrpc)? {
        1 => Ok(PassDetails::default()),
        other => {
            let name =
                usize::try_from(other).ok().and_then(|other| SERVING_STATUS_NAMES.get(other));
            Err(Failure::NotServing(name.copied().unwrap_or("in an unknown state")).into())
        }
    }
}

/// Checks the status of the call itself.
fn check_status(headers: &HeaderMap) -> Result<(), Failure> {
    let status =
        headers.get(GRPC_STATUS).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    match status {
        Some(0) => Ok(()),
        Some(status) => {
            Err(Failure::GrpcStatus(STATUS_NAMES.get(status).copied().unwrap_or("without a name")))
        }
        None => Err(Failure::NotGrpc),
    }
}

/// `HealthCheckRequest { service }`: a gRPC message with one string, field 1.
fn encode_request(service: &str) -> Vec<u8> {
    let mut message = Vec::with_capacity(service.len() + 10);
    if !service.is_empty() {
        message.push(1 << 3 | 2);
        let mut length = service.len();
        while length >= 0x80 {
            message.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend((message.len() as u32).to_be_bytes());
    framed.extend(message);
    framed
}

/// `HealthCheckResponse { status }`: an enumeration, field 1; 0 if the field is absent. `None` if
/// the message is malformed or compressed.
fn decode_serving_status(framed: &[u8]) -> Option<u64> {
    let (&is_compressed, rest) = framed.split_first()?;
    let (length, mut message) = rest.split_first_chunk::<4>()?;
    if is_compressed != 0 || message.len() != u32::from_be_bytes(*length) as usize {
        return None;
    }
    let mut state = 0;
    while !message.is_empty() {
        let tag = take_varint(&mut message)?;
        match tag & 7 {
            0 if tag >> 3 == 1 => state = take_varint(&mut message)?,
            0 => _ = take_varint(&mut message)?,
            1 => message = message.get(8..)?,
            2 => {
                let length = usize::try_from(take_varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            5 => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(state)
}

/// Takes a varint of protobuf: seven bits an octet, the lowest first.
fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&octet, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_the_protocol() {
        assert_eq!(encode_request(""), [0, 0, 0, 0, 0]);
        assert_eq!(encode_request("web"), *b"\0\0\0\0\x05\x0a\x03web");
        assert_eq!(encode_request(&"x".repeat(300))[..8], [0, 0, 0, 0x01, 0x2f, 0x0a, 0xac, 0x02]);
        for (framed, expected, why) in [
            (&b"\0\0\0\0\x02\x08\x01"[..], Some(1), "SERVING"),
            (b"\0\0\0\0\0", Some(0), "empty: the default"),
            (b"\0\0\0\0\x05\x12\x01x\x08\x02", Some(2), "behind a field of a later version"),
            (b"\x01\0\0\0\x02\x08\x01", None, "compressed, which was not offered"),
            (b"\0\0\0\0\x03\x08\x01", None, "cut off"),
            (b"\0\0\0\0\x02\x08\x80", None, "a number cut off"),
            (
                b"\0\0\0\0\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                None,
                "a number without an end",
            ),
            (b"\0\0\0\0\x07\x12\xff\xff\xff\xff\x0f\x08", None, "a length beyond the message"),
            (b"", None, "nothing"),
        ] {
            assert_eq!(decode_serving_status(framed), expected, "{why}");
        }
    }
}
