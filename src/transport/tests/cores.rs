//! Cores: which shard receives what, and the wake-ups of the preemption timer.

use std::fs;

use super::*;
use crate::os;

/// Sends one datagram from each of `ports` ports, from a thread on this core.
fn send_from_core(core: usize, ports: usize, server: SocketAddr) {
    let send = move || {
        os::pin_to_cores(&[core]).unwrap();
        for _ in 0..ports {
            client("127.0.0.1:0", server).send(&[1]).unwrap();
        }
    };
    thread::spawn(send).join().unwrap();
}

/// The number of datagrams that each shard's socket receives, `total` together.
fn counts(shards: &[Vec<UdpSocket>], total: usize) -> Vec<usize> {
    let mut counts = vec![0; shards.len()];
    let began = Instant::now();
    while counts.iter().sum::<usize>() < total {
        for (count, sockets) in counts.iter_mut().zip(shards) {
            sockets[0].set_nonblocking(true).unwrap();
            *count += std::iter::from_fn(|| sockets[0].recv(&mut [0; 16]).ok()).count();
        }
        assert!(began.elapsed() < TEST_TIMEOUT, "some are lost: {counts:?}");
    }
    counts
}

#[test]
fn with_socket_affinity_each_shard_receives_the_datagrams_of_its_own_core() {
    let cores = os::allowed_cores().unwrap();
    let &[first, second, ..] = &cores[..] else {
        println!("skipped: this process has one core");
        return;
    };
    let bound = bind(&["127.0.0.1:0".parse().unwrap()], 2).unwrap();
    // In another order than that of the cores, so that a socket's index is not taken for its core.
    bound.apply_socket_affinity(&CoreAssignment::divide_cores(vec![second, first], 2)).unwrap();
    // On loopback the core that sends also receives.
    send_from_core(first, 40, bound.local_addresses()[0]);
    assert_eq!(counts(&bound.udp, 40), [0, 40]);
    send_from_core(second, 40, bound.local_addresses()[0]);
    assert_eq!(counts(&bound.udp, 40), [40, 0]);
}

#[test]
fn datagrams_received_on_a_core_without_a_shard_are_spread_over_all_shards() {
    let core = os::allowed_cores().unwrap()[0];
    let bound = bind(&["127.0.0.1:0".parse().unwrap()], 2).unwrap();
    bound
        .apply_socket_affinity(&CoreAssignment::divide_cores(vec![core + 5000, core + 5001], 2))
        .unwrap();
    send_from_core(core, 64, bound.local_addresses()[0]);
    // A fair hash gives all of them to one shard once in 2^63.
    assert!(counts(&bound.udp, 64).iter().all(|&count| count > 0));
}

#[test]
fn socket_affinity_is_refused_if_shards_are_not_pinned() {
    let bound = bind(&["127.0.0.1:0".parse().unwrap()], 3).unwrap();
    let refusal =
        bound.apply_socket_affinity(&CoreAssignment::divide_cores(vec![0, 1], 3)).unwrap_err();
    assert_eq!(refusal.to_string(), "3 shards share 2 cores (help: set `threads` to at most 2)");
    let bound = bind(&["127.0.0.1:0".parse().unwrap()], 1).unwrap();
    let refusal =
        bound.apply_socket_affinity(&CoreAssignment::divide_cores(vec![0, 1], 1)).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "one shard receives everything (help: set `threads` to 2, or remove `socket-affinity`)"
    );
}

/// How often the thread with this name has gone to sleep; `None` if there is none.
fn voluntary_switches(thread_name: &str) -> Option<u64> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let status = tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok())
        .find(|status| status.starts_with(&format!("Name:\t{thread_name}\n")))?;
    let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    count.trim().parse().ok()
}

#[test]
fn the_preemption_timer_wakes_while_a_guard_exists_and_ends_with_its_last_clone() {
    let core = *os::allowed_cores().unwrap().last().unwrap();
    let name = format!("beat-{core}");
    let wait_until = |state: &str, is_reached: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !is_reached() {
            assert!(began.elapsed() < TEST_TIMEOUT, "not {state} in time");
            thread::yield_now();
        }
    };
    let timer = PreemptionTimer::start(&CoreAssignment::divide_cores(vec![core], 1));
    wait_until("started", &|| voluntary_switches(&name).is_some());
    let (first, second) = (timer.activate(), timer.clone().activate());
    drop(first);
    let before = voluntary_switches(&name);
    wait_until("active", &|| voluntary_switches(&name) > before.map(|before| before + 20));
    drop(second);
    // An inactive timer goes to sleep no more.
    let last = std::cell::Cell::new((voluntary_switches(&name), Instant::now()));
    wait_until("inactive", &|| {
        if voluntary_switches(&name) != last.get().0 {
            last.set((voluntary_switches(&name), Instant::now()));
        }
        last.get().1.elapsed() > Duration::from_millis(20)
    });
    drop(timer);
    wait_until("ended", &|| voluntary_switches(&name).is_none());
}
