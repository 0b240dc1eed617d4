//! The command line: its arguments, and one file per command.
//!
//! | file | content |
//! |---|---|
//! | `args` | the commands and flags |
//! | `check` | `check` |
//! | `explain` | `explain` |
//! | `plan/` | `plan` |
//! | `locate` | `locate` |
//! | `overrides` | `drain`, `undrain`, `disable`, `enable`, `standby`, `force`, `weight` |
//! | `failback` | `failback` |
//! | `change_report` | the report of a change, as text |
//! | `override_args`, `server_args`, `durations` | flags that several commands have |
//! | `status` | `status` |
//! | `reload` | `reload` |
//! | `client` | the HTTP client of the admin API of running servers |
//! | `server_list` | which servers a command talks to, and the token that it sends |
//! | `remote_error`, `exit` | why a request failed; exit codes |
//! | `journal` | `log`, the events of the journal |
//! | `log` | the process log of `serve`, and its filter |
//! | `drain_watch` | `drain --watch`: the drain until no client is left |
//! | `output` | colours, JSON, stdout and stderr |
//! | `screen`, `terminal_frames` | text fitted to a terminal; text that is drawn again and again |
//! | `text` | times, ramps and shortened lists as text |
//!
//! Data goes to stdout, messages and logs to stderr.

mod args;
mod change_report;
mod check;
mod client;
mod drain_watch;
mod durations;
mod exit;
mod explain;
mod failback;
mod journal;
mod locate;
mod log;
mod output;
mod override_args;
mod overrides;
mod plan;
mod reload;
mod remote_error;
mod screen;
mod server_args;
mod server_list;
mod status;
mod terminal_frames;
mod text;

use std::process::ExitCode;

use clap::Parser;

pub use args::{Arguments, Command};
use output::Output;

use crate::app;

/// Runs the command line of this process.
///
/// Exit codes: 0 success; 1 invalid configuration, a name that is not served, a refusal of the
/// server; 2 invalid usage; 3 a change that a rule or a limit of `plan` forbids.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output::new(&arguments);
    match arguments.command {
        Command::Serve(files) => {
            if let Err(error) = log::start(arguments.log_format) {
                output.fail(&error);
                return ExitCode::from(2);
            }
            let served = app::serve(files.locations(), output.message_colours(), &mut |line| {
                output.print_line(line)
            });
            match served {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => output.fail(&error),
            }
        }
        Command::Check(check) => check::run(&check, &output),
        Command::Explain(explain) => explain::explain(&explain, &output),
        Command::Plan(plan) => plan::run(&plan, &output).code(),
        Command::Locate(locate) => locate::run(&locate, &output),
        Command::Drain(drain) => overrides::drain(&drain, &output),
        Command::Undrain(undrain) => overrides::undrain(&undrain, &output),
        Command::Disable(state) => overrides::set_state("disable", &state, &output),
        Command::Enable(state) => overrides::set_state("enable", &state, &output),
        Command::Standby(state) => overrides::set_state("standby", &state, &output),
        Command::Force(force) => overrides::force(&force, &output),
        Command::Weight(weight) => overrides::weight(&weight, &output),
        Command::Failback(failback) => failback::run(&failback, &output),
        Command::Status(status) => status::run(&status, &output),
        Command::Log(log) => journal::run(&log, &output),
        Command::Reload(reload) => reload::run(&reload, &output),
    }
}
