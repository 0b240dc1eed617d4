//! The system calls that std, socket2 and tokio lack: recvmmsg and sendmmsg with control messages, poll, affinity, limits.
//!
//! The only file with `unsafe`. It knows datagrams, addresses and descriptors, and nothing of DNS. Everything it hands to
//! the kernel lies in a [`Batch`], whose buffers never move while a call runs; what the kernel writes is read back only as
//! far as the kernel says it wrote.
#![expect(
    unsafe_code,
    reason = "recvmmsg, sendmmsg, poll, affinity and limits have no safe wrapper that carries control messages"
)]

use std::{
    io,
    mem::{self, MaybeUninit},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
};

use libc::{c_int, c_uint, c_void};

/// How many datagrams one call receives or sends at most.
pub(super) const BATCH: usize = 64;
/// The longest datagram that is read whole. Queries are far shorter; EDNS padding and many options fit.
pub(super) const QUERY_OCTETS: usize = 4096;
/// The longest reply: the EDNS buffer size of DNS Flag Day 2020.
pub(super) const REPLY_OCTETS: usize = 1232;
/// Room for PKTINFO of either family and the drop count, with their headers.
const CONTROL_OCTETS: usize = 128;

/// A peer's address as the kernel writes it.
#[derive(Clone, Copy)]
#[repr(C)]
union PeerName {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// Control messages, aligned as `cmsghdr` wants it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_OCTETS]);

/// The address of ours that a datagram was sent to, to be the source of the reply.
#[derive(Clone, Copy)]
enum Local {
    /// Not told: the socket is bound to one address and the kernel knows.
    Bound,
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

/// What the kernel said of one received datagram.
#[derive(Clone, Copy)]
struct Envelope {
    peer_octets: libc::socklen_t,
    octets: usize,
    is_cut: bool,
    local: Local,
}

/// Buffers for one batch of datagrams and their replies. A reply goes where its datagram came from, from the address that
/// was asked.
pub(super) struct Batch {
    peers: Box<[PeerName; BATCH]>,
    controls: Box<[Control; BATCH]>,
    queries: Box<[[u8; QUERY_OCTETS]]>,
    replies: Box<[[u8; REPLY_OCTETS]]>,
    envelopes: [Envelope; BATCH],
    reply_octets: [usize; BATCH],
    /// The socket's drop count so far, where the kernel told it with this batch.
    drops: Option<u32>,
}

/// One datagram of a batch.
pub(super) struct Datagram<'a> {
    /// What it says.
    pub(super) message: &'a [u8],
    /// Who sent it; `None` where the kernel told no address.
    pub(super) source: Option<SocketAddr>,
    /// It was longer than [`QUERY_OCTETS`].
    pub(super) is_cut: bool,
    /// Where the reply is written.
    pub(super) reply: &'a mut [u8],
}

impl Batch {
    pub(super) fn new() -> Self {
        // SAFETY: all three are plain integers, for which zero is a value.
        let (peer, control) = unsafe { (mem::zeroed(), mem::zeroed()) };
        let envelope = Envelope { peer_octets: 0, octets: 0, is_cut: false, local: Local::Bound };
        Self {
            peers: Box::new([peer; BATCH]),
            controls: Box::new([control; BATCH]),
            queries: vec![[0; QUERY_OCTETS]; BATCH].into_boxed_slice(),
            replies: vec![[0; REPLY_OCTETS]; BATCH].into_boxed_slice(),
            envelopes: [envelope; BATCH],
            reply_octets: [0; BATCH],
            drops: None,
        }
    }

    /// Receives what is there, at most [`BATCH`], without waiting.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where nothing is there; whatever else recvmmsg says.
    pub(super) fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        // SAFETY: zero is a value of these integers and pointers.
        let mut vectors: [libc::iovec; BATCH] = unsafe { mem::zeroed() };
        // SAFETY: as above.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
        for index in 0..BATCH {
            let query = &mut self.queries[index];
            vectors[index] = libc::iovec { iov_base: query.as_mut_ptr().cast(), iov_len: query.len() };
            let header = &mut headers[index].msg_hdr;
            header.msg_name = (&raw mut self.peers[index]).cast();
            header.msg_namelen = mem::size_of::<PeerName>() as libc::socklen_t;
            header.msg_iov = &raw mut vectors[index];
            header.msg_iovlen = 1;
            header.msg_control = self.controls[index].0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL_OCTETS as _;
        }
        // SAFETY: every header points to buffers of `self` or of this frame, with their true lengths, which live and stay
        // in place until the call returns; no other reference to them is used meanwhile.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        self.drops = None;
        for (index, header) in headers.iter().enumerate().take(count) {
            self.take_note(index, header);
        }
        Ok(count)
    }

    fn take_note(&mut self, index: usize, header: &libc::mmsghdr) {
        let mut local = Local::Bound;
        // SAFETY: the header is as the kernel left it: its control pointer and length span initialised octets of
        // `self.controls[index]`, which is aligned for `cmsghdr`; the CMSG functions stay within that length.
        let mut next = unsafe { libc::CMSG_FIRSTHDR(&raw const header.msg_hdr) };
        // SAFETY: `next` is null or points to a whole control message within the buffer, by CMSG_FIRSTHDR and CMSG_NXTHDR.
        while let Some(control) = unsafe { next.as_ref() } {
            // SAFETY: as above; the content follows its header.
            let content = unsafe { libc::CMSG_DATA(next) };
            match (control.cmsg_level, control.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    // SAFETY: the kernel wrote an `in_pktinfo` there; it need not be aligned.
                    local = Local::V4(unsafe { ptr::read_unaligned(content.cast()) });
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    // SAFETY: the kernel wrote an `in6_pktinfo` there; it need not be aligned.
                    local = Local::V6(unsafe { ptr::read_unaligned(content.cast()) });
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    // SAFETY: the kernel wrote a `u32` there; it need not be aligned.
                    self.drops = Some(unsafe { ptr::read_unaligned(content.cast()) });
                }
                _ => {}
            }
            // SAFETY: as for CMSG_FIRSTHDR; `next` is one of its control messages.
            next = unsafe { libc::CMSG_NXTHDR(&raw const header.msg_hdr, next) };
        }
        self.envelopes[index] = Envelope {
            peer_octets: header.msg_hdr.msg_namelen,
            octets: (header.msg_len as usize).min(QUERY_OCTETS),
            is_cut: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            local,
        };
    }

    /// How many datagrams the socket has dropped since it was opened, modulo 2^32, where this batch told.
    pub(super) fn drops(&self) -> Option<u32> {
        self.drops
    }

    /// One of the datagrams last received; `index` is below what [`Batch::receive`] returned.
    pub(super) fn datagram(&mut self, index: usize) -> Datagram<'_> {
        let envelope = &self.envelopes[index];
        Datagram {
            message: &self.queries[index][..envelope.octets],
            source: source(&self.peers[index], envelope.peer_octets),
            is_cut: envelope.is_cut,
            reply: &mut self.replies[index],
        }
    }

    /// Says how long the reply to a datagram is.
    pub(super) fn set_reply(&mut self, index: usize, octets: usize) {
        self.reply_octets[index] = octets.min(REPLY_OCTETS);
    }

    /// Sends the replies to these datagrams, without waiting; returns how many of them, from the first on, were taken.
    ///
    /// # Errors
    /// What was wrong with the first of them; [`io::ErrorKind::WouldBlock`] where the socket's buffer is full.
    pub(super) fn send(&mut self, socket: BorrowedFd<'_>, indices: &[usize]) -> io::Result<usize> {
        // SAFETY: zero is a value of these integers and pointers.
        let mut vectors: [libc::iovec; BATCH] = unsafe { mem::zeroed() };
        // SAFETY: as above.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
        let count = indices.len().min(BATCH);
        for (place, &index) in indices.iter().enumerate().take(count) {
            let envelope = self.envelopes[index];
            let header = &mut headers[place].msg_hdr;
            vectors[place] =
                libc::iovec { iov_base: self.replies[index].as_mut_ptr().cast(), iov_len: self.reply_octets[index] };
            header.msg_name = (&raw mut self.peers[index]).cast();
            header.msg_namelen = envelope.peer_octets;
            header.msg_iov = &raw mut vectors[place];
            header.msg_iovlen = 1;
            match envelope.local {
                Local::Bound => {}
                Local::V4(info) => {
                    // The source only: an interface here would overrule the routing table.
                    let info = libc::in_pktinfo { ipi_ifindex: 0, ..info };
                    put_control(header, &mut self.controls[index], libc::IPPROTO_IP, libc::IP_PKTINFO, info);
                }
                Local::V6(mut info) => {
                    // A link-local address means nothing without its link; any other goes where the routing table says.
                    if !Ipv6Addr::from(info.ipi6_addr.s6_addr).is_unicast_link_local() {
                        info.ipi6_ifindex = 0;
                    }
                    put_control(header, &mut self.controls[index], libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
                }
            }
        }
        // SAFETY: the first `count` headers point to buffers of `self` or of this frame, with lengths within them, which
        // live and stay in place until the call returns. The kernel only reads them.
        let sent =
            unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count as c_uint, libc::MSG_DONTWAIT) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

/// Writes one control message and points the header to it.
fn put_control<T: Copy>(header: &mut libc::msghdr, control: &mut Control, level: c_int, kind: c_int, content: T) {
    let octets = mem::size_of::<T>() as c_uint;
    header.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: computes a number.
    header.msg_controllen = unsafe { libc::CMSG_SPACE(octets) } as _;
    // SAFETY: the buffer is aligned for `cmsghdr`, and its 128 octets hold a header and either PKTINFO (at most 20), so
    // that CMSG_FIRSTHDR is its start and CMSG_DATA with `T` behind it lies inside.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(header);
        (*message).cmsg_level = level;
        (*message).cmsg_type = kind;
        (*message).cmsg_len = libc::CMSG_LEN(octets) as _;
        ptr::write_unaligned(libc::CMSG_DATA(message).cast(), content);
    }
}

fn source(peer: &PeerName, octets: libc::socklen_t) -> Option<SocketAddr> {
    let octets = octets as usize;
    if octets < mem::size_of::<libc::sa_family_t>() {
        return None;
    }
    // SAFETY: the union is initialised (zero at first, then by the kernel), and every field is of plain integers.
    let (family, v4, v6) = unsafe { (c_int::from(peer.family), peer.v4, peer.v6) };
    match family {
        libc::AF_INET if octets >= mem::size_of::<libc::sockaddr_in>() => {
            let address = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(address, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 if octets >= mem::size_of::<libc::sockaddr_in6>() => {
            let address = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(address, u16::from_be(v6.sin6_port), v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// Descriptors to wait for.
pub(super) struct Waiter<'a> {
    polled: Vec<libc::pollfd>,
    descriptors: std::marker::PhantomData<BorrowedFd<'a>>,
}

impl<'a> Waiter<'a> {
    /// Waits until one of these can be read, or its other end is gone.
    pub(super) fn new(descriptors: impl IntoIterator<Item = BorrowedFd<'a>>) -> Self {
        let polled = descriptors
            .into_iter()
            .map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 })
            .collect();
        Self { polled, descriptors: std::marker::PhantomData }
    }

    /// Waits, however long it takes. A signal ends it with nothing ready.
    ///
    /// # Errors
    /// What poll says: out of memory.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        poll(&mut self.polled, -1)
    }

    /// Whether the descriptor at this place of [`Waiter::new`] was ready after the last wait.
    pub(super) fn is_ready(&self, place: usize) -> bool {
        self.polled.get(place).is_some_and(|polled| polled.revents != 0)
    }
}

/// Waits until the socket takes more to send, at most so many milliseconds.
pub(super) fn wait_writable(socket: BorrowedFd<'_>, timeout_ms: c_int) -> io::Result<()> {
    poll(&mut [libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLOUT, revents: 0 }], timeout_ms)
}

fn poll(polled: &mut [libc::pollfd], timeout_ms: c_int) -> io::Result<()> {
    // SAFETY: pointer and length are those of one slice of `pollfd`; poll keeps neither.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout_ms) };
    if ready >= 0 {
        return Ok(());
    }
    polled.iter_mut().for_each(|one| one.revents = 0);
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        error => Err(error),
    }
}

/// Sets an integer socket option that socket2 has no name for.
///
/// # Errors
/// What setsockopt says: mostly that the kernel does not know the option.
pub(super) fn set_option(socket: BorrowedFd<'_>, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the pointer is to one `c_int`, whose size is told; the kernel copies it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast::<c_void>(),
            mem::size_of::<c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The cores this process may run on, in order.
///
/// # Errors
/// What sched_getaffinity says: a host with more than 1024 cores.
pub(super) fn cores() -> io::Result<Vec<usize>> {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: the set is as long as told, and zero is a value of it.
    let result = unsafe { libc::sched_getaffinity(0, mem::size_of::<libc::cpu_set_t>(), set.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: initialised with zeros and then by the kernel.
    let set = unsafe { set.assume_init() };
    // SAFETY: CPU_ISSET reads one bit of the set; the index is below its size.
    Ok((0..libc::CPU_SETSIZE as usize).filter(|&core| unsafe { libc::CPU_ISSET(core, &set) }).collect())
}

/// Keeps the calling thread on one core.
///
/// # Errors
/// What sched_setaffinity says: a core this process may not use.
pub(super) fn pin_to(core: usize) -> io::Result<()> {
    if core >= libc::CPU_SETSIZE as usize {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: zero is a value of the set; CPU_SET sets one bit, below its size; the kernel reads as many octets as told.
    let result = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, mem::size_of::<libc::cpu_set_t>(), &set)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Raises the soft limit of open descriptors to the hard one, and returns what it is then.
pub fn raise_descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a pointer to one `rlimit`.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) != 0 {
            // POSIX promises at least this many.
            return 20;
        }
        let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
        if limit.rlim_cur < limit.rlim_max && libc::setrlimit(libc::RLIMIT_NOFILE, &raised) == 0 {
            return raised.rlim_cur;
        }
    }
    limit.rlim_cur
}
