//! The admin API over a real controller and real sockets, all on loopback.

mod bounds;
mod certificates;
mod endpoints;
mod events;
mod exposition;

use std::{
    fs,
    net::{SocketAddr, TcpListener, UdpSocket},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use tempfile::TempDir;

use super::{AdminContext, AdminServer, serve};
use crate::{
    config::{Colours, SourceOptions},
    control::{
        Controller, ControllerHandle, ControllerSetup, LoadedConfig, RunningController,
        StateDirectory,
    },
    probe,
    snapshot::ServerIdentity,
    transport::{self, CertificateRegistry, CoreAssignment, Counters, PreemptionTimer, Shards},
};

const DATACENTERS: &str = r#"
[datacenter.fra]
location = { latitude = 50.11, longitude = 8.68 }
region   = "eu"

[datacenter.iad]
location = { latitude = 38.95, longitude = -77.45 }
"#;

const ZONE: &str = r#"
[zone."gslb.example.com"]
nameservers = ["ns1.example.com"]
hostmaster  = "hostmaster@example.com"

[service."www.gslb.example.com"]
policy  = "nearest"
members = [
  { datacenter = "fra", addresses = ["192.0.2.11"] },
  { datacenter = "iad", addresses = ["192.0.2.21"] },
]
"#;

/// A server with its own configuration directory.
struct AdminTestServer {
    directory: TempDir,
    handle: ControllerHandle,
    counters: Counters,
    is_alive: Arc<AtomicBool>,
    is_listening: Arc<AtomicBool>,
    running: AdminServer,
    client: Client,
}

impl AdminTestServer {
    async fn start() -> Self {
        Self::start_with(&[("datacenters.toml", DATACENTERS), ("zone.toml", ZONE)]).await
    }

    async fn start_with(files: &[(&str, &str)]) -> Self {
        Self::start_with_certificates(files, CertificateRegistry::default()).await
    }

    async fn start_with_certificates(
        files: &[(&str, &str)],
        certificates: CertificateRegistry,
    ) -> Self {
        // Another test may have installed it before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("zones")).unwrap();
        fs::write(directory.path().join("portolan.toml"), "").unwrap();
        for (name, text) in files {
            fs::write(directory.path().join("zones").join(name), text).unwrap();
        }
        let locations = SourceOptions {
            config: Some(directory.path().join("portolan.toml")),
            ..SourceOptions::default()
        };
        let loaded = LoadedConfig::load(&locations, Colours::Plain)
            .map_err(|refusal| refusal.rendered)
            .unwrap();
        let counters = Counters::new();
        let RunningController { handle, first_round } = Controller::start(ControllerSetup {
            locations,
            loaded,
            state_directory: StateDirectory::open(directory.path().join("state")),
            identity: ServerIdentity::default(),
            counters: counters.clone(),
            probe_limits: probe::SchedulerLimits::within_descriptors(128),
            poll_limits: probe::SchedulerLimits::within_descriptors(16),
            metronome: PreemptionTimer::default(),
            certificates,
        })
        .await
        .unwrap();
        if let Some(first_round) = first_round {
            first_round.await.unwrap();
        }
        let is_alive = Arc::new(AtomicBool::new(true));
        let is_listening = Arc::new(AtomicBool::new(true));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let serving = AdminContext {
            max_connections: 256,
            hosts: Vec::new(),
            controller: handle.clone(),
            counters: counters.clone(),
            preemption_timer: PreemptionTimer::default(),
            is_alive: {
                let is_alive = Arc::clone(&is_alive);
                Box::new(move || is_alive.load(Relaxed))
            },
            is_listening: {
                let is_listening = Arc::clone(&is_listening);
                Box::new(move || is_listening.load(Relaxed))
            },
        };
        let running = serve(vec![listener], serving).unwrap();
        Self { directory, handle, counters, is_alive, is_listening, running, client: Client::new() }
    }

    fn address(&self) -> SocketAddr {
        self.running.addresses()[0]
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    fn zone_file(&self, name: &str) -> PathBuf {
        self.directory.path().join("zones").join(name)
    }

    async fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    /// Requests the metrics as Prometheus does.
    async fn open_metrics(&self) -> Response {
        let accept =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2";
        self.client.get(self.url("/metrics")).header("accept", accept).send().await.unwrap()
    }

    /// A request for a change, with this JSON body.
    fn post(&self, path: &str, body: &'static str) -> RequestBuilder {
        self.client.post(self.url(path)).header("content-type", "application/json").body(body)
    }

    /// A UDP shard in front of the same snapshots.
    fn serve_dns(&self) -> (Shards, SocketAddr) {
        let bound = transport::bind(&["127.0.0.1:0".parse().unwrap()], 1).unwrap();
        let address = bound.local_addresses()[0];
        (
            transport::serve_udp(
                bound.udp,
                &CoreAssignment::for_shards(1, false),
                self.handle.published(),
                &self.counters,
            )
            .unwrap(),
            address,
        )
    }
}

/// The status code and the JSON document of a response.
async fn document(response: Response) -> (u16, Value) {
    let code = response.status().as_u16();
    (code, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

/// Sends a query over UDP and waits for the reply.
fn send_query(server: SocketAddr, name: &str, rtype: u16) {
    let mut message = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend(rtype.to_be_bytes());
    message.extend([0, 1]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.send_to(&message, server).unwrap();
    socket.recv_from(&mut [0; 1500]).unwrap();
}
