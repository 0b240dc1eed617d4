//! What each endpoint returns.

use serde_json::json;

use super::*;
use crate::{
    admin::{
        Readiness, TotalsView,
        metrics::{self, MetricsCollector},
    },
    control::{DrainError, DrainReport, ListDetail, Status, SteeringDocument},
};

const INVALID_DATACENTERS: &str =
    "[datacenter.fra]\nlocation = { latitude = 500.0, longitude = 8.68 }\n";

#[tokio::test]
async fn healthz_fails_once_a_shard_has_died() {
    let site = AdminTestServer::start().await;
    assert_eq!(site.get("/healthz").await.status(), 200);
    site.is_alive.store(false, Relaxed);
    assert_eq!(site.get("/healthz").await.status(), 503);
    assert_eq!(site.get("/readyz").await.status(), 503);
}

#[tokio::test]
async fn before_the_first_round_of_health_checks_the_server_is_not_ready_and_says_so() {
    let site = AdminTestServer::start().await;
    site.is_listening.store(false, Relaxed);
    let (code, ready) = document(site.get("/readyz").await).await;
    let ready: Readiness = serde_json::from_value(ready).unwrap();
    assert_eq!((code, ready.is_ready), (503, false));
    let first = &ready.concerns[0];
    assert!(first.starts_with("waiting for the first round of health checks, "), "{first}");
    assert_eq!(site.get("/healthz").await.status(), 200, "it is alive: nothing is to be restarted");
}

#[tokio::test]
async fn a_held_file_is_shown_and_does_not_end_readiness() {
    let site = AdminTestServer::start().await;
    let (code, ready) = document(site.get("/readyz").await).await;
    let ready: Readiness = serde_json::from_value(ready).unwrap();
    assert_eq!((code, ready.is_ready), (200, true));
    let [geography] = &ready.concerns[..] else { panic!("{ready:?}") };
    assert!(geography.contains("policy nearest, and no GeoIP database is loaded"), "{geography}");
    fs::write(site.zone_file("datacenters.toml"), INVALID_DATACENTERS).unwrap();
    let (code, fault) = document(site.post("/api/v1/reload", "").send().await.unwrap()).await;
    assert_eq!(code, 422);
    let refused = fault["error"]["refused"].as_array().unwrap();
    assert!(
        refused.iter().any(|line| line.as_str().unwrap().contains("datacenters.toml:2")),
        "{refused:?}"
    );
    let (code, ready) = document(site.get("/readyz").await).await;
    let ready: Readiness = serde_json::from_value(ready).unwrap();
    assert_eq!((code, ready.is_ready), (200, true));
    let is_held =
        |concern: &String| concern.contains("held") && concern.contains("datacenters.toml:2");
    assert!(ready.concerns.iter().any(is_held), "{ready:?}");
    assert_eq!(
        fault["error"]["held"][0]["file"],
        site.zone_file("datacenters.toml").to_str().unwrap()
    );
    assert!(!ready.configuration.unwrap().errors.is_empty());
    let samples =
        exposition::parse_exposition(&site.open_metrics().await.text().await.unwrap()).unwrap();
    assert_eq!(
        (samples["portolan_configuration_refused"], samples["portolan_held_files"]),
        (1.0, 1.0)
    );
    assert!(samples["portolan_reload_failures_total"] >= 1.0);
}

#[tokio::test]
async fn readyz_and_metrics_work_without_a_controller() {
    let site = AdminTestServer::start().await;
    site.handle.stop().await;
    let (code, ready) = document(site.get("/readyz").await).await;
    assert_eq!(
        (code, ready["is-ready"].as_bool()),
        (200, Some(true)),
        "the last snapshot serves on"
    );
    assert_eq!(site.get("/api/v1/status").await.status(), 503);
    let samples =
        exposition::parse_exposition(&site.open_metrics().await.text().await.unwrap()).unwrap();
    assert_eq!(samples["portolan_controller_answers"], 0.0);
    let (code, _) = document(site.post("/api/v1/reload", "").send().await.unwrap()).await;
    assert_eq!(code, 503);
}

#[tokio::test]
async fn status_is_that_of_the_controller() {
    let site = AdminTestServer::start().await;
    let status: Status =
        serde_json::from_slice(&site.get("/api/v1/status").await.bytes().await.unwrap()).unwrap();
    let expected = site.handle.status(ListDetail::Full).await.unwrap();
    assert!(
        status.concerns[0].text.contains("no GeoIP database is loaded"),
        "{:?}",
        status.concerns
    );
    assert_eq!(Status { now: expected.now, concerns: Vec::new(), ..status }, expected);
}

/// The body of a change that edits the datacenter's file.
const EDIT: &str = r#"{"edit": true}"#;

#[tokio::test]
async fn a_reload_returns_the_generation_that_answers_come_from() {
    let site = AdminTestServer::start().await;
    fs::write(
        site.zone_file("more.toml"),
        "[datacenter.sin]\nlocation = { latitude = 1.35, longitude = 103.82 }\n",
    )
    .unwrap();
    let (code, reloaded) = document(site.post("/api/v1/reload", "").send().await.unwrap()).await;
    assert_eq!(code, 200);
    assert_eq!(reloaded["generation"], site.handle.published().load().generation);
    let (_, status) = document(site.get("/api/v1/status").await).await;
    assert_eq!(status["datacenters"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_drain_edits_the_file_and_its_end_restores_it() {
    let site = AdminTestServer::start().await;
    let body = r#"{"reason": "kernel upgrade", "for-secs": 7200, "edit": true}"#;
    let (code, report) =
        document(site.post("/api/v1/datacenters/fra/drain", body).send().await.unwrap()).await;
    assert_eq!(code, 200, "{report}");
    let report: DrainReport = serde_json::from_value(report).unwrap();
    assert_eq!(report.generation, site.handle.published().load().generation);
    assert!(report.datacenters[0].1.is_some());
    let text = fs::read_to_string(site.zone_file("datacenters.toml")).unwrap();
    assert!(text.contains("draining") && text.contains("kernel upgrade"), "{text}");
    let (_, status) = document(site.get("/api/v1/status").await).await;
    assert_eq!(status["datacenters"][0]["state"], "draining");
    let (code, _) =
        document(site.post("/api/v1/datacenters/fra/undrain", EDIT).send().await.unwrap()).await;
    assert_eq!(code, 200);
    let (_, status) = document(site.get("/api/v1/status").await).await;
    assert_eq!(status["datacenters"][0]["state"], "active");
}

#[tokio::test]
async fn a_drain_that_is_impossible_is_refused_with_its_reason() {
    let site = AdminTestServer::start().await;
    let (code, fault) =
        document(site.post("/api/v1/datacenters/fre/drain", EDIT).send().await.unwrap()).await;
    let error: DrainError = serde_json::from_value(fault["error"].clone()).unwrap();
    assert_eq!((code, error), (404, DrainError::Unknown("fre".to_owned(), Some("fra".to_owned()))));
    let (code, _) =
        document(site.post("/api/v1/datacenters/fra/drain", EDIT).send().await.unwrap()).await;
    assert_eq!(code, 200);
    let (code, fault) =
        document(site.post("/api/v1/datacenters/iad/drain", EDIT).send().await.unwrap()).await;
    let error: DrainError = serde_json::from_value(fault["error"].clone()).unwrap();
    let DrainError::Distress(darkened) = &error else { panic!("{error:?}") };
    assert_eq!((code, &*darkened[0].subject, darkened.len()), (409, "www.gslb.example.com A", 1));
    assert!(
        darkened[0].answers.contains("draining or forced down: no other member is left"),
        "{error}"
    );
    assert_eq!(fault["message"], error.to_string());
    let forced = site
        .post("/api/v1/datacenters/iad/drain", r#"{"force": true, "edit": true}"#)
        .send()
        .await
        .unwrap();
    assert_eq!(forced.status(), 200);
    let (_, status) = document(site.get("/api/v1/status").await).await;
    assert_eq!(status["distressed"][0]["name"], "www.gslb.example.com");
}

#[tokio::test]
async fn a_drain_works_beside_a_held_file_and_is_refused_in_one() {
    let site = AdminTestServer::start().await;
    fs::write(site.zone_file("broken.toml"), "[datacenter.fra]\n").unwrap();
    let drain = async |verb: &str| {
        document(site.post(&format!("/api/v1/datacenters/fra/{verb}"), EDIT).send().await.unwrap())
            .await
    };
    assert_eq!(drain("drain").await.0, 200);
    assert_eq!(drain("undrain").await.0, 200);
    let broken = fs::read_to_string(site.zone_file("datacenters.toml")).unwrap()
        + "[datacenter.ams]\nlocation = 7\n";
    fs::write(site.zone_file("datacenters.toml"), &broken).unwrap();
    let (code, fault) = drain("drain").await;
    assert_eq!(code, 422, "{fault}");
    assert!(
        matches!(serde_json::from_value(fault["error"].clone()).unwrap(), DrainError::Refused(_)),
        "{fault}"
    );
    // The file is known to be held by now, and is not edited again.
    fs::write(site.zone_file("datacenters.toml"), &broken).unwrap();
    let (code, fault) = drain("drain").await;
    assert_eq!(code, 422, "{fault}");
    assert!(
        matches!(serde_json::from_value(fault["error"].clone()).unwrap(), DrainError::Held(..)),
        "{fault}"
    );
    assert!(fault["message"].as_str().unwrap().contains("datacenters.toml:"), "{fault}");
    assert_eq!(fs::read_to_string(site.zone_file("datacenters.toml")).unwrap(), broken);
}

#[tokio::test]
async fn a_body_that_cannot_be_parsed_changes_nothing() {
    let site = AdminTestServer::start().await;
    for (body, why) in [
        (r#"{"for-seconds": 5}"#, "an unknown key"),
        (r#"{"force": "yes"}"#, "a wrong type"),
        ("{", "not JSON"),
        ("[[[[", "not an object"),
    ] {
        let (code, fault) =
            document(site.post("/api/v1/datacenters/fra/drain", body).send().await.unwrap()).await;
        assert_eq!(code, 400, "{why}");
        assert!(fault["message"].as_str().unwrap().contains("for-secs"), "{why}: {fault}");
    }
    assert_eq!(fs::read_to_string(site.zone_file("datacenters.toml")).unwrap(), DATACENTERS);
}

#[tokio::test]
async fn counts_equal_the_queries_sent() {
    let site = AdminTestServer::start().await;
    let (shards, server) = site.serve_dns();
    for (name, rtype, count) in [
        ("www.gslb.example.com", 1, 7),
        ("nothing.gslb.example.com", 1, 3),
        ("www.example.org", 28, 2),
    ] {
        (0..count).for_each(|_| send_query(server, name, rtype));
    }
    shards.stop();
    let samples =
        exposition::parse_exposition(&site.open_metrics().await.text().await.unwrap()).unwrap();
    for (sample, count) in [
        (r#"portolan_messages_received_total{transport="udp"}"#, 12.0),
        (r#"portolan_replies_total{transport="udp",rcode="NOERROR"}"#, 7.0),
        (r#"portolan_replies_total{transport="udp",rcode="NXDOMAIN"}"#, 3.0),
        (r#"portolan_replies_total{transport="udp",rcode="REFUSED"}"#, 2.0),
        (r#"portolan_replies_by_type_total{transport="udp",type="A"}"#, 10.0),
        (r#"portolan_replies_by_type_total{transport="udp",type="AAAA"}"#, 2.0),
        (r#"portolan_service_answers_total{service="www.gslb.example.com"}"#, 7.0),
        (r#"portolan_messages_received_total{transport="tcp"}"#, 0.0),
        (r#"portolan_datacenter_state{datacenter="fra",state="active"}"#, 1.0),
        (r#"portolan_datacenter_state{datacenter="fra",state="draining"}"#, 0.0),
        ("portolan_shards_alive", 1.0),
        ("portolan_services", 1.0),
        ("portolan_generation", site.handle.published().load().generation as f64),
    ] {
        assert_eq!(samples.get(sample), Some(&count), "{sample}");
    }
    let sum = |prefix: &str| {
        samples.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, n)| n).sum::<f64>()
    };
    assert_eq!(sum("portolan_replies_total{"), 12.0);
    assert_eq!(sum("portolan_replies_by_type_total{"), 12.0);
    assert_eq!(sum("portolan_datacenter_answers_total{"), 7.0);
    assert!(samples["process_resident_memory_bytes"] > 1e6);
    let (_, totals) = document(site.get("/api/v1/totals").await).await;
    let totals: TotalsView = serde_json::from_value(totals).unwrap();
    assert_eq!((totals.transports["udp"].received, totals.transports["udp"].answered), (12, 12));
    assert_eq!((totals.rcodes["NXDOMAIN"], totals.types["A"]), (3, 10));
    assert_eq!(totals.datacenters.values().sum::<u64>(), 7);
}

#[tokio::test]
async fn names_with_odd_characters_leave_the_metrics_readable() {
    let zone = ZONE.replace("www.gslb", r#"a\\\"b\\010\\\\c.gslb"#);
    let site =
        AdminTestServer::start_with(&[("datacenters.toml", DATACENTERS), ("zone.toml", &zone)])
            .await;
    let text = site.open_metrics().await.text().await.unwrap();
    let samples = exposition::parse_exposition(&text).unwrap();
    assert!(
        samples.keys().any(|name| name.starts_with("portolan_service_answers_total{service=\"a")),
        "{text}"
    );
}

#[tokio::test]
async fn verdicts_are_in_the_metrics_by_monitor_and_target() {
    // No process listens on the port: it was just free, and stays bound to a socket that does not
    // listen.
    let refusing =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    refusing.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let port = refusing.local_addr().unwrap().as_socket().unwrap().port();
    let monitor = format!(
        "[monitor.web]\ntcp = {{ port = {port} }}\ninterval = \"1s\"\ntimeout = \"500ms\"\n"
    );
    let zone = ZONE
        .replace("policy ", "monitor = \"web\"\npolicy ")
        .replace("192.0.2.11", "127.0.0.1")
        .replace("192.0.2.21", "127.0.0.2");
    let site = AdminTestServer::start_with(&[
        ("datacenters.toml", DATACENTERS),
        ("zone.toml", &zone),
        ("monitor.toml", &monitor),
    ])
    .await;
    let samples =
        exposition::parse_exposition(&site.open_metrics().await.text().await.unwrap()).unwrap();
    assert_eq!(samples[r#"portolan_target_up{monitor="web",target="127.0.0.1"}"#], 0.0);
    assert_eq!(samples[r#"portolan_targets{verdict="down"}"#], 2.0);
    assert!(samples["portolan_probes_started_total"] >= 2.0);
}

#[tokio::test]
async fn prometheus_gets_the_format_that_it_asks_for() {
    let site = AdminTestServer::start().await;
    let media_type =
        |response: Response| response.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(media_type(site.get("/metrics").await).starts_with("text/plain; version=0.0.4"));
    let response = site.open_metrics().await;
    assert!(media_type(response).starts_with("application/openmetrics-text; version=1.0.0"));
    let text = site.get("/metrics").await.text().await.unwrap();
    assert!(
        text.contains(
            "# TYPE portolan_messages_received_total counter\nportolan_messages_received_total{"
        ),
        "{text}"
    );
    assert!(text.contains("# HELP portolan_messages_received_total "), "{text}");
    assert!(!text.contains("# EOF"));
}

#[tokio::test]
async fn the_console_loads_nothing_from_elsewhere() {
    let site = AdminTestServer::start().await;
    for path in ["/", "/console.css", "/console.js"] {
        let response = site.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        assert!(
            response.headers()["content-security-policy"]
                .to_str()
                .unwrap()
                .starts_with("default-src 'none'")
        );
        let text = response.text().await.unwrap();
        assert!(text.len() > 500, "{path}");
        for absolute in ["http://", "https://", "//cdn", "innerHTML"] {
            assert!(!text.contains(absolute), "{path} holds {absolute}");
        }
    }
}

#[tokio::test]
async fn an_unknown_path_is_an_error_in_json() {
    let site = AdminTestServer::start().await;
    for (method, path, expected) in
        [("GET", "/nothing", 404), ("GET", "/api/v1/reload", 405), ("POST", "/metrics", 405)]
    {
        let request = match method {
            "GET" => site.client.get(site.url(path)),
            _ => site.post(path, ""),
        };
        let (code, fault) = document(request.send().await.unwrap()).await;
        assert_eq!(code, expected, "{method} {path}");
        assert!(fault["message"].is_string(), "{method} {path}");
    }
}

#[tokio::test]
async fn readyz_under_a_name_returns_readiness_alone() {
    let site = AdminTestServer::start().await;
    let asked =
        |host: &'static str| site.client.get(site.url("/readyz")).header("host", host).send();
    let (code, ready) = document(asked("attacker.example").await.unwrap()).await;
    assert_eq!((code, ready), (200, json!({ "is-ready": true })));
    let (code, ready) = document(asked("localhost").await.unwrap()).await;
    assert_eq!(code, 200);
    assert!(
        ready["generation"].as_u64().is_some() && ready["concerns"].as_array().is_some(),
        "{ready}"
    );
    site.is_listening.store(false, Relaxed);
    let (code, ready) = document(asked("attacker.example").await.unwrap()).await;
    assert_eq!((code, ready), (503, json!({ "is-ready": false })));
}

#[tokio::test]
async fn a_reason_with_a_control_sequence_and_a_drain_beyond_the_calendar_are_refused() {
    let site = AdminTestServer::start().await;
    for (body, wanted) in [
        (r#"{"reason": "a\u001b[2Jb", "edit": true}"#, "holds the control character"),
        (r#"{"reason": "one\ntwo", "edit": true}"#, "holds the control character"),
        (r#"{"for-secs": 18446744073709551615, "edit": true}"#, "after the year 9999"),
        (r#"{"for-secs": 0, "edit": true}"#, "would end at once"),
        (r#"{"over-secs": 18446744073709551615, "edit": true}"#, "the maximum is 604800 (7 days)"),
    ] {
        let (code, fault) =
            document(site.post("/api/v1/datacenters/fra/drain", body).send().await.unwrap()).await;
        let message = fault["message"].as_str().unwrap();
        assert_eq!(code, 400, "{body}: {message}");
        assert!(
            message.contains(wanted) && message.ends_with("nothing was edited"),
            "{body}: {message}"
        );
    }
    assert_eq!(fs::read_to_string(site.zone_file("datacenters.toml")).unwrap(), DATACENTERS);
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let site = AdminTestServer::start().await;
    let drain = || site.client.post(site.url("/api/v1/datacenters/fra/drain"));
    assert_eq!(
        drain().header("content-type", "text/plain").body("{}").send().await.unwrap().status(),
        415
    );
    assert_eq!(
        drain()
            .header("content-type", "application/json")
            .body("{}")
            .header("host", "attacker.example")
            .send()
            .await
            .unwrap()
            .status(),
        421
    );
    let read = site.client.get(site.url("/api/v1/status")).header("host", "attacker.example");
    assert_eq!(read.send().await.unwrap().status(), 421);
    assert_eq!(fs::read_to_string(site.zone_file("datacenters.toml")).unwrap(), DATACENTERS);
}

#[tokio::test]
async fn load_reports_shares_and_ramps_are_in_the_metrics() {
    let site = AdminTestServer::start().await;
    let mut status = site.handle.status(ListDetail::Full).await.unwrap();
    let load = |text: Value| serde_json::from_value(text).unwrap();
    status.loads = vec![
        load(
            json!({ "load": "fra", "age-secs": 3, "is-stale": false, "connections": 120.5, "limit": 1000.0,
            "servers": [3, 4], "response-ms": 12.5, "disagreement": "they differ" }),
        ),
        load(
            json!({ "load": "iad", "target": "192.0.2.21", "is-stale": false, "error": "connection refused" }),
        ),
    ];
    status.pools = serde_json::from_value(json!([
        { "name": "web", "shares": [["web-fra", 0.75], ["web-iad", 0.25]], "fallback": "no report" },
        { "name": "web", "keep": 0.8, "level": 900.0, "target": 800.0 },
        { "name": "api", "holder": "api-2" },
    ]))
    .unwrap();
    status.ramps = serde_json::from_value(json!([
        { "name": "fra", "at": 0.4, "goal": 0.0, "ends": 100 },
        { "name": "lb1", "pool": "web-fra", "at": 0.5, "goal": 1.0, "ends": 100 },
    ]))
    .unwrap();
    (status.failed_polls, status.disagreements) = (7, 2);
    let text = metrics::render(MetricsCollector {
        totals: Counters::new().collect(),
        generation: 1,
        is_alive: true,
        status: Some(Arc::new(status)),
    });
    let samples = exposition::parse_exposition(&text).unwrap();
    for (sample, value) in [
        (r#"portolan_load_up{load="fra",target=""}"#, 1.0),
        (r#"portolan_load_up{load="iad",target="192.0.2.21"}"#, 0.0),
        (r#"portolan_load_age_seconds{load="fra",target=""}"#, 3.0),
        (r#"portolan_load_connections{load="fra",target=""}"#, 120.5),
        (r#"portolan_load_connections_limit{load="fra",target=""}"#, 1000.0),
        (r#"portolan_load_servers_up{load="fra",target=""}"#, 3.0),
        (r#"portolan_load_response_seconds{load="fra",target=""}"#, 0.0125),
        (r#"portolan_load_disagrees{load="fra",target=""}"#, 1.0),
        ("portolan_load_polls_failed_total", 7.0),
        ("portolan_load_disagreements_total", 2.0),
        (r#"portolan_pool_share{pool="web",member="web-fra"}"#, 0.75),
        (r#"portolan_pool_fallback{pool="web"}"#, 1.0),
        (r#"portolan_pool_keep{pool="web"}"#, 0.8),
        (r#"portolan_pool_holder{pool="api",member="api-2"}"#, 1.0),
        (r#"portolan_ramp_ratio{name="fra",pool=""}"#, 0.4),
        (r#"portolan_ramp_ratio{name="lb1",pool="web-fra"}"#, 0.5),
        ("portolan_ramps", 2.0),
    ] {
        assert_eq!(samples.get(sample), Some(&value), "{sample}");
    }
}

#[tokio::test]
async fn the_help_of_every_metric_is_a_sentence_that_can_be_read_alone() {
    let site = AdminTestServer::start().await;
    let text = site.open_metrics().await.text().await.unwrap();
    let helps = text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '));
    let mut count = 0;
    for (name, help) in helps {
        count += 1;
        assert!(help.split_whitespace().count() >= 4, "{name}: {help}");
        assert!(help.ends_with('.'), "{name}: {help}");
    }
    assert!(count > 50, "{count} metrics");
}

#[tokio::test]
async fn steering_is_what_the_answers_in_force_were_compiled_from_without_secrets() {
    let secret = ZONE.to_owned()
        + "monitor = \"web\"\n[monitor.web]\nhttp = { host = \"x.example\", headers = { Authorization = \"hunter2\" } }\n";
    let files = [("datacenters.toml", DATACENTERS), ("zone.toml", secret.as_str())];
    let site = AdminTestServer::start_with(&files).await;
    let (code, document) = document(site.get("/api/v1/steering").await).await;
    assert_eq!(code, 200);
    let text = document.to_string();
    assert!(text.contains("192.0.2.11") && !text.contains("hunter2"), "{text}");
    let steering: SteeringDocument = serde_json::from_value(document).unwrap();
    let topology = steering.topology.into_topology();
    assert_eq!(topology.services.len(), 1);
    assert_eq!(topology.endpoint_probes.len(), 2);
    assert_eq!(steering.conditions.datacenters.len(), 2);
    assert_eq!(steering.conditions.health_statuses.len(), topology.probes.len());
}
