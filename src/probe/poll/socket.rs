//! HAProxy's socket: two commands on one connection, and the replies to both.

use std::{io, path::Path};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use super::failure::{PollError, PollFailure, poll_error};
use crate::load::{PageEnd, ReportReader};

/// Requests the statistics, then the configured weights of the servers. HAProxy closes the
/// connection after the last reply.
const COMMANDS: &[u8] = b"show stat;show servers state\n";
/// Each reply ends with an empty line, so a cut-off page is detected.
const EXPECTED_END: PageEnd = PageEnd::Replies(2);

/// Requests the statistics and feeds them to the reader.
///
/// # Errors
/// The reason why there is no reply, or why it cannot be read.
pub(super) async fn read_statistics<'s>(
    path: &Path,
    mut reader: ReportReader<'s>,
) -> Result<ReportReader<'s>, PollError> {
    let mut stream = UnixStream::connect(path).await.map_err(|error| connect_error(path, error))?;
    stream.write_all(COMMANDS).await.map_err(io_error)?;
    let mut octets = vec![0; 16 << 10];
    loop {
        let read = stream.read(&mut octets).await.map_err(io_error)?;
        if read == 0 {
            reader.check_end(EXPECTED_END)?;
            return Ok(reader);
        }
        reader.feed(octets.get(..read).unwrap_or_default())?;
    }
}

fn connect_error(path: &Path, error: io::Error) -> PollError {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            PollFailure::Source(format!("there is no socket {path}").into()).into()
        }
        io::ErrorKind::PermissionDenied => {
            PollFailure::Source(format!("no permission to open {path}").into()).into()
        }
        _ => io_error(error),
    }
}

fn io_error(error: io::Error) -> PollError {
    poll_error(error.into())
}
