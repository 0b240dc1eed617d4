//! Frames: a text that is drawn on a terminal again and again, each time over the one before.

use std::io::{self, Write as _};

use super::screen::Screen;

/// Where frames are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FramePlace {
    /// From the top of the terminal, which is cleared first.
    WholeScreen,
    /// Below what is on the terminal.
    Below,
}

/// Draws frames. The cursor and the colours of the terminal stay as they are, so that an interrupt
/// leaves nothing to restore.
#[derive(Debug)]
pub(super) struct TerminalFrames {
    place: FramePlace,
    /// The text of the frame on the terminal; `None` before the first.
    drawn: Option<String>,
    /// The number of lines that the frame takes on the terminal.
    lines: usize,
}

impl TerminalFrames {
    pub(super) fn new(place: FramePlace) -> Self {
        Self { place, drawn: None, lines: 0 }
    }

    /// Draws the lines that fit, unless they are on the terminal already.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn draw(&mut self, text: &str, screen: Screen) -> io::Result<()> {
        if self.drawn.as_deref() == Some(text) {
            return Ok(());
        }
        let (frame, lines) = frame(text, screen);
        let mut out = io::stdout().lock();
        match (self.place, self.drawn.is_none(), self.lines) {
            // The first frame clears what other commands left.
            (FramePlace::WholeScreen, true, _) => write!(out, "\u{1b}[2J\u{1b}[H")?,
            (FramePlace::WholeScreen, false, _) => write!(out, "\u{1b}[H")?,
            (FramePlace::Below, _, 0) => {}
            (FramePlace::Below, _, lines) => write!(out, "\u{1b}[{lines}A")?,
        }
        write!(out, "{frame}\u{1b}[J")?;
        self.lines = lines;
        self.drawn = Some(text.to_owned());
        out.flush()
    }
}

/// The lines that fit, each with the rest of its line cleared, and how many lines they take.
fn frame(text: &str, screen: Screen) -> (String, usize) {
    let room = screen.lines.saturating_sub(1);
    let mut taken = 0;
    let mut frame = String::new();
    for line in text.lines() {
        let lines = screen.lines_of(line).max(1);
        if taken + lines > room {
            break;
        }
        taken += lines;
        frame += line;
        frame += "\u{1b}[K\n";
    }
    (frame, taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_no_more_lines_than_the_screen() {
        let screen = Screen { columns: 10, lines: 4 };
        let (shown, lines) = frame("one\na line of two\nthree\nfour", screen);
        assert_eq!((shown.as_str(), lines), ("one\u{1b}[K\na line of two\u{1b}[K\n", 3));
        assert_eq!(frame("", screen), (String::new(), 0));
    }
}
