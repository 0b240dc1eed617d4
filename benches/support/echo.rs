//! The lower bound: receives datagrams and sends them back as fast as one thread can on this
//! kernel.
//!
//! The cost of an answer above this is the server's own; no program with the same system calls can
//! cost less. It reads no octet and counts nothing.
#![expect(unsafe_code, reason = "recvmmsg and sendmmsg have no safe form")]

use std::{io, mem, net::UdpSocket, os::fd::AsRawFd, ptr};

/// The number of datagrams per call, as in portolan.
const BATCH: usize = 64;
const OCTETS: usize = 2048;

/// Echoes until the process is killed.
///
/// # Errors
/// The address is in use, or the socket fails.
pub(crate) fn serve(address: &str) -> io::Result<()> {
    let socket = UdpSocket::bind(address)?;
    let mut buffers = vec![[0_u8; OCTETS]; BATCH];
    // SAFETY: these are C structures of integers and pointers, for which all zeroes is a valid
    // value.
    let mut peers: [libc::sockaddr_in; BATCH] = unsafe { mem::zeroed() };
    // SAFETY: as above.
    let mut slices: [libc::iovec; BATCH] = unsafe { mem::zeroed() };
    // SAFETY: as above.
    let mut messages: [libc::mmsghdr; BATCH] = unsafe { mem::zeroed() };
    for index in 0..BATCH {
        slices[index].iov_base = buffers[index].as_mut_ptr().cast();
        messages[index].msg_hdr.msg_name = ptr::from_mut(&mut peers[index]).cast();
        messages[index].msg_hdr.msg_iov = &raw mut slices[index];
        messages[index].msg_hdr.msg_iovlen = 1;
    }
    loop {
        for index in 0..BATCH {
            slices[index].iov_len = OCTETS;
            messages[index].msg_hdr.msg_namelen =
                mem::size_of::<libc::sockaddr_in>() as libc::socklen_t;
        }
        let received = receive(&socket, &mut messages)?;
        for index in 0..received {
            slices[index].iov_len = messages[index].msg_len as usize;
        }
        send(&socket, &mut messages[..received])?;
    }
}

/// Waits for at least one datagram; returns the number received.
fn receive(socket: &UdpSocket, messages: &mut [libc::mmsghdr]) -> io::Result<usize> {
    let flags = libc::MSG_WAITFORONE as _;
    let length = messages.len() as libc::c_uint;
    // SAFETY: each header points to an address, a slice and a buffer that outlive this call, with
    // their true lengths.
    let count = unsafe {
        libc::recvmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), length, flags, ptr::null_mut())
    };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Sends all messages, by several calls if necessary.
fn send(socket: &UdpSocket, mut messages: &mut [libc::mmsghdr]) -> io::Result<()> {
    while !messages.is_empty() {
        // SAFETY: as in `receive`; the lengths are those of what was received.
        let count = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                messages.as_mut_ptr(),
                messages.len() as libc::c_uint,
                0,
            )
        };
        let sent = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        messages = &mut messages[sent..];
    }
    Ok(())
}
