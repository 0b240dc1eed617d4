//! Binding: all sockets of the listening addresses, before threads start and privileges go.
//!
//! An address is bound twice: once to TCP, which only one process can have, and once a shard to UDP
//! with SO_REUSEPORT, which the kernel would also let another process of the same user join. So UDP
//! is first tried without it: a port that is taken is an error, never shared in silence.

use std::{
    fmt, io,
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    os::fd::AsFd,
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::os::{self, ControlMessages, CoreAssignment};

/// Connections that wait to be accepted, per address; the kernel caps it at net.core.somaxconn.
const BACKLOG: i32 = 4096;
/// What a shard can be behind: some 20,000 small queries. The kernel caps it at net.core.rmem_max.
const RECEIVE_BUFFER_OCTETS: usize = 8 << 20;
const SEND_BUFFER_OCTETS: usize = 1 << 20;
/// How often port 0 is tried anew when the port that TCP got is taken for UDP.
const MAX_PORT_ATTEMPTS: usize = 64;

/// Sockets that are bound and not yet served.
#[derive(Debug)]
pub struct BoundSockets {
    /// For each shard, a socket for each address.
    pub udp: Vec<Vec<UdpSocket>>,
    /// For each address, a listener.
    pub tcp: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
}

impl BoundSockets {
    /// The addresses in the order asked for, with the ports that port 0 became; the same for UDP
    /// and TCP.
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Each shard gets what its own core receives, instead of the clients that a hash of their
    /// addresses gives it. Only where the network card spreads what it receives over those cores
    /// does that spread the work.
    ///
    /// # Errors
    /// Shards have no cores of their own, or the kernel cannot do it. At the address that it was
    /// refused for, and those after it, clients are spread as without it.
    pub fn apply_socket_affinity(&self, cores: &CoreAssignment) -> io::Result<()> {
        if !cores.is_pinned {
            let cores = cores.shard_cores.len();
            return Err(io::Error::other(match self.udp.len() {
                1 => format!(
                    "one shard gets everything (help: set `threads` to {cores}, or leave `socket-affinity` away)"
                ),
                shards => format!(
                    "{shards} shards share {cores} cores (help: write `threads`, at most {cores})"
                ),
            }));
        }
        let first_shard = self.udp.first().into_iter().flatten();
        first_shard
            .map(AsFd::as_fd)
            .try_for_each(|socket| os::choose_socket_by_core(socket, &cores.shard_cores))
    }
}

/// Why an address cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    /// The address, as asked for.
    pub address: SocketAddr,
    /// `udp` or `tcp`.
    pub protocol: &'static str,
    /// What the system said.
    pub cause: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, protocol, cause } = self;
        write!(f, "cannot listen on {protocol} {address}: ")?;
        match cause.kind() {
            io::ErrorKind::AddrInUse => write!(
                f,
                "the port is in use\n  help: another server has it, or the address is listed twice; `ss -lnp 'sport = :{}'` shows who",
                address.port()
            ),
            io::ErrorKind::PermissionDenied => write!(
                f,
                "permission denied\n  help: ports below 1024 need root or CAP_NET_BIND_SERVICE: `setcap cap_net_bind_service=+ep portolan`, or AmbientCapabilities= in its systemd unit"
            ),
            io::ErrorKind::AddrNotAvailable => write!(
                f,
                "this host does not have the address\n  help: `ip address` lists those it has; 0.0.0.0 or [::] stands for all of them"
            ),
            _ => write!(f, "{cause}"),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// Binds every address to TCP and, once for each of at least one shard, to UDP. Port 0 becomes a
/// free port, the same for both.
///
/// # Errors
/// The first address that cannot be had; then nothing stays bound.
pub fn bind(listen: &[SocketAddr], shards: usize) -> Result<BoundSockets, BindError> {
    let mut bound = BoundSockets {
        udp: (0..shards.max(1)).map(|_| Vec::new()).collect(),
        tcp: Vec::new(),
        addresses: Vec::new(),
    };
    for &address in listen {
        let (listener, local) = bind_pair(address)?;
        for sockets in &mut bound.udp {
            let socket = udp_socket(local, PortSharing::ReusePort)
                .map_err(|cause| bind_error(address, "udp", cause))?;
            sockets.push(socket);
        }
        bound.tcp.push(listener);
        bound.addresses.push(local);
    }
    Ok(bound)
}

/// Binds addresses for streams alone: TLS and HTTPS.
///
/// # Errors
/// The first address that cannot be had; then nothing stays bound.
pub fn bind_streams(listen: &[SocketAddr]) -> Result<Vec<TcpListener>, BindError> {
    listen
        .iter()
        .map(|&address| tcp_listener(address).map_err(|cause| bind_error(address, "tcp", cause)))
        .collect()
}

/// Binds addresses for HTTP/3: the ports that [`bind_streams`] got, for UDP.
///
/// # Errors
/// The first address that cannot be had; then nothing stays bound.
pub fn bind_http3(listeners: &[TcpListener]) -> Result<Vec<UdpSocket>, BindError> {
    let local = |listener: &TcpListener| {
        let unspecified = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
        listener.local_addr().map_err(|cause| bind_error(unspecified, "udp", cause))
    };
    listeners
        .iter()
        .map(|listener| {
            let address = local(listener)?;
            udp_socket(address, PortSharing::Exclusive)
                .map_err(|cause| bind_error(address, "udp", cause))
        })
        .collect()
}

/// A TCP listener, and an address that is free for UDP, too.
fn bind_pair(address: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    let mut tries = if address.port() == 0 { MAX_PORT_ATTEMPTS } else { 1 };
    loop {
        tries -= 1;
        let listener = tcp_listener(address).map_err(|cause| bind_error(address, "tcp", cause))?;
        let local = listener.local_addr().map_err(|cause| bind_error(address, "tcp", cause))?;
        match udp_socket(local, PortSharing::Exclusive) {
            Ok(_probe) => return Ok((listener, local)),
            Err(cause) if tries > 0 && cause.kind() == io::ErrorKind::AddrInUse => {}
            Err(cause) => return Err(bind_error(address, "udp", cause)),
        }
    }
}

fn bind_error(address: SocketAddr, protocol: &'static str, cause: io::Error) -> BindError {
    BindError { address, protocol, cause }
}

fn tcp_listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for the old connections' TIME_WAIT; a second listener is refused all
    // the same.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Who may bind the same UDP address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PortSharing {
    Exclusive,
    ReusePort,
}

fn udp_socket(address: SocketAddr, sharing: PortSharing) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(sharing == PortSharing::ReusePort)?;
    // A smaller buffer than asked for still serves.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_OCTETS);
    let _ = socket.set_send_buffer_size(SEND_BUFFER_OCTETS);
    set_datagram_options(&socket, address.ip())?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn set_datagram_options(socket: &Socket, address: IpAddr) -> io::Result<()> {
    let fd = socket.as_fd();
    let (level, mtu_discover, omit, packet_info) = match address {
        IpAddr::V4(_) => {
            (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT, libc::IP_PKTINFO)
        }
        IpAddr::V6(_) => (
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_OMIT,
            libc::IPV6_RECVPKTINFO,
        ),
    };
    // Forged "fragmentation needed" must not make us fragment (RFC 9715 section 3.1); a kernel
    // without it still serves.
    let _ = os::set_option(fd, level, mtu_discover, omit);
    if control_messages(address) == ControlMessages::PacketInfo {
        os::set_option(fd, level, packet_info, 1)?;
    }
    Ok(())
}

/// What a socket bound to this address has to tell with each datagram. One address is the source of
/// every reply by itself; several must be told apart.
pub(super) fn control_messages(address: IpAddr) -> ControlMessages {
    let is_link_local = matches!(address, IpAddr::V6(v6) if Ipv6Addr::is_unicast_link_local(&v6));
    if address.is_unspecified() || is_link_local {
        ControlMessages::PacketInfo
    } else {
        ControlMessages::None
    }
}
