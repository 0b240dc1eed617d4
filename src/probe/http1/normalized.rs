//! What a reply says, in the one form that hyper reads (RFC 9112): between the connection and
//! hyper.
//!
//! RFC 9112 lets a recipient accept more than hyper does: several blanks in the status line, a
//! later minor version, folded lines, white space before a colon, bare line feeds, and in trailers
//! the same. Of the head only the fields that a probe or a poll looks at are kept, so that neither
//! the number of the others nor what is wrong with them matters; trailers are dropped. Where the
//! body ends is hyper's to judge: a chunk that is malformed is handed on as it came.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most that is read of a reply's head, and of its trailers.
pub(super) const MAX_HEAD_OCTETS: usize = 16 * 1024;
/// A chunk's line that is longer is left to hyper.
const MAX_CHUNK_LINE_OCTETS: usize = 4096;
/// Fields that somebody reads: the body's framing, redirects, load reports.
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

/// A connection whose replies are read in their normal form.
#[derive(Debug)]
pub(super) struct NormalizedStream<S> {
    inner: S,
    parser: ReplyParser,
    /// What is ready to be read, from `output_offset` on.
    output: Vec<u8>,
    output_offset: usize,
    is_eof: bool,
}

/// What came of a reply and is not in its normal form yet.
#[derive(Debug, Default)]
struct ReplyParser {
    raw: Vec<u8>,
    /// So much of it holds no end of a head.
    scanned_octets: usize,
    state: ParserState,
}

/// What comes next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum ParserState {
    #[default]
    Head,
    /// The line with a chunk's size.
    ChunkSize,
    /// So many octets of a chunk.
    ChunkData(u64),
    /// The line end after a chunk.
    ChunkEnd,
    /// Trailers, of which so many octets were dropped.
    Trailers(usize),
    /// Octets that are handed on as they come.
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
            let mut piece = ReadBuf::new(&mut octets);
            ready!(Pin::new(&mut this.inner).poll_read(context, &mut piece))?;
            this.is_eof = piece.filled().is_empty();
            this.parser.raw.extend_from_slice(piece.filled());
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
    /// Moves what is whole into `output`.
    fn normalize(&mut self, ready: &mut Vec<u8>) -> io::Result<()> {
        while !self.raw.is_empty() && self.step(ready)? {}
        Ok(())
    }

    /// One part of the reply; whether it was whole.
    fn step(&mut self, ready: &mut Vec<u8>) -> io::Result<bool> {
        match self.state {
            ParserState::Head => return self.parse_head(ready),
            ParserState::Passthrough => ready.append(&mut self.raw),
            ParserState::ChunkSize => return Ok(self.parse_chunk_size(ready)),
            ParserState::ChunkData(left) => {
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(self.raw.len());
                ready.extend(self.raw.drain(..length));
                let left = left - length as u64;
                self.state =
                    if left == 0 { ParserState::ChunkEnd } else { ParserState::ChunkData(left) };
            }
            ParserState::ChunkEnd => match self.raw[..] {
                [b'\r'] => return Ok(false),
                [b'\r', b'\n', ..] | [b'\n', ..] => {
                    self.take_line();
                    ready.extend_from_slice(b"\r\n");
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
                    ready.extend_from_slice(b"\r\n");
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

    fn parse_head(&mut self, ready: &mut Vec<u8>) -> io::Result<bool> {
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
                ready.extend(head.octets);
            }
            None => {
                ready.extend(raw);
                self.state = ParserState::Passthrough;
            }
        }
        Ok(true)
    }

    fn parse_chunk_size(&mut self, ready: &mut Vec<u8>) -> bool {
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
        ready.extend(line);
        ready.extend_from_slice(b"\r\n");
        true
    }
}

/// A head in its normal form.
struct NormalizedHead {
    octets: Vec<u8>,
    status: u16,
    is_chunked: bool,
}

impl NormalizedHead {
    /// `None` where the status line is none.
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
        // A reply of HTTP/1.0 with a transfer coding is read by the coding (RFC 9112 section 6.1).
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

/// The fields that are kept: names in lower case, values on one line.
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
        // CR and NUL in a value are blanks (RFC 9110 section 5.5).
        value.iter_mut().filter(|octet| octet.is_ascii_control()).for_each(|octet| *octet = b' ');
        *value = value.trim_ascii().to_vec();
    }
    fields
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// The normal form of a reply that comes in pieces of this many octets.
    async fn normal(reply: &[u8], octets: usize) -> Result<String, io::Error> {
        let mut mock = fragmented(reply, octets);
        let mut read = Vec::new();
        mock.read_to_end(&mut read).await?;
        Ok(String::from_utf8_lossy(&read).into_owned())
    }

    /// A connection that gives its octets in pieces.
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

    fn fragmented(reply: &[u8], most: usize) -> NormalizedStream<FragmentedStream> {
        NormalizedStream::new(FragmentedStream {
            octets: reply.to_vec(),
            offset: 0,
            fragment_octets: most,
        })
    }

    #[tokio::test]
    async fn a_reply_has_one_form_however_it_arrives() {
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
                    normal(reply.as_bytes(), octets).await.unwrap(),
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
                    normal(head.as_bytes(), octets).await.is_ok(),
                    is_read,
                    "{length}, {octets} at a time"
                );
            }
        }
    }
}
