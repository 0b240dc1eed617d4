//! What the controller knows: files, databases, datacenters, verdicts, the checker; and the process
//! itself.

use std::{collections::BTreeMap, fmt, fs};

use super::{labels::by_reason, page::MetricsPage};
use crate::control::{CertificateStatus, ConfigurationStatus, Status};

pub(super) fn write_process(
    page: &mut MetricsPage<'_>,
    generation: u64,
    is_alive: bool,
    is_known: bool,
) -> fmt::Result {
    page.gauge(
        "portolan_generation",
        "Of the snapshot that queries are answered from.",
        generation as i64,
    )?;
    page.gauge(
        "portolan_shards_alive",
        "1 while every thread that answers queries lives.",
        i64::from(is_alive),
    )?;
    let help = "1 where the controller answered in time; without it most of this page is missing.";
    page.gauge("portolan_controller_answers", help, i64::from(is_known))?;
    match resident_octets() {
        Some(octets) => page.gauge("process_resident_memory_bytes", "Resident memory.", octets),
        None => Ok(()),
    }
}

/// Linux tells it in its own words; elsewhere it is not shown.
fn resident_octets() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

pub(super) fn write(page: &mut MetricsPage<'_>, status: &Status) -> fmt::Result {
    page.gauges("portolan_build", "1, with the version.", [([("version", &*status.version)], 1)])?;
    let help = "When the process started, in seconds since 1970.";
    page.gauge("process_start_time_seconds", help, status.started)?;
    configuration(page, &status.configuration)?;
    let help = "Files that are not in use as they are, because of errors or because they disappeared: their last good content is in use, or nothing of a new file.";
    page.gauge("portolan_held_files", help, status.held.len() as i64)?;
    let help = "1 while state could not be saved: a restart would begin without it.";
    page.gauge("portolan_state_unsaved", help, i64::from(status.unsaved.is_some()))?;
    databases(page, status)?;
    certificates(page, status)?;
    page.gauge("portolan_zones", "Zones.", status.zones.len() as i64)?;
    page.gauge("portolan_services", "Services.", status.services as i64)?;
    let help = "Names and record types of services without a usable member.";
    page.gauge("portolan_services_distressed", help, status.distressed_count as i64)?;
    datacenters(page, status)?;
    targets(page, status)?;
    aliases(page, status)?;
    checker(page, status)
}

fn configuration(page: &mut MetricsPage<'_>, configuration: &ConfigurationStatus) -> fmt::Result {
    // What pools lack of geography is among the warnings.
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
    let help = "When the configuration in use was taken up, in seconds since 1970.";
    page.gauge("portolan_configuration_loaded_timestamp_seconds", help, *loaded)?;
    page.counter("portolan_reloads", "Reloads that were taken up.", *reloads)?;
    page.counter("portolan_reload_failures", "Reloads that were refused.", *failures)?;
    let help = "1 while files are not in use as they are: their last good content is.";
    page.gauge("portolan_configuration_refused", help, i64::from(refused.is_some()))?;
    let help = "1 while a removal waits for an operator to accept it.";
    page.gauge("portolan_removal_held", help, i64::from(removal.is_some()))?;
    page.gauge("portolan_configuration_errors", "Lines that say why.", errors.len() as i64)?;
    page.gauge(
        "portolan_configuration_warnings",
        "What is in use and looks wrong.",
        warnings.len() as i64,
    )
}

fn databases(page: &mut MetricsPage<'_>, status: &Status) -> fmt::Result {
    let by_file = |value: fn(&crate::control::DatabaseStatus) -> i64| {
        status
            .databases
            .iter()
            .map(move |file| ([("path", &*file.path), ("kind", &*file.kind)], value(file)))
    };
    let help = "When the database was built, in seconds since 1970.";
    page.gauges(
        "portolan_database_build_timestamp_seconds",
        help,
        by_file(|file| file.built as i64),
    )?;
    page.gauges(
        "portolan_database_networks",
        "Networks in it.",
        by_file(|file| file.networks as i64),
    )?;
    let help = "1 while the newest file is not in use, for it is broken.";
    page.gauges("portolan_database_error", help, by_file(|file| i64::from(file.error.is_some())))
}

/// Each file once, though two keys may be configured for it.
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
    let help = "1 while the certificate's files on disk cannot be used: the certificate read before is in use.";
    page.gauges("portolan_certificate_error", help, failing)?;
    let failures = by_file
        .iter()
        .map(|(file, certificate)| ([("certificate", *file)], certificate.failed_reads));
    let help = "Attempts to read the certificate's files that failed; one every 5 s until they can be used.";
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
    page.gauges("portolan_datacenter_state", "1 for the state that it has.", states)?;
    let services = status.datacenters.iter();
    let services = services
        .map(|datacenter| ([("datacenter", &*datacenter.name)], datacenter.services as i64));
    page.gauges("portolan_datacenter_services", "Services with a member in it.", services)?;
    let still = status.datacenters.iter();
    let still = still.map(|datacenter| {
        ([("datacenter", &*datacenter.name)], datacenter.still_answered_count as i64)
    });
    let help = "Names and record types whose answers name the datacenter although it is draining or disabled; 0 once that is effective.";
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
        "0 while the verdict is down; unknown counts as up.",
        verdicts,
    )?;
    let count = |word| status.targets.iter().filter(|target| target.verdict == word).count() as i64;
    let counts = ["up", "down", "unknown"].map(|word| ([("verdict", word)], count(word)));
    page.gauges("portolan_targets", "Targets, by verdict.", counts)
}

fn aliases(page: &mut MetricsPage<'_>, status: &Status) -> fmt::Result {
    let failing = status
        .aliases
        .iter()
        .map(|alias| ([("alias", &*alias.name)], i64::from(alias.error.is_some())));
    page.gauges(
        "portolan_alias_failing",
        "1 while it is not resolved, and its last good addresses serve on.",
        failing,
    )?;
    let age = |alias: &crate::control::AliasStatus| Some((status.now - alias.resolved?).max(0));
    let ages =
        status.aliases.iter().filter_map(|alias| Some(([("alias", &*alias.name)], age(alias)?)));
    page.gauges("portolan_alias_age_seconds", "Since it was last resolved.", ages)
}

fn checker(page: &mut MetricsPage<'_>, status: &Status) -> fmt::Result {
    let checker = &status.checker;
    let help = "1 while verdicts are frozen, for most targets failed at once.";
    page.gauge("portolan_checker_frozen", help, i64::from(checker.doubt == "suspecting"))?;
    page.counter("portolan_checker_freezes", "How often they were frozen.", checker.freezes)?;
    page.counter("portolan_probes_started", "Probes started.", checker.started)?;
    page.counter(
        "portolan_probes_late",
        "Probes started later than their time allows.",
        checker.late,
    )?;
    let help = "Probes that ended without a result; the target keeps its health status.";
    page.counter("portolan_probes_discarded", help, checker.discarded)?;
    let help = "Due checks that gave no result, by reason; the target keeps its health status.";
    page.counters("portolan_probes_without_result", help, by_reason(&checker.checks.unmade))?;
    let help =
        "Targets whose last two or more due probes gave no result: if dead, they stay in service.";
    page.gauge("portolan_targets_unchecked", help, checker.checks.unchecked as i64)?;
    page.gauge("portolan_probes_in_flight", "Probes that run now.", checker.in_flight as i64)
}
