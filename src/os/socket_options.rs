//! Socket options that socket2 and rustix have no name for.
#![expect(unsafe_code, reason = "these socket options have no safe wrapper")]

use std::{
    io, mem,
    os::fd::{AsRawFd, BorrowedFd},
};

use libc::{c_int, c_void};

/// Sets an integer socket option.
///
/// # Errors
/// The error of setsockopt: mostly that the kernel does not know the option.
pub(crate) fn set_option(
    socket: BorrowedFd<'_>,
    level: c_int,
    option: c_int,
    value: c_int,
) -> io::Result<()> {
    // SAFETY: the pointer is to one `c_int`, whose size is passed; the kernel copies it.
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

/// Makes the kernel choose among the sockets that share an address by the core that receives a
/// datagram: datagrams received on `cores[i]` go to the socket that was bound as number `i`.
/// Datagrams received on other cores are spread by the hash of their addresses, as without this
/// option. Setting it on one of the sockets is enough.
///
/// # Errors
/// The error of setsockopt: a kernel before Linux 4.5 does not know the option.
pub(crate) fn choose_socket_by_core(socket: BorrowedFd<'_>, cores: &[usize]) -> io::Result<()> {
    let mut program = core_filter(cores);
    let length = program.len().try_into().map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    // SAFETY: the program and its length are those of one vector, which lives until the call
    // returns; the kernel checks and copies it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast::<c_void>(),
            mem::size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A classic BPF program that returns the index of the receiving core in `cores`.
fn core_filter(cores: &[usize]) -> Vec<libc::sock_filter> {
    let instruction = |code: u32, skip_if_false, operand: u32| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: skip_if_false,
        k: operand,
    };
    let mut program = vec![instruction(
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        0,
        (libc::SKF_AD_OFF + libc::SKF_AD_CPU) as u32,
    )];
    for (index, &core) in cores.iter().enumerate() {
        program.push(instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, core as u32));
        program.push(instruction(libc::BPF_RET | libc::BPF_K, 0, index as u32));
    }
    // No socket has this index: the kernel falls back to the hash.
    program.push(instruction(libc::BPF_RET | libc::BPF_K, 0, u32::MAX));
    program
}

/// The number of datagrams, modulo 2^32, that the kernel has dropped since the socket was opened
/// because its receive buffer was full.
///
/// # Errors
/// The error of getsockopt: a kernel before Linux 4.12 does not know the option.
pub(crate) fn dropped_datagrams(socket: BorrowedFd<'_>) -> io::Result<u32> {
    /// The index of `SK_MEMINFO_DROPS`, the last of the counts that SO_MEMINFO returns.
    const DROPS: usize = 8;
    let mut counts = [0_u32; DROPS + 1];
    let mut octets = mem::size_of_val(&counts) as libc::socklen_t;
    // SAFETY: the pointer is to `counts`, whose length is passed; the kernel writes no more than
    // that, and how much it wrote.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            counts.as_mut_ptr().cast::<c_void>(),
            &raw mut octets,
        )
    };
    if result == 0 { Ok(counts[DROPS]) } else { Err(io::Error::last_os_error()) }
}
