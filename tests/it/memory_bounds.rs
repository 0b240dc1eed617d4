//! Files that would need more memory than a server has are refused within a bound. The message
//! names the bound, and everything else is served.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    process::{Command, Stdio},
};

use crate::harness::{Server, ServerDirectory, WAIT_TIMEOUT};

/// The address space of the program, in octets. Before these files were bounded, six times as much
/// was not enough for them.
const MEMORY: u64 = 1 << 30;

/// A command that runs the program with these arguments and this memory limit.
fn bounded(site: &ServerDirectory, arguments: &[&str]) -> Command {
    let mut command = Command::new("prlimit");
    command.args([&format!("--data={MEMORY}"), env!("CARGO_BIN_EXE_portolan")]).args(arguments);
    command
        .current_dir(site.path(""))
        .env_remove("PORTOLAN_SERVER")
        .env("NO_COLOR", "1")
        .env("PORTOLAN_LOG", "info");
    command
}

/// Runs `check` and returns its exit code and its output.
fn check(site: &ServerDirectory) -> (i32, String) {
    let output = bounded(site, &["check"]).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    (output.status.code().unwrap_or(-1), text)
}

/// Writes a file that repeats the same octets.
fn write_repeated(
    site: &ServerDirectory,
    path: &str,
    octets: &[u8],
    times: usize,
) -> io::Result<()> {
    let mut file = io::BufWriter::new(File::create(site.path(path))?);
    (0..times).try_for_each(|_| file.write_all(octets))?;
    file.flush()
}

fn zone(address: &str) -> String {
    format!(
        "@ 300 SOA ns1.example.net. h.example.net. 1 2 3 4 5
@ 300 NS ns1.example.net.
w 300 A {address}
"
    )
}

/// Writes a file with 60 MB of comments.
fn write_large(site: &ServerDirectory) {
    let line = [&b";".repeat((1 << 20) - 2)[..], b"\n"].concat();
    write_repeated(site, "zones/large.inc", &line, 60).unwrap();
}

#[test]
fn a_server_serves_on_when_an_edited_zone_includes_a_large_file_a_thousand_times() {
    let site = ServerDirectory::new(&[
        ("zones/x.test.zone", &zone("192.0.2.1")),
        ("zones/y.test.zone", &zone("192.0.2.2")),
    ]);
    write_large(&site);
    let serve =
        || bounded(&site, &["serve", "--config", "portolan.toml", "--listen", "127.0.0.1:0"]);
    let server = Server::start(serve()).unwrap();
    site.replace("zones/x.test.zone", &(zone("192.0.2.3") + &"$INCLUDE large.inc\n".repeat(1000)));
    let error = "zones/x.test.zone:8:10: zones/large.inc (60 MiB) is too much: the files of this zone have more than 256 MiB together \
                 (a file counts once for each $INCLUDE) (help: include each file once, or split the zone)";
    server.until_logged(error);
    assert_eq!(server.log().matches("is too much").count(), 1, "{}", server.log());
    site.replace("zones/y.test.zone", &zone("192.0.2.4"));
    server.until_answers("w.y.test", &["192.0.2.4"], WAIT_TIMEOUT);
    assert_eq!(server.addresses("w.x.test"), ["192.0.2.1"]);
    assert!(server.terminate().0.success());

    let again = Server::start(serve()).expect("the next start holds the file as well");
    assert_eq!(again.addresses("w.x.test"), ["192.0.2.1"]);
    assert_eq!(again.addresses("w.y.test"), ["192.0.2.4"]);
}

#[test]
fn a_zone_that_includes_a_large_file_a_thousand_times_is_one_error_of_a_check() {
    let site = ServerDirectory::new(&[(
        "zones/x.test.zone",
        &(zone("192.0.2.3") + &"$INCLUDE large.inc\n".repeat(1000)),
    )]);
    write_large(&site);
    let (code, text) = check(&site);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("--> zones/x.test.zone:8:10"), "{text}");
    assert_eq!(text.matches("error: ").count(), 1, "{text}");
}

#[test]
fn tables_whose_tree_would_take_gigabytes_are_refused_before_they_are_parsed() {
    let site = ServerDirectory::new(&[("zones/x.test.zone", &zone("192.0.2.1"))]);
    for (head, part, times, error) in [
        (
            "[pool.x]\nmembers = [",
            "1,",
            30 << 20,
            "more than 4 MiB follow until the next table; one table may have 4 MiB",
        ),
        (
            "",
            "[pool.x]\n",
            6 << 20,
            "the file has more than 4 MiB and cannot be read table by table",
        ),
    ] {
        write_repeated(&site, "zones/a.toml", part.as_bytes(), times).unwrap();
        let text = [head.as_bytes(), &fs::read(site.path("zones/a.toml")).unwrap()].concat();
        fs::write(site.path("zones/a.toml"), text).unwrap();
        let (code, text) = check(&site);
        assert!(
            code == 1 && text.contains(error) && text.contains("zones/a.toml"),
            "{code}: {text}"
        );
    }
}

#[test]
fn a_configuration_file_of_more_than_a_mebibyte_is_not_read() {
    let site = ServerDirectory::new(&[("zones/x.test.zone", &zone("192.0.2.1"))]);
    write_repeated(&site, "portolan.toml", b"# nothing\n", 200_000).unwrap();
    let (code, text) = check(&site);
    let error = "the configuration file cannot be read: it is larger than 1 MiB";
    assert!(code == 1 && text.contains(error), "{code}: {text}");
}
