//! Cores: who gets what, and that the scheduler is made to look.

use std::fs;

use super::*;
use crate::os;

/// Sends one datagram each from so many ports, from a thread on this core.
fn send_from_core(core: usize, ports: usize, server: SocketAddr) {
    let send = move || {
        os::pin_to_cores(&[core]).unwrap();
        for _ in 0..ports {
            client("127.0.0.1:0", server).send(&[1]).unwrap();
        }
    };
    thread::spawn(send).join().unwrap();
}

/// How many datagrams come to each socket; `all` of them do.
fn counts(shards: &[Vec<UdpSocket>], all: usize) -> Vec<usize> {
    let mut counts = vec![0; shards.len()];
    let began = Instant::now();
    while counts.iter().sum::<usize>() < all {
        for (count, sockets) in counts.iter_mut().zip(shards) {
            sockets[0].set_nonblocking(true).unwrap();
            *count += std::iter::from_fn(|| sockets[0].recv(&mut [0; 16]).ok()).count();
        }
        assert!(began.elapsed() < TEST_TIMEOUT, "some are lost: {counts:?}");
    }
    counts
}

#[test]
fn with_socket_affinity_each_shard_gets_what_its_own_core_receives() {
    let cores = os::allowed_cores().unwrap();
    let &[first, second, ..] = &cores[..] else {
        println!("skipped: this process has one core");
        return;
    };
    let bound = bind(&["127.0.0.1:0".parse().unwrap()], 2).unwrap();
    // In another order than the cores', so that a socket's place is not mistaken for its core.
    bound.apply_socket_affinity(&CoreAssignment::divide_cores(vec![second, first], 2)).unwrap();
    // On loopback whoever sends receives.
    send_from_core(first, 40, bound.local_addresses()[0]);
    assert_eq!(counts(&bound.udp, 40), [0, 40]);
    send_from_core(second, 40, bound.local_addresses()[0]);
    assert_eq!(counts(&bound.udp, 40), [40, 0]);
}

#[test]
fn what_a_core_without_a_shard_receives_is_spread_over_all() {
    let core = os::allowed_cores().unwrap()[0];
    let bound = bind(&["127.0.0.1:0".parse().unwrap()], 2).unwrap();
    bound
        .apply_socket_affinity(&CoreAssignment::divide_cores(vec![core + 5000, core + 5001], 2))
        .unwrap();
    send_from_core(core, 64, bound.local_addresses()[0]);
    // That a fair hash gives all to one happens once in 2^63.
    assert!(counts(&bound.udp, 64).iter().all(|&count| count > 0));
}

#[test]
fn socket_affinity_is_refused_where_shards_have_no_cores() {
    let bound = bind(&["127.0.0.1:0".parse().unwrap()], 3).unwrap();
    let refusal =
        bound.apply_socket_affinity(&CoreAssignment::divide_cores(vec![0, 1], 3)).unwrap_err();
    assert_eq!(refusal.to_string(), "3 shards share 2 cores (help: write `threads`, at most 2)");
    let bound = bind(&["127.0.0.1:0".parse().unwrap()], 1).unwrap();
    let refusal =
        bound.apply_socket_affinity(&CoreAssignment::divide_cores(vec![0, 1], 1)).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "one shard gets everything (help: set `threads` to 2, or leave `socket-affinity` away)"
    );
}

/// How often this thread of the process has gone to sleep by itself; `None` once it is gone.
fn voluntary_switches(thread_name: &str) -> Option<u64> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let status = tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok())
        .find(|status| status.starts_with(&format!("Name:\t{thread_name}\n")))?;
    let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    count.trim().parse().ok()
}

#[test]
fn the_metronome_wakes_up_while_there_is_a_beat_and_ends_with_its_last_holder() {
    let core = *os::allowed_cores().unwrap().last().unwrap();
    let name = format!("beat-{core}");
    let until = |what: &str, is_so: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < TEST_TIMEOUT, "waited in vain: {what}");
            thread::yield_now();
        }
    };
    let metronome = PreemptionTimer::start(&CoreAssignment::divide_cores(vec![core], 1));
    until("started", &|| voluntary_switches(&name).is_some());
    let (one, other) = (metronome.activate(), metronome.clone().activate());
    drop(one);
    let before = voluntary_switches(&name);
    until("beating", &|| voluntary_switches(&name) > before.map(|before| before + 20));
    drop(other);
    // At rest it goes to sleep no more.
    let last = std::cell::Cell::new((voluntary_switches(&name), Instant::now()));
    until("at rest", &|| {
        if voluntary_switches(&name) != last.get().0 {
            last.set((voluntary_switches(&name), Instant::now()));
        }
        last.get().1.elapsed() > Duration::from_millis(20)
    });
    drop(metronome);
    until("gone", &|| voluntary_switches(&name).is_none());
}
