//! The DNS query of a request (RFC 8484 section 4.1): in the `dns` parameter of a GET request, or
//! in the body of a POST request.
//!
//! `Accept` is ignored: a client has to accept `application/dns-message` in any case (section
//! 4.2.1), and there is no other media type to choose.

use data_encoding::BASE64URL_NOPAD;
use http_body_util::BodyExt;
use hyper::{
    Method, Request, StatusCode, Version,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HOST, HeaderMap},
    http::{request::Parts, uri::Authority},
};

use super::{error::HttpError, reply::MEDIA_TYPE, reservation::RequestReservation};
use crate::transport::stream::MAX_MESSAGE_OCTETS;

/// The maximum number of octets of an unused body that are read and discarded.
const MAX_DISCARDED_OCTETS: usize = 128 << 10;

/// The part of a request that contains the query.
#[derive(Debug, PartialEq, Eq)]
enum QueryLocation {
    /// In the `dns` parameter of a GET request, here decoded.
    Query(Vec<u8>),
    /// In the body of a POST request, which is still to be read.
    Body,
}

/// Reads the DNS message of a request to the resource at `path`, and reserves buffer octets for it.
///
/// # Errors
/// The response that names the mistake.
pub(super) async fn read(
    request: Request<Incoming>,
    path: &str,
    reservation: &mut RequestReservation,
) -> Result<Vec<u8>, HttpError> {
    let (head, body) = request.into_parts();
    let location = read_head(&head, path);
    // A head may be long, and is not needed while the body is read.
    drop(head);
    match location {
        Ok(QueryLocation::Body) => read_body(body, reservation).await,
        Ok(QueryLocation::Query(message)) => Ok(message),
        Err(error) => {
            // Over HTTP/1.1 a client reads the status only after it has sent its body.
            discard(body).await;
            Err(error)
        }
    }
}

fn read_head(head: &Parts, path: &str) -> Result<QueryLocation, HttpError> {
    if head.version == Version::HTTP_11 && !has_host(&head.headers) {
        return Err(HttpError::new(
            StatusCode::BAD_REQUEST,
            "an HTTP/1.1 request has one Host header (RFC 9112 section 3.2)",
        ));
    }
    if head.uri.path() != path {
        return Err(HttpError::new(StatusCode::NOT_FOUND, "no DNS resource at this path"));
    }
    match head.method {
        Method::GET | Method::HEAD => {
            decode_query(head.uri.query().unwrap_or_default()).map(QueryLocation::Query)
        }
        Method::POST if is_dns_message(&head.headers) => Ok(QueryLocation::Body),
        Method::POST => Err(HttpError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Content-Type must be application/dns-message",
        )),
        _ => Err(HttpError::new(StatusCode::METHOD_NOT_ALLOWED, "use GET or POST")),
    }
}

fn has_host(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    host.is_empty() || host.to_str().is_ok_and(|host| host.parse::<Authority>().is_ok())
}

/// The query in the parameter `dns`, in base64url without padding (RFC 8484 section 6).
fn decode_query(parameters: &str) -> Result<Vec<u8>, HttpError> {
    let encoded = parameters.split('&').find_map(|parameter| parameter.strip_prefix("dns="));
    let encoded = encoded.ok_or(HttpError::new(
        StatusCode::BAD_REQUEST,
        "a GET request has a query parameter: ?dns=BASE64URL",
    ))?;
    BASE64URL_NOPAD.decode(encoded.as_bytes()).map_err(|_| {
        HttpError::new(
            StatusCode::BAD_REQUEST,
            "the parameter dns is not base64url without padding (RFC 8484 section 6)",
        )
    })
}

/// Whether the only Content-Type is that of DNS messages. Media types are compared without case,
/// and this one has no parameters that matter (RFC 9110 section 8.3.1).
fn is_dns_message(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let media_type = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case(MEDIA_TYPE)
}

async fn read_body(
    mut body: Incoming,
    reservation: &mut RequestReservation,
) -> Result<Vec<u8>, HttpError> {
    let mut message = Vec::new();
    while let Some(frame) = body.frame().await {
        // No client reads this status: the connection is broken.
        let frame =
            frame.map_err(|_| HttpError::new(StatusCode::BAD_REQUEST, "the body ended early"))?;
        let piece: Bytes = frame.into_data().unwrap_or_default();
        let octets = message.len() + piece.len();
        if octets > MAX_MESSAGE_OCTETS {
            discard(body).await;
            return Err(HttpError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "a DNS message has at most 65,535 octets",
            ));
        }
        // A vector that grows may allocate up to twice its length, so twice is reserved.
        reservation.resize(2 * octets).await?;
        message.extend_from_slice(&piece);
    }
    Ok(message)
}

/// Reads and discards the rest of a body, within a bound.
async fn discard(mut body: Incoming) {
    let mut left = MAX_DISCARDED_OCTETS;
    while let Some(Ok(frame)) = body.frame().await {
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(less) => left = less,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::ACCEPT;

    use super::*;

    fn status(request: hyper::http::request::Builder) -> Result<QueryLocation, u16> {
        let (head, ()) = request.body(()).unwrap().into_parts();
        read_head(&head, "/dns-query").map_err(|error| error.status.as_u16())
    }

    #[test]
    fn a_request_is_a_query_or_gets_the_status_that_names_its_mistake() {
        let request =
            |method, uri| Request::builder().method(method).uri(uri).version(Version::HTTP_2);
        let get = |uri| request("GET", uri);
        let post = |kind| request("POST", "/dns-query").header(CONTENT_TYPE, kind);
        let query = Ok(QueryLocation::Query(b"\0\x01q".to_vec()));
        for (why, request, expected) in [
            ("GET", get("/dns-query?dns=AAFx"), query),
            (
                "GET with another parameter before",
                get("/dns-query?ct&dns=AAFx&x=y"),
                Ok(QueryLocation::Query(b"\0\x01q".to_vec())),
            ),
            (
                "HEAD",
                request("HEAD", "/dns-query?dns=AAFx"),
                Ok(QueryLocation::Query(b"\0\x01q".to_vec())),
            ),
            (
                "GET by an absolute URI",
                get("https://ns.example.net/dns-query?dns=AAFx"),
                Ok(QueryLocation::Query(b"\0\x01q".to_vec())),
            ),
            ("GET without a query", get("/dns-query"), Err(400)),
            ("GET with padding", get("/dns-query?dns=AAE="), Err(400)),
            ("GET with bits left over", get("/dns-query?dns=AAF"), Err(400)),
            ("GET in plain base64", get("/dns-query?dns=AA/+"), Err(400)),
            ("POST", post("application/dns-message"), Ok(QueryLocation::Body)),
            ("POST in another case", post("Application/DNS-Message"), Ok(QueryLocation::Body)),
            (
                "POST with a parameter",
                post("application/dns-message ; v=1"),
                Ok(QueryLocation::Body),
            ),
            ("POST of another type", post("text/plain"), Err(415)),
            ("POST of a type that begins alike", post("application/dns-message-2"), Err(415)),
            (
                "POST of two types",
                post("application/dns-message").header(CONTENT_TYPE, "text/plain"),
                Err(415),
            ),
            ("POST without a type", request("POST", "/dns-query"), Err(415)),
            ("another path", get("/?dns=AAFx"), Err(404)),
            ("a path below", get("/dns-query/?dns=AAFx"), Err(404)),
            ("another method", request("DELETE", "/dns-query"), Err(405)),
            (
                "any Accept",
                get("/dns-query?dns=AAFx").header(ACCEPT, "text/html;q=0.5"),
                Ok(QueryLocation::Query(b"\0\x01q".to_vec())),
            ),
            (
                "HTTP/1.1 without Host",
                get("/dns-query?dns=AAFx").version(Version::HTTP_11),
                Err(400),
            ),
            (
                "HTTP/1.1",
                get("/dns-query?dns=AAFx").version(Version::HTTP_11).header(HOST, "ns.example.net"),
                Ok(QueryLocation::Query(b"\0\x01q".to_vec())),
            ),
        ] {
            assert_eq!(status(request), expected, "{why}");
        }
    }
}
