//! The command line: its arguments, and one file per command.
//!
//! | file | content |
//! |---|---|
//! | `args` | the commands and flags |
//! | `check` | `check` |
//! | `explain` | `explain`, `plan` |
//! | `locate` | `locate` |
//! | `drain` | `drain`, `undrain`, `failback` |
//! | `status` | `status` |
//! | `reload` | `reload` |
//! | `client` | the HTTP client of a running server's admin API |
//! | `log` | the log of `serve`, and its filter |
//! | `output` | colours, JSON, stdout and stderr |
//! | `text` | times, ramps and shortened lists as text |
//!
//! Data goes to stdout, messages and logs to stderr.

mod args;
mod check;
mod client;
mod drain;
mod explain;
mod locate;
mod log;
mod output;
mod reload;
mod status;
mod text;

use std::process::ExitCode;

use clap::Parser;

pub use args::{Arguments, Command};
use output::Output;

use crate::app;

/// Runs the command line of this process.
///
/// Exit codes: 0 success; 1 invalid configuration, a name that is not served, a refusal of the
/// server; 2 invalid usage; 3 a change that exceeds a limit of `plan`.
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
        Command::Plan(plan) => explain::plan(&plan, &output),
        Command::Locate(locate) => locate::run(&locate, &output),
        Command::Drain(drain) => drain::drain(&drain, &output),
        Command::Undrain(undrain) => drain::undrain(&undrain, &output),
        Command::Failback(failback) => drain::failback(&failback, &output),
        Command::Status(status) => status::run(&status, &output),
        Command::Reload(reload) => reload::run(&reload, &output),
    }
}
