//! Serials of zones whose SOA record the server makes (RFC 1982). They depend on the content, only
//! grow, and agree between servers with equal files.

use std::{collections::HashMap, time::SystemTime};

use super::saved_serials::{Completeness, EarlierSerials, SavedSerial};
use crate::{config::SerialSource, dns::Name};

/// The saved serials to keep in addition to those of the `zones` in use: a zone that returns
/// continues from the serial that it had. Empty if there are too many.
pub(super) fn retained(
    saved: Option<&HashMap<Name, SavedSerial>>,
    zones: usize,
) -> HashMap<Name, SavedSerial> {
    const MAX_REMOVED: usize = 100_000;
    saved.filter(|saved| saved.len() <= zones + MAX_REMOVED).cloned().unwrap_or_default()
}

/// What the saved serials say about a zone.
#[derive(Debug, Clone, Copy)]
pub(super) enum SerialHistory {
    /// The zone's latest serial.
    Known(SavedSerial),
    /// The zone's latest serial at this time, in seconds since 1970. Later content is in files that
    /// were written later.
    KnownUntil(SavedSerial, u32),
    /// A serial of the zone; a later one may have been answered.
    Stale(SavedSerial),
    /// The zone had no serial: serials were saved, and none of this zone.
    New,
    /// The zone may have had any serial.
    Lost,
}

impl SerialHistory {
    /// The history of a zone in the saved serials; `None` if those are lost.
    pub(super) fn of(apex: &Name, earlier: Option<&EarlierSerials>) -> Self {
        let Some(EarlierSerials { serials, completeness }) = earlier else { return Self::Lost };
        match (serials.get(apex), completeness) {
            (Some(saved), Completeness::Complete) => Self::Known(*saved),
            (Some(saved), Completeness::CompleteUntil(time)) => Self::KnownUntil(*saved, *time),
            (Some(saved), Completeness::Unknown) => Self::Stale(*saved),
            (None, Completeness::Complete | Completeness::CompleteUntil(_)) => Self::New,
            (None, Completeness::Unknown) => Self::Lost,
        }
    }
}

/// The serial of the SOA record at `now`, in seconds since 1970: the one in the file, or the one
/// that this content had before. New content gets the time at which its newest file was written, so
/// that servers with equal files agree, and always more than before (RFC 1982). If earlier serials
/// are lost, or if a later one than the saved one may have been answered, only the clock is certain
/// to be ahead of them.
pub(super) fn next_serial(source: SerialSource, history: SerialHistory, now: u32) -> u32 {
    let (hash, last_modified) = match source {
        SerialSource::OwnSoa(serial) => return serial,
        SerialSource::FromContent { hash, last_modified } => (hash, last_modified),
    };
    let since_1970 = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok();
    let written =
        last_modified.and_then(since_1970).and_then(|since| u32::try_from(since.as_secs()).ok());
    // A file that is dated in the future must not move serials ahead of the clock.
    let written = written.map_or(now, |written| written.min(now));
    match history {
        // The content returned, after other content whose serial was not saved.
        SerialHistory::KnownUntil(old, time) if old.content == hash && written > time => {
            later(old.serial, written)
        }
        SerialHistory::Known(old) | SerialHistory::KnownUntil(old, _) if old.content == hash => {
            old.serial
        }
        SerialHistory::Known(old) | SerialHistory::KnownUntil(old, _) => {
            later(old.serial.wrapping_add(1), written)
        }
        SerialHistory::Stale(old) if old.content == hash => later(old.serial, now),
        SerialHistory::Stale(old) => later(old.serial.wrapping_add(1), now),
        SerialHistory::New => written,
        SerialHistory::Lost => now,
    }
}

/// The later of two serials (RFC 1982 section 3.2).
fn later(a: u32, b: u32) -> u32 {
    if (b.wrapping_sub(a) as i32) > 0 { b } else { a }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn at(secs: u32) -> Option<SystemTime> {
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(secs.into()))
    }

    #[test]
    fn a_serial_follows_the_content_and_never_goes_back() {
        let content = |hash, secs| SerialSource::FromContent { hash, last_modified: at(secs) };
        let old = SavedSerial { content: 1, serial: 1000 };
        let (known, until, stale) = (
            SerialHistory::Known(old),
            SerialHistory::KnownUntil(old, 2500),
            SerialHistory::Stale(old),
        );
        let now = 3000;
        for (source, history, serial_then, why) in [
            (content(1, 2000), SerialHistory::New, 2000, "a new zone"),
            (
                content(1, 2000),
                SerialHistory::Lost,
                now,
                "the state directory is lost: the zone may have had any serial up to now",
            ),
            (content(1, 2000), known, 1000, "touched, not changed"),
            (content(2, 2000), known, 2000, "changed"),
            (content(2, 500), known, 1001, "changed to an older file"),
            (content(2, 9000), known, now, "changed to a file from the future"),
            (content(1, 2000), until, 1000, "the same after a clean stop"),
            (
                content(1, 2700),
                until,
                2700,
                "written again after the stop: other content may have been served between",
            ),
            (
                content(2, 2700),
                until,
                2700,
                "edited after the stop: servers with equal files agree",
            ),
            (content(1, 2000), stale, now, "a later serial may have been served and not saved"),
            (content(2, 2000), stale, now, "the same with other content"),
            (SerialSource::OwnSoa(7), known, 7, "the serial in the file"),
        ] {
            assert_eq!(next_serial(source, history, now), serial_then, "{why}");
        }
        let ahead = SerialHistory::Stale(SavedSerial { content: 1, serial: now + 9 });
        assert_eq!(
            next_serial(content(1, 2000), ahead, now),
            now + 9,
            "the saved one, where the clock is behind it"
        );
    }

    /// An event in the life of a server; events are a second or more apart.
    #[derive(Debug, Clone, Copy)]
    enum ServerEvent {
        /// Other content, in a file that was written `age` seconds ago.
        Edit {
            content: u64,
            age: u32,
        },
        /// Whether the state directory can be written to from now on.
        Writable(bool),
        Stop,
        Kill,
    }

    fn event() -> impl Strategy<Value = ServerEvent> {
        prop_oneof![
            4 => (0..3_u64, prop_oneof![Just(0), 1..50_u32]).prop_map(|(content, age)| ServerEvent::Edit { content, age }),
            2 => any::<bool>().prop_map(ServerEvent::Writable),
            2 => Just(ServerEvent::Stop),
            1 => Just(ServerEvent::Kill),
        ]
    }

    proptest! {
        /// The property of serials: whatever happens to the state directory and to the server, they
        /// never go back. (A run that cannot write from its start leaves no trace, so that its
        /// edits must not be dated back.)
        #[test]
        fn a_serial_never_goes_back_whatever_could_be_saved(events in proptest::collection::vec((event(), 1..5_u32), 1..40)) {
            let apex: Name = "x.test".parse().unwrap();
            let mut now = 1_000_000;
            let (mut saved, mut stopped): (Option<SavedSerial>, Option<u32>) = (None, None);
            let (mut is_writable, mut can_begin) = (true, true);
            let (mut content, mut written) = (0_u64, now);
            let mut current: Option<SavedSerial> = None;
            let mut latest = 0;
            for (event, secs) in events {
                now += secs;
                match event {
                    ServerEvent::Edit { content: new, age } => {
                        content = new;
                        written = if can_begin { now - age } else { now };
                    }
                    ServerEvent::Writable(is_so) => is_writable = is_so,
                    ServerEvent::Stop | ServerEvent::Kill => {
                        if let (ServerEvent::Stop, true, Some(current)) = (event, is_writable, current) {
                            (saved, stopped) = (Some(current), Some(now));
                        }
                        current = None;
                    }
                }
                let earlier = match current {
                    Some(current) => Some((current, Completeness::Complete)),
                    None => saved.map(|saved| (saved, stopped.map_or(Completeness::Unknown, Completeness::CompleteUntil))),
                };
                let earlier = earlier.map(|(serial, completeness)| EarlierSerials {
                    serials: HashMap::from([(apex.clone(), serial)]),
                    completeness,
                });
                let source = SerialSource::FromContent { hash: content, last_modified: at(written) };
                let serial = next_serial(source, SerialHistory::of(&apex, earlier.as_ref()), now);
                if current.is_none() {
                    can_begin = is_writable;
                }
                if is_writable {
                    stopped = None;
                }
                current = Some(SavedSerial { content, serial });
                saved = if is_writable { current } else { saved };
                prop_assert!(serial >= latest, "{} after {}", serial, latest);
                latest = serial;
            }
        }
    }
}
