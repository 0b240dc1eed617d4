//! What operators see of certificates whose files cannot be used, and of certificates that expire.

use super::*;
use crate::{admin::Readiness, control::Status};

/// Writes a certificate that expires at the start of `year`, and its key.
fn write(directory: &TempDir, year: i32) -> (PathBuf, PathBuf) {
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let pair = rcgen::KeyPair::generate().unwrap();
    let (chain, key) = (directory.path().join("chain.pem"), directory.path().join("key.pem"));
    fs::write(&chain, params.self_signed(&pair).unwrap().pem()).unwrap();
    fs::write(&key, pair.serialize_pem()).unwrap();
    (chain, key)
}

async fn concerns(site: &AdminTestServer) -> Vec<String> {
    let (_, ready) = document(site.get("/readyz").await).await;
    serde_json::from_value::<Readiness>(ready).unwrap().concerns
}

#[tokio::test]
async fn certificate_files_that_cannot_be_used_are_a_concern_until_a_reload_can_use_them() {
    let directory = tempfile::tempdir().unwrap();
    let (chain, key) = write(&directory, 2098);
    let mut certificates = CertificateRegistry::default();
    certificates.load(&chain, &key).unwrap();
    let site = AdminTestServer::start_with_certificates(
        &[("datacenters.toml", DATACENTERS), ("zone.toml", ZONE)],
        certificates,
    )
    .await;
    let is_about_certificates = |concern: &String| concern.contains("certificate");
    assert!(!concerns(&site).await.iter().any(is_about_certificates));

    fs::write(&key, "").unwrap();
    let (code, fault) = document(site.post("/api/v1/reload", "").send().await.unwrap()).await;
    assert_eq!(code, 422, "{fault}");
    let message = fault["message"].as_str().unwrap();
    assert!(
        message.contains("the previous certificate stays in use") && message.contains("key.pem"),
        "{message}"
    );
    let concerns_now = concerns(&site).await;
    let concern = concerns_now.iter().find(|concern| is_about_certificates(concern)).unwrap();
    for part in [
        "chain.pem cannot be used since 20",
        "key.pem: no private key in it",
        "the previous certificate stays in use and expires 2098-01-01",
    ] {
        assert!(concern.contains(part), "{part}: {concern}");
    }
    let samples =
        exposition::parse_exposition(&site.open_metrics().await.text().await.unwrap()).unwrap();
    let sample = |name: &str| samples[&format!("{name}{{certificate=\"{}\"}}", chain.display())];
    assert_eq!(sample("portolan_certificate_expiry_timestamp_seconds"), 4_039_372_800.0);
    assert_eq!(sample("portolan_certificate_error"), 1.0);
    assert_eq!(sample("portolan_certificate_read_failures_total"), 1.0);

    write(&directory, 2099);
    let (code, fault) = document(site.post("/api/v1/reload", "").send().await.unwrap()).await;
    assert_eq!(code, 200, "{fault}");
    assert!(!concerns(&site).await.iter().any(is_about_certificates));
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_the_gravest_concern() {
    let directory = tempfile::tempdir().unwrap();
    let (chain, key) = write(&directory, 2020);
    let mut certificates = CertificateRegistry::default();
    certificates.load(&chain, &key).unwrap();
    let site = AdminTestServer::start_with_certificates(
        &[("datacenters.toml", DATACENTERS), ("zone.toml", ZONE)],
        certificates,
    )
    .await;
    let (_, status) = document(site.get("/api/v1/status").await).await;
    let status: Status = serde_json::from_value(status).unwrap();
    let first = &status.concerns[0];
    assert!(first.is_grave && first.text.contains("chain.pem expired 2020-01-01"), "{first:?}");
    assert_eq!(status.certificates[0].certificate, chain.display().to_string());
}
