//! The connection table: which connections are evicted, and what is bounded.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use super::*;

fn table(connections: usize, connections_per_client: usize) -> Arc<ConnectionTable> {
    ConnectionTable::new(ConnectionLimits {
        connections,
        connections_per_client,
        ..ConnectionLimits::default()
    })
}

fn client(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

#[tokio::test]
async fn evicted_connections_that_have_not_ended_keep_new_ones_waiting() {
    let table = table(8, 100);
    let mut permits = Vec::new();
    for last in 0..8 {
        permits.push(table.admit(client(last)).await);
    }
    assert_eq!(
        permits.iter().filter(|permit| permit.is_ending()).count(),
        1,
        "the eviction threshold of 8 is 7"
    );
    let waiting = table.admit(client(9));
    tokio::pin!(waiting);
    assert!(poll_once(waiting.as_mut()).await.is_pending(), "eight descriptors are in use");
    permits.retain(|permit| !permit.is_ending());
    let permit = waiting.await;
    assert!(!permit.is_ending());
    assert_eq!(table.count(), 7);
}

/// Polls the future once.
async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx))).await
}

#[tokio::test]
async fn a_client_with_too_many_connections_loses_its_own() {
    let table = table(100, 2);
    let mut permits = Vec::new();
    for address in [client(2), client(1), client(1), client(1)] {
        permits.push(table.admit(address).await);
    }
    let ending: Vec<_> = permits.iter().map(ConnectionPermit::is_ending).collect();
    assert_eq!(ending, [false, true, false, false]);
}

#[tokio::test]
async fn full_buffers_evict_the_connections_that_fill_them_without_progress() {
    let table = ConnectionTable::new(ConnectionLimits {
        buffered_octets: 100,
        ..ConnectionLimits::default()
    });
    let idle = table.admit(client(1)).await;
    let greedy = table.admit(client(2)).await;
    let modest = table.admit(client(3)).await;
    let (mut full, mut small) = (greedy.buffer_reservation(), modest.buffer_reservation());
    assert!(full.try_resize(100) && !small.try_resize(1));
    assert_eq!([&idle, &greedy, &modest].map(ConnectionPermit::is_ending), [false, true, false]);
    drop((full, greedy));
    assert!(small.resize_with_retry(1).await);
}

#[tokio::test]
async fn dropped_reservations_are_released() {
    let table = ConnectionTable::new(ConnectionLimits {
        buffered_octets: 100,
        ..ConnectionLimits::default()
    });
    let permit = table.admit(client(1)).await;
    let (mut first, mut second) = (permit.buffer_reservation(), permit.buffer_reservation());
    assert!(first.try_resize(70) && !second.try_resize(40) && second.try_resize(30));
    drop(first);
    assert!(second.try_resize(100));
    assert_eq!(table.buffered_octets(), 100);
}

#[tokio::test]
async fn over_the_limit_the_connection_without_progress_for_longest_is_evicted() {
    let table = table(2, 2);
    let first = table.admit(client(1)).await;
    let second = table.admit(client(2)).await;
    first.record_progress();
    let third = table.insert(client(1)).1;
    assert_eq!([first.is_ending(), second.is_ending(), third.is_ending()], [false, true, false]);
}

#[tokio::test]
async fn a_connection_that_answers_a_request_is_evicted_last() {
    let table = table(2, 2);
    let busy = Arc::new(table.admit(client(1)).await);
    let request = busy.protect();
    let idle = table.admit(client(2)).await;
    idle.record_progress();
    table.evict();
    assert_eq!([busy.is_ending(), idle.is_ending()], [false, true]);
    table.evict();
    assert!(busy.is_ending(), "no other is left");
    drop(request);
}
