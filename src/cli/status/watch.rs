//! `status --watch`: the report on a terminal, drawn again each second.

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
    time::Duration,
};

use crate::cli::{
    output::Output,
    screen::Screen,
    terminal_frames::{FramePlace, TerminalFrames},
};

/// The time between two requests.
const INTERVAL: Duration = Duration::from_secs(1);

/// Draws what `report` returns for the present screen, until the process is interrupted. The cursor
/// and the colours of the terminal stay as they are, so that an interrupt leaves nothing to
/// restore.
pub(super) fn run(output: &Output, report: impl Fn(Screen) -> String) -> ExitCode {
    if output.json || !io::stdout().is_terminal() {
        return output.fail(
            &"--watch draws on a terminal, and the output is none\n  help: run `portolan status` as often as needed, or \
              read /metrics",
        );
    }
    let mut frames = TerminalFrames::new(FramePlace::WholeScreen);
    loop {
        let screen = Screen::of_process();
        let text = output.printable(&report(screen));
        if frames.draw(&text, screen).is_err() {
            return ExitCode::SUCCESS;
        }
        std::thread::sleep(INTERVAL);
    }
}
