//! Load sources that give no report: what operators read of them, and when it ends.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use crate::harness::{Server, ServerDirectory, WAIT_TIMEOUT};

const PAGE: &str = "Active connections: 5 \nserver accepts handled requests\n 9 9 9 \nReading: 0 Writing: 1 Waiting: 4 \n";

/// nginx's status page, or an error in its place while the test wants one.
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
        // Ends with the test's process.
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
        let url = format!("http://127.0.0.1:{}/stub_status", self.port);
        format!(
            "[load.{name}]\nnginx = {{ url = \"{url}\" }}\ninterval = \"300ms\"\ntimeout = \"250ms\"\n"
        )
    }
}

fn concerns(server: &Server) -> Vec<String> {
    let (code, body) = server.http("/readyz");
    let readiness: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (code, &readiness["is-ready"]),
        (200, &true.into()),
        "a load source decides nothing about readiness"
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
        format!(
            "[zone.\"example.org\"]\nnameservers = [\"ns1.example.net\"]\nhostmaster = \"h@example.org\"\n{}{}\
             [service.\"w.example.org\"]\npolicy = \"load\"\nmembers = [{members}]\n",
            first.table("fra"),
            second.table("iad"),
        )
    };
    let fra = "{ addresses = [\"192.0.2.1\"], load = \"fra\" }";
    let iad = "{ addresses = [\"192.0.2.2\"], load = \"iad\" }";
    let site = ServerDirectory::new(&[("zones/example.org.toml", &zone(&format!("{fra}, {iad}")))]);
    let server = site.serve();
    let fails = |load: &str| format!("load source \"{load}\" has given no report since ");
    server
        .until("the failing one is a concern", WAIT_TIMEOUT, |server| concerns(server).len() == 1);
    let text = concerns(&server).remove(0);
    assert!(text.starts_with(&fails("iad")) && text.contains(" UTC: status 404"), "{text}");
    let (_, status, _) =
        site.run(&["status", "--server", &format!("http://{}", server.admin.unwrap())]);
    assert!(status.contains("404") && status.contains("(since "), "{status}");

    second.works.store(true, SeqCst);
    server.until("it reports again", WAIT_TIMEOUT, |server| concerns(server).is_empty());

    first.works.store(false, SeqCst);
    server.until("the other one fails", WAIT_TIMEOUT, |server| {
        concerns(server).iter().any(|text| text.contains("\"fra\""))
    });
    assert!(
        concerns(&server)[0].contains("pools keep the shares of the last report until it expires")
    );
    site.write("zones/example.org.toml", &zone(iad));
    server.until("it is no longer configured", WAIT_TIMEOUT, |server| concerns(server).is_empty());
}
