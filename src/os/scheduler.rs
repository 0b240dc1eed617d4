//! The scheduler: a short time slice for the threads that answer queries.
#![expect(unsafe_code, reason = "sched_getattr and sched_setattr have no safe wrapper")]

use std::{io, mem};

/// `struct sched_attr` of the kernel in its first version.
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

const ATTRIBUTES_OCTETS: u32 = mem::size_of::<SchedulerAttributes>() as u32;
/// The shortest time slice that the kernel grants.
const SLICE_NANOS: u64 = 100_000;
/// In place of a thread id: the calling thread.
const CALLING_THREAD: libc::pid_t = 0;

/// Asks the scheduler for the shortest time slice (0.1 ms) for the calling thread and the threads
/// that it starts from now on. When such a thread wakes, it preempts a computing thread at once
/// instead of waiting for the end of that thread's slice of 3 ms. Has no effect before Linux 6.12,
/// nor on a thread whose scheduling class an operator has chosen.
///
/// # Errors
/// The error of sched_getattr or sched_setattr.
pub fn shorten_time_slice() -> io::Result<()> {
    let mut attributes = scheduler_attributes()?;
    if attributes.policy != libc::SCHED_OTHER as u32 {
        return Ok(());
    }
    attributes.runtime_nanos = SLICE_NANOS;
    // SAFETY: the kernel reads as many octets as the field `size` says.
    let result =
        unsafe { libc::syscall(libc::SYS_sched_setattr, CALLING_THREAD, &raw const attributes, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn scheduler_attributes() -> io::Result<SchedulerAttributes> {
    let mut attributes = SchedulerAttributes {
        size: ATTRIBUTES_OCTETS,
        policy: 0,
        flags: 0,
        nice: 0,
        priority: 0,
        runtime_nanos: 0,
        deadline_nanos: 0,
        period_nanos: 0,
    };
    // SAFETY: the kernel writes no more octets than the size that is passed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_getattr,
            CALLING_THREAD,
            &raw mut attributes,
            ATTRIBUTES_OCTETS,
            0,
        )
    };
    if result == 0 { Ok(attributes) } else { Err(io::Error::last_os_error()) }
}
