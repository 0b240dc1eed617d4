//! Certificate files: renewed, renewed by half, invalid, missing, not regular files.

use std::{
    fs::{self, File, FileTimes},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tempfile::TempDir;

use super::{reload::unix_secs, *};

/// A directory with the files of a certificate for `localhost`.
struct CertificateDirectory {
    folder: TempDir,
}

impl CertificateDirectory {
    fn new() -> Self {
        let directory = Self { folder: tempfile::tempdir().unwrap() };
        directory.write(&TestCertificate::new());
        directory
    }

    fn chain(&self) -> PathBuf {
        self.folder.path().join("chain.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    fn write(&self, made: &TestCertificate) {
        fs::write(self.chain(), &made.chain).unwrap();
        fs::write(self.key(), &made.key).unwrap();
    }

    fn load(&self) -> Arc<Certificate> {
        Certificate::load(&self.chain(), &self.key()).unwrap()
    }
}

/// A certificate and its key as PEM.
struct TestCertificate {
    chain: String,
    key: String,
}

impl TestCertificate {
    fn new() -> Self {
        Self::until(2099)
    }

    /// Expires at the start of this year.
    fn until(year: i32) -> Self {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap();
        Self { chain: made.pem(), key: key.serialize_pem() }
    }

    fn is_used_by(&self, certificate: &Certificate) -> bool {
        let used = certificate.current.load();
        pem(&self.chain) == *used.key.cert.first().unwrap()
    }
}

fn pem(text: &str) -> rustls::pki_types::CertificateDer<'static> {
    rustls::pki_types::pem::PemObject::from_pem_slice(text.as_bytes()).unwrap()
}

#[test]
fn a_certificate_that_could_not_be_read_once_is_read_again_without_another_change() {
    let directory = CertificateDirectory::new();
    let certificate = directory.load();
    // This simulates a directory that is not readable for a time, while neither file changes. Root
    // may read any directory, so the test uses a dangling link.
    let renewed = TestCertificate::new();
    directory.write(&renewed);
    let away = directory.folder.path().join("away.pem");
    fs::rename(directory.key(), &away).unwrap();
    symlink("mounted-later.pem", directory.key()).unwrap();
    for _ in 0..3 {
        let error = certificate.refresh().unwrap_err();
        assert!(matches!(error, CertificateError::Unreadable(..)), "{error}");
    }
    assert_eq!(certificate.state().failures, 3);
    fs::rename(&away, directory.folder.path().join("mounted-later.pem")).unwrap();
    assert!(certificate.refresh().unwrap());
    assert!(renewed.is_used_by(&certificate) && certificate.state().failure.is_none());
}

#[test]
fn a_pair_of_which_only_one_file_is_new_is_refused_until_the_other_is_replaced_too() {
    for is_chain_first in [true, false] {
        let directory = CertificateDirectory::new();
        let certificate = directory.load();
        let renewed = TestCertificate::new();
        let halves = [(directory.chain(), &renewed.chain), (directory.key(), &renewed.key)];
        let [first, second] = if is_chain_first { [0, 1] } else { [1, 0] };
        fs::write(&halves[first].0, halves[first].1).unwrap();
        let error = certificate.refresh().unwrap_err();
        assert!(matches!(error, CertificateError::Mismatch(..)), "{error}");
        assert!(!renewed.is_used_by(&certificate), "the previous one stays in use");
        fs::write(&halves[second].0, halves[second].1).unwrap();
        assert!(certificate.refresh().unwrap());
        assert!(renewed.is_used_by(&certificate));
    }
}

#[test]
fn a_file_replaced_by_one_of_equal_length_and_modification_time_is_read() {
    let directory = CertificateDirectory::new();
    let certificate = directory.load();
    let renewed = TestCertificate::new();
    for (path, text) in [(directory.chain(), &renewed.chain), (directory.key(), &renewed.key)] {
        let old = fs::metadata(&path).unwrap();
        // A PEM reader ignores text after the block.
        let length = usize::try_from(old.len()).unwrap();
        let replacement = path.with_extension("new");
        fs::write(&replacement, format!("{text:length$}")).unwrap();
        File::options()
            .write(true)
            .open(&replacement)
            .unwrap()
            .set_times(FileTimes::new().set_modified(old.modified().unwrap()))
            .unwrap();
        fs::rename(&replacement, &path).unwrap();
    }
    assert!(certificate.refresh().unwrap());
    assert!(renewed.is_used_by(&certificate));
}

#[test]
fn files_that_do_not_change_are_read_again_only_on_request() {
    let directory = CertificateDirectory::new();
    let certificate = directory.load();
    assert!(!certificate.refresh().unwrap());
    // Reading the key would fail. But its stamp is recorded as the one last read, so that `refresh`
    // sees no change and does not read.
    *certificate.pair_stamps.lock().unwrap() = {
        fs::write(directory.key(), "not a key").unwrap();
        pem_files::pair_stamps(&directory.chain(), &directory.key())
    };
    assert!(!certificate.refresh().unwrap());
    assert!(certificate.reload().is_err());
}

#[test]
fn neither_a_fifo_nor_a_directory_nor_a_huge_file_is_read() {
    let directory = CertificateDirectory::new();
    let fifo = directory.folder.path().join("fifo");
    // Nothing ever writes to the FIFO, so that reading it would block.
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let huge = directory.folder.path().join("huge.pem");
    File::create(&huge).unwrap().set_len(1 << 40).unwrap();
    for (path, expected, why) in [
        (fifo.as_path(), "not a regular file", "a FIFO"),
        (directory.folder.path(), "not a regular file", "a directory"),
        (Path::new("/dev/zero"), "not a regular file", "an endless device"),
        (&huge, "more than 1048576 octets", "a file of 1 TiB"),
    ] {
        for (chain, key) in [(path, directory.key().as_path()), (directory.chain().as_path(), path)]
        {
            let error = Certificate::load(chain, key).unwrap_err();
            assert!(error.to_string().contains(expected), "{why}: {error}");
            assert!(
                !error.one_line().contains('\n') && error.one_line().contains("(help: "),
                "{}",
                error.one_line()
            );
        }
    }
}

#[test]
fn the_state_has_the_expiry_of_the_certificate_in_use_and_the_failure_of_its_files() {
    let directory = CertificateDirectory::new();
    directory.write(&TestCertificate::until(2098));
    let certificate = directory.load();
    let expiry = 4_039_372_800;
    assert_eq!(certificate.state().expires, Some(expiry), "2098-01-01T00:00:00Z");
    fs::write(directory.chain(), "").unwrap();
    let before = unix_secs();
    certificate.refresh().unwrap_err();
    let CertificateState { expires, failure, failures, .. } = certificate.state();
    let failure = failure.unwrap();
    assert_eq!((expires, failures), (Some(expiry), 1));
    assert!(failure.error.contains("chain.pem: no certificate in it (help: "), "{}", failure.error);
    assert!(failure.since >= before);
    certificate.reload().unwrap_err();
    assert_eq!(certificate.state().failure.unwrap().since, failure.since, "the failure continues");
}

#[tokio::test]
async fn a_certificate_of_two_transports_is_loaded_and_refreshed_once() {
    let directory = CertificateDirectory::new();
    let mut all = CertificateRegistry::default();
    let tls = all.load(&directory.chain(), &directory.key()).unwrap();
    let https = all.load(&directory.chain(), &directory.key()).unwrap();
    assert!(Arc::ptr_eq(&tls, &https));
    assert_eq!(all.states().len(), 1);
    let (tls, https) = (
        tls.refresh_periodically(Duration::from_secs(5)),
        https.refresh_periodically(Duration::from_secs(5)),
    );
    // Both are polled in this order, and the second ends at once.
    tokio::select! {
        biased;
        () = tls => panic!("the first refreshes without end"),
        () = https => {}
    }
    fs::set_permissions(directory.key(), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(all.reload().is_empty());
    fs::remove_file(directory.key()).unwrap();
    let errors = all.reload();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("key.pem: cannot read it"), "{errors:?}");
}
