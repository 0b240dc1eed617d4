//! A stream between the connection and hyper that rewrites replies into the form that hyper accepts
//! (RFC 9112).
//!
//! RFC 9112 lets a recipient accept more than hyper does: several blanks in the status line, a
//! later minor version, folded lines, white space before a colon, bare line feeds, and the same in
//! trailers. Of the head, only the fields that a probe or a poll reads are kept, so neither the
//! number of the others nor errors in them matter. Trailers are dropped. hyper decides where the
//! body ends: a malformed chunk is passed through unchanged.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The maximum number of octets of a head, and of trailers, that are read.
pub(super) const MAX_HEAD_OCTETS: usize = 16 * 1024;
/// The longest line of a chunk size, in octets, that is parsed here. A longer one is passed through
/// to hyper.
const MAX_CHUNK_LINE_OCTETS: usize = 4096;
/// The fields that are read later: framing of the body, redirects, load reports.
const KEPT_FIELDS: [&[u8]; 7] = [
    b"connection",
    b"content-length",
    b"content-type",
    b"endpoint-load-metrics",
    b"location",
    b"transfer-encoding",
    b"upgrade",
];

/// The head of a reply is longer than [`MAX_HEAD_OCTETS`].
#[derive(Debug)]
pub(super) struct LongHead;

impl fmt::Display for LongHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the head of the reply is too long")
    }
}

impl std::error::Error for LongHead {}

/// A connection whose replies are read in normalized form.
#[derive(Debug)]
pub(super) struct NormalizedStream<S> {
    inner: S,
    parser: ReplyParser,
    /// Normalized octets, of which those from `output_offset` on are not read yet.
    output: Vec<u8>,
    output_offset: usize,
    is_eof: bool,
}

/// Received octets that are not normalized yet, and the state of the parser.
#[derive(Debug, Default)]
struct ReplyParser {
    raw: Vec<u8>,
    /// The octets of `raw` that were searched for the end of the head.
    scanned_octets: usize,
    state: ParserState,
}

/// The element of the reply that is parsed next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum ParserState {
    #[default]
    Head,
    /// The line with the size of a chunk.
    ChunkSize,
    /// The data of a chunk, of which this many octets are missing.
    ChunkData(u64),
    /// The line end after a chunk.
    ChunkEnd,
    /// Trailers, of which this many octets were dropped.
    Trailers(usize),
    /// The rest, which is passed through unchanged.
    Passthrough,
}

impl<S> NormalizedStream<S> {
    pub(super) fn new(inner: S) -> Self {
        Self {
            inner,
            parser: ReplyParser::default(),
            output: Vec::new(),
            output_offset: 0,
            is_eof: false,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for NormalizedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let rest = &this.output[this.output_offset..];
            if !rest.is_empty() {
                let length = rest.len().min(into.remaining());
                into.put_slice(&rest[..length]);
                this.output_offset += length;
                return Poll::Ready(Ok(()));
            }
            if this.is_eof {
                return Poll::Ready(Ok(()));
            }
            this.output.clear();
            this.output_offset = 0;
            let mut octets = [0; 4096];
            let mut fragment = ReadBuf::new(&mut octets);
            ready!(Pin::new(&mut this.inner).poll_read(context, &mut fragment))?;
            this.is_eof = fragment.filled().is_empty();
            this.parser.raw.extend_from_slice(fragment.filled());
            if this.is_eof {
                this.output.append(&mut this.parser.raw);
            } else {
                this.parser.normalize(&mut this.output)?;
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for NormalizedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(context, octets)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}

impl ReplyParser {
    /// Moves all complete elements from `raw` into `output`.
    fn normalize(&mut self, output: &mut Vec<u8>) -> io::Result<()> {
        while !self.raw.is_empty() && self.step(output)? {}
        Ok(())
    }

    /// Parses the next element; `false` if it is not complete yet.
    fn step(&mut self, output: &mut Vec<u8>) -> io::Result<bool> {
        match self.state {
            ParserState::Head => return self.parse_head(output),
            ParserState::Passthrough => output.append(&mut self.raw),
            ParserState::ChunkSize => return Ok(self.parse_chunk_size(output)),
            ParserState::ChunkData(left) => {
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(self.raw.len());
                output.extend(self.raw.drain(..length));
                let left = left - length as u64;
                self.state =
                    if left == 0 { ParserState::ChunkEnd } else { ParserState::ChunkData(left) };
            }
            ParserState::ChunkEnd => match self.raw[..] {
                [b'\r'] => return Ok(false),
                [b'\r', b'\n', ..] | [b'\n', ..] => {
                    self.take_line();
                    output.extend_from_slice(b"\r\n");
                    self.state = ParserState::ChunkSize;
                }
                _ => self.state = ParserState::Passthrough,
            },
            ParserState::Trailers(dropped) => {
                let Some(line) = self.take_line() else { return Ok(false) };
                let dropped = dropped + line.len();
                self.state = match line.is_empty() {
                    true => ParserState::Passthrough,
                    false if dropped > MAX_HEAD_OCTETS => return Err(io::Error::other(LongHead)),
                    false => ParserState::Trailers(dropped),
                };
                if line.is_empty() {
                    output.extend_from_slice(b"\r\n");
                }
            }
        }
        Ok(true)
    }

    /// Takes the next line, without its end.
    fn take_line(&mut self) -> Option<Vec<u8>> {
        let end = self.raw.iter().position(|&octet| octet == b'\n')?;
        let mut line: Vec<u8> = self.raw.drain(..=end).collect();
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(line)
    }

    fn parse_head(&mut self, output: &mut Vec<u8>) -> io::Result<bool> {
        // An empty line before the status line is ignored (RFC 9112 section 2.2).
        while self.raw.starts_with(b"\r\n") || self.raw.starts_with(b"\n") {
            self.take_line();
        }
        if self.raw == b"\r" {
            return Ok(false);
        }
        const HTTP: &[u8] = b"HTTP/";
        if self.raw.iter().zip(HTTP).any(|(octet, wanted)| octet != wanted) {
            self.state = ParserState::Passthrough;
            return Ok(true);
        }
        let from = self.scanned_octets.saturating_sub(2);
        let end = (from..self.raw.len()).find_map(|at| match self.raw[at..] {
            [b'\n', b'\n', ..] => Some(at + 2),
            [b'\n', b'\r', b'\n', ..] => Some(at + 3),
            _ => None,
        });
        self.scanned_octets = self.raw.len();
        let Some(end) = end.filter(|end| *end <= MAX_HEAD_OCTETS) else {
            let is_long = self.raw.len() >= MAX_HEAD_OCTETS;
            return if is_long { Err(io::Error::other(LongHead)) } else { Ok(false) };
        };
        self.scanned_octets = 0;
        let raw: Vec<u8> = self.raw.drain(..end).collect();
        match NormalizedHead::parse(&raw) {
            Some(head) => {
                self.state = match head.status {
                    101 => ParserState::Passthrough,
                    100..=199 => ParserState::Head,
                    _ if head.is_chunked => ParserState::ChunkSize,
                    _ => ParserState::Passthrough,
                };
                output.extend(head.octets);
            }
            None => {
                output.extend(raw);
                self.state = ParserState::Passthrough;
            }
        }
        Ok(true)
    }

    fn parse_chunk_size(&mut self, output: &mut Vec<u8>) -> bool {
        if !self.raw.contains(&b'\n') {
            if self.raw.len() > MAX_CHUNK_LINE_OCTETS {
                self.state = ParserState::Passthrough;
            }
            return self.state == ParserState::Passthrough;
        }
        let line = self.take_line().unwrap_or_default();
        let digits = line.iter().take_while(|octet| octet.is_ascii_hexdigit()).count();
        let size = std::str::from_utf8(&line[..digits])
            .ok()
            .and_then(|text| u64::from_str_radix(text, 16).ok());
        self.state = match size {
            None => ParserState::Passthrough,
            Some(0) => ParserState::Trailers(0),
            Some(size) => ParserState::ChunkData(size),
        };
        output.extend(line);
        output.extend_from_slice(b"\r\n");
        true
    }
}

/// The head of a reply in its normalized form.
struct NormalizedHead {
    octets: Vec<u8>,
    status: u16,
    is_chunked: bool,
}

impl NormalizedHead {
    /// `None` if the status line is invalid.
    fn parse(raw: &[u8]) -> Option<Self> {
        let mut lines =
            raw.split(|&octet| octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let mut words =
            lines.next()?.split(|octet| b" \t".contains(octet)).filter(|word| !word.is_empty());
        let minor = words.next()?.strip_prefix(b"HTTP/1.")?;
        let status = words.next().filter(|word| word.len() == 3)?;
        let status: u16 = std::str::from_utf8(status).ok()?.parse().ok()?;
        if minor.is_empty() || !minor.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let fields = kept_fields(lines);
        let codings = fields
            .iter()
            .rev()
            .find(|(name, _)| name == b"transfer-encoding")
            .map(|(_, value)| value);
        let last = codings
            .and_then(|codings| codings.rsplit(|&octet| octet == b',').next())
            .map(<[u8]>::trim_ascii);
        // The transfer coding of an HTTP/1.0 reply frames its body (RFC 9112 section 6.1).
        let minor = if minor == b"0" && codings.is_none() { 0 } else { 1 };
        let mut octets = format!("HTTP/1.{minor} {status:03} \r\n").into_bytes();
        for (name, value) in &fields {
            octets.extend([name, &b": "[..], value, b"\r\n"].concat());
        }
        octets.extend_from_slice(b"\r\n");
        Some(Self {
            octets,
            status,
            is_chunked: last.is_some_and(|last| last.eq_ignore_ascii_case(b"chunked")),
        })
    }
}

/// The fields of [`KEPT_FIELDS`]: names in lower case, values on one line.
fn kept_fields<'l>(lines: impl Iterator<Item = &'l [u8]>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut fields: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for line in lines {
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            if let Some((_, value)) = fields.last_mut() {
                value.push(b' ');
                value.extend_from_slice(line);
            }
            continue;
        }
        let colon = line.iter().position(|&octet| octet == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        fields.push((
            name.trim_ascii_end().to_ascii_lowercase(),
            value.get(1..).unwrap_or_default().to_vec(),
        ));
    }
    fields.retain(|(name, _)| KEPT_FIELDS.contains(&&name[..]));
    for (_, value) in &mut fields {
        // CR and NUL in a value are replaced by blanks (RFC 9110 section 5.5).
        value.iter_mut().filter(|octet| octet.is_ascii_control()).for_each(|octet| *octet = b' ');
        *value = value.trim_ascii().to_vec();
    }
    fields
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// The normalized form of a reply that arrives in fragments of this many octets.
    async fn normalized(reply: &[u8], octets: usize) -> Result<String, io::Error> {
        let mut mock = fragmented(reply, octets);
        let mut read = Vec::new();
        mock.read_to_end(&mut read).await?;
        Ok(String::from_utf8_lossy(&read).into_owned())
    }

    /// A connection that delivers its octets in fragments.
    struct FragmentedStream {
        octets: Vec<u8>,
        offset: usize,
        fragment_octets: usize,
    }

    impl AsyncRead for FragmentedStream {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let this = self.get_mut();
            let end =
                (this.offset + this.fragment_octets.min(into.remaining())).min(this.octets.len());
            into.put_slice(&this.octets[this.offset..end]);
            this.offset = end;
            Poll::Ready(Ok(()))
        }
    }

    fn fragmented(reply: &[u8], fragment_octets: usize) -> NormalizedStream<FragmentedStream> {
        NormalizedStream::new(FragmentedStream {
            octets: reply.to_vec(),
            offset: 0,
            fragment_octets,
        })
    }

    #[tokio::test]
    async fn a_reply_has_the_same_form_however_it_arrives() {
        for (reply, expected, why) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                "HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok",
                "plain",
            ),
            (
                "\r\nHTTP/1.2  200  OK\nContent-Length\t: 2\n\nok",
                "HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok",
                "lenient",
            ),
            ("HTTP/1.0 200\r\n\r\nok", "HTTP/1.0 200 \r\n\r\nok", "an old version"),
            (
                "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length:\r\n\t2\r\n\r\nok",
                "HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok",
                "folded",
            ),
            (
                "HTTP/1.1 200 OK\r\nX: a\0b\rc\r\nno colon\r\nLocation: /\0x\r\n\r\n",
                "HTTP/1.1 200 \r\nlocation: / x\r\n\r\n",
                "controls",
            ),
            (
                "HTTP/1.1 103 X\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n2;x=y\nok\n0\nX : 1\n  two\n\n",
                "HTTP/1.1 103 \r\n\r\nHTTP/1.1 200 \r\ntransfer-encoding: gzip, Chunked\r\n\r\n2;x=y\r\nok\r\n0\r\n\r\n",
                "an interim reply, bare line feeds, trailers",
            ),
            ("SSH-2.0-x\r\n", "SSH-2.0-x\r\n", "not HTTP"),
            ("HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Le", "cut"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                "HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
                "no chunk",
            ),
        ] {
            for octets in [1, 2, 3, 7, 4096] {
                assert_eq!(
                    normalized(reply.as_bytes(), octets).await.unwrap(),
                    expected,
                    "{why}, {octets} at a time"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_head_is_read_up_to_its_bound() {
        for (length, is_read) in [(MAX_HEAD_OCTETS, true), (MAX_HEAD_OCTETS + 1, false)] {
            let start = "HTTP/1.1 200 OK\r\nX: ";
            let head = format!("{start}{}\r\n\r\n", "a".repeat(length - start.len() - 4));
            for octets in [1000, 4096] {
                assert_eq!(
                    normalized(head.as_bytes(), octets).await.is_ok(),
                    is_read,
                    "{length}, {octets} at a time"
                );
            }
        }
    }
}
