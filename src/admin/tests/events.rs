//! The events of the journal, and answers of the past.

use super::*;
use crate::admin::documents::ReplayedExplanation;

/// Waits until the journal has an event of this kind, and returns it.
async fn until_event(site: &AdminTestServer, kind: &str) -> Value {
    let mut after = 0;
    loop {
        let path = format!("/api/v1/events?kind={kind}&after={after}&wait=5&limit=1");
        let (code, page) = document(site.get(&path).await).await;
        assert_eq!(code, 200, "{page}");
        if let Some(event) = page["events"].get(0) {
            return event.clone();
        }
        after = page["newest"].as_u64().unwrap();
    }
}

#[tokio::test]
async fn a_drain_is_an_event_with_its_author_and_a_request_without_effect_is_none() {
    let site = AdminTestServer::start().await;
    let undrain = site.post("/api/v1/datacenters/iad/undrain", "");
    assert_eq!(undrain.send().await.unwrap().status(), 200);
    let drain = site.post("/api/v1/datacenters/fra/drain", r#"{"reason": "upgrade"}"#);
    let (code, report) =
        document(drain.header("x-portolan-user", "ada").send().await.unwrap()).await;
    assert_eq!(code, 200);
    let event = until_event(&site, "override").await;
    assert_eq!(event["subject"], "fra");
    assert_eq!(event["action"], "drain");
    assert_eq!(event["author"]["user"], "ada");
    assert_eq!(event["author"]["peer"], "127.0.0.1");
    assert!(event["after"].as_str().unwrap().starts_with("override set: draining"), "{event}");
    assert_eq!(event["cause"], "upgrade");
    assert_eq!(event["generation"], report["generation"]);
}

#[tokio::test]
async fn a_parameter_that_cannot_be_read_is_named_with_the_values_that_can() {
    let site = AdminTestServer::start().await;
    for (query, words) in [
        ("kind=nope", "it is none of server, configuration, "),
        ("since=yesterday", "write 2026-12-01T06:00:00Z, or seconds since 1970"),
        ("before=1", "use ?since="),
    ] {
        let (code, fault) = document(site.get(&format!("/api/v1/events?{query}")).await).await;
        assert_eq!(code, 400, "{query}");
        assert!(fault["message"].as_str().unwrap().contains(words), "{query}: {fault}");
    }
}

#[tokio::test]
async fn an_answer_of_the_past_is_repeated_and_a_time_without_history_is_404() {
    let site = AdminTestServer::start().await;
    let drained = site.post("/api/v1/datacenters/fra/drain", "").send().await.unwrap();
    assert_eq!(drained.status(), 200);
    let state = until_event(&site, "state").await;
    let started = until_event(&site, "server").await;
    let question = "/api/v1/explain?name=www.gslb.example.com&client=192.0.2.1&at=";
    let explain = async |at: &str| document(site.get(&format!("{question}{at}")).await).await;
    for (event, rdata) in [(&started, "192.0.2.11"), (&state, "192.0.2.21")] {
        let (code, past) = explain(event["time"].as_str().unwrap()).await;
        let past: ReplayedExplanation = serde_json::from_value(past).unwrap();
        assert_eq!((code, past.explanation.reply.answers[0].rdata.as_str()), (200, rdata));
        assert!(past.replay.unwrap().notes.is_empty());
    }
    for (at, expected, words) in [
        ("1", 404, "history begins at "),
        ("99999999999", 400, "in the future"),
        ("noon", 400, "`at` is \"noon\""),
    ] {
        let (code, fault) = explain(at).await;
        let message = fault["message"].as_str().unwrap();
        assert!(code == expected && message.contains(words), "{at}: {code} {message}");
    }
}
