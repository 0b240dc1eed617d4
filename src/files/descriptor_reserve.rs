//! A reserve of file descriptors for reading files.
//!
//! Clients' connections can take every descriptor that the process may have. A server that then
//! cannot open its files would apply no edit and no drain. So some descriptors are opened at the
//! start and held. Each time that the system refuses to open a file because no descriptor is left,
//! one of them is closed for it. They are opened again after the files were read.

use std::{
    fs::File,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The file to which the held descriptors are open.
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

/// Sets the number of descriptors to hold in reserve, and opens them.
pub fn reserve_descriptors(count: usize) {
    reserve().target = count;
    replenish_descriptors();
}

/// Opens descriptors until the reserve is full or the system refuses.
pub fn replenish_descriptors() {
    let mut spare = reserve();
    while spare.held.len() < spare.target {
        match File::open(PLACEHOLDER) {
            Ok(file) => spare.held.push(file),
            Err(_) => return,
        }
    }
}

/// The result of `open`. While it fails because the process has no descriptor left, closes a
/// descriptor of the reserve and calls it again.
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
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_of_the_reserve_is_closed_for_a_file_and_opened_again() {
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
