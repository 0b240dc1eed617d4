//! Server cookies across a rotation of their keys.

use std::{net::IpAddr, time::SystemTime};

use portolan::dns::CookieKeys;

use crate::{
    harness::{Server, ServerDirectory, WAIT_TIMEOUT},
    query::TestQuery,
};

const CLIENT: [u8; 8] = *b"a client";

/// Whether a server cookie made now with this key is valid. Only a client with a valid cookie gets
/// the large answer over UDP.
fn is_valid(server: &Server, key: u8) -> bool {
    let keys = CookieKeys { current: [key; 16], next: [0; 16], previous: None, rotated_secs: 0 };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    is_accepted(server, &keys.server_cookie(CLIENT, IpAddr::from([127, 0, 0, 1]), now as u32))
}

fn is_accepted(server: &Server, cookie: &[u8]) -> bool {
    let option = (10, [&CLIENT[..], cookie].concat());
    let reply = server
        .ask(&TestQuery::new("big.example.org", "ANY").edns(|edns| edns.options.push(option)));
    !reply.answers().is_empty()
}

#[test]
fn cookies_stay_valid_across_a_rotation_of_their_keys_and_a_restart() {
    let long = "x".repeat(200);
    let zone = format!(
        "$ORIGIN example.org.
@ 60 IN SOA ns h 1 2 3 4 5
@ 60 IN NS ns.example.net.
big 60 IN TXT {long} {long} {long}
"
    );
    let site = ServerDirectory::new(&[("zones/example.org.zone", &zone)]);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let (current, next) = ("11".repeat(16), "22".repeat(16));
    // The rotation is due 5 s after the start.
    let rotated = now - 86_400 + 5;
    site.write(
        "state/cookie.key",
        &format!(r#"{{"version":1,"rotated":{rotated},"current":"{current}","next":"{next}"}}"#),
    );
    let server = site.serve();
    let before = server.metric("portolan_generation", "");
    assert!(is_valid(&server, 0x11), "the current key");
    assert!(
        is_valid(&server, 0x22),
        "the next key, with which another server may make cookies already"
    );
    assert!(!is_valid(&server, 0x33), "no key of this server");
    let keys = CookieKeys { current: [0x11; 16], next: [0; 16], previous: None, rotated_secs: 0 };
    let early = keys.server_cookie(CLIENT, IpAddr::from([127, 0, 0, 1]), now as u32);
    server.until("the keys are rotated", WAIT_TIMEOUT, |_| {
        let file = site.read("state/cookie.key");
        file.contains(&format!("\"previous\":\"{current}\""))
            && file.contains(&format!("\"current\":\"{next}\""))
    });
    server.until("one publication", WAIT_TIMEOUT, |server| {
        server.metric("portolan_generation", "") == before + 1.0
    });
    assert!(is_accepted(&server, &early), "made before the rotation");
    assert!(is_valid(&server, 0x22) && !is_valid(&server, 0x33));
    assert!(server.terminate().0.success());
    let server = site.serve();
    assert!(is_accepted(&server, &early) && is_valid(&server, 0x22), "after a restart");
}
