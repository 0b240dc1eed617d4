//! `status --watch`: the report on a terminal, drawn again each second.

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use super::screen::Screen;
use crate::cli::output::Output;

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
    let mut drawn = String::new();
    loop {
        let screen = Screen::of_process();
        let text = output.printable(&report(screen));
        if text != drawn {
            if draw(&text, screen, drawn.is_empty()).is_err() {
                return ExitCode::SUCCESS;
            }
            drawn = text;
        }
        std::thread::sleep(INTERVAL);
    }
}

/// Draws the lines that fit, over those of before.
fn draw(text: &str, screen: Screen, is_first: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let frame = frame(text, screen);
    // The first frame clears what other commands left.
    write!(out, "{}\u{1b}[H{frame}\u{1b}[J", if is_first { "\u{1b}[2J" } else { "" })?;
    out.flush()
}

/// The lines that fit, each with the rest of its line cleared.
fn frame(text: &str, screen: Screen) -> String {
    let room = screen.lines.saturating_sub(1);
    let mut taken = 0;
    let mut frame = String::new();
    for line in text.lines() {
        taken += screen.lines_of(line).max(1);
        if taken > room {
            break;
        }
        frame += line;
        frame += "\u{1b}[K\n";
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_no_more_lines_than_the_screen() {
        let screen = Screen { columns: 10, lines: 4 };
        let shown = frame("one\na line of two\nthree\nfour", screen);
        assert_eq!(shown, "one\u{1b}[K\na line of two\u{1b}[K\n");
        assert_eq!(frame("", screen), "");
    }
}
