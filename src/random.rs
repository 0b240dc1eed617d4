//! Random numbers that cannot be guessed: for keys, and for ids and tokens that identify a reply.
//!
//! They come from the kernel's getrandom(2) alone. There is no substitute made from times or
//! addresses: if the kernel returns none, the caller must do without. Where guessing does no harm,
//! such as spreading work, the project uses `fastrand`.

use std::io;

use rustix::{
    io::Errno,
    rand::{GetRandomFlags, getrandom},
};

/// `N` random octets. On a system that has only just started this may block until the kernel has
/// collected randomness.
///
/// # Errors
/// The kernel returns none: it is older than Linux 3.17, or a system call filter forbids it.
pub fn octets<const N: usize>() -> io::Result<[u8; N]> {
    let mut octets = [0; N];
    let mut filled = 0;
    while let Some(rest) = octets.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match getrandom(rest, GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(octets)
}

/// A random number: the id of a DNS query (RFC 5452 section 9.2).
///
/// # Errors
/// The system's error, as for [`octets`].
pub fn query_id() -> io::Result<u16> {
    octets().map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_differ_from_call_to_call_and_fill_the_whole_array() {
        let [first, second] = [octets::<64>().unwrap(), octets::<64>().unwrap()];
        assert_ne!(first, second);
        assert!(
            [first, second]
                .iter()
                .all(|octets| octets.chunks(16).all(|chunk| chunk.iter().any(|octet| *octet != 0)))
        );
    }
}
