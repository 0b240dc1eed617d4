//! Datagrams in batches: recvmmsg and sendmmsg, with the address that each was sent to.
//!
//! Everything that a call passes to the kernel is in a [`Batch`], whose buffers never move while
//! the call runs; what the kernel writes is read only as far as the kernel says it wrote.
#![expect(
    unsafe_code,
    reason = "recvmmsg and sendmmsg have no safe wrapper that carries control messages"
)]

use std::{
    io, mem,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
};

use libc::{c_int, c_uint};

/// The maximum number of datagrams that one call receives or sends.
pub(crate) const MAX_DATAGRAMS: usize = 64;
/// The longest datagram that is read whole, in octets. Queries are far shorter; EDNS padding and
/// many options fit.
pub(crate) const MAX_QUERY_OCTETS: usize = 4096;
/// The longest reply in octets: the EDNS buffer size of DNS Flag Day 2020.
pub(crate) const MAX_REPLY_OCTETS: usize = 1232;
/// Octets from one query's buffer to the next: not a multiple of 4096, because then the first
/// octets of all buffers would share a few cache lines.
const QUERY_STRIDE: usize = MAX_QUERY_OCTETS + 192;
/// Octets for PKTINFO of either address family, with its header.
const CONTROL_OCTETS: usize = 64;
/// The fewest datagrams that a call asks for, when the last call received few.
const MIN_RECEIVE: usize = 8;

/// A peer's address as the kernel writes it.
#[derive(Clone, Copy)]
#[repr(C)]
union PeerName {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// A buffer for control messages, aligned as `cmsghdr` requires.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct ControlBuffer([u8; CONTROL_OCTETS]);

/// The local address that a datagram was sent to, which becomes the source of the reply.
#[derive(Clone, Copy)]
enum LocalAddress {
    /// The address that the socket is bound to, which the kernel uses by itself.
    SocketAddress,
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

/// What the kernel reported of one received datagram, besides its octets.
#[derive(Clone, Copy)]
struct ReceiveMetadata {
    peer_address_octets: libc::socklen_t,
    octets: usize,
    is_truncated: bool,
    local_address: LocalAddress,
}

/// Buffers for one batch of datagrams and their replies. A reply is sent to the source of its
/// datagram, from the local address that the datagram was sent to.
pub(crate) struct Batch {
    peers: Box<[PeerName; MAX_DATAGRAMS]>,
    controls: Box<[ControlBuffer; MAX_DATAGRAMS]>,
    queries: Box<[[u8; QUERY_STRIDE]]>,
    replies: Box<[[u8; MAX_REPLY_OCTETS]]>,
    received: [ReceiveMetadata; MAX_DATAGRAMS],
    /// The arguments of the next call; before each call, as many are written as it uses.
    headers: Box<[libc::mmsghdr; MAX_DATAGRAMS]>,
    vectors: Box<[libc::iovec; MAX_DATAGRAMS]>,
    /// The maximum number of datagrams that the next call asks for.
    receive_limit: usize,
}

/// The control messages that the kernel adds to each datagram of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ControlMessages {
    /// None: the socket is bound to one address.
    None,
    /// The local address that the datagram was sent to (PKTINFO).
    PacketInfo,
}

/// One datagram of a batch.
pub(crate) struct Datagram<'a> {
    /// The datagram's index in the batch.
    pub(crate) index: usize,
    /// The first octets of the datagram, at most [`MAX_QUERY_OCTETS`].
    pub(crate) message: &'a [u8],
    /// The sender's address; `None` if no reply can be sent to it, because the kernel gave no
    /// address or the port is 0.
    pub(crate) source: Option<IpAddr>,
    /// Whether the datagram was longer than [`MAX_QUERY_OCTETS`].
    pub(crate) is_truncated: bool,
    /// The buffer that the reply is written to.
    pub(crate) reply: &'a mut [u8],
}

/// A reply in the batch's buffers that is to be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutgoingReply {
    /// The index of the datagram that it answers, whose reply buffer holds it.
    pub(crate) index: usize,
    /// The length of the reply.
    pub(crate) octets: usize,
}

impl Batch {
    pub(crate) fn new() -> Self {
        // SAFETY: all four are plain integers and pointers, for which zero is a valid value.
        let (peer, control, header, vector) =
            unsafe { (mem::zeroed(), mem::zeroed(), mem::zeroed(), mem::zeroed()) };
        let metadata = ReceiveMetadata {
            peer_address_octets: 0,
            octets: 0,
            is_truncated: false,
            local_address: LocalAddress::SocketAddress,
        };
        Self {
            peers: Box::new([peer; MAX_DATAGRAMS]),
            controls: Box::new([control; MAX_DATAGRAMS]),
            queries: vec![[0; QUERY_STRIDE]; MAX_DATAGRAMS].into_boxed_slice(),
            replies: vec![[0; MAX_REPLY_OCTETS]; MAX_DATAGRAMS].into_boxed_slice(),
            received: [metadata; MAX_DATAGRAMS],
            headers: Box::new([header; MAX_DATAGRAMS]),
            vectors: Box::new([vector; MAX_DATAGRAMS]),
            receive_limit: MIN_RECEIVE,
        }
    }

    /// Receives the datagrams that have arrived, without waiting, and returns their number: at most
    /// [`MAX_DATAGRAMS`], and at most twice the number of the previous call (but at least 8), so
    /// that a call for few datagrams prepares few buffers.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if none has arrived; any other error of recvmmsg.
    pub(crate) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        control_messages: ControlMessages,
    ) -> io::Result<usize> {
        let limit = self.receive_limit;
        let control_octets =
            if control_messages == ControlMessages::PacketInfo { CONTROL_OCTETS } else { 0 };
        for index in 0..limit {
            let query = &mut self.queries[index];
            self.vectors[index] =
                libc::iovec { iov_base: query.as_mut_ptr().cast(), iov_len: MAX_QUERY_OCTETS };
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = (&raw mut self.peers[index]).cast();
            header.msg_namelen = mem::size_of::<PeerName>() as libc::socklen_t;
            header.msg_iov = &raw mut self.vectors[index];
            header.msg_iovlen = 1;
            header.msg_control = self.controls[index].0.as_mut_ptr().cast();
            header.msg_controllen = control_octets as _;
            header.msg_flags = 0;
        }
        // SAFETY: the first `receive_limit` headers point to buffers of `self`, with their true
        // lengths, which live and stay in place until the call returns; no other reference to them
        // is used meanwhile.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                limit as c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for index in 0..count {
            self.read_metadata(index);
        }
        self.receive_limit = (count * 2).clamp(MIN_RECEIVE, MAX_DATAGRAMS);
        Ok(count)
    }

    fn read_metadata(&mut self, index: usize) {
        let header = &self.headers[index];
        self.received[index] = ReceiveMetadata {
            peer_address_octets: header.msg_hdr.msg_namelen,
            octets: (header.msg_len as usize).min(MAX_QUERY_OCTETS),
            is_truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            local_address: if header.msg_hdr.msg_controllen == 0 {
                LocalAddress::SocketAddress
            } else {
                local_address(&header.msg_hdr)
            },
        };
    }

    /// The datagrams last received whose indices are in `range`, which ends at or below the number
    /// that [`Batch::receive`] returned.
    pub(crate) fn datagrams(&mut self, range: Range<usize>) -> impl Iterator<Item = Datagram<'_>> {
        let Self { received: metadata, peers, queries, replies, .. } = self;
        replies[range.clone()].iter_mut().zip(range).map(|(reply, index)| {
            let metadata = &metadata[index];
            Datagram {
                index,
                message: &queries[index][..metadata.octets],
                source: reply_address(&peers[index], metadata.peer_address_octets),
                is_truncated: metadata.is_truncated,
                reply,
            }
        })
    }

    /// Sends the replies, without waiting, and returns how many of them, from the first on, the
    /// kernel has accepted.
    ///
    /// # Errors
    /// The error of the first reply; [`io::ErrorKind::WouldBlock`] if the socket's send buffer is
    /// full.
    pub(crate) fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        outgoing: &[OutgoingReply],
    ) -> io::Result<usize> {
        let count = outgoing.len().min(MAX_DATAGRAMS);
        for (place, &reply) in outgoing.iter().enumerate().take(count) {
            self.write_header(place, reply);
        }
        // SAFETY: the first `count` headers point to buffers of `self`, with lengths within them,
        // which live and stay in place until the call returns. The kernel reads them, and writes
        // how much it sent of each into the headers.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                count as c_uint,
                libc::MSG_DONTWAIT,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// Makes the header at `place` that of the reply.
    #[inline]
    fn write_header(&mut self, place: usize, OutgoingReply { index, octets }: OutgoingReply) {
        let metadata = self.received[index];
        let header = &mut self.headers[place].msg_hdr;
        let reply = &mut self.replies[index];
        self.vectors[place] = libc::iovec {
            iov_base: reply.as_mut_ptr().cast(),
            iov_len: octets.min(MAX_REPLY_OCTETS),
        };
        header.msg_name = (&raw mut self.peers[index]).cast();
        header.msg_namelen = metadata.peer_address_octets;
        header.msg_iov = &raw mut self.vectors[place];
        header.msg_iovlen = 1;
        header.msg_control = ptr::null_mut();
        header.msg_controllen = 0;
        let control = &mut self.controls[index];
        match metadata.local_address {
            LocalAddress::SocketAddress => {}
            LocalAddress::V4(info) => {
                // The source address only: an interface here would override the routing table.
                let info = libc::in_pktinfo { ipi_ifindex: 0, ..info };
                write_control_message(header, control, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            LocalAddress::V6(mut info) => {
                // A link-local address is valid on one link only, so its interface is kept; for any
                // other address the routing table chooses.
                if !Ipv6Addr::from(info.ipi6_addr.s6_addr).is_unicast_link_local() {
                    info.ipi6_ifindex = 0;
                }
                write_control_message(
                    header,
                    control,
                    libc::IPPROTO_IPV6,
                    libc::IPV6_PKTINFO,
                    info,
                );
            }
        }
    }
}

/// The local address that the control messages of a received datagram name.
fn local_address(header: &libc::msghdr) -> LocalAddress {
    let mut local = LocalAddress::SocketAddress;
    // SAFETY: the header is as the kernel left it: its control pointer and length span initialised
    // octets of a [`ControlBuffer`], which is aligned for `cmsghdr`; the CMSG functions stay within
    // that length.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: `next` is null or points to a whole control message within the buffer, by
    // CMSG_FIRSTHDR and CMSG_NXTHDR.
    while let Some(control) = unsafe { next.as_ref() } {
        // SAFETY: as above; the content follows its header.
        let content = unsafe { libc::CMSG_DATA(next) };
        match (control.cmsg_level, control.cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // SAFETY: the kernel wrote an `in_pktinfo` there; it need not be aligned.
                local = LocalAddress::V4(unsafe { ptr::read_unaligned(content.cast()) });
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                // SAFETY: the kernel wrote an `in6_pktinfo` there; it need not be aligned.
                local = LocalAddress::V6(unsafe { ptr::read_unaligned(content.cast()) });
            }
            _ => {}
        }
        // SAFETY: as for CMSG_FIRSTHDR; `next` is one of its control messages.
        next = unsafe { libc::CMSG_NXTHDR(header, next) };
    }
    local
}

/// Writes one control message to `control` and makes the header point to it.
fn write_control_message<T: Copy>(
    header: &mut libc::msghdr,
    control: &mut ControlBuffer,
    level: c_int,
    kind: c_int,
    content: T,
) {
    let octets = mem::size_of::<T>() as c_uint;
    header.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: computes a number.
    header.msg_controllen = unsafe { libc::CMSG_SPACE(octets) } as _;
    // SAFETY: the buffer is aligned for `cmsghdr`, and its 64 octets hold a header and either
    // PKTINFO (at most 20), so that CMSG_FIRSTHDR is its start and CMSG_DATA with `T` behind it
    // lies inside.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(header);
        (*message).cmsg_level = level;
        (*message).cmsg_type = kind;
        (*message).cmsg_len = libc::CMSG_LEN(octets) as _;
        ptr::write_unaligned(libc::CMSG_DATA(message).cast(), content);
    }
}

/// The address that a reply can be sent to, if the kernel gave one and the port is not 0.
fn reply_address(peer: &PeerName, octets: libc::socklen_t) -> Option<IpAddr> {
    let octets = octets as usize;
    if octets < mem::size_of::<libc::sa_family_t>() {
        return None;
    }
    // SAFETY: the union is initialised (zero at first, then by the kernel), and every field is of
    // plain integers.
    match c_int::from(unsafe { peer.family }) {
        libc::AF_INET if octets >= mem::size_of::<libc::sockaddr_in>() => {
            // SAFETY: as above.
            let v4 = unsafe { &peer.v4 };
            (v4.sin_port != 0).then(|| Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into())
        }
        libc::AF_INET6 if octets >= mem::size_of::<libc::sockaddr_in6>() => {
            // SAFETY: as above.
            let v6 = unsafe { &peer.v6 };
            (v6.sin6_port != 0).then(|| Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}
