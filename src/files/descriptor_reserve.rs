//! Descriptors in reserve for files.
//!
//! Clients' connections can take every descriptor that the process may have, and a server that
//! cannot open its files then can follow no edit and no drain. So some descriptors are taken at the
//! start and held; each time that the system refuses to open a file for want of one, one of them is
//! given up for it. They are taken again after each reading.

use std::{
    fs::File,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Takes the place of a descriptor.
const PLACEHOLDER: &str = "/dev/null";

static RESERVE: Mutex<DescriptorReserve> =
    Mutex::new(DescriptorReserve { held: Vec::new(), target: 0 });

struct DescriptorReserve {
    held: Vec<File>,
    target: usize,
}

fn reserve() -> MutexGuard<'static, DescriptorReserve> {
    RESERVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds so many descriptors in reserve from now on.
pub fn reserve_descriptors(count: usize) {
    reserve().target = count;
    replenish_descriptors();
}

/// Takes again what was given up, as far as the system lets it.
pub fn replenish_descriptors() {
    let mut spare = reserve();
    while spare.held.len() < spare.target {
        match File::open(PLACEHOLDER) {
            Ok(file) => spare.held.push(file),
            Err(_) => return,
        }
    }
}

/// What `open` comes to. As long as it fails because the process has no descriptor left, one of the
/// reserve is given up for it.
///
/// # Errors
/// The error of the last call of `open`.
pub fn with_reserved_descriptors<T>(mut open: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match open() {
            Err(error) if error.raw_os_error() == Some(libc::EMFILE) => {
                if reserve().held.pop().is_none() {
                    return Err(error);
                }
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_of_the_reserve_is_given_up_for_a_file_and_taken_again() {
        reserve_descriptors(2);
        let mut refused = 2;
        let opened = with_reserved_descriptors(|| match refused {
            0 => Ok("opened"),
            _ => {
                refused -= 1;
                Err(io::Error::from_raw_os_error(libc::EMFILE))
            }
        });
        assert_eq!(opened.unwrap(), "opened");
        assert!(reserve().held.is_empty());
        let out_of_reserve =
            with_reserved_descriptors(|| Err::<(), _>(io::Error::from_raw_os_error(libc::EMFILE)));
        assert_eq!(out_of_reserve.unwrap_err().raw_os_error(), Some(libc::EMFILE));
        replenish_descriptors();
        assert_eq!(reserve().held.len(), 2);
    }
}
