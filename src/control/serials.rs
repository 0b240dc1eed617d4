//! Serials of zones whose SOA is made here (RFC 1982): they follow the content, grow, and agree between servers with equal files.

use std::{collections::HashMap, time::SystemTime};

use super::state::SavedSerial;
use crate::{config::SerialSource, dns::Name};

/// The serials that are kept beside those of the zones in use: a zone that comes back goes on from the one that it had.
pub(super) fn kept(saved: Option<&HashMap<Name, SavedSerial>>, zones: usize) -> HashMap<Name, SavedSerial> {
    const MOST_REMOVED: usize = 100_000;
    saved.filter(|saved| saved.len() <= zones + MOST_REMOVED).cloned().unwrap_or_default()
}

/// What is known of a zone's earlier serials.
#[derive(Debug, Clone, Copy)]
pub(super) enum History {
    /// The zone's latest serial.
    Known(SavedSerial),
    /// It had none: serials were saved, and none of this zone.
    New,
    /// It may have had some.
    Lost,
}

impl History {
    /// Of a zone, by what was saved.
    pub(super) fn of(apex: &Name, saved: Option<&HashMap<Name, SavedSerial>>) -> Self {
        match saved {
            Some(saved) => saved.get(apex).map_or(Self::New, |saved| Self::Known(*saved)),
            None => Self::Lost,
        }
    }
}

/// The SOA's serial at `now`: the file's own, or the one that this content had before. New content gets the time at which its
/// newest file was written, so that servers with equal files agree, and always more than before (RFC 1982). Where earlier
/// serials are lost, only the clock is certain to be ahead of them.
pub(super) fn serial(source: SerialSource, history: History, now: u32) -> u32 {
    let (hash, newest) = match source {
        SerialSource::Own(serial) => return serial,
        SerialSource::FromContent { hash, newest } => (hash, newest),
    };
    let since_1970 = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok();
    let written = newest.and_then(since_1970).and_then(|since| u32::try_from(since.as_secs()).ok());
    // A file from the future must not lead serials away from the clock.
    let written = written.map_or(now, |written| written.min(now));
    match history {
        History::Known(old) if old.content == hash => old.serial,
        History::Known(old) if (written.wrapping_sub(old.serial) as i32) <= 0 => old.serial.wrapping_add(1),
        History::Known(_) | History::New => written,
        History::Lost => now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_follows_the_content_and_never_goes_back() {
        let at = |secs: u64| Some(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(secs));
        let content = |hash, secs| SerialSource::FromContent { hash, newest: at(secs) };
        let known = History::Known(SavedSerial { content: 1, serial: 1000 });
        let now = 3000;
        for (source, history, serial_then, why) in [
            (content(1, 2000), History::New, 2000, "a new zone"),
            (
                content(1, 2000),
                History::Lost,
                now,
                "the state directory is lost: the zone may have had any serial up to now",
            ),
            (content(1, 2000), known, 1000, "touched, not changed"),
            (content(2, 2000), known, 2000, "changed"),
            (content(2, 500), known, 1001, "changed to an older file"),
            (content(2, 9000), known, now, "changed to a file from the future"),
            (SerialSource::Own(7), known, 7, "the file's own word"),
        ] {
            assert_eq!(serial(source, history, now), serial_then, "{why}");
        }
    }
}
