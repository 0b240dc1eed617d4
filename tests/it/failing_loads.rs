//! Load sources that give no report: what `readyz` and `status` say, and when the concern ends.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use crate::harness::{Server, ServerDirectory, WAIT_TIMEOUT, fill};

const PAGE: &str = "Active connections: 5 
server accepts handled requests
 9 9 9 
Reading: 0 Writing: 1 Waiting: 4 
";

/// A server of nginx's status page, or of status 404 while `works` is false.
struct StatusPage {
    port: u16,
    works: Arc<AtomicBool>,
}

impl StatusPage {
    fn start(works: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let page = Self {
            port: listener.local_addr().unwrap().port(),
            works: Arc::new(AtomicBool::new(works)),
        };
        let works = Arc::clone(&page.works);
        // The thread ends with the test process.
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let _ = stream.read(&mut [0; 4096]);
                let (status, body) =
                    if works.load(SeqCst) { ("200 OK", PAGE) } else { ("404 Not Found", "") };
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
            }
        });
        page
    }

    fn table(&self, name: &str) -> String {
        fill(
            r#"[load.$name]
nginx = { url = "http://127.0.0.1:$port/stub_status" }
interval = "300ms"
timeout = "250ms"
"#,
            &[("$name", &name), ("$port", &self.port)],
        )
    }
}

fn concerns(server: &Server) -> Vec<String> {
    let (code, body) = server.http("/readyz");
    let readiness: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (code, &readiness["is-ready"]),
        (200, &true.into()),
        "a failed load source does not affect readiness"
    );
    readiness["concerns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_load_source_that_fails_is_a_concern_until_it_reports_again_or_is_no_longer_configured() {
    let (first, second) = (StatusPage::start(true), StatusPage::start(false));
    let zone = |members: &str| {
        fill(
            r#"[zone."example.org"]
nameservers = ["ns1.example.net"]
hostmaster = "h@example.org"
$first
$second
[service."w.example.org"]
policy = "load"
members = [$members]
"#,
            &[
                ("$first", &first.table("fra")),
                ("$second", &second.table("iad")),
                ("$members", &members),
            ],
        )
    };
    let fra = "{ addresses = [\"192.0.2.1\"], load = \"fra\" }";
    let iad = "{ addresses = [\"192.0.2.2\"], load = \"iad\" }";
    let site = ServerDirectory::new(&[("zones/example.org.toml", &zone(&format!("{fra}, {iad}")))]);
    let server = site.serve();
    let fails = |load: &str| format!("load source \"{load}\" has given no report since ");
    server.until("the failing load source is a concern", WAIT_TIMEOUT, |server| {
        concerns(server).len() == 1
    });
    let text = concerns(&server).remove(0);
    assert!(text.starts_with(&fails("iad")) && text.contains(" UTC: status 404"), "{text}");
    let (_, status, _) =
        site.run(&["status", "--server", &format!("http://{}", server.admin.unwrap())]);
    assert!(status.contains("404") && status.contains("(since "), "{status}");

    second.works.store(true, SeqCst);
    server.until("it reports again", WAIT_TIMEOUT, |server| concerns(server).is_empty());

    first.works.store(false, SeqCst);
    server.until("the other load source fails", WAIT_TIMEOUT, |server| {
        concerns(server).iter().any(|text| text.contains("\"fra\""))
    });
    assert!(
        concerns(&server)[0].contains("pools keep the shares of the last report until it expires")
    );
    site.write("zones/example.org.toml", &zone(iad));
    server.until("it is no longer configured", WAIT_TIMEOUT, |server| concerns(server).is_empty());
}
