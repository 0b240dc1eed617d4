//! Wheels: equal pools share tables, and the choices of their clients are independent.

use super::*;
use crate::steer::chart::{Wheel, WheelChoice};

/// The wheel of a service's pool, for IPv4.
fn wheel(bench: &ServiceBench) -> Arc<Wheel> {
    match bench.chart.family(Family::V4).areas[0].choice.as_ref() {
        Some(WheelChoice::Wheel(wheel)) => Arc::clone(wheel),
        _ => panic!("the service has no wheel"),
    }
}

fn inner(wheel: &Wheel) -> Vec<Arc<Wheel>> {
    let wheel_of = |choice: &WheelChoice| match choice {
        WheelChoice::Wheel(wheel) => Arc::clone(wheel),
        WheelChoice::Answer(_) => panic!("a member is no pool"),
    };
    wheel.choices.iter().map(wheel_of).collect()
}

/// Two pools of ten equal members that spread by client, both of which are answered.
fn twins() -> ServiceBench {
    let mut draft = TopologyBuilder::default();
    let members: Vec<_> =
        (0..10).map(|host| (draft.endpoint(&format!("192.0.2.{host}"), None), 1)).collect();
    let pools = [(); 2].map(|()| {
        let pool = draft.pool(Policy::Weighted, &members);
        draft.pools[pool.index()].spread = Spread::Client;
        (MemberKind::Pool(pool), 1)
    });
    let top = draft.pool(Policy::All, &pools);
    draft.top(top)
}

#[test]
fn equal_pools_share_a_table_and_their_clients_choices_are_independent() {
    let mut bench = twins();
    let [first, second] = &inner(&wheel(&bench))[..] else { panic!("two pools") };
    assert!(Arc::ptr_eq(&first.slots, &second.slots));
    let clients = 30_000;
    let mut cells = [[0.0; 10]; 10];
    for client in 0..clients {
        let subnet = format!("{}.{}.{}.0/24", 20 + (client >> 16), client >> 8 & 255, client & 255);
        let (answer, ..) = bench.ask_from(Family::V4, &subnet);
        let [first, second] =
            [0, 1].map(|at| answer[at].rsplit('.').next().unwrap().parse::<usize>().unwrap());
        cells[first][second] += 1.0;
    }
    let row = |at: usize| cells[at].iter().sum::<f64>();
    let column = |at: usize| cells.iter().map(|row| row[at]).sum::<f64>();
    let mut statistic = 0.0;
    for (first, cells) in cells.iter().enumerate() {
        for (second, cell) in cells.iter().enumerate() {
            let expected = row(first) * column(second) / f64::from(clients);
            statistic += (cell - expected).powi(2) / expected;
        }
    }
    // 81 degrees of freedom: 145 is five standard deviations above the mean.
    assert!(statistic < 145.0, "{statistic}");
}

#[test]
fn the_recovery_of_a_member_restores_the_earlier_table() {
    let mut bench = twins();
    let before = Arc::clone(&inner(&wheel(&bench))[0].slots);
    bench.down("192.0.2.3");
    assert!(!Arc::ptr_eq(&before, &inner(&wheel(&bench))[0].slots));
    let up = HealthStatus { verdict: Verdict::Up, flips_in_secs: None, ..HealthStatus::default() };
    bench.set_status("192.0.2.3", up);
    assert!(Arc::ptr_eq(&before, &inner(&wheel(&bench))[0].slots));
}
