//! TCP: the target passes when a connection opens. Most other kinds of probe begin with it.

use std::net::SocketAddr;

use tokio::net::{TcpSocket, TcpStream};

use super::result::ProbeError;

/// The receive buffer, in octets. The kernel holds at most about twice this of unread data.
const RECEIVE_BUFFER_OCTETS: u32 = 32 * 1024;

/// Opens a connection that is reset when dropped. Otherwise thousands of probes a second would
/// leave their ports in TIME_WAIT.
///
/// # Errors
/// The reason why no connection opened.
pub(super) async fn open(address: SocketAddr) -> Result<TcpStream, ProbeError> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_zero_linger()?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_OCTETS)?;
    socket.set_nodelay(true)?;
    Ok(socket.connect(address).await?)
}

/// Opens a connection and resets it.
///
/// # Errors
/// The reason why no connection opened.
pub(super) async fn probe(address: SocketAddr) -> Result<(), ProbeError> {
    open(address).await.map(drop)
}
