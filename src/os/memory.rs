//! The allocator: how it requests memory of the kernel and returns it.
#![cfg_attr(
    target_env = "gnu",
    expect(unsafe_code, reason = "mallopt and malloc_trim have no safe wrapper")
)]

/// Makes the allocator request each large block (256 KiB or more) of the kernel by itself, so that
/// it grows without being copied and is returned when it is freed. The default threshold rises with
/// the first large block that is freed, and later ones stay with the process. Does nothing with an
/// allocator other than glibc's.
pub fn map_large_allocations() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a number of the allocator, under the allocator's own lock.
    unsafe {
        const LARGE_OCTETS: libc::c_int = 256 << 10;
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_OCTETS);
    }
}

/// Returns free memory to the kernel: there is much of it after files were loaded. Takes some
/// milliseconds for each 100 MB, during which other threads that allocate wait. Does nothing with
/// an allocator other than glibc's.
pub fn release_free_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: reads and releases free blocks only, under the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}
