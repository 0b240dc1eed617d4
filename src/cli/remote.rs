//! `drain`, `undrain`, `failback`, `status`, `reload`: what a running server is asked over its admin API.

use std::{fmt, process::ExitCode, time::Duration};

use serde::de::DeserializeOwned;

use super::{
    args::{Drain, Failback, Reload, Remote, Undrain},
    output::Output,
    status,
};
use crate::{
    admin::{ReloadBody, StateChange, USER_HEADER},
    config::{Locations, outline},
    control::{DrainReport, ReloadReport, Status, unix_now},
};

const PATIENCE: Duration = Duration::from_secs(30);
const USER_AGENT: &str = concat!("portolan/", env!("CARGO_PKG_VERSION"));

/// Why the server could not be asked, or said no.
#[derive(Debug)]
pub(super) enum RemoteError {
    /// Nobody answers at this URL.
    Unreachable(String, String),
    /// The server's own words.
    Refused(String),
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(url, why) => write!(
                f,
                "no portolan answers at {url}: {why}\n  help: start it with `portolan serve`, or name its admin address with --server URL"
            ),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

pub(super) fn drain(drain: &Drain, output: &Output) -> ExitCode {
    let change = StateChange {
        for_secs: drain.duration.map(|duration| duration.as_secs()),
        over_secs: drain.over.map(|duration| duration.as_secs()),
        reason: drain.reason.clone(),
        force: drain.force,
    };
    let verb = match (drain.pause, drain.resume) {
        (true, _) => "pause",
        (_, true) => "resume",
        _ => "drain",
    };
    set_state(&drain.remote, &drain.datacenter, verb, &change, output)
}

pub(super) fn undrain(undrain: &Undrain, output: &Output) -> ExitCode {
    set_state(&undrain.remote, &undrain.datacenter, "undrain", &StateChange::default(), output)
}

pub(super) fn failback(failback: &Failback, output: &Output) -> ExitCode {
    let path = format!("/api/v1/pools/{}/failback", encoded(&failback.pool));
    let answer: serde_json::Value = match ask(&failback.remote, &path, Some(&StateChange::default())) {
        Ok(answer) => answer,
        Err(error) => return output.fail(&error),
    };
    if output.json {
        output.document(&answer);
        return ExitCode::SUCCESS;
    }
    let was_held = answer.get("given-back").and_then(serde_json::Value::as_bool) == Some(true);
    let what = if was_held { "clients go back to the first usable member" } else { "nobody holds its clients back" };
    output.line(&format!("{}: {what}", failback.pool));
    ExitCode::SUCCESS
}

fn set_state(remote: &Remote, datacenter: &str, verb: &str, change: &StateChange, output: &Output) -> ExitCode {
    let path = format!("/api/v1/datacenters/{}/{verb}", encoded(datacenter));
    let report: DrainReport = match ask(remote, &path, Some(change)) {
        Ok(report) => report,
        Err(error) => return output.fail(&error),
    };
    if output.json {
        output.document(&report);
        return ExitCode::SUCCESS;
    }
    for file in &report.files {
        output.line(&format!("edited {file}"));
    }
    for (name, drain) in &report.datacenters {
        output.line(&match drain {
            Some(drain) => format!(
                "{name}: out of every new answer since {}; the longest TTL handed out is {} s, so the last cached answer expires at {} ({})",
                status::moment(drain.effective),
                drain.longest_ttl,
                status::moment(drain.expires),
                status::from_now(drain.expires - unix_now()),
            ),
            None => match report.ramps.iter().find(|ramp| ramp.name == *name) {
                Some(ramp) => format!("{name}: {}", status::ramp_text(ramp)),
                None if verb == "pause" => format!("{name}: held where it is"),
                None => format!("{name}: in service"),
            },
        });
    }
    if !report.distressed.is_empty() {
        output.message(&format!("warning: nothing usable is left for {}", report.distressed.join(", ")));
    }
    ExitCode::SUCCESS
}

pub(super) fn status(remote: &Remote, output: &Output) -> ExitCode {
    match ask::<Status>(remote, "/api/v1/status", None) {
        Ok(status) if output.json => output.document(&status),
        Ok(status) => output.line(status::render(&status, output.is_coloured()).trim_end()),
        Err(error) => return output.fail(&error),
    }
    ExitCode::SUCCESS
}

pub(super) fn reload(reload: &Reload, output: &Output) -> ExitCode {
    let body = ReloadBody { accept_removal: reload.accept_removal };
    let report: ReloadReport = match ask_with(&reload.remote, "/api/v1/reload", serde_json::to_vec(&body).ok()) {
        Ok(report) => report,
        Err(error) => return output.fail(&error),
    };
    if output.json {
        output.document(&report);
    } else {
        output.line(&format!("all files are in use; generation {}", report.generation));
    }
    ExitCode::SUCCESS
}

/// Asks the server; with a body it is asked for a change.
pub(super) fn ask<T: DeserializeOwned>(
    remote: &Remote,
    path: &str,
    body: Option<&StateChange>,
) -> Result<T, RemoteError> {
    ask_with(remote, path, body.and_then(|body| serde_json::to_vec(body).ok()))
}

fn ask_with<T: DeserializeOwned>(remote: &Remote, path: &str, body: Option<Vec<u8>>) -> Result<T, RemoteError> {
    let base = base_url(remote);
    let unreachable = |why: &dyn fmt::Display| RemoteError::Unreachable(base.clone(), why.to_string());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| unreachable(&error))?;
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).user_agent(USER_AGENT);
        let client = client.build().map_err(|error| unreachable(&error))?;
        let url = format!("{base}{path}");
        let request = match body {
            Some(body) => {
                client.post(url).header("content-type", "application/json").header(USER_HEADER, user()).body(body)
            }
            None => client.get(url),
        };
        let response = request.send().await.map_err(|error| unreachable(&root_cause(&error)))?;
        let is_success = response.status().is_success();
        let octets = response.bytes().await.map_err(|error| unreachable(&root_cause(&error)))?;
        if !is_success {
            return Err(RemoteError::Refused(refusal(&octets)));
        }
        serde_json::from_slice(&octets).map_err(|error| unreachable(&format!("its answer is not ours: {error}")))
    })
}

/// The user of this process for the server's log; of `sudo`, the one behind it. Characters that no header may hold are
/// left out.
fn user() -> String {
    let names = ["SUDO_USER", "USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok());
    let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    name.chars().filter(char::is_ascii_graphic).collect()
}

/// The server's own words in an error's document.
fn refusal(octets: &[u8]) -> String {
    let document: serde_json::Value = serde_json::from_slice(octets).unwrap_or_default();
    let words = document.get("message").or_else(|| document.get("error")).and_then(serde_json::Value::as_str);
    words.map_or_else(|| String::from_utf8_lossy(octets).into_owned(), str::to_owned)
}

/// `--server`, else the configuration's admin address, else the default one.
fn base_url(remote: &Remote) -> String {
    if let Some(url) = &remote.server {
        return url.trim_end_matches('/').to_owned();
    }
    let locations = Locations { config: remote.config.clone(), ..Locations::default() };
    match outline(&locations).0.admin {
        Some(address) => format!("http://{address}"),
        None => "http://127.0.0.1:8053".to_owned(),
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// A name as a part of a URL's path.
pub(super) fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
