//! The journal over real files: what survives, what is set aside, what is found.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Event, EventFilter, EventKind, Journal,
    mailbox::JournalBatch,
    recorder::{JournalRecorder, SharedJournal},
    scan::{check, scan},
    segments::{self, SegmentLimits},
};
use crate::control::journal::mailbox::JournalRequest;

const SMALL: SegmentLimits = SegmentLimits { segment_octets: 2000, total_octets: 8000 };

fn event(subject: &str) -> Event {
    Event { cause: Some("test".to_owned()), ..Event::new(EventKind::Health, subject) }
}

/// Records these subjects, one event each, as one run of the program.
fn record(directory: &Path, subjects: &[&str]) -> Arc<SharedJournal> {
    let shared = Arc::new(SharedJournal::new(directory.to_owned()));
    let mut recorder = JournalRecorder::open_within(Arc::clone(&shared), SMALL);
    for (subject, time_ms) in subjects.iter().zip(0..) {
        let requests = [JournalRequest::Record(time_ms, Box::new(event(subject)))].into();
        recorder.handle(JournalBatch { requests, lost: 0, is_stopped: true });
    }
    shared
}

fn subjects(directory: &Path) -> Vec<String> {
    let entries = scan(directory, usize::MAX).recent;
    entries.iter().map(|entry| entry.event.subject.clone()).collect()
}

fn last_file(directory: &Path) -> PathBuf {
    segments::list(directory).pop().unwrap().1
}

#[test]
fn events_of_several_runs_have_ascending_ids_whatever_the_clock_says() {
    let site = tempfile::tempdir().unwrap();
    record(site.path(), &["a", "b"]);
    // The times of the second run are those of the first one again.
    record(site.path(), &["c", "d"]);
    let found = scan(site.path(), usize::MAX);
    let ids: Vec<u64> = found.recent.iter().map(|entry| entry.id).collect();
    assert_eq!((ids, found.next_id), (vec![1, 2, 3, 4], 5));
    assert_eq!(subjects(site.path()), ["a", "b", "c", "d"]);
    assert!(found.findings.is_empty() && found.damaged.is_empty());
}

#[test]
fn a_last_line_that_is_cut_anywhere_is_dropped_and_the_next_run_continues() {
    let site = tempfile::tempdir().unwrap();
    record(site.path(), &["a", "b"]);
    let whole = fs::read(last_file(site.path())).unwrap();
    let start = whole.iter().position(|octet| *octet == b'\n').unwrap() + 1;
    for length in start + 1..whole.len() {
        fs::write(last_file(site.path()), &whole[..length]).unwrap();
        record(site.path(), &["c"]);
        assert_eq!(subjects(site.path()), ["a", "c"], "cut at {length}");
        assert_eq!(scan(site.path(), 9).damaged, [""; 0].map(PathBuf::from));
    }
    // A file system may leave zeros in place of the last line.
    let mut zeros = whole[..start].to_vec();
    zeros.resize(whole.len(), 0);
    fs::write(last_file(site.path()), zeros).unwrap();
    record(site.path(), &["d"]);
    assert_eq!(subjects(site.path()), ["a", "d"]);
}

#[test]
fn a_line_that_was_changed_or_removed_sets_its_file_aside_and_is_an_event() {
    for (change, why) in [
        (r#""subject":"b""#, "the line before it was changed or removed"),
        ("", "the line before it was changed or removed"),
    ] {
        let site = tempfile::tempdir().unwrap();
        record(site.path(), &["a", "b", "c", "d"]);
        let file = last_file(site.path());
        let text = fs::read_to_string(&file).unwrap();
        let changed = match change {
            "" => text
                .lines()
                .enumerate()
                .filter(|(index, _)| *index != 1)
                .fold(String::new(), |text, (_, line)| text + line + "\n"),
            change => text.replace(change, r#""subject":"x""#),
        };
        fs::write(&file, changed).unwrap();
        let shared = record(site.path(), &["e"]);
        let found = scan(site.path(), usize::MAX);
        let texts: Vec<_> = found.recent.iter().map(|entry| &entry.event).collect();
        assert_eq!(texts.len(), 2, "{texts:?}");
        assert_eq!(texts[0].kind, EventKind::Journal);
        assert!(texts[0].cause.as_ref().unwrap().contains(why), "{texts:?}");
        assert_eq!(texts[1].subject, "e");
        assert_eq!(found.recent[0].id, 5, "no id is given twice");
        let status = shared.counts.status();
        let [damaged] = &status.damaged[..] else { panic!("{status:?}") };
        assert!(damaged.ends_with("0001.jsonl.damaged") && Path::new(damaged).exists());
        assert!(status.concerns()[0].contains(damaged.as_str()));
        fs::remove_file(damaged).unwrap();
        assert!(shared.counts.status().concerns().is_empty(), "it was moved away");
    }
}

#[test]
fn what_this_program_never_wrote_is_set_aside_and_ids_are_not_used_up() {
    let site = tempfile::tempdir().unwrap();
    record(site.path(), &["a"]);
    let file = last_file(site.path());
    let line = fs::read_to_string(&file).unwrap();
    fs::write(&file, line.replace("\"id\":1,", "\"id\":18446744073709551615,")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", site.path().join("0002.jsonl")).unwrap();
    let shared = record(site.path(), &["b"]);
    assert_eq!(shared.counts.status().damaged.len(), 2, "the file with that id, and the link");
    let found = scan(site.path(), usize::MAX);
    assert_eq!(found.recent.back().unwrap().event.subject, "b");
    assert_eq!(found.next_id, 4, "an event about each of them, and this one");
}

#[test]
fn full_files_are_followed_by_others_and_the_oldest_are_removed() {
    let site = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..200).map(|number| format!("s{number}")).collect();
    record(site.path(), &names.iter().map(String::as_str).collect::<Vec<_>>());
    let files = segments::list(site.path());
    assert!(files.len() > 2 && files[0].0 > 1, "{files:?}");
    let total: u64 = files.iter().map(|(_, path)| path.metadata().unwrap().len()).sum();
    assert!(total <= SMALL.total_octets + SMALL.segment_octets, "{total}");
    let found = scan(site.path(), usize::MAX);
    assert!(found.findings.is_empty(), "the first line's predecessor is gone: {found:?}");
    assert_eq!(found.next_id, 201);
    fs::remove_file(&files[1].1).unwrap();
    let found = scan(site.path(), usize::MAX);
    assert!(found.findings.is_empty() && found.damaged.is_empty(), "what is left is right");
    let mode = files[0].1.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
}

#[test]
fn what_cannot_be_written_is_in_memory_and_is_written_later() {
    let site = tempfile::tempdir().unwrap();
    // A file in the place of the directory: even root cannot write there.
    let directory = site.path().join("journal");
    fs::write(&directory, "").unwrap();
    let shared = Arc::new(SharedJournal::new(directory.clone()));
    let mut recorder = JournalRecorder::open_within(Arc::clone(&shared), SMALL);
    let batch = |subject: &str| JournalBatch {
        requests: [JournalRequest::Record(0, Box::new(event(subject)))].into(),
        lost: 0,
        is_stopped: true,
    };
    recorder.handle(batch("a"));
    recorder.handle(batch("b"));
    let unsaved = shared.counts.status().unsaved.unwrap();
    assert!(unsaved.contains("help: "), "{unsaved}");
    assert_eq!(shared.recent().len(), 2);
    let next = recorder.deadline().unwrap();
    assert!(next > Instant::now() + Duration::from_secs(5), "no attempt before that");
    fs::remove_file(&directory).unwrap();
    recorder.handle(batch("c"));
    assert_eq!(shared.counts.status().unsaved, None);
    assert_eq!(subjects(&directory), ["a", "b", "c"]);
    // The directory is removed during the run.
    fs::remove_dir_all(&directory).unwrap();
    recorder.handle(batch("d"));
    assert_eq!(subjects(&directory), ["d"]);
}

#[test]
fn lost_events_are_counted_and_are_an_event() {
    let site = tempfile::tempdir().unwrap();
    let shared = Arc::new(SharedJournal::new(site.path().to_owned()));
    for number in 0..9000 {
        shared.mailbox.record(0, event(&number.to_string()));
    }
    let mut recorder = JournalRecorder::open_within(Arc::clone(&shared), SMALL);
    recorder.handle(shared.mailbox.take(None));
    let recent = shared.recent();
    let last = &recent.back().unwrap().event;
    assert_eq!(last.kind, EventKind::Journal);
    let cause = last.cause.as_deref().unwrap();
    assert!(cause.starts_with("808 events lost"), "{cause}");
}

#[tokio::test]
async fn events_are_found_by_time_kind_subject_and_id() {
    let site = tempfile::tempdir().unwrap();
    let journal = Journal::start(site.path().to_owned()).unwrap();
    for subject in ["web 192.0.2.1", "fra", "pool/fra", "frankfurt"] {
        journal.append(event(subject));
    }
    journal.append(Event::new(EventKind::State, "fra"));
    journal.flush().await;
    let ids = |filter: EventFilter, limit| -> Vec<u64> {
        journal.find(&filter, limit).events.iter().map(|entry| entry.id).collect()
    };
    let all = EventFilter::default;
    let subject = |text: &str| EventFilter { subject: Some(text.to_owned()), ..all() };
    assert_eq!(ids(all(), 9), [1, 2, 3, 4, 5]);
    assert_eq!(ids(subject("fra"), 9), [2, 3, 5], "whole words");
    assert_eq!(ids(subject("192.0.2.1"), 9), [1]);
    assert_eq!(ids(EventFilter { kind: Some(EventKind::State), ..all() }, 9), [5]);
    assert_eq!(ids(all(), 2), [4, 5], "the newest");
    assert_eq!(ids(EventFilter { after: Some(1), ..all() }, 2), [2, 3], "the next ones");
    assert!(journal.find(&EventFilter { after: Some(1), ..all() }, 2).has_more);
    assert!(!journal.find(&EventFilter { after: Some(1), ..all() }, 4).has_more);
    let now = journal.find(&all(), 1).events[0].time_ms;
    assert_eq!(ids(EventFilter { since_ms: Some(now + 1), ..all() }, 9), [0; 0]);
    assert_eq!(ids(EventFilter { until_ms: Some(now), ..all() }, 9).len(), 5);
}

#[tokio::test]
async fn a_wait_ends_with_the_next_event() {
    let site = tempfile::tempdir().unwrap();
    let journal = Journal::start(site.path().to_owned()).unwrap();
    let wait = journal.wait_after(0, Duration::from_secs(60));
    let append = async { journal.append(event("fra")) };
    tokio::join!(wait, append);
    assert_eq!(journal.find(&EventFilter::default(), 9).newest, 1);
}

#[test]
fn passwords_are_not_kept_and_texts_have_a_bounded_length() {
    let site = tempfile::tempdir().unwrap();
    let long = format!("http://ada:secret@192.0.2.1/ {}", "x".repeat(5000));
    record(site.path(), &[&long]);
    let text = fs::read_to_string(last_file(site.path())).unwrap();
    assert!(!text.contains("secret") && text.len() < 2000, "{text}");
    assert!(check(text.as_bytes(), None).fault.is_none());
}
