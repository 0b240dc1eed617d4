//! The daemon's life, from its files to its last answer.
//!
//! Files, sockets, the admin API, the first round of probes, shards and listeners; then signals
//! until the stop.

use std::{
    fmt, io,
    net::{TcpListener, UdpSocket},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

use crate::{
    admin,
    config::{Colours, HttpsSettings, ServerSettings, SourceOptions, TlsSettings, server_settings},
    control::{
        Controller, ControllerHandle, ControllerSetup, LoadedConfig, ReloadError, ReloadRequest,
        RunningController, StateDirectory,
    },
    files,
    os::{self, CoreAssignment, DescriptorBudget, PreemptionTimer},
    probe,
    snapshot::ServerIdentity,
    transport::{
        self, BindError, BoundSockets, Certificate, CertificateError, CertificateRegistry,
        ConnectionLimits, Counters, HttpsResource, Shards, StartError, StreamListeners,
    },
};

/// How often certificate files are looked at.
const CERTIFICATE_CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// How often the shards are asked whether they live.
const WATCHDOG_INTERVAL: Duration = Duration::from_millis(250);
/// Descriptors in reserve for reading files, whatever clients hold.
const RESERVED_DESCRIPTORS: usize = 16;
/// Threads of the control side: one may compile while the other serves streams and probes.
const CONTROL_THREADS: usize = 2;

/// Why the server did not start, or had to end.
#[derive(Debug)]
pub enum ServeError {
    /// The files are no configuration; the text shows every mistake.
    Configuration(String),
    /// An address cannot be listened on.
    Bind(BindError),
    /// A certificate cannot be used.
    Certificate(CertificateError),
    /// The shards cannot be started.
    Start(StartError),
    /// The operating system refused something else.
    System(&'static str, io::Error),
    /// A part of the server that answers queries has died.
    ComponentDied(&'static str),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(rendered) => f.write_str(rendered.trim_end()),
            Self::Bind(error) => error.fmt(f),
            Self::Certificate(error) => error.fmt(f),
            Self::Start(error) => error.fmt(f),
            Self::System(what, error) => write!(f, "cannot {what}: {error}"),
            Self::ComponentDied(what) => write!(
                f,
                "{what} died; the log says why. Ending, so that whoever watches restarts us"
            ),
        }
    }
}

impl std::error::Error for ServeError {}

fn system_error(what: &'static str) -> impl Fn(io::Error) -> ServeError {
    move |error| ServeError::System(what, error)
}

/// Serves until SIGTERM or SIGINT. `announce` is told each address once queries are answered there.
///
/// # Errors
/// [`ServeError`] says what kept the server from starting, or made it end.
pub fn serve(
    locations: SourceOptions,
    colours: Colours,
    announce: &mut dyn FnMut(&str),
) -> Result<(), ServeError> {
    let descriptors = os::raise_descriptor_limit();
    files::reserve_descriptors(
        RESERVED_DESCRIPTORS.min(usize::try_from(descriptors / 8).unwrap_or(RESERVED_DESCRIPTORS)),
    );
    os::map_large_allocations();
    let saved = StateDirectory::read_only(server_settings(&locations).0.state_directory);
    let world = LoadedConfig::start(&locations, &saved, colours)
        .map_err(|refusal| ServeError::Configuration(refusal.rendered))?;
    let settings = world.config.server.clone();
    let mut sockets = Sockets::bind(&settings)?;
    let shares = DescriptorBudget::allocate(descriptors, DescriptorBudget::open_count());
    tracing::info!(
        limit = descriptors,
        clients = shares.clients,
        probes = shares.probes,
        admin = shares.admin,
        "descriptors shared out"
    );
    let cores = CoreAssignment::for_shards(sockets.dns.udp.len(), settings.threads.is_some());
    if settings.socket_affinity
        && let Err(error) = sockets.dns.apply_socket_affinity(&cores)
    {
        tracing::warn!(%error, "socket-affinity not applied: every shard receives from all cores");
    }
    cores.pin_control_thread();
    let metronome = PreemptionTimer::start(&cores);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(system_error("start the control threads"))?;
    let state = StateDirectory::open(settings.state_directory.clone());
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let started =
            start(locations, world, state, shares, metronome.clone(), sockets.certificates.clone());
        let (RunningController { handle, first_round }, counters) = tokio::select! {
            started = started => started.map_err(system_error("start the compile thread"))?,
            // No client is served yet, so that none is left without its answer.
            () = signals.until_stop() => return Ok(()),
        };
        let office =
            AdminApi::start(sockets.admin.take(), shares.admin, &handle, &counters, &metronome)?;
        if !wait_first_round(first_round, &handle, &mut signals).await {
            office.stop().await;
            handle.stop().await;
            return Ok(());
        }
        let limits = ConnectionLimits::for_connections(shares.clients);
        let streams = StreamListeners::new(handle.published(), &counters, limits)
            .map_err(system_error("start the stream threads"))?;
        let mut server =
            RunningServer::start(sockets, streams, office, &settings, &cores, &handle, &counters)?;
        server.announce(announce);
        let ended = server.run(&handle, &mut signals).await;
        server.stop(&handle).await;
        ended
    })
}

/// Waits for the first round of probes, which the controller bounds. `false` where a signal says to
/// stop before its end.
async fn wait_first_round(
    round: Option<oneshot::Receiver<()>>,
    handle: &ControllerHandle,
    signals: &mut Signals,
) -> bool {
    let Some(mut round) = round else { return true };
    loop {
        tokio::select! {
            // An error means that the controller has gone: the last snapshot is served all the
            // same.
            _ = &mut round => return true,
            sign = signals.next() => match sign {
                SignalAction::Stop => return false,
                SignalAction::Reload => reload(handle.clone()),
            },
        }
    }
}

/// Starts the controller: the first snapshot is compiled, and probes are on their way.
async fn start(
    locations: SourceOptions,
    world: LoadedConfig,
    state: StateDirectory,
    shares: DescriptorBudget,
    metronome: PreemptionTimer,
    certificates: CertificateRegistry,
) -> io::Result<(RunningController, Counters)> {
    let counters = Counters::new();
    let identity = ServerIdentity { nsid: nsid(&world.config.server), ..ServerIdentity::default() };
    let starting = ControllerSetup {
        locations,
        loaded: world,
        state_directory: state,
        identity,
        counters: counters.clone(),
        probe_limits: probe::SchedulerLimits::within_descriptors(shares.probes),
        poll_limits: probe::SchedulerLimits::within_descriptors(shares.polls),
        metronome,
        certificates,
    };
    Ok((Controller::start(starting).await?, counters))
}

/// The configured NSID, else the host's name.
fn nsid(settings: &ServerSettings) -> Box<[u8]> {
    let host_name =
        || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().into();
    let text: Box<str> = settings.nsid.clone().unwrap_or_else(host_name);
    text.into_boxed_bytes()
}

/// Every socket, bound before anything is started.
struct Sockets {
    dns: BoundSockets,
    tls: Option<TlsSockets>,
    https: Option<(TlsSockets, HttpsSockets)>,
    admin: Option<TcpListener>,
    certificates: CertificateRegistry,
}

/// Listeners of TLS, and what they show.
struct TlsSockets {
    listeners: Vec<TcpListener>,
    certificate: Arc<Certificate>,
}

impl TlsSockets {
    fn bind(
        settings: &TlsSettings,
        certificates: &mut CertificateRegistry,
    ) -> Result<Self, ServeError> {
        let certificate = certificates
            .load(&settings.certificate, &settings.key)
            .map_err(ServeError::Certificate)?;
        let listeners = transport::bind_streams(&settings.listen).map_err(ServeError::Bind)?;
        Ok(Self { listeners, certificate })
    }

    fn config(&self, protocols: &[&[u8]]) -> Result<Arc<rustls::ServerConfig>, ServeError> {
        self.certificate
            .server_config(protocols)
            .map_err(|error| system_error("set up TLS")(io::Error::other(error)))
    }

    /// Serves DNS over TLS.
    fn serve(self, streams: &mut StreamListeners) -> Result<(), ServeError> {
        let config = self.config(&[b"dot"])?;
        streams.serve_tls(self.listeners, config).map_err(system_error("serve a listener"))?;
        tokio::spawn(self.certificate.refresh_periodically(CERTIFICATE_CHECK_INTERVAL));
        Ok(())
    }
}

/// What HTTPS has besides its listeners.
struct HttpsSockets {
    resource: HttpsResource,
    /// The sockets of HTTP/3; empty where it is off.
    http3_sockets: Vec<UdpSocket>,
}

impl HttpsSockets {
    fn bind(settings: &HttpsSettings, listeners: &[TcpListener]) -> Result<Self, ServeError> {
        let datagrams = if settings.http3 { listeners } else { &[] };
        let datagrams = transport::bind_http3(datagrams).map_err(ServeError::Bind)?;
        let resource = HttpsResource { path: settings.path.clone(), http1: settings.http1 };
        Ok(Self { resource, http3_sockets: datagrams })
    }

    fn listening_lines(&self) -> impl Iterator<Item = String> {
        let addresses = self.http3_sockets.iter().filter_map(|socket| socket.local_addr().ok());
        addresses.map(|address| format!("listening h3 {address}"))
    }

    /// Serves DNS over HTTPS, and over HTTP/3 where that is on.
    fn serve(self, secure: TlsSockets, streams: &mut StreamListeners) -> Result<(), ServeError> {
        let config = secure.config(self.resource.alpn_protocols())?;
        let TlsSockets { listeners, certificate } = secure;
        streams
            .serve_https(listeners, config, self.resource)
            .map_err(system_error("serve a listener"))?;
        if !self.http3_sockets.is_empty() {
            streams
                .serve_http3(self.http3_sockets, &certificate)
                .map_err(system_error("serve HTTP/3"))?;
        }
        tokio::spawn(certificate.refresh_periodically(CERTIFICATE_CHECK_INTERVAL));
        Ok(())
    }
}

impl Sockets {
    fn bind(settings: &ServerSettings) -> Result<Self, ServeError> {
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let shards = settings.threads.map_or_else(cores, NonZeroUsize::get);
        let dns = transport::bind(&settings.listen, shards).map_err(ServeError::Bind)?;
        let mut certificates = CertificateRegistry::default();
        let tls = settings
            .tls
            .as_ref()
            .map(|tls| TlsSockets::bind(tls, &mut certificates))
            .transpose()?;
        let https = settings.https.as_ref().map(|https| {
            let secure = TlsSockets::bind(&https.tls, &mut certificates)?;
            let sockets = HttpsSockets::bind(https, &secure.listeners)?;
            Ok((secure, sockets))
        });
        let admin = settings.admin.map(|address| transport::bind_streams(&[address])).transpose();
        let admin = match admin {
            // A second server on one host is asked for by its DNS addresses; nobody named this one.
            Err(error) if !settings.is_admin_configured => {
                tracing::warn!(
                    address = settings.admin.map(tracing::field::display),
                    %error,
                    help = "set `admin` in [server] to a free address, or to false",
                    "admin API not started: DNS is served without it"
                );
                None
            }
            bound => bound.map_err(ServeError::Bind)?,
        };
        let https = https.transpose()?;
        Ok(Self { dns, tls, https, admin: admin.and_then(|mut bound| bound.pop()), certificates })
    }
}

/// The admin API, which is there before DNS is: it says what the start waits for.
struct AdminApi {
    server: Option<admin::AdminServer>,
    listening_lines: Vec<String>,
    is_alive: Arc<AtomicBool>,
    is_listening: Arc<AtomicBool>,
}

impl AdminApi {
    fn start(
        listener: Option<TcpListener>,
        connections: usize,
        handle: &ControllerHandle,
        counters: &Counters,
        metronome: &PreemptionTimer,
    ) -> Result<Self, ServeError> {
        let (is_alive, is_listening) =
            (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let lines = listening_lines("admin", listener.as_slice());
        let reading = |flag: &Arc<AtomicBool>| {
            let flag = Arc::clone(flag);
            Box::new(move || flag.load(Relaxed))
        };
        let serving = admin::AdminContext {
            max_connections: connections,
            controller: handle.clone(),
            counters: counters.clone(),
            preemption_timer: metronome.clone(),
            is_alive: reading(&is_alive),
            is_listening: reading(&is_listening),
        };
        let running = listener.map(|listener| admin::serve(listener, serving));
        let running = running.transpose().map_err(system_error("serve the admin address"))?;
        Ok(Self { server: running, listening_lines: lines, is_alive, is_listening })
    }

    async fn stop(self) {
        if let Some(admin) = self.server {
            admin.stop().await;
        }
    }
}

/// Everything that answers.
struct RunningServer {
    shards: Shards,
    streams: StreamListeners,
    admin: AdminApi,
    listening_lines: Vec<String>,
}

impl RunningServer {
    fn start(
        sockets: Sockets,
        mut streams: StreamListeners,
        office: AdminApi,
        settings: &ServerSettings,
        cores: &CoreAssignment,
        handle: &ControllerHandle,
        counters: &Counters,
    ) -> Result<Self, ServeError> {
        let Sockets { dns, tls, https, .. } = sockets;
        let mut lines = Vec::new();
        for address in dns.local_addresses() {
            lines.push(format!("listening udp {address}"));
            lines.push(format!("listening tcp {address}"));
        }
        let published = handle.published();
        streams.serve_tcp(dns.tcp).map_err(system_error("serve a listener"))?;
        if let Some(tls) = tls {
            lines.extend(listening_lines("tls", &tls.listeners));
            tls.serve(&mut streams)?;
        }
        if let Some((secure, sockets)) = https {
            lines.extend(listening_lines("https", &secure.listeners));
            lines.extend(sockets.listening_lines());
            sockets.serve(secure, &mut streams)?;
        }
        // The threads of the control side are there already: the shards go before them.
        if let Err(error) = os::shorten_time_slice() {
            tracing::debug!(%error, "shards keep the default time slice: queries may wait during a compilation");
        }
        let shards =
            transport::serve_udp(dns.udp, cores, published, counters).map_err(ServeError::Start)?;
        lines.extend(office.listening_lines.iter().cloned());
        office.is_listening.store(true, Relaxed);
        tracing::info!(
            shards = shards.count(),
            addresses = settings.listen.len(),
            generation = published.load().generation,
            "serving"
        );
        Ok(Self { shards, streams, admin: office, listening_lines: lines })
    }

    fn announce(&self, announce: &mut dyn FnMut(&str)) {
        self.listening_lines.iter().for_each(|line| announce(line));
    }

    /// Follows signals until one says stop, or a part that answers has died.
    async fn run(
        &mut self,
        handle: &ControllerHandle,
        signals: &mut Signals,
    ) -> Result<(), ServeError> {
        let mut watchdog = tokio::time::interval(WATCHDOG_INTERVAL);
        loop {
            tokio::select! {
                sign = signals.next() => match sign {
                    SignalAction::Stop => return Ok(()),
                    SignalAction::Reload => reload(handle.clone()),
                },
                () = self.streams.wait_for_failure() => return self.component_died("a listener of TCP, TLS or HTTPS"),
                _ = watchdog.tick() => if !self.shards.are_alive() {
                    return self.component_died("a UDP shard");
                },
            }
        }
    }

    fn component_died(&self, what: &'static str) -> Result<(), ServeError> {
        self.admin.is_alive.store(false, Relaxed);
        Err(ServeError::ComponentDied(what))
    }

    /// Answers what was received, saves what must survive, and ends.
    async fn stop(self, handle: &ControllerHandle) {
        tracing::info!("stopping");
        let shards = self.shards;
        let udp = tokio::task::spawn_blocking(move || shards.stop());
        self.streams.stop().await;
        // A shard's thread catches its own panics.
        let _ = udp.await;
        self.admin.stop().await;
        handle.stop().await;
    }
}

fn listening_lines(kind: &str, listeners: &[TcpListener]) -> Vec<String> {
    listeners
        .iter()
        .filter_map(|listener| listener.local_addr().ok())
        .map(|at| format!("listening {kind} {at}"))
        .collect()
}

/// Reloads while everything else goes on, certificates included. Each error is logged where it is
/// found.
fn reload(handle: ControllerHandle) {
    tracing::info!("reload requested by SIGHUP");
    tokio::spawn(async move {
        match handle.reload(ReloadRequest::Signal).await {
            Ok(report) if report.is_complete() => {
                tracing::info!(generation = report.generation, "reload by SIGHUP applied");
            }
            Ok(report) => tracing::error!(
                generation = report.generation,
                held_files = report.held.len(),
                certificates = report.certificates.len(),
                "reload by SIGHUP applied except for files that cannot be used"
            ),
            Err(ReloadError::Refused(errors)) => {
                tracing::error!(
                    errors = errors.len(),
                    "reload by SIGHUP refused: the previous configuration stays in force"
                );
            }
            Err(ReloadError::ControllerStopped) => {}
        }
    });
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> Result<Self, ServeError> {
        let on = |kind| signal(kind).map_err(system_error("listen to signals"));
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hangup: on(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> SignalAction {
        tokio::select! {
            _ = self.terminate.recv() => SignalAction::Stop,
            _ = self.interrupt.recv() => SignalAction::Stop,
            _ = self.hangup.recv() => SignalAction::Reload,
        }
    }

    /// What there is to reload before the start is read at the start.
    async fn until_stop(&mut self) {
        while let SignalAction::Reload = self.next().await {}
    }
}

/// What a signal asks for.
enum SignalAction {
    Stop,
    Reload,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_address_that_is_taken_stops_only_those_who_asked_for_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("portolan.toml");
        std::fs::write(&config, "").unwrap();
        let (mut settings, _) = crate::config::server_settings(&SourceOptions {
            config: Some(config),
            ..SourceOptions::default()
        });
        settings.listen = vec!["127.0.0.1:0".parse().unwrap()];
        settings.admin = taken.local_addr().ok();
        assert!(Sockets::bind(&settings).unwrap().admin.is_none());
        settings.is_admin_configured = true;
        assert!(matches!(Sockets::bind(&settings), Err(ServeError::Bind(_))));
    }
}
