//! EDNS (RFC 6891): the OPT record of a request, and that of its reply.

use super::{
    malformed::Malformed,
    reply::{BufferFull, ReplyWriter, Section},
    subnet::ClientSubnet,
};

const OPTION_NSID: u16 = 3;
const OPTION_CLIENT_SUBNET: u16 = 8;
const OPTION_COOKIE: u16 = 10;

/// The OPT record of a request.
#[derive(Debug, Clone, Copy)]
pub struct Edns<'m> {
    /// The largest UDP payload that the sender accepts, in octets.
    pub udp_payload: u16,
    /// The EDNS version; 0 is the only one defined.
    pub version: u8,
    /// The sender accepts DNSSEC records (DO); the bit is copied to the reply.
    pub dnssec_ok: bool,
    /// The network of the client that the resolver asks for (RFC 7871).
    pub subnet: Option<ClientSubnet<'m>>,
    /// The COOKIE option (RFC 7873).
    pub cookie: Option<Cookie<'m>>,
    /// The sender asks for the identifier of the server (NSID, RFC 5001).
    pub wants_nsid: bool,
}

/// A COOKIE option (RFC 7873 section 4).
#[derive(Debug, Clone, Copy)]
pub struct Cookie<'m> {
    /// The client cookie, eight octets.
    pub client: &'m [u8; 8],
    /// The server cookie that the client returns, 8 to 32 octets; empty if it has none.
    pub server: &'m [u8],
}

impl<'m> Edns<'m> {
    /// An OPT record without options, from the class and the TTL of the record.
    pub(super) fn new(class: u16, ttl: [u8; 4]) -> Self {
        let [_, version, flags, _] = ttl;
        let dnssec_ok = flags & 0x80 != 0;
        Self {
            udp_payload: class,
            version,
            dnssec_ok,
            subnet: None,
            cookie: None,
            wants_nsid: false,
        }
    }

    /// Reads the options. Skips unknown options, such as TCP keepalive and padding, and all options
    /// of other EDNS versions. If one option is malformed, all are ignored.
    #[inline(always)]
    pub(super) fn read_options(&mut self, octets: &'m [u8]) -> Result<(), Malformed> {
        let read = if self.version == 0 { self.read_each_option(octets) } else { Ok(()) };
        if read.is_err() {
            (self.subnet, self.cookie, self.wants_nsid) = (None, None, false);
        }
        read
    }

    #[inline(always)]
    fn read_each_option(&mut self, mut rest: &'m [u8]) -> Result<(), Malformed> {
        while let Some((&[a, b, c, d], tail)) = rest.split_first_chunk::<4>() {
            let [code, length] = [[a, b], [c, d]].map(u16::from_be_bytes);
            let (data, tail) = tail.split_at_checked(usize::from(length)).ok_or(Malformed)?;
            match code {
                OPTION_NSID => self.wants_nsid = true,
                OPTION_CLIENT_SUBNET if self.subnet.is_none() => {
                    self.subnet = Some(ClientSubnet::read(data)?)
                }
                OPTION_COOKIE if self.cookie.is_none() => self.cookie = Some(Cookie::read(data)?),
                _ => {}
            }
            rest = tail;
        }
        if rest.is_empty() { Ok(()) } else { Err(Malformed) }
    }

    /// The content of the reply's OPT record: `nsid` if the client asked for it, and a cookie if
    /// the client sent one and `gives_cookies` returns true. `gives_cookies` is called only if the
    /// client sent a cookie.
    pub fn echo<'e>(
        &'e self,
        nsid: &'e [u8],
        gives_cookies: impl FnOnce() -> bool,
    ) -> EdnsEcho<'e> {
        let nsid = if self.wants_nsid { nsid } else { &[] };
        let subnet = self.subnet.as_ref().map_or(0, |subnet| OPTION_OCTETS + subnet.octets().len());
        let cookie = if self.cookie.is_some() && gives_cookies() {
            OPTION_OCTETS + COOKIE_OCTETS
        } else {
            0
        };
        let nsid_octets = if nsid.is_empty() { 0 } else { OPTION_OCTETS + nsid.len() };
        let options_octets = (nsid_octets + subnet + cookie) as u16;
        EdnsEcho { edns: self, nsid, has_subnet: subnet != 0, options_octets }
    }
}

impl<'m> Cookie<'m> {
    /// Reads eight octets of client cookie, and none or 8 to 32 octets of server cookie (RFC 7873
    /// section 5.2.2).
    fn read(data: &'m [u8]) -> Result<Self, Malformed> {
        match data.len() {
            8 | 16..=40 => data
                .split_first_chunk()
                .map(|(client, server)| Self { client, server })
                .ok_or(Malformed),
            _ => Err(Malformed),
        }
    }
}

/// The content of the reply's OPT record. It is decided before the answer is written, so that its
/// octets can be reserved.
#[derive(Debug, Clone, Copy)]
pub struct EdnsEcho<'e> {
    edns: &'e Edns<'e>,
    nsid: &'e [u8],
    has_subnet: bool,
    options_octets: u16,
}

/// The length of an OPT record without options: the root, type, payload size, upper bits of the
/// response code, version, flags, length.
const OPT_FIXED_OCTETS: usize = 11;
/// The length of an option without its data.
const OPTION_OCTETS: usize = 4;
/// The length of a client cookie and a server cookie (RFC 9018 section 3).
const COOKIE_OCTETS: usize = 24;

impl EdnsEcho<'_> {
    /// The payload size that replies announce, and the largest reply over UDP, in octets: small
    /// enough to pass practically every path unfragmented.
    pub const UDP_PAYLOAD: u16 = 1232;

    /// Leaves the client subnet out: the zone does not use it.
    pub fn drop_subnet(&mut self) {
        if let Some(subnet) = self.edns.subnet.filter(|_| self.has_subnet) {
            self.options_octets -= (OPTION_OCTETS + subnet.octets().len()) as u16;
            self.has_subnet = false;
        }
    }

    /// The number of octets that [`EdnsEcho::write`] writes.
    pub fn octets(&self) -> usize {
        OPT_FIXED_OCTETS + usize::from(self.options_octets)
    }

    /// Writes the OPT record: upper bits of the response code, version 0, DO as in the request, and
    /// the options. `scope` is the scope prefix length of the client subnet. `server_cookie`
    /// returns the server cookie for a client cookie, or `None` if the server has no cookies.
    ///
    /// # Errors
    /// [`BufferFull`], if fewer than [`EdnsEcho::octets`] octets are free.
    pub fn write(
        &self,
        writer: &mut ReplyWriter<'_>,
        extended_rcode: u8,
        scope: u8,
        server_cookie: impl FnOnce([u8; 8]) -> Option<[u8; 16]>,
    ) -> Result<(), BufferFull> {
        let [size_high, size_low] = Self::UDP_PAYLOAD.to_be_bytes();
        let flags = if self.edns.dnssec_ok { 0x80 } else { 0 };
        let [length_high, length_low] = self.options_octets.to_be_bytes();
        let (fixed, mut options) =
            writer.claim(self.octets())?.split_first_chunk_mut().ok_or(BufferFull)?;
        *fixed =
            [0, 0, 41, size_high, size_low, extended_rcode, 0, flags, 0, length_high, length_low];
        if !self.nsid.is_empty() {
            (_, options) = put_option(options, OPTION_NSID, self.nsid)?;
        }
        if let Some(subnet) = self.edns.subnet.filter(|_| self.has_subnet) {
            let (subnet, rest) = put_option(options, OPTION_CLIENT_SUBNET, subnet.octets())?;
            if let Some(octet) = subnet.get_mut(3) {
                *octet = scope;
            }
            options = rest;
        }
        if let Some(Cookie { client: &client, .. }) = self.edns.cookie
            && let Some(server_cookie) = server_cookie(client)
        {
            let mut cookie = [0; COOKIE_OCTETS];
            let (client_part, server_part) = cookie.split_at_mut(client.len());
            client_part.copy_from_slice(&client);
            server_part.copy_from_slice(&server_cookie);
            put_option(options, OPTION_COOKIE, &cookie)?;
        }
        writer.count(Section::Additional, 1);
        Ok(())
    }
}

/// Writes an option at the start of `out`, and returns its data and the rest of `out`.
#[inline]
fn put_option<'o>(
    out: &'o mut [u8],
    code: u16,
    data: &[u8],
) -> Result<(&'o mut [u8], &'o mut [u8]), BufferFull> {
    let ([a, b], [c, d]) = (code.to_be_bytes(), (data.len() as u16).to_be_bytes());
    let (head, rest) = out.split_first_chunk_mut().ok_or(BufferFull)?;
    *head = [a, b, c, d];
    let (target, rest) = rest.split_at_mut_checked(data.len()).ok_or(BufferFull)?;
    target.copy_from_slice(data);
    Ok((target, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[u8]) -> Result<Edns<'_>, Malformed> {
        let mut edns = Edns::new(512, [0; 4]);
        edns.read_options(options).map(|()| edns)
    }

    #[test]
    fn a_cookie_has_eight_octets_or_sixteen_to_forty() {
        for length in 0..=60_usize {
            let option = [&[0, 10, 0, length as u8][..], &vec![7; length]].concat();
            assert_eq!(
                read(&option).is_ok(),
                length == 8 || (16..=40).contains(&length),
                "{length}"
            );
        }
    }

    #[test]
    fn unknown_options_are_skipped_and_truncated_ones_are_malformed() {
        let edns = read(b"\0\x0b\0\0\0\x0c\0\x02\0\0\xff\xff\0\x01x\0\x03\0\0").unwrap();
        assert!(edns.wants_nsid && edns.subnet.is_none());
        for cut in [&b"\0"[..], b"\0\x03\0", b"\0\x03\0\x01"] {
            assert_eq!(read(cut).unwrap_err(), Malformed);
        }
    }

    #[test]
    fn options_of_another_version_are_not_read() {
        let mut edns = Edns::new(512, [0, 1, 0, 0]);
        assert_eq!((edns.version, edns.read_options(b"\0\x08\0\0")), (1, Ok(())));
    }
}
