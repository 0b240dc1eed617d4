//! The daemon's life, from its files to its last answer: [`serve`].
//!
//! | file | step |
//! |---|---|
//! | `sockets` | binds all sockets and reads all certificates |
//! | `admin_api` | the admin API, before DNS is served |
//! | `signals` | stop and reload |
//! | `running_server` | serves DNS until the stop |
//! | `error` | why the server does not start, or ends by itself |

mod admin_api;
mod error;
mod running_server;
mod signals;
mod sockets;

use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
};

pub use self::error::ServeError;
use self::{
    admin_api::AdminApi,
    error::system_error,
    running_server::RunningServer,
    signals::{SignalAction, Signals, reload},
    sockets::Sockets,
};
use crate::{
    config::{Colours, ServerSettings, SourceOptions, server_settings},
    control::{
        Controller, ControllerHandle, ControllerSetup, LoadedConfig, RunningController,
        StateDirectory,
    },
    files,
    os::{self, CoreAssignment, DescriptorBudget, PreemptionTimer},
    probe,
    snapshot::ServerIdentity,
    transport::{BoundSockets, ConnectionLimits, Counters, StreamListeners},
};

/// Descriptors reserved for reading files, however many clients are connected.
const RESERVED_DESCRIPTORS: usize = 16;
/// Threads of the control side: one may compile while the other serves the admin API and probes.
const CONTROL_THREADS: usize = 2;

/// Serves until SIGTERM or SIGINT. Passes a line for each address to `announce` once queries are
/// answered there.
///
/// # Errors
/// [`ServeError`] says what prevented the start, or made the server end.
pub fn serve(
    sources: SourceOptions,
    colours: Colours,
    announce: &mut dyn FnMut(&str),
) -> Result<(), ServeError> {
    let descriptor_limit = prepare_process();
    let saved = StateDirectory::read_only(server_settings(&sources).0.state_directory);
    let loaded = LoadedConfig::start(&sources, &saved, colours)
        .map_err(|refusal| ServeError::Configuration(refusal.rendered))?;
    let settings = loaded.config.server.clone();
    let mut sockets = Sockets::bind(&settings)?;
    let descriptors = divide_descriptors(descriptor_limit);
    let cores = assign_cores(&sockets.dns, &settings);
    let preemption_timer = PreemptionTimer::start(&cores);
    let runtime = control_runtime()?;
    let state_directory = StateDirectory::open(settings.state_directory.clone());
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let counters = Counters::new();
        let setup = ControllerSetup {
            locations: sources,
            identity: server_identity(&settings),
            loaded,
            state_directory,
            counters: counters.clone(),
            probe_limits: probe::SchedulerLimits::within_descriptors(descriptors.probes),
            poll_limits: probe::SchedulerLimits::within_descriptors(descriptors.polls),
            metronome: preemption_timer.clone(),
            certificates: sockets.certificates.clone(),
        };
        // Compiles the first snapshot and starts the first round of probes.
        let RunningController { handle: controller, first_round } = tokio::select! {
            started = Controller::start(setup) => started.map_err(system_error("start the compile thread"))?,
            // No client is served yet, so none is left without an answer.
            () = signals.until_stop() => return Ok(()),
        };
        let admin = AdminApi::start(
            std::mem::take(&mut sockets.admin),
            settings.admin.hosts.clone(),
            descriptors.admin,
            &controller,
            &counters,
            &preemption_timer,
        )?;
        if is_stopped_before(first_round, &controller, &mut signals).await {
            admin.stop().await;
            controller.stop().await;
            return Ok(());
        }
        let limits = ConnectionLimits::for_connections(descriptors.clients);
        let streams = StreamListeners::new(controller.published(), &counters, limits)
            .map_err(system_error("start the stream threads"))?;
        let mut server =
            RunningServer::start(sockets, streams, admin, &cores, controller, &counters)?;
        server.announce(announce);
        let ended = server.run(&mut signals).await;
        server.stop().await;
        ended
    })
}

/// Sets up what holds for the whole process: the descriptor limit, which it returns, the reserve
/// for files, and the allocator.
fn prepare_process() -> u64 {
    let limit = os::raise_descriptor_limit();
    files::reserve_descriptors(
        RESERVED_DESCRIPTORS.min(usize::try_from(limit / 8).unwrap_or(RESERVED_DESCRIPTORS)),
    );
    os::map_large_allocations();
    limit
}

fn divide_descriptors(limit: u64) -> DescriptorBudget {
    let budget = DescriptorBudget::allocate(limit, DescriptorBudget::open_count());
    tracing::info!(
        limit,
        clients = budget.clients,
        probes = budget.probes,
        admin = budget.admin,
        "file descriptors allocated"
    );
    budget
}

/// Assigns cores to the shards and the control side, and confines this thread, and so all threads
/// of the control side, to theirs.
fn assign_cores(sockets: &BoundSockets, settings: &ServerSettings) -> CoreAssignment {
    let cores = CoreAssignment::for_shards(sockets.udp.len(), settings.threads.is_some());
    if settings.socket_affinity
        && let Err(error) = sockets.apply_socket_affinity(&cores)
    {
        tracing::warn!(%error, "socket-affinity not applied: every shard receives from all cores");
    }
    cores.pin_control_thread();
    cores
}

fn control_runtime() -> Result<Runtime, ServeError> {
    Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(system_error("start the control threads"))
}

/// The identity of this server in replies; its NSID is the configured one, or else the host name.
fn server_identity(settings: &ServerSettings) -> ServerIdentity {
    let host_name =
        || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().into();
    let nsid: Box<str> = settings.nsid.clone().unwrap_or_else(host_name);
    ServerIdentity { nsid: nsid.into_boxed_bytes(), ..ServerIdentity::default() }
}

/// Waits for the end of the first round of probes, whose duration the controller bounds. Returns
/// true if a signal requests the stop before.
async fn is_stopped_before(
    first_round: Option<oneshot::Receiver<()>>,
    controller: &ControllerHandle,
    signals: &mut Signals,
) -> bool {
    let Some(mut first_round) = first_round else { return false };
    loop {
        tokio::select! {
            // An error means that the controller has ended: the last snapshot is served all the
            // same.
            _ = &mut first_round => return false,
            action = signals.next() => match action {
                SignalAction::Stop => return true,
                SignalAction::Reload => reload(controller.clone()),
            },
        }
    }
}
