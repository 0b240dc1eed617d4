//! Waiting for sockets: poll.

use std::{io, os::fd::BorrowedFd, time::Duration};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

/// Descriptors to wait for.
pub(crate) struct PollSet<'a> {
    descriptors: Vec<PollFd<'a>>,
}

impl<'a> PollSet<'a> {
    /// A set that waits until one of `descriptors` can be read, or its peer has closed it.
    pub(crate) fn new(descriptors: impl IntoIterator<Item = BorrowedFd<'a>>) -> Self {
        let descriptors = descriptors
            .into_iter()
            .map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN))
            .collect();
        Self { descriptors }
    }

    /// Waits for at most `timeout`, or without end where it is `None`. Returns whether a descriptor
    /// is ready: false after the timeout, and after a signal.
    ///
    /// # Errors
    /// The error of poll: the kernel is out of memory.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        wait_until_ready(&mut self.descriptors, timeout)
    }

    /// Whether the descriptor at `index`, in the order of [`PollSet::new`], was ready after the
    /// last wait.
    pub(crate) fn is_ready(&self, index: usize) -> bool {
        self.descriptors.get(index).is_some_and(|polled| !polled.revents().is_empty())
    }
}

/// Waits for at most `timeout` until the send buffer of `socket` has room. Returns whether it has.
///
/// # Errors
/// The error of poll: the kernel is out of memory.
pub(crate) fn wait_writable(socket: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    wait_until_ready(&mut [PollFd::from_borrowed_fd(socket, PollFlags::OUT)], Some(timeout))
}

fn wait_until_ready(descriptors: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<bool> {
    // A timeout that does not fit into the kernel's type is longer than any process lives.
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    match poll(descriptors, timeout.as_ref()) {
        Ok(ready) => Ok(ready > 0),
        Err(error) => {
            // The kernel leaves the results of the previous call in place.
            descriptors.iter_mut().for_each(PollFd::clear_revents);
            if error == Errno::INTR { Ok(false) } else { Err(error.into()) }
        }
    }
}
