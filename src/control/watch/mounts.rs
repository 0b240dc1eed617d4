//! The mounts that this process sees (proc(5), `/proc/PID/mountinfo`).

use std::{
    collections::BTreeSet, ffi::OsString, fs, os::unix::ffi::OsStringExt as _, path::PathBuf,
};

/// A mounted file or file system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mount {
    /// The path on which something is mounted.
    pub(super) path: PathBuf,
    /// The kernel's number, which differs from that of an earlier mount on the same path.
    mount_id: u64,
}

/// All mounts; empty if the kernel's list cannot be read.
pub(super) fn mounts() -> BTreeSet<Mount> {
    let list = crate::files::with_reserved_descriptors(|| fs::read("/proc/self/mountinfo"))
        .unwrap_or_default();
    list.split(|octet| *octet == b'\n').filter_map(mount).collect()
}

/// Reads a line `36 35 98:0 /source /mounted/at options ...`.
fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|octet| *octet == b' ');
    let number = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    Some(Mount { path: OsString::from_vec(unescaped(fields.nth(3)?)).into(), mount_id: number })
}

/// Decodes the octal escapes of blanks and backslashes, such as `\040`.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let (mut text, mut rest) = (Vec::with_capacity(field.len()), field);
    while let Some((first, after)) = rest.split_first() {
        let digits = if *first == b'\\' { after.get(..3) } else { None };
        let octet = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match octet.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(octet) => {
                text.push(octet);
                rest = &after[3..];
            }
            None => {
                text.push(*first);
                rest = after;
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_read_with_its_path_unescaped() {
        let line = br"36 35 98:0 /a /mnt/with\040blank\134 rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(mount(line), Some(Mount { path: r"/mnt/with blank\".into(), mount_id: 36 }));
        assert_eq!(mount(b""), None);
        assert!(
            mounts().iter().any(|mount| mount.path == std::path::Path::new("/")),
            "the root is mounted"
        );
    }
}
