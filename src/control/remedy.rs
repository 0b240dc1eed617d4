//! Remedies for files that cannot be written.

use std::io;

/// The remedy for an error of writing a file, or of replacing it in its directory.
pub(super) fn write_remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => {
            "the server's user needs to write to it and to its directory (chown, chmod)"
        }
        Some(libc::EMFILE) => {
            "raise the server's limit of open files (ulimit -Hn, LimitNOFILE= of systemd)"
        }
        Some(libc::ENFILE) => "raise the host's limit of open files (sysctl fs.file-max)",
        Some(libc::ENOENT) => "put the file back, or create its directory",
        Some(libc::ENOTDIR) => "one of its parent directories is a file: move that file away",
        Some(libc::EISDIR) => "a directory is in its place: move that directory away",
        Some(libc::EROFS) => {
            "its file system is read-only: mount it for writing, or name another path"
        }
        Some(libc::ENOSPC | libc::EDQUOT) => "free space on its file system",
        Some(libc::EIO | libc::ESTALE | libc::ENOTCONN | libc::ETIMEDOUT) => {
            "repair its file system (the kernel's log has more)"
        }
        None => "put a regular file in its place",
        _ => "let the server's user write to it and to its directory",
    }
}
