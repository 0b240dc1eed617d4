//! The body of a reply, read up to a bound and searched.
//!
//! A reply passes only if its body ends as its head announced, or if its first 64 KiB arrived. Once
//! the required text is found, the rest is not read, so a check can pass on an endless stream.

use std::{pin::Pin, task::Poll};

use h2::RecvStream;
use hyper::body::{Body, Bytes, Incoming};
use regex::bytes::{Regex, RegexBuilder};

use super::{http1, http2, result::ProbeError};
use crate::health::{Failure, HttpCheck};

/// The maximum number of octets of a body that are read.
const MAX_BODY_OCTETS: usize = 64 * 1024;

/// A body that is being received, over either version of HTTP.
#[derive(Debug)]
pub(super) enum ResponseBody {
    Http1(Incoming),
    Http2(RecvStream),
}

impl ResponseBody {
    /// The next octets; `None` at the end of the body.
    pub(super) async fn next_chunk(&mut self) -> Option<Result<Bytes, ProbeError>> {
        match self {
            Self::Http2(stream) => {
                Some(stream.data().await?.map_err(|error| http2::error_in_body(&error)))
            }
            Self::Http1(body) => {
                let frame = std::future::poll_fn(|context| {
                    match Pin::new(&mut *body).poll_frame(context) {
                        // Trailers are not octets of the body.
                        Poll::Ready(Some(Ok(frame))) => {
                            Poll::Ready(Some(Ok(frame.into_data().unwrap_or_default())))
                        }
                        Poll::Ready(Some(Err(error))) => {
                            Poll::Ready(Some(Err(http1::probe_error(error))))
                        }
                        Poll::Ready(None) => Poll::Ready(None),
                        Poll::Pending => Poll::Pending,
                    }
                });
                frame.await
            }
        }
    }

    /// Reads to the end of the body, or to [`MAX_BODY_OCTETS`].
    ///
    /// # Errors
    /// The reason why the body does not end as the head announced.
    async fn read_to_end(mut self) -> Result<(), ProbeError> {
        let mut read = 0;
        while read < MAX_BODY_OCTETS {
            let Some(octets) = self.next_chunk().await else { break };
            read += octets?.len();
        }
        Ok(())
    }
}

/// The text and the pattern that a body must contain.
#[derive(Debug)]
pub(super) struct BodyCondition {
    text: Option<Box<str>>,
    pattern: Option<Regex>,
}

impl BodyCondition {
    /// Compiles the pattern of the check.
    ///
    /// # Errors
    /// [`Failure::MonitorUnusable`] if it is no valid pattern.
    pub(super) fn new(check: &HttpCheck) -> Result<Self, Failure> {
        let text = check.required_text.clone().filter(|text| !text.is_empty());
        let pattern = check.required_pattern.as_deref().map(compile_pattern).transpose();
        let pattern = pattern
            .map_err(|error| Failure::MonitorUnusable(format!("its body-regex: {error}").into()))?;
        Ok(Self { text, pattern })
    }

    /// Reads until the text is found, or to [`MAX_BODY_OCTETS`]. Without a text, reads to the end
    /// or to the bound.
    ///
    /// # Errors
    /// The condition that is not met, or the reason why the body could not be read.
    pub(super) async fn check(&self, mut body: ResponseBody) -> Result<(), ProbeError> {
        let mut is_text_missing = self.text.is_some();
        if !is_text_missing && self.pattern.is_none() {
            return body.read_to_end().await;
        }
        let required = self.text.as_deref().unwrap_or_default().as_bytes();
        let mut read: Vec<u8> = Vec::new();
        while read.len() < MAX_BODY_OCTETS {
            let Some(octets) = body.next_chunk().await else { break };
            let search_from = read.len().saturating_sub(required.len().saturating_sub(1));
            let room = MAX_BODY_OCTETS - read.len();
            read.extend(octets?.iter().take(room));
            if is_text_missing {
                is_text_missing = !read
                    .split_at(search_from)
                    .1
                    .windows(required.len())
                    .any(|window| window == required);
            }
            // A pattern may be anchored to the end, so it is matched against the whole body.
            if !is_text_missing && self.pattern.is_none() {
                return Ok(());
            }
        }
        if is_text_missing {
            return Err(Failure::BodyMismatch.into());
        }
        match &self.pattern {
            Some(pattern) if !pattern.is_match(&read) => Err(Failure::BodyPatternMismatch.into()),
            _ => Ok(()),
        }
    }
}

/// Compiles a pattern that matches octets, within a bound on the size of its automaton.
fn compile_pattern(text: &str) -> Result<Regex, regex::Error> {
    let max_octets = HttpCheck::MAX_PATTERN_OCTETS;
    RegexBuilder::new(text).size_limit(max_octets).dfa_size_limit(max_octets).build()
}
