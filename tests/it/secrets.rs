//! Secrets: passwords in URLs are never printed, and the state directory is private.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use super::harness::{Server, ServerDirectory};

#[test]
fn no_command_prints_a_password_in_the_server_url() {
    let site = ServerDirectory::new(&[]);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for server in [
        format!("http://ada:hunter2@{closed}"),
        format!("ada:hunter2@{closed}"),
        "ada:hunter2@h:x".to_owned(),
    ] {
        for arguments in [
            &["status", "--server", &server][..],
            &["status", "--json", "--server", &server],
            &["drain", "fra", "--server", &server],
            &["explain", "www.example.com", "--client", "192.0.2.1", "--server", &server],
        ] {
            let (code, out, err) = site.run(arguments);
            let text = out + &err;
            assert!(
                code != 0 && text.contains("error") && !text.contains("hunter2"),
                "{arguments:?}: {text}"
            );
        }
    }
    for command in ["status", "drain", "reload"] {
        let help = site
            .command(&[command, "--help"])
            .env("PORTOLAN_SERVER", "http://ada:hunter2@h")
            .output()
            .unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        assert!(help.contains("PORTOLAN_SERVER") && !help.contains("hunter2"), "{help}");
    }
}

const ZONE: &str = r#"[zone."x.example"]
nameservers = ["ns1.example.com"]
hostmaster = "hostmaster@example.com"
"#;

#[test]
fn only_the_user_can_read_the_state_directory_with_any_umask() {
    let site = ServerDirectory::new(&[("zones/x.toml", ZONE)]);
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_portolan")]);
    command
        .args(["serve", "--config", "portolan.toml", "--listen", "127.0.0.1:0"])
        .current_dir(site.path(""));
    let server = Server::start(command).unwrap();
    let (ended, log) = server.terminate();
    assert!(ended.success(), "{log}");
    let mode = |path: std::path::PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(site.path("state")), 0o700);
    let (mut open, mut files) = (vec![site.path("state")], Vec::new());
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            let (expected, list) =
                if entry.is_dir() { (0o700, &mut open) } else { (0o600, &mut files) };
            assert_eq!(mode(entry.clone()), expected, "{}", entry.display());
            list.push(entry);
        }
    }
    for name in ["cookie.key", "journal/0001.jsonl", "history/0001.jsonl"] {
        assert!(files.iter().any(|path| path.ends_with(name)), "{name}: {files:?}");
    }
}
