//! The system calls that std, socket2 and tokio lack: poll, socket options, affinity, limits,
//! memory. Datagrams are in `batch`.
#![expect(
    unsafe_code,
    reason = "poll, socket options, affinity, limits and the allocator have no safe wrapper that does what is needed"
)]

use std::{
    io,
    mem::{self, MaybeUninit},
    os::fd::{AsRawFd, BorrowedFd},
};

use libc::{c_int, c_void};

/// Descriptors to wait for.
pub(super) struct PollSet<'a> {
    polled: Vec<libc::pollfd>,
    descriptors: std::marker::PhantomData<BorrowedFd<'a>>,
}

impl<'a> PollSet<'a> {
    /// Waits until one of these can be read, or its other end is gone.
    pub(super) fn new(descriptors: impl IntoIterator<Item = BorrowedFd<'a>>) -> Self {
        let polled = descriptors
            .into_iter()
            .map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 })
            .collect();
        Self { polled, descriptors: std::marker::PhantomData }
    }

    /// Waits, at most so many milliseconds; however long it takes where that is negative. Says
    /// whether something is ready: not where the time was up or a signal came.
    ///
    /// # Errors
    /// What poll says: out of memory.
    pub(super) fn wait(&mut self, timeout_ms: c_int) -> io::Result<bool> {
        poll(&mut self.polled, timeout_ms)
    }

    /// Whether the descriptor at this place of [`PollSet::new`] was ready after the last wait.
    pub(super) fn is_ready(&self, place: usize) -> bool {
        self.polled.get(place).is_some_and(|polled| polled.revents != 0)
    }
}

/// Waits until the socket takes more to send, at most so many milliseconds.
pub(super) fn wait_writable(socket: BorrowedFd<'_>, timeout_ms: c_int) -> io::Result<bool> {
    poll(
        &mut [libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLOUT, revents: 0 }],
        timeout_ms,
    )
}

/// Whether one of them is ready.
fn poll(polled: &mut [libc::pollfd], timeout_ms: c_int) -> io::Result<bool> {
    // SAFETY: pointer and length are those of one slice of `pollfd`; poll keeps neither.
    let ready =
        unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout_ms) };
    if ready >= 0 {
        return Ok(ready > 0);
    }
    polled.iter_mut().for_each(|one| one.revents = 0);
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        error => Err(error),
    }
}

/// Sets an integer socket option that socket2 has no name for.
///
/// # Errors
/// What setsockopt says: mostly that the kernel does not know the option.
pub(super) fn set_option(
    socket: BorrowedFd<'_>,
    level: c_int,
    option: c_int,
    value: c_int,
) -> io::Result<()> {
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

/// Has the kernel choose among the sockets that share an address by the core that it receives a
/// datagram on: the socket at place `i`, in the order they were bound in, gets what comes in on
/// `cores[i]`. What comes in on other cores is spread as without it. To be told to one of them.
///
/// # Errors
/// What setsockopt says: a kernel before Linux 4.5 does not know the option.
pub(super) fn choose_socket_by_core(socket: BorrowedFd<'_>, cores: &[usize]) -> io::Result<()> {
    let step = |code: u32, skip_if_other, operand: u32| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: skip_if_other,
        k: operand,
    };
    let mut program = vec![step(
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        0,
        (libc::SKF_AD_OFF + libc::SKF_AD_CPU) as u32,
    )];
    for (place, &core) in cores.iter().enumerate() {
        program.push(step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, core as u32));
        program.push(step(libc::BPF_RET | libc::BPF_K, 0, place as u32));
    }
    // No socket has this place.
    program.push(step(libc::BPF_RET | libc::BPF_K, 0, u32::MAX));
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

/// How many datagrams a socket has dropped since it was opened, modulo 2^32: its receive buffer was
/// full.
///
/// # Errors
/// What getsockopt says: a kernel before Linux 4.12 does not know the option.
pub(super) fn dropped_datagrams(socket: BorrowedFd<'_>) -> io::Result<u32> {
    /// Of the counts that SO_MEMINFO gives, the last: `SK_MEMINFO_DROPS`.
    const DROPS: usize = 8;
    let mut counts = [0_u32; DROPS + 1];
    let mut octets = mem::size_of_val(&counts) as libc::socklen_t;
    // SAFETY: the pointer is to `counts`, whose length is told; the kernel writes no more than
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

/// The cores this process may run on, in order.
///
/// # Errors
/// What sched_getaffinity says: a host with more than 1024 cores.
pub(super) fn allowed_cores() -> io::Result<Vec<usize>> {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: the set is as long as told, and zero is a value of it.
    let result =
        unsafe { libc::sched_getaffinity(0, mem::size_of::<libc::cpu_set_t>(), set.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: initialised with zeros and then by the kernel.
    let set = unsafe { set.assume_init() };
    // SAFETY: CPU_ISSET reads one bit of the set; the index is below its size.
    Ok((0..libc::CPU_SETSIZE as usize)
        .filter(|&core| unsafe { libc::CPU_ISSET(core, &set) })
        .collect())
}

/// Keeps the calling thread on these cores.
///
/// # Errors
/// What sched_setaffinity says: no core of them that this process may use.
pub(super) fn pin_to_cores(cores: &[usize]) -> io::Result<()> {
    if cores.iter().any(|&core| core >= libc::CPU_SETSIZE as usize) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: zero is a value of the set; CPU_SET sets one bit, below its size; the kernel reads as
    // many octets as told.
    let result = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        cores.iter().for_each(|&core| libc::CPU_SET(core, &mut set));
        libc::sched_setaffinity(0, mem::size_of::<libc::cpu_set_t>(), &set)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Asks the scheduler to let the calling thread, and those that it starts from now on, run for a
/// short while only, but soon: a thread that wakes then goes before one that computes, instead of
/// waiting until that has had its three milliseconds. On kernels before 6.12 nothing comes of it.
///
/// # Errors
/// What sched_getattr or sched_setattr says.
pub fn shorten_time_slice() -> io::Result<()> {
    /// `struct sched_attr` of the kernel, as it was at first.
    #[repr(C)]
    struct SchedulerAttributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime_nanos: u64,
        deadline_nanos: u64,
        period_nanos: u64,
    }
    // The shortest that the kernel grants.
    const SLICE_NANOS: u64 = 100_000;
    const SIZE: u32 = mem::size_of::<SchedulerAttributes>() as u32;
    let mut attributes = SchedulerAttributes {
        size: SIZE,
        policy: 0,
        flags: 0,
        nice: 0,
        priority: 0,
        runtime_nanos: 0,
        deadline_nanos: 0,
        period_nanos: 0,
    };
    let own = 0;
    // SAFETY: the kernel writes as many octets as it is told that there are.
    let result =
        unsafe { libc::syscall(libc::SYS_sched_getattr, own, &raw mut attributes, SIZE, 0) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    if attributes.policy != libc::SCHED_OTHER as u32 {
        // Who runs the server in another class has decided when it runs.
        return Ok(());
    }
    attributes.runtime_nanos = SLICE_NANOS;
    // SAFETY: the kernel reads as many octets as the first of them says.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, own, &raw const attributes, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Large blocks of memory are asked of the kernel one by one from now on, grow there without being
/// copied, and go back to it when they are freed. By itself the allocator learns from a large block
/// to keep those to come. Where it is not glibc's nothing happens.
pub fn map_large_allocations() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a number of the allocator, under its own lock.
    unsafe {
        const LARGE_OCTETS: c_int = 256 << 10;
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_OCTETS);
    }
}

/// Gives the kernel what memory is free: much is after files were loaded. Takes some milliseconds
/// for each 100 MB, in which others who want memory wait. Where the allocator is not glibc's
/// nothing happens.
pub fn release_free_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: looks at what is free alone, under the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
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
