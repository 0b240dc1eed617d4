//! How files are watched and read: frequent writes to other files, symbolic links, unreadable
//! directories, exhausted file descriptors.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    net::TcpStream,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use crate::harness::{Server, ServerDirectory, WAIT_TIMEOUT};

const NAME: &str = "w.x.test";
/// A saved edit must appear in answers within this time.
const APPLY_TIMEOUT: Duration = Duration::from_secs(1);
/// An edit that causes no inotify event, such as a replaced link, must appear in answers within
/// this time.
const SWAP_TIMEOUT: Duration = Duration::from_secs(3);

fn zone(address: &str) -> String {
    format!(
        "@ 300 SOA ns1.example.net. h.example.net. 1 2 3 4 5
@ 300 NS ns1.example.net.
w 300 A {address}
"
    )
}

/// Points `link` at `target` in one atomic step, as git-sync does.
fn swap(site: &ServerDirectory, link: &str, target: &str) {
    let new = site.path("new-link");
    symlink(target, &new).unwrap();
    fs::rename(new, site.path(link)).unwrap();
}

/// A command that runs the program as a user without the right to bypass file permissions.
fn unprivileged(site: &ServerDirectory, arguments: &[&str]) -> Command {
    const NOBODY: u32 = 65534;
    let program = site.path("portolan");
    fs::copy(env!("CARGO_BIN_EXE_portolan"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let is_root = Path::new("/proc/self")
        .metadata()
        .is_ok_and(|found| std::os::unix::fs::MetadataExt::uid(&found) == 0);
    let mut command = Command::new(if is_root { "setpriv" } else { "env" });
    if is_root {
        let owned = Command::new("chown")
            .arg("-R")
            .arg(NOBODY.to_string())
            .arg(site.path(""))
            .status()
            .unwrap();
        assert!(owned.success());
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    }
    command.arg(program).args(arguments).current_dir(site.path(""));
    command.env("NO_COLOR", "1").env("PORTOLAN_LOG", "info").env_remove("PORTOLAN_SERVER");
    command
}

const SERVE: [&str; 5] = ["serve", "--config", "portolan.toml", "--listen", "127.0.0.1:0"];

#[test]
fn a_log_that_is_written_all_the_time_delays_neither_an_edit_nor_a_signal() {
    let site = ServerDirectory::new(&[("zones/x.test.zone", &zone("192.0.2.1"))]);
    let server = site.serve();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut log = OpenOptions::new()
                .create(true)
                .append(true)
                .open(site.path("zones/access.log"))
                .unwrap();
            while !is_over.load(Relaxed) {
                log.write_all(b"a line\n").unwrap();
                thread::yield_now();
            }
        });
        server.until("the log is there", WAIT_TIMEOUT, |_| site.path("zones/access.log").exists());
        site.write("zones/x.test.zone", &zone("192.0.2.2"));
        server.until_answers(NAME, &["192.0.2.2"], APPLY_TIMEOUT);
        server.signal(libc::SIGHUP);
        server.until("the reload is done", APPLY_TIMEOUT, |server| {
            server.log().contains("reload by SIGHUP applied")
        });
        site.replace("zones/x.test.zone", &zone("192.0.2.3"));
        server.until_answers(NAME, &["192.0.2.3"], APPLY_TIMEOUT);
        is_over.store(true, Relaxed);
    });
}

#[test]
fn a_file_that_stays_open_half_written_delays_no_other_edit_and_is_not_used() {
    let site = ServerDirectory::new(&[
        ("zones/x.test.zone", &zone("192.0.2.1")),
        ("zones/y.test.zone", &zone("192.0.2.7")),
    ]);
    let server = site.serve();
    let mut file =
        OpenOptions::new().write(true).truncate(true).open(site.path("zones/y.test.zone")).unwrap();
    // Half of the file is a valid zone without the queried name.
    let new = zone("192.0.2.8");
    let (half, rest) = new.split_at(new.find("w 300").unwrap());
    file.write_all(half.as_bytes()).unwrap();
    site.replace("zones/x.test.zone", &zone("192.0.2.2"));
    server.until_answers(NAME, &["192.0.2.2"], APPLY_TIMEOUT);
    assert_eq!(server.addresses("w.y.test"), ["192.0.2.7"]);
    server.until("the open file is a concern", WAIT_TIMEOUT, |server| {
        server.http("/readyz").1.contains("open for writing")
    });
    file.write_all(rest.as_bytes()).unwrap();
    drop(file);
    server.until_answers("w.y.test", &["192.0.2.8"], APPLY_TIMEOUT);
    server.until("the concern ends", WAIT_TIMEOUT, |server| {
        !server.http("/readyz").1.contains("open for writing")
    });
}

#[test]
fn a_link_above_the_zones_is_followed_each_time_that_it_is_swapped() {
    let site = ServerDirectory::new(&[]);
    for (release, address) in [("1", "192.0.2.1"), ("2", "192.0.2.2"), ("3", "192.0.2.3")] {
        site.write(&format!("wt/{release}/zones/x.test.zone"), &zone(address));
    }
    symlink("wt/1", site.path("current")).unwrap();
    site.edit("portolan.toml", "threads", "zones = \"current/zones\"\nthreads");
    let server = site.serve();
    assert_eq!(server.addresses(NAME), ["192.0.2.1"]);
    for (release, address) in [("2", "192.0.2.2"), ("3", "192.0.2.3"), ("1", "192.0.2.1")] {
        swap(&site, "current", &format!("wt/{release}"));
        server.until_answers(NAME, &[address], SWAP_TIMEOUT);
    }
    site.write("wt/1/zones/x.test.zone", &zone("192.0.2.4"));
    server.until_answers(NAME, &["192.0.2.4"], APPLY_TIMEOUT);
}

#[test]
fn a_linked_directory_and_linked_configuration_are_followed_when_they_are_swapped() {
    let site = ServerDirectory::new(&[
        ("away/1/x.test.zone", &zone("192.0.2.1")),
        ("away/2/x.test.zone", &zone("192.0.2.2")),
    ]);
    site.write("other/x.test.zone", &zone("192.0.2.3"));
    let settings = site.read("portolan.toml");
    site.write("conf/1", &settings);
    site.write("conf/2", &settings.replace("threads", "zones = \"other\"\nthreads"));
    fs::remove_file(site.path("portolan.toml")).unwrap();
    symlink("conf/1", site.path("portolan.toml")).unwrap();
    symlink("../away/1", site.path("zones/shared")).unwrap();
    let server = site.serve();
    assert_eq!(server.addresses(NAME), ["192.0.2.1"]);
    for release in ["2", "1", "2"] {
        swap(&site, "zones/shared", &format!("../away/{release}"));
        server.until_answers(NAME, &[&format!("192.0.2.{release}")], SWAP_TIMEOUT);
    }
    swap(&site, "portolan.toml", "conf/2");
    server.until_answers(NAME, &["192.0.2.3"], SWAP_TIMEOUT);
    swap(&site, "portolan.toml", "conf/1");
    server.until_answers(NAME, &["192.0.2.2"], SWAP_TIMEOUT);
}

#[test]
fn edits_are_followed_where_the_kernel_has_no_watch_left() {
    let none_left = "echo 0 > /proc/sys/user/max_inotify_watches && exec \"$@\"";
    let enter = ["-Ur", "sh", "-c", none_left, "sh"];
    if !Command::new("unshare")
        .args(enter)
        .arg("true")
        .status()
        .is_ok_and(|status| status.success())
    {
        println!("skipped: this user may not make a user namespace");
        return;
    }
    let site = ServerDirectory::new(&[("zones/x.test.zone", &zone("192.0.2.1"))]);
    let mut command = Command::new("unshare");
    command.args(enter).arg(env!("CARGO_BIN_EXE_portolan")).args(SERVE);
    command.current_dir(site.path("")).env("NO_COLOR", "1").env("PORTOLAN_LOG", "info");
    let server = Server::start(command).unwrap();
    site.write("zones/x.test.zone", &zone("192.0.2.2"));
    server.until_answers(NAME, &["192.0.2.2"], SWAP_TIMEOUT);
    site.replace("zones/x.test.zone", &zone("192.0.2.3"));
    server.until_answers(NAME, &["192.0.2.3"], SWAP_TIMEOUT);
    site.write("zones/y.test.zone", &zone("192.0.2.4"));
    server.until_answers("w.y.test", &["192.0.2.4"], SWAP_TIMEOUT);
}

#[test]
fn an_unreadable_directory_is_named_in_an_error_of_check_and_of_the_start() {
    let site = ServerDirectory::new(&[
        ("zones/x.test.zone", &zone("192.0.2.1")),
        ("zones/sub/y.test.zone", &zone("192.0.2.2")),
    ]);
    for directory in ["zones", "zones/sub"] {
        let mut check = unprivileged(&site, &["check", "--config", "portolan.toml"]);
        fs::set_permissions(site.path(directory), fs::Permissions::from_mode(0o000)).unwrap();
        let output = check.stdin(Stdio::null()).output().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{shown}");
        assert!(
            shown.contains("Permission denied")
                && shown.contains("which zones it holds is not known"),
            "{shown}"
        );
        assert!(
            shown.contains(&format!("{directory}\n"))
                && shown.contains("let the server's user read it"),
            "{shown}"
        );
        let refused =
            Server::start(unprivileged(&site, &SERVE)).err().expect("the start is refused");
        assert!(refused.contains("Permission denied"), "{refused}");
        fs::set_permissions(site.path(directory), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn zones_that_become_unreadable_are_still_answered_and_are_followed_once_readable() {
    let site = ServerDirectory::new(&[("zones/x.test.zone", &zone("192.0.2.1"))]);
    let server = Server::start(unprivileged(&site, &SERVE)).unwrap();
    fs::set_permissions(site.path("zones"), fs::Permissions::from_mode(0o000)).unwrap();
    server.until("the concern", WAIT_TIMEOUT, |server| {
        server.http("/readyz").1.contains("Permission denied")
    });
    assert_eq!(server.addresses(NAME), ["192.0.2.1"]);
    fs::set_permissions(site.path("zones"), fs::Permissions::from_mode(0o755)).unwrap();
    server.until("no concern", WAIT_TIMEOUT, |server| {
        !server.http("/readyz").1.contains("Permission denied")
    });
    site.write("zones/x.test.zone", &zone("192.0.2.2"));
    server.until_answers(NAME, &["192.0.2.2"], WAIT_TIMEOUT);
}

#[test]
fn an_edit_saved_while_no_file_could_be_opened_is_applied_once_one_can() {
    let site = ServerDirectory::new(&[("zones/x.test.zone", &zone("192.0.2.1"))]);
    let server = site.serve();
    server.limit_descriptors(3);
    site.replace("zones/x.test.zone", &zone("192.0.2.2"));
    server
        .until("the concern", WAIT_TIMEOUT, |server| server.log().contains("Too many open files"));
    assert_eq!(server.addresses(NAME), ["192.0.2.1"]);
    server.limit_descriptors(1024);
    server.until_answers(NAME, &["192.0.2.2"], WAIT_TIMEOUT);
}

#[test]
fn idle_connections_that_use_every_descriptor_do_not_delay_edits() {
    let places = "[datacenter.fra]\nstate = \"active\"\n";
    let site = ServerDirectory::new(&[
        ("zones/x.test.zone", &zone("192.0.2.1")),
        ("zones/dc.toml", places),
    ]);
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n 64; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_portolan")])
        .args(SERVE);
    command.current_dir(site.path("")).env("NO_COLOR", "1").env("PORTOLAN_LOG", "info");
    let server = Server::start(command).unwrap();
    let connect = |address| TcpStream::connect(address).unwrap();
    let admin: Vec<TcpStream> = (0..80).map(|_| connect(server.admin.unwrap())).collect();
    let dns: Vec<TcpStream> = (0..80).map(|_| connect(server.address)).collect();
    for host in 2..6 {
        let address = format!("192.0.2.{host}");
        site.replace("zones/x.test.zone", &zone(&address));
        server.until_answers(NAME, &[&address], SWAP_TIMEOUT);
    }
    assert!(!server.log().contains("Too many open files (os error 24) (help"), "{}", server.log());
    // A drain needs file descriptors for its edit and for the saved state.
    drop(admin);
    let url = format!("http://{}", server.admin.unwrap());
    let (code, out, err) = site.run(&["drain", "fra", "--edit", "--server", &url]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(server.metric("portolan_state_unsaved", ""), 0.0);
    drop(dns);
}

#[test]
fn a_database_that_cannot_be_used_delays_no_other_edit_and_no_restart() {
    let site = ServerDirectory::new(&[("zones/x.test.zone", &zone("192.0.2.1"))]);
    fs::remove_dir_all(site.path("geoip")).unwrap();
    let good = site.read("portolan.toml");
    let mut server = site.serve();
    let mut host = 1;
    let mut follows = |server: &Server, why: &str| {
        host += 1;
        let address = format!("192.0.2.{host}");
        site.replace("zones/x.test.zone", &zone(&address));
        server.until_answers(NAME, &[&address], APPLY_TIMEOUT);
        let concerns = server.http("/readyz").1;
        assert!(concerns.contains(why), "{concerns}");
    };
    for (databases, why) in [
        (
            "[\"gone.mmdb\"]",
            "portolan.toml:6:14: there is no database file gone.mmdb: No such file",
        ),
        ("[\"zones\"]", "portolan.toml:6:14: there is no database file zones: it is a directory"),
        (
            "[\"portolan.toml\"]",
            "portolan.toml:6:14: the database portolan.toml cannot be used: not a MaxMind",
        ),
    ] {
        site.write("portolan.toml", &format!("{good}[geoip]\ndatabases = {databases}\n"));
        server.until("the concern", WAIT_TIMEOUT, |server| {
            server.http("/readyz").1.contains("portolan.toml is held")
        });
        follows(&server, why);
        assert!(server.terminate().0.success());
        server = site.serve();
        follows(&server, why);
        let (code, out, err) = site.run(&["check", "--config", "portolan.toml"]);
        assert!(code == 1 && (out + &err).contains("^^^"), "check shows the line");
    }
    site.write("portolan.toml", &good);
    fs::write(site.path("geoip"), "a file").unwrap();
    server.until("the concern", WAIT_TIMEOUT, |server| {
        server.http("/readyz").1.contains("geoip cannot be listed")
    });
    follows(&server, "geoip is left out");
    assert!(
        !server.http("/readyz").1.contains("zones directory"),
        "the remedy for the zones directory does not apply"
    );
    fs::remove_file(site.path("geoip")).unwrap();
    server.until("no concern", WAIT_TIMEOUT, |server| {
        server.http("/readyz").1.contains("\"concerns\":[]")
    });
}

#[test]
fn a_database_that_was_in_use_and_is_gone_at_a_restart_is_left_out() {
    let site = ServerDirectory::new(&[("zones/x.test.zone", &zone("192.0.2.1"))]);
    fs::write(site.path("a.mmdb"), crate::harness::sample_database()).unwrap();
    site.write(
        "portolan.toml",
        &format!("{}[geoip]\ndatabases = [\"a.mmdb\"]\n", site.read("portolan.toml")),
    );
    assert!(site.serve().terminate().0.success());
    for broken in [None, Some("no database")] {
        fs::remove_file(site.path("a.mmdb")).unwrap();
        if let Some(text) = broken {
            site.write("a.mmdb", text);
        }
        let server = site.serve();
        assert_eq!(server.addresses(NAME), ["192.0.2.1"]);
        let concerns = server.http("/readyz").1;
        assert!(
            concerns.contains("a.mmdb is left out") && concerns.contains("portolan.toml:6:14: "),
            "{concerns}"
        );
        assert_eq!(server.metric("portolan_held_files", ""), 1.0);
        fs::write(site.path("a.mmdb"), crate::harness::sample_database()).unwrap();
        server.until("the database is in use again", WAIT_TIMEOUT, |server| {
            server.http("/readyz").1.contains("\"concerns\":[]")
        });
    }
}

#[test]
fn a_database_directory_that_could_not_be_listed_is_listed_again() {
    let site = ServerDirectory::new(&[("zones/x.test.zone", &zone("192.0.2.1"))]);
    fs::remove_dir_all(site.path("geoip")).unwrap();
    let server = site.serve();
    server.limit_descriptors(3);
    site.replace("zones/x.test.zone", &zone("192.0.2.2"));
    server.until("the concern", WAIT_TIMEOUT, |server| {
        server.log().contains("geoip cannot be listed")
    });
    server.limit_descriptors(1024);
    server.until_answers(NAME, &["192.0.2.2"], WAIT_TIMEOUT);
    server.until("no concern", WAIT_TIMEOUT, |server| {
        server.http("/readyz").1.contains("\"concerns\":[]")
    });
}

/// Starts the program in a new mount namespace, which tests enter by `nsenter`; `None` if the user
/// may not create one.
fn in_a_namespace(site: &ServerDirectory, before: &str) -> Option<Server> {
    let script = format!("{before} && exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script, "sh", env!("CARGO_BIN_EXE_portolan")]).args(SERVE);
    command
        .current_dir(site.path(""))
        .env("NO_COLOR", "1")
        .env("PORTOLAN_LOG", "info")
        .env_remove("PORTOLAN_SERVER");
    let is_permitted =
        Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success());
    if !is_permitted {
        println!("skipped: this user may not mount");
        return None;
    }
    Some(Server::start(command).unwrap())
}

#[test]
fn a_file_that_is_mounted_on_another_is_followed_and_edited_in_place() {
    const PLACES: &str = r#"[datacenter.fra]
state = "active"
[datacenter.iad]
"#;
    let service = r#"[zone."y.test"]
nameservers = ["ns1.example.net"]
hostmaster = "h@y.test"
[service."w.y.test"]
policy = "failover"
members = [
{ datacenter = "fra", addresses = ["192.0.2.1"] },
{ datacenter = "iad", addresses = ["192.0.2.2"] },
]
"#;
    let site = ServerDirectory::new(&[
        ("zones/x.test.zone", &zone("192.0.2.1")),
        ("zones/y.toml", service),
        ("zones/dc.toml", ""),
    ]);
    site.write("host/dc.toml", PLACES);
    site.write("host/x.test.zone", &zone("192.0.2.7"));
    let Some(server) = in_a_namespace(&site, "mount --bind host/dc.toml zones/dc.toml") else {
        return;
    };
    assert_eq!(server.addresses("w.y.test"), ["192.0.2.1"]);
    // An edit through the other name of the file causes no event for the mounted one.
    site.write("host/dc.toml", &PLACES.replace("active", "draining"));
    server.until_answers("w.y.test", &["192.0.2.2"], SWAP_TIMEOUT);
    site.write("host/dc.toml", PLACES);
    server.until_answers("w.y.test", &["192.0.2.1"], SWAP_TIMEOUT);
    // A mounted file cannot be replaced by rename.
    let url = format!("http://{}", server.admin.unwrap());
    let (code, out, err) = site.run(&["drain", "fra", "--edit", "--server", &url]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(site.read("host/dc.toml").contains("draining"));
    server.until_answers("w.y.test", &["192.0.2.2"], APPLY_TIMEOUT);
    // Mount and unmount while the server runs.
    let enter = |arguments: &[&str]| {
        let entered = Command::new("nsenter")
            .args(["-m", "-t", &server.pid().to_string(), "--"])
            .args(arguments)
            .status();
        assert!(entered.unwrap().success());
    };
    let path = |relative: &str| site.path(relative).display().to_string();
    enter(&["mount", "--bind", &path("host/x.test.zone"), &path("zones/x.test.zone")]);
    server.until_answers(NAME, &["192.0.2.7"], SWAP_TIMEOUT);
    enter(&["umount", &path("zones/x.test.zone")]);
    server.until_answers(NAME, &["192.0.2.1"], SWAP_TIMEOUT);
}
