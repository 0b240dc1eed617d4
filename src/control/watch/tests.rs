//! Tests of the watch as a whole, in real directories.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use super::*;
use crate::config::{SourceOptions, Sources};

struct WatchFixture {
    directory: tempfile::TempDir,
    watch: FileWatch,
    settled: mpsc::Receiver<()>,
    zones: PathBuf,
}

impl WatchFixture {
    /// A fixture with the zones directory `zones` below its temporary directory, after `make` has
    /// created the files.
    async fn new(zones: &str, make: impl FnOnce(&Path)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("away")).unwrap();
        make(directory.path());
        let (report, settled) = mpsc::channel(1);
        let zones = directory.path().join(zones);
        Self { directory, watch: FileWatch::start(report), settled, zones }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// Reads the files as a load does.
    fn load(&self) {
        let locations =
            SourceOptions { zones: Some(self.zones.clone()), ..SourceOptions::default() };
        let sources = Sources::read(&locations);
        let _ = crate::config::Config::load(&sources);
        self.watch.follow(sources.footprint());
    }

    async fn reported(&mut self) {
        self.settled.recv().await.unwrap();
    }

    /// Waits until nothing is reported any more.
    async fn wait_until_quiet(&mut self) {
        let quiet = std::time::Duration::from_millis(700);
        while tokio::time::timeout(quiet, self.reported()).await.is_ok() {}
    }

    /// Waits until the watch has begun: an edit is reported.
    async fn wait_until_watching(&mut self) {
        self.load();
        let probe = self.zones.join("probe.toml");
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            fs::write(&probe, "").unwrap();
            tokio::select! {
                _ = tick.tick() => {}
                () = self.reported() => break,
            }
        }
        fs::remove_file(&probe).unwrap();
        self.load();
        self.wait_until_quiet().await;
    }

    fn swap(&self, link: &str, target: &str) {
        let new = self.path("new-link");
        symlink(target, &new).unwrap();
        fs::rename(new, self.path(link)).unwrap();
    }
}

fn make_zones_directory(root: &Path) {
    fs::create_dir(root.join("zones")).unwrap();
}

#[tokio::test]
async fn an_edit_is_reported_although_a_log_is_written_all_the_time() {
    let mut site = WatchFixture::new("zones", make_zones_directory).await;
    site.wait_until_watching().await;
    let mut log =
        OpenOptions::new().create(true).append(true).open(site.path("zones/access.log")).unwrap();
    log.write_all(b"line\n").unwrap();
    fs::write(site.path("zones/a.toml"), "").unwrap();
    let writing = async {
        loop {
            log.write_all(b"line\n").unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = site.reported() => {}
        () = writing => {}
    }
    assert!(!site.watch.is_being_written());
}

#[tokio::test]
async fn a_file_that_is_open_for_writing_is_listed_until_it_is_closed() {
    let mut site = WatchFixture::new("zones", make_zones_directory).await;
    site.wait_until_watching().await;
    let path = site.path("zones/a.toml");
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(b"# half").unwrap();
    fs::write(site.path("zones/b.toml"), "").unwrap();
    site.reported().await;
    assert_eq!(*site.watch.open_files(), BTreeSet::from([fs::canonicalize(&path).unwrap()]));
    drop(file);
    site.reported().await;
    assert!(!site.watch.is_being_written());
}

#[tokio::test]
async fn a_link_above_the_directory_is_reported_each_time_that_it_is_swapped() {
    let mut site = WatchFixture::new("current/zones", |root| {
        for release in ["1", "2", "3"] {
            fs::create_dir_all(root.join(release).join("zones")).unwrap();
        }
        symlink("1", root.join("current")).unwrap();
    })
    .await;
    site.wait_until_watching().await;
    for release in ["2", "3", "1"] {
        site.swap("current", release);
        site.reported().await;
        site.load();
    }
    // The directory that the link leads to now is watched, too.
    site.wait_until_watching().await;
}

#[tokio::test]
async fn a_linked_file_is_reported_when_its_target_is_edited_and_when_the_link_is_swapped() {
    let mut site = WatchFixture::new("zones", |root| {
        make_zones_directory(root);
        fs::write(root.join("away/one"), "").unwrap();
        fs::write(root.join("away/two"), "").unwrap();
        symlink("../away/one", root.join("zones/a.toml")).unwrap();
    })
    .await;
    site.wait_until_watching().await;
    fs::write(site.path("away/one"), "# edited").unwrap();
    site.reported().await;
    site.load();
    site.swap("zones/a.toml", "../away/two");
    site.reported().await;
}

#[tokio::test]
async fn a_moved_directory_is_reported_and_so_is_the_next_one_at_its_path() {
    let mut site = WatchFixture::new("zones", make_zones_directory).await;
    site.wait_until_watching().await;
    fs::rename(site.path("zones"), site.path("away/zones")).unwrap();
    site.reported().await;
    site.load();
    fs::create_dir(site.path("zones")).unwrap();
    site.reported().await;
    site.wait_until_watching().await;
}

#[tokio::test]
async fn a_missing_file_that_a_zone_names_is_reported_when_it_is_created() {
    let mut site = WatchFixture::new("zones", |root| {
        make_zones_directory(root);
        let table =
            "[zone.\"x.example\"]\nnameservers = [\"ns.x.net\"]\nhostmaster = \"h@x.net\"\nrecords = \"records\"\n";
        fs::write(root.join("zones/x.toml"), table).unwrap();
    })
    .await;
    site.wait_until_watching().await;
    fs::write(site.path("zones/records"), "").unwrap();
    site.reported().await;
}

#[tokio::test]
async fn an_edit_between_the_load_and_the_start_of_the_watch_is_reported() {
    let mut site = WatchFixture::new("zones", make_zones_directory).await;
    fs::write(site.path("zones/a.toml"), "").unwrap();
    let locations = SourceOptions { zones: Some(site.zones.clone()), ..SourceOptions::default() };
    let sources = Sources::read(&locations);
    fs::write(site.path("zones/a.toml"), "# edited").unwrap();
    site.watch.follow(sources.footprint());
    site.reported().await;
}

#[tokio::test]
async fn paths_that_stay_unreadable_are_not_reported_repeatedly() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut site = WatchFixture::new("zones", |root| {
        make_zones_directory(root);
        // A link that every user may replace, a named directory, a named file that is hidden, a
        // link to nowhere.
        fs::create_dir_all(root.join("zones/open")).unwrap();
        symlink("../../away", root.join("zones/open/link")).unwrap();
        fs::set_permissions(root.join("zones/open"), fs::Permissions::from_mode(0o777)).unwrap();
        symlink("nowhere", root.join("zones/dangling")).unwrap();
        fs::write(root.join("zones/.hidden"), "").unwrap();
        for (number, records) in ["open", ".hidden", "missing"].into_iter().enumerate() {
            let keys = "nameservers = [\"ns.x.net\"]\nhostmaster = \"h@x.net\"";
            let table = format!("[zone.\"z{number}.example\"]\n{keys}\nrecords = \"{records}\"\n");
            fs::write(root.join(format!("zones/{number}.toml")), table).unwrap();
        }
    })
    .await;
    site.wait_until_watching().await;
    let rounds = std::time::Duration::from_secs(3);
    assert!(tokio::time::timeout(rounds, site.reported()).await.is_err(), "nothing has changed");
}
