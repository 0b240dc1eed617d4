//! Commands that talk to servers: several of them, by name, over TLS, with a token.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    process::Output,
    thread::JoinHandle,
};

use super::harness::{Server, ServerDirectory};

const ZONE: &str = r#"[zone."example.org"]
nameservers = ["ns1.example.com"]
hostmaster = "hostmaster@example.com"
[service."www.example.org"]
members = [{ addresses = ["192.0.2.1"] }]
"#;

fn site(node: &str) -> ServerDirectory {
    let site = ServerDirectory::new(&[("zones/example.org.toml", ZONE)]);
    site.edit("portolan.toml", "\"test\"", &format!("{node:?}"));
    site
}

fn text(output: &Output) -> String {
    let octets = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(octets).unwrap()
}

/// An address at which nothing listens.
fn closed_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn each_of_several_servers_is_reported_and_the_exit_code_is_the_worst() {
    let (first, second) = (site("one"), site("two"));
    let (one, two) = (first.serve(), second.serve());
    let address = |server: &Server| server.admin.unwrap().to_string();
    let closed = closed_address().to_string();
    for (command, expected) in [
        ("status", "serving"),
        ("reload", "all files are in use"),
        ("explain", "because 192.0.2.1"),
    ] {
        let question = ["www.example.org", "--client", "192.0.2.7"];
        let question = if command == "explain" { &question[..] } else { &[] };
        let run = |servers: &[&str]| {
            let flags = servers.iter().flat_map(|server| ["--server", *server]);
            let arguments: Vec<&str> =
                [command].into_iter().chain(question.iter().copied()).chain(flags).collect();
            first.run(&arguments)
        };
        let (code, out, err) = run(&[&address(&one), &address(&two)]);
        assert_eq!((code, out.matches(expected).count()), (0, 2), "{out}{err}");
        assert!(out.find("node one") < out.find("node two"), "in the order named: {out}");
        let (code, out, err) = run(&[&address(&one), &closed, &address(&two)]);
        assert_eq!((code, out.matches(expected).count()), (1, 2), "{out}{err}");
        assert!(out.contains("node one") && out.contains("node two"), "{out}");
        assert!(err.contains(&format!("no portolan server answers at http://{closed}")), "{err}");
    }
    let servers = format!("{},{closed}", address(&two));
    let mut command = first.command(&["status", "--json"]);
    let output = command.env("PORTOLAN_SERVER", servers).output().unwrap();
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(list[0]["server"]["node"], "two");
    assert!(list[1]["error"].as_str().unwrap().contains(&closed), "{list}");
    assert_eq!(output.status.code(), Some(1));
    let both = ["--server", &address(&one), "--server", &address(&two)];
    let (code, _, err) = first.run(&[&["log"], &both[..]].concat());
    assert!(code == 1 && err.contains("acts on one server"), "{err}");
}

#[test]
fn explain_reads_the_files_if_no_server_of_the_environment_answers() {
    let site = site("one");
    let (first, second) = (closed_address(), closed_address());
    let question = ["explain", "www.example.org", "--client", "192.0.2.7"];
    let run = |servers: &str| {
        let mut command = site.command(&question);
        command.env("PORTOLAN_SERVER", servers).output().unwrap()
    };
    let output = run(&format!("{first},{second}"));
    let shown = text(&output);
    let line = shown.lines().next().unwrap();
    assert!(line.starts_with("from the files, with the health of all targets unknown"), "{shown}");
    assert!(line.contains(&first.to_string()) && line.contains(&second.to_string()), "{shown}");
    assert_eq!(output.status.code(), Some(0));
    let output = run("ftp://gslb1");
    assert!(output.status.code() == Some(1) && text(&output).contains("names no server"));
}

#[test]
fn the_api_is_reached_at_each_address_and_under_the_names_that_are_listed() {
    let site = site("one");
    site.write(
        "portolan.toml",
        "[admin]\nlisten = [\"127.0.0.1:0\", \"127.0.0.2:0\"]\nhosts = [\"gslb1.example.com\"]\n",
    );
    let mut server = site.serve();
    for address in [server.admin.unwrap(), server.next_admin_address()] {
        let (code, out, err) = site.run(&["status", "--server", &address.to_string()]);
        assert_eq!(code, 0, "{out}{err}");
        for (host, expected) in [
            ("gslb1.example.com", "HTTP/1.1 200"),
            ("GSLB1.example.com:443", "HTTP/1.1 200"),
            ("gslb2.example.com", "HTTP/1.1 421"),
            ("a.gslb1.example.com", "HTTP/1.1 421"),
        ] {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            let request = format!("GET /api/v1/status HTTP/1.1\r\nHost: {host}\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).unwrap();
            assert!(line.starts_with(expected), "{host}: {line}");
        }
    }
}

/// Answers one request as a proxy would, and returns the head of the request.
fn proxy(reply: &'static str) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
        stream.write_all(reply.as_bytes()).unwrap();
        head
    };
    (address, std::thread::spawn(answer))
}

#[test]
fn the_token_is_sent_to_a_loopback_address_and_never_shown() {
    let site = site("one");
    let run = |server: &str| {
        let mut command = site.command(&["status", "--server", server]);
        command.env("PORTOLAN_TOKEN", "hunter2").output().unwrap()
    };
    let (address, head) =
        proxy("HTTP/1.1 401 Unauthorized\r\nContent-Length: 10\r\n\r\nwrong user");
    let output = run(&address.to_string());
    let head = head.join().unwrap().to_ascii_lowercase();
    assert!(head.contains("\r\nauthorization: bearer hunter2\r\n"), "{head}");
    let shown = text(&output);
    assert!(shown.contains("refused: HTTP 401 Unauthorized: wrong user"), "{shown}");
    assert!(output.status.code() == Some(1) && !shown.contains("hunter2"), "{shown}");
    let output = run("http://192.0.2.1:8053");
    let shown = text(&output);
    assert!(shown.contains("is not sent to http://192.0.2.1:8053: plain HTTP"), "{shown}");
    assert!(output.status.code() == Some(1) && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_redirection_is_reported_and_not_followed() {
    let site = site("one");
    let reply = "HTTP/1.1 301 Moved Permanently\r\nLocation: https://gslb1.example.com/\r\n\
                 Content-Length: 0\r\n\r\n";
    let (address, head) = proxy(reply);
    let (code, _, err) = site.run(&["reload", "--server", &address.to_string()]);
    head.join().unwrap();
    assert!(code == 1 && err.contains("redirects to https://gslb1.example.com/; name"), "{err}");
}

#[test]
fn a_certificate_is_verified_by_the_authorities_that_ca_names() {
    let site = site("one");
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let pair = rcgen::KeyPair::generate().unwrap();
    site.write("chain.pem", &params.self_signed(&pair).unwrap().pem());
    site.write("key.pem", &pair.serialize_pem());
    let https =
        "https = { listen = [\"127.0.0.1:0\"], certificate = \"chain.pem\", key = \"key.pem\" }\n";
    site.write("portolan.toml", &format!("{}{https}", site.read("portolan.toml")));
    let server = site.serve();
    // DNS over HTTPS has no admin API: a reply of status 404 proves that TLS was accepted.
    let url = format!("https://localhost:{}", server.https.unwrap().port());
    let (code, _, err) = site.run(&["status", "--server", &url, "--ca", "chain.pem"]);
    assert!(code == 1 && err.contains("refused: HTTP 404"), "{err}");
    let (code, _, err) = site.run(&["status", "--server", &url]);
    assert!(code == 1 && !err.contains("HTTP 404"), "{err}");
    for (file, expected) in [("key.pem", "holds no certificate"), ("none.pem", "none.pem: ")] {
        let (code, _, err) = site.run(&["status", "--server", &url, "--ca", file]);
        assert!(code == 1 && err.contains(expected) && err.contains("help: --ca"), "{err}");
    }
}

#[test]
fn a_change_reports_each_server_and_a_rule_that_refuses_it_has_its_own_exit_code() {
    let (first, second) = (site("one"), site("two"));
    let zone = ZONE.replace("\"192.0.2.1\"]", "\"192.0.2.1\"], datacenter = \"fra\"");
    for site in [&first, &second] {
        site.write("zones/example.org.toml", &format!("[datacenter.fra]\n{zone}"));
    }
    let (one, two) = (first.serve(), second.serve());
    let address = |server: &Server| server.admin.unwrap().to_string();
    let (one, two, closed) = (address(&one), address(&two), closed_address().to_string());
    let run = |command: &[&str], servers: &[&str]| {
        let flags: Vec<&str> = servers.iter().flat_map(|server| ["--server", *server]).collect();
        first.run(&[command, &flags].concat())
    };
    let (code, out, err) = run(&["drain", "fra"], &[&one, &two]);
    assert_eq!((code, err.matches("no usable member").count()), (3, 2), "{out}{err}");
    let (code, _, err) = run(&["drain", "fra"], &[&one, &closed]);
    assert!(code == 1 && err.contains("no usable member"), "what failed is unknown: {err}");
    let (code, out, err) = run(&["drain", "fra", "--force"], &[&one, &two]);
    assert_eq!((code, out.matches("fra: override set: draining").count()), (0, 2), "{out}{err}");
    assert_eq!(err.matches("warning: no usable member is left").count(), 2, "{out}{err}");
    assert!(out.find("node one") < out.find("node two"), "in the order named: {out}");
    let question = ["explain", "www.example.org", "--client", "192.0.2.7", "--at", "0s"];
    let (code, out, err) = run(&question, &[&one, &two]);
    assert_eq!((code, out.matches("as it was at ").count()), (0, 2), "{out}{err}");
    let (code, _, err) = run(&question, &[&closed]);
    assert!(code == 1 && err.contains("no portolan server answers"), "{err}");
    let mut command = first.command(&question);
    let output = command.env("PORTOLAN_SERVER", &closed).output().unwrap();
    assert!(text(&output).contains("only a running server has the history"), "{output:?}");
}

#[test]
fn a_change_without_a_reply_is_said_to_be_uncertain_and_no_server_to_be_missing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // It reads each request and closes the connection.
    let closing = std::thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let mut request = [0; 4096];
            let _ = stream.unwrap().read(&mut request);
        }
    });
    let site = ServerDirectory::new(&[]);
    for (command, expected) in [
        ("drain", "the change may be in force all the same"),
        ("undrain", "see `portolan status --server"),
    ] {
        let (code, _, err) = site.run(&[command, "fra", "--server", &url]);
        assert_eq!(code, 1, "{err}");
        assert!(err.contains(expected) && !err.contains("no portolan server"), "{err}");
    }
    closing.join().unwrap();
}
