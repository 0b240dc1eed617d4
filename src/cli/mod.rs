//! The command line: what may be written, and which command does it.
//!
//! | file | commands |
//! |---|---|
//! | `check` | `check` |
//! | `explain` | `explain`, `plan` |
//! | `locate` | `locate` |
//! | `drain` | `drain`, `undrain`, `failback`: over a running server's admin API |
//! | `client` | `status`, `reload`, and which server is asked |
//! | `log` | the log of `serve`, and its filter |
//! | `output` | colours, JSON |
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
mod status;

use std::process::ExitCode;

use clap::Parser;

pub use args::{Arguments, Command};
use output::Output;

use crate::app;

/// Runs the command line of this process.
///
/// Exit codes: 0 done; 1 bad configuration, a name that is not ours, a refusal; 2 bad usage; 3
/// (`plan`) a rule forbids it.
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
        Command::Status(status) => client::status(&status, &output),
        Command::Reload(reload) => client::reload(&reload, &output),
    }
}
