//! Why a file or a directory could not be read: the reason in words, and the remedy.

use std::{fmt, io, path::PathBuf};

/// The system's errors that have a specific remedy, whatever the path is.
const CODES_WITH_REMEDY: [i32; 5] =
    [libc::EACCES, libc::EPERM, libc::EMFILE, libc::ENFILE, libc::ELOOP];

/// Why a file or a directory could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceReadError {
    /// The system's error: its number, if it has one, and its text.
    Io(Option<i32>, String),
    /// The path is a directory, a device, a FIFO or a socket; the text says which.
    NotAFile(&'static str),
    /// The path is a file, and a directory is needed.
    NotADirectory,
    /// The file has more than 64 MiB, or all files together have more than 512 MiB.
    TooLarge,
    /// The file has more than 1 MiB, the maximum for `portolan.toml`, a certificate or a key.
    LargerThanOneMebibyte,
    /// A program has the file open and has written to it, or it was written to during each attempt
    /// to read it.
    KeepsChanging,
    /// The zones directory holds more than a million files; those from this path on were not read.
    TooMany,
    /// The directory is more than 32 levels below the zones directory.
    TooDeep,
    /// The link is in a directory, named here, in which every user may replace it.
    UnsafeLink(PathBuf),
}

impl SourceReadError {
    /// Whether reading may succeed later although the file is not changed: the system lacked a
    /// resource, or a volume or a permission may come back.
    pub fn is_transient(&self) -> bool {
        const TRANSIENT: [i32; 8] = [
            libc::EMFILE,
            libc::ENFILE,
            libc::ENOMEM,
            libc::EIO,
            libc::ESTALE,
            libc::EACCES,
            libc::ETIMEDOUT,
            libc::ENOTCONN,
        ];
        match self {
            Self::Io(code, _) => code.is_some_and(|code| TRANSIENT.contains(&code)),
            Self::KeepsChanging => true,
            _ => false,
        }
    }

    /// What an operator can do about a path that is not below the zones directory: `portolan.toml`,
    /// a database.
    pub fn remedy_outside_zones(&self) -> &'static str {
        match self {
            Self::Io(Some(libc::ENOENT), _) => "put it back, or name another path",
            Self::Io(Some(code), _) if CODES_WITH_REMEDY.contains(code) => self.remedy(),
            Self::Io(..) => "repair the file system or the path",
            Self::NotAFile(_) => "put a regular file in its place, or name another path",
            Self::NotADirectory => "put a directory in its place, or remove it",
            Self::TooLarge => "it may have 64 MiB: remove what does not belong there",
            Self::LargerThanOneMebibyte => {
                "remove what does not belong there, or name another path"
            }
            Self::KeepsChanging | Self::TooMany | Self::TooDeep | Self::UnsafeLink(_) => {
                self.remedy()
            }
        }
    }

    /// What an operator can do about an entry of the zones directory.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Io(Some(libc::EACCES | libc::EPERM), _) => {
                "let the server's user read it, and search each directory above it (chmod, chown, setfacl)"
            }
            Self::Io(Some(libc::EMFILE), _) => {
                "raise the server's limit of open files (ulimit -Hn, LimitNOFILE= of systemd)"
            }
            Self::Io(Some(libc::ENFILE), _) => {
                "raise the host's limit of open files (sysctl fs.file-max)"
            }
            Self::Io(Some(libc::ELOOP), _) => "the links form a cycle: remove one of them",
            Self::Io(Some(libc::ENOENT), _) => {
                "if it is a symbolic link, create its target, or remove the link; if it was just removed, no action is needed"
            }
            Self::Io(..) => {
                "repair the file system or the path, or move the entry out of the zones directory"
            }
            Self::NotAFile(_) => {
                "replace it by a regular file, or move it out of the zones directory"
            }
            Self::NotADirectory => "name a directory with --zones DIR or `zones` of [server]",
            Self::TooLarge => {
                "split the file, or move what is not zone data out of the zones directory"
            }
            Self::LargerThanOneMebibyte => {
                "remove what does not belong there, or name another file"
            }
            Self::KeepsChanging => {
                "finish writing it, or save it by renaming a complete file over it"
            }
            Self::TooMany => "move what is not zone data out of the zones directory",
            Self::TooDeep => {
                "move the directory up, or remove the link that leads down again and again"
            }
            Self::UnsafeLink(_) => {
                "remove the write permission of others from that directory (chmod o-w), or set its sticky bit"
            }
        }
    }
}

impl fmt::Display for SourceReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_, text) => f.write_str(text),
            Self::NotAFile(what) => write!(f, "it is {what}, not a regular file"),
            Self::NotADirectory => f.write_str("it is a file, and a directory is needed"),
            Self::TooLarge => {
                f.write_str("it is too large: one file may have 64 MiB, all together 512 MiB")
            }
            Self::LargerThanOneMebibyte => {
                f.write_str("it is larger than 1 MiB, which is the most for such a file")
            }
            Self::KeepsChanging => {
                f.write_str("it is open for writing, or was written to each time that it was read")
            }
            Self::TooMany => f.write_str(
                "the zones directory holds more than a million files; none after these is read",
            ),
            Self::TooDeep => f.write_str(
                "it is more than 32 levels below the zones directory; nothing in it is read",
            ),
            Self::UnsafeLink(directory) => {
                write!(
                    f,
                    "it is a symbolic link in {}, where every user may replace it",
                    directory.display()
                )
            }
        }
    }
}

impl From<io::Error> for SourceReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error.raw_os_error(), error.to_string())
    }
}
