//! Binding: all sockets of the listening addresses, before threads start and privileges are
//! dropped.
//!
//! An address is bound to TCP once, which only one process can do, and to UDP once for each shard,
//! with SO_REUSEPORT. The kernel would let another process of the same user share such a port. So
//! UDP is first bound without SO_REUSEPORT: a port that is taken is an error, never shared
//! silently.

use std::{
    fmt, io,
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    os::fd::AsFd,
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::os::{self, ControlMessages, CoreAssignment};

/// The maximum number of connections that wait to be accepted, for each address; the kernel caps it
/// at net.core.somaxconn.
const BACKLOG: i32 = 4096;
/// The receive buffer of a UDP socket: room for some 20,000 small queries that the shard has not
/// read yet. The kernel caps it at net.core.rmem_max.
const RECEIVE_BUFFER_OCTETS: usize = 8 << 20;
const SEND_BUFFER_OCTETS: usize = 1 << 20;
/// How many ports are tried for port 0, since the port that TCP gets may be taken for UDP.
const MAX_PORT_ATTEMPTS: usize = 64;

/// The sockets of the plain DNS addresses, bound and not yet served.
#[derive(Debug)]
pub struct BoundSockets {
    /// The UDP sockets of each shard: one for each address.
    pub udp: Vec<Vec<UdpSocket>>,
    /// The TCP listeners: one for each address.
    pub tcp: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
}

impl BoundSockets {
    /// The addresses in the order of the configuration, with the port that was chosen for port 0.
    /// UDP and TCP have the same.
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Gives each shard the datagrams that its own core receives, instead of those of the clients
    /// that the hash of their addresses assigns to it. This spreads the load only if the network
    /// card spreads the datagrams over those cores.
    ///
    /// # Errors
    /// Shards are not pinned to cores, or the kernel does not support it. From the address for
    /// which the kernel refused it, clients are spread by hash.
    pub fn apply_socket_affinity(&self, cores: &CoreAssignment) -> io::Result<()> {
        if !cores.is_pinned {
            let cores = cores.shard_cores.len();
            return Err(io::Error::other(match self.udp.len() {
                1 => format!(
                    "one shard receives everything (help: set `threads` to {cores}, or remove `socket-affinity`)"
                ),
                shards => format!(
                    "{shards} shards share {cores} cores (help: set `threads` to at most {cores})"
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
    /// The address as it is configured.
    pub address: SocketAddr,
    /// The protocol of the socket: `udp` or `tcp`.
    pub protocol: &'static str,
    /// The error of the system.
    pub cause: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, protocol, cause } = self;
        write!(f, "cannot listen on {protocol} {address}: ")?;
        match cause.kind() {
            io::ErrorKind::AddrInUse => write!(
                f,
                "the port is in use\n  help: another server has it, or the address is listed twice; `ss -lnp 'sport = :{}'` shows which",
                address.port()
            ),
            io::ErrorKind::PermissionDenied => write!(
                f,
                "permission denied\n  help: ports below 1024 need root or CAP_NET_BIND_SERVICE: `setcap cap_net_bind_service=+ep portolan`, or AmbientCapabilities= in its systemd unit"
            ),
            io::ErrorKind::AddrNotAvailable => write!(
                f,
                "this host does not have the address\n  help: `ip address` lists the addresses that it has; 0.0.0.0 or [::] stands for all of them"
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

/// Binds every address to TCP and, once for each shard, to UDP; 0 shards count as 1. For port 0 a
/// free port is chosen, the same for both protocols.
///
/// # Errors
/// The first address that cannot be bound; then nothing stays bound.
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

/// Binds addresses to TCP only: for TLS, HTTPS and the admin API.
///
/// # Errors
/// The first address that cannot be bound; then nothing stays bound.
pub fn bind_streams(listen: &[SocketAddr]) -> Result<Vec<TcpListener>, BindError> {
    listen
        .iter()
        .map(|&address| tcp_listener(address).map_err(|cause| bind_error(address, "tcp", cause)))
        .collect()
}

/// Binds the addresses of `listeners`, which [`bind_streams`] has bound, to UDP for HTTP/3.
///
/// # Errors
/// The first address that cannot be bound; then nothing stays bound.
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

/// A TCP listener, and its address, which is free for UDP as well.
fn bind_pair(address: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    let mut attempts_left = if address.port() == 0 { MAX_PORT_ATTEMPTS } else { 1 };
    loop {
        attempts_left -= 1;
        let listener = tcp_listener(address).map_err(|cause| bind_error(address, "tcp", cause))?;
        let local = listener.local_addr().map_err(|cause| bind_error(address, "tcp", cause))?;
        match udp_socket(local, PortSharing::Exclusive) {
            Ok(_probe) => return Ok((listener, local)),
            Err(cause) if attempts_left > 0 && cause.kind() == io::ErrorKind::AddrInUse => {}
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
    // So that a restart does not wait for the TIME_WAIT of old connections. A second listener is
    // refused all the same.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Whether other sockets may bind the same UDP address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PortSharing {
    Exclusive,
    /// Sockets that set SO_REUSEPORT may.
    ReusePort,
}

fn udp_socket(address: SocketAddr, sharing: PortSharing) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(sharing == PortSharing::ReusePort)?;
    // With a smaller buffer than requested the socket can still be served.
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
    // A forged ICMP "fragmentation needed" must not make this server fragment replies (RFC 9715
    // section 3.1). A kernel without the option still serves.
    let _ = os::set_option(fd, level, mtu_discover, omit);
    if control_messages(address) == ControlMessages::PacketInfo {
        os::set_option(fd, level, packet_info, 1)?;
    }
    Ok(())
}

/// The control messages that a socket bound to this address needs. If it is bound to one address,
/// the kernel sends every reply from that; otherwise the local address has to be read with each
/// datagram.
pub(super) fn control_messages(address: IpAddr) -> ControlMessages {
    let is_link_local = matches!(address, IpAddr::V6(v6) if Ipv6Addr::is_unicast_link_local(&v6));
    if address.is_unspecified() || is_link_local {
        ControlMessages::PacketInfo
    } else {
        ControlMessages::None
    }
}
