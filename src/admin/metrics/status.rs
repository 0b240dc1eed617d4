//! Metrics of the controller's status: files, databases, certificates, datacenters, targets,
//! aliases, the checker; and of the process.

use std::{collections::BTreeMap, fmt, fs};

use super::{labels::by_reason, page::MetricsPage};
use crate::control::{CertificateStatus, ConfigurationStatus, JournalStatus, Status};

/// What is known without the controller.
pub(super) struct ProcessStatus {
    pub(super) generation: u64,
    pub(super) is_alive: bool,
    pub(super) controller_answers: bool,
}

pub(super) fn write_process(page: &mut MetricsPage<'_>, process: &ProcessStatus) -> fmt::Result {
    page.gauge(
        "portolan_generation",
        "Generation of the snapshot that queries are answered from; rises by 1 with each new snapshot.",
        process.generation as i64,
    )?;
    page.gauge(
        "portolan_shards_alive",
        "1 while every UDP shard and every listener of TCP, TLS and HTTPS is running; 0 once one has failed: the server then stops, and its service manager must restart it.",
        i64::from(process.is_alive),
    )?;
    let help = "1 if the controller answered this request in time; if 0, most of this page is missing, but queries are still answered.";
    page.gauge("portolan_controller_answers", help, i64::from(process.controller_answers))?;
    match resident_octets() {
        Some(octets) => {
            let help = "Resident memory of the process, in octets.";
            page.gauge("process_resident_memory_bytes", help, octets)
        }
        None => Ok(()),
    }
}

/// From /proc, which only Linux has; `None` on other systems.
fn resident_octets() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

pub(super) fn write(page: &mut MetricsPage<'_>, status: &Status) -> fmt::Result {
    let help = "Always 1; the label is the version of the running program.";
    page.gauges("portolan_build", help, [([("version", &*status.version)], 1)])?;
    let help = "When the process started, in seconds since 1970.";
    page.gauge("process_start_time_seconds", help, status.started)?;
    configuration(page, &status.configuration)?;
    let help = "Files whose newest content is not in use, because of errors or because they disappeared; their last good content is used instead, and a new file is left out.";
    page.gauge("portolan_held_files", help, status.held.len() as i64)?;
    let help =
        "1 while state cannot be written to the state directory; a restart would begin without it.";
    page.gauge("portolan_state_unsaved", help, i64::from(status.unsaved.is_some()))?;
    journal(page, &status.journal)?;
    databases(page, status)?;
    certificates(page, status)?;
    page.gauge("portolan_zones", "Number of zones that are served.", status.zones.len() as i64)?;
    page.gauge("portolan_services", "Number of services that are served.", status.services as i64)?;
    let help =
        "Names, record types and groups of clients for which a service has no usable member.";
    page.gauge("portolan_services_distressed", help, status.distressed_count as i64)?;
    datacenters(page, status)?;
    targets(page, status)?;
    aliases(page, status)?;
    checker(page, status)
}

fn configuration(page: &mut MetricsPage<'_>, configuration: &ConfigurationStatus) -> fmt::Result {
    // `geography` is not read: `warnings` counts its texts, too.
    let ConfigurationStatus {
        loaded,
        reloads,
        failures,
        refused,
        errors,
        warnings,
        removal,
        geography: _,
    } = configuration;
    let help = "When the configuration in use was applied, in seconds since 1970.";
    page.gauge("portolan_configuration_loaded_timestamp_seconds", help, *loaded)?;
    page.counter("portolan_reloads", "Reloads that were applied.", *reloads)?;
    let help = "Reloads that were refused; the previous configuration stayed in use.";
    page.counter("portolan_reload_failures", help, *failures)?;
    let help = "1 while the newest content of some or all files is not in use; their last good content is used instead.";
    page.gauge("portolan_configuration_refused", help, i64::from(refused.is_some()))?;
    let help = "1 while a removal of many zones or services is held; `portolan reload --accept-removal` applies it.";
    page.gauge("portolan_removal_held", help, i64::from(removal.is_some()))?;
    let help = "Number of errors in the newest files.";
    page.gauge("portolan_configuration_errors", help, errors.len() as i64)?;
    page.gauge(
        "portolan_configuration_warnings",
        "Number of warnings about the files in use.",
        warnings.len() as i64,
    )
}

fn journal(page: &mut MetricsPage<'_>, journal: &JournalStatus) -> fmt::Result {
    let JournalStatus { events, dropped, unsaved, damaged, history_unsaved } = journal;
    page.counter("portolan_journal_events", "Events of the journal since the start.", *events)?;
    let help = "Events that are in no file of the journal: too many came at once, or the state directory could not be written to.";
    page.counter("portolan_journal_events_lost", help, *dropped)?;
    let help = "1 while the journal cannot be written; its latest events are in memory.";
    page.gauge("portolan_journal_unsaved", help, i64::from(unsaved.is_some()))?;
    let help = "Damaged files of the journal that were set aside and are still in its directory.";
    page.gauge("portolan_journal_damaged_files", help, damaged.len() as i64)?;
    let help = "1 while the history cannot be written; `explain --at` cannot repeat this time.";
    page.gauge("portolan_history_unsaved", help, i64::from(history_unsaved.is_some()))
}

fn databases(page: &mut MetricsPage<'_>, status: &Status) -> fmt::Result {
    let by_file = |value: fn(&crate::control::DatabaseStatus) -> i64| {
        status
            .databases
            .iter()
            .map(move |file| ([("path", &*file.path), ("kind", &*file.kind)], value(file)))
    };
    let help = "When the GeoIP database in use was built, in seconds since 1970.";
    page.gauges(
        "portolan_database_build_timestamp_seconds",
        help,
        by_file(|file| file.built as i64),
    )?;
    page.gauges(
        "portolan_database_networks",
        "Number of networks in the GeoIP database in use.",
        by_file(|file| file.networks as i64),
    )?;
    let help =
        "1 while the newest file of the GeoIP database is broken; the previous database is in use.";
    page.gauges("portolan_database_error", help, by_file(|file| i64::from(file.error.is_some())))
}

/// Each certificate file once: two keys may be configured for the same file.
fn certificates(page: &mut MetricsPage<'_>, status: &Status) -> fmt::Result {
    let by_file: BTreeMap<&str, &CertificateStatus> = status
        .certificates
        .iter()
        .map(|certificate| (&*certificate.certificate, certificate))
        .collect();
    let expiries = by_file
        .iter()
        .filter_map(|(file, certificate)| Some(([("certificate", *file)], certificate.expires?)));
    let help = "When the certificate in use expires, in seconds since 1970.";
    page.gauges("portolan_certificate_expiry_timestamp_seconds", help, expiries)?;
    let failing = by_file.iter().map(|(file, certificate)| {
        ([("certificate", *file)], i64::from(certificate.error.is_some()))
    });
    let help = "1 while the certificate's files on disk cannot be used; the previous certificate is in use.";
    page.gauges("portolan_certificate_error", help, failing)?;
    let failures = by_file
        .iter()
        .map(|(file, certificate)| ([("certificate", *file)], certificate.failed_reads));
    let help = "Failed attempts to read the certificate's files, which are repeated every 5 s until they succeed.";
    page.counters("portolan_certificate_read_failures", help, failures)
}

fn datacenters(page: &mut MetricsPage<'_>, status: &Status) -> fmt::Result {
    let states = status.datacenters.iter().flat_map(|datacenter| {
        ["active", "standby", "draining", "disabled"].map(|state| {
            (
                [("datacenter", &*datacenter.name), ("state", state)],
                i64::from(datacenter.state == state),
            )
        })
    });
    let help = "1 for the state that the datacenter has, 0 for every other state.";
    page.gauges("portolan_datacenter_state", help, states)?;
    let services = status.datacenters.iter();
    let services = services
        .map(|datacenter| ([("datacenter", &*datacenter.name)], datacenter.services as i64));
    let help = "Number of services with a member in the datacenter.";
    page.gauges("portolan_datacenter_services", help, services)?;
    let still = status.datacenters.iter();
    let still = still.map(|datacenter| {
        ([("datacenter", &*datacenter.name)], datacenter.still_answered_count as i64)
    });
    let help = "Names and record types whose answers name the datacenter although it is draining or disabled; 0 once the drain is effective.";
    page.gauges("portolan_datacenter_still_answered", help, still)
}

fn targets(page: &mut MetricsPage<'_>, status: &Status) -> fmt::Result {
    let verdicts = status.targets.iter().map(|target| {
        (
            [("monitor", &*target.monitor), ("target", &*target.target)],
            i64::from(target.verdict != "down"),
        )
    });
    page.gauges(
        "portolan_target_up",
        "0 while the target is down; 1 while it is up or has no verdict yet.",
        verdicts,
    )?;
    let count = |word| status.targets.iter().filter(|target| target.verdict == word).count() as i64;
    let counts = ["up", "down", "unknown"].map(|word| ([("verdict", word)], count(word)));
    page.gauges("portolan_targets", "Number of targets by health status.", counts)
}

fn aliases(page: &mut MetricsPage<'_>, status: &Status) -> fmt::Result {
    let failing = status
        .aliases
        .iter()
        .map(|alias| ([("alias", &*alias.name)], i64::from(alias.error.is_some())));
    page.gauges(
        "portolan_alias_failing",
        "1 while the alias cannot be resolved; its last good addresses are in use, if there are any.",
        failing,
    )?;
    let age = |alias: &crate::control::AliasStatus| Some((status.now - alias.resolved?).max(0));
    let ages =
        status.aliases.iter().filter_map(|alias| Some(([("alias", &*alias.name)], age(alias)?)));
    let help = "Time since the alias was last resolved, in seconds.";
    page.gauges("portolan_alias_age_seconds", help, ages)
}

fn checker(page: &mut MetricsPage<'_>, status: &Status) -> fmt::Result {
    let checker = &status.checker;
    let help = "1 while health status is frozen because most targets failed at once; the fault may be this server's network.";
    page.gauge("portolan_checker_frozen", help, i64::from(checker.doubt == "suspecting"))?;
    let help = "Number of times that health status was frozen because most targets failed at once.";
    page.counter("portolan_checker_freezes", help, checker.freezes)?;
    page.counter("portolan_probes_started", "Health checks that were started.", checker.started)?;
    page.counter(
        "portolan_probes_late",
        "Health checks that were started later than planned.",
        checker.late,
    )?;
    let help = "Health checks that ended without a result; the target keeps its health status.";
    page.counter("portolan_probes_discarded", help, checker.discarded)?;
    let help =
        "Due health checks that gave no result, by reason; the target keeps its health status.";
    page.counters("portolan_probes_without_result", help, by_reason(&checker.checks.unmade))?;
    let help = "Targets whose last two or more due health checks gave no result; a target that fails meanwhile stays in service.";
    page.gauge("portolan_targets_unchecked", help, checker.checks.unchecked as i64)?;
    let help = "Health checks that are in progress now.";
    page.gauge("portolan_probes_in_flight", help, checker.in_flight as i64)
}
