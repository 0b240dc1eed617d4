//! HAProxy's socket: two commands on one connection, and all that it says to them.

use std::{io, path::Path};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use super::{LoadFailure, Stop, stop_of};
use crate::load::{PageEnd, ReportReader};

/// The statistics, then what weights the configuration gives to servers. HAProxy closes after the
/// last.
const COMMANDS: &[u8] = b"show stat;show servers state\n";
/// Each of them is answered to an empty line, so that a cut page is known.
const REPLIES: PageEnd = PageEnd::Replies(2);

/// Feeds the reader with what HAProxy says.
///
/// # Errors
/// Why it says nothing, or nothing that can be read.
pub(super) async fn read<'s>(
    path: &Path,
    mut reader: ReportReader<'s>,
) -> Result<ReportReader<'s>, Stop> {
    let mut stream =
        UnixStream::connect(path).await.map_err(|error| stop_of_opening(path, error))?;
    stream.write_all(COMMANDS).await.map_err(stop_of_io)?;
    let mut octets = vec![0; 16 << 10];
    loop {
        let read = stream.read(&mut octets).await.map_err(stop_of_io)?;
        if read == 0 {
            reader.check_end(REPLIES)?;
            return Ok(reader);
        }
        reader.feed(octets.get(..read).unwrap_or_default())?;
    }
}

fn stop_of_opening(path: &Path, error: io::Error) -> Stop {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            LoadFailure::Source(format!("there is no socket {path}").into()).into()
        }
        io::ErrorKind::PermissionDenied => {
            LoadFailure::Source(format!("no permission to open {path}").into()).into()
        }
        _ => stop_of_io(error),
    }
}

fn stop_of_io(error: io::Error) -> Stop {
    stop_of(error.into())
}
