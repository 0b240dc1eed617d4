//! A plan over a city database: one of 20 datacenters is drained under 1,000 services, of which 900
//! have the same geography. Measured apart: both compilations, the whole plan, and the moved share
//! alone, which the safety rule `max-moved` asks for before each change.
//!
//! `cargo bench --bench plan`. The database is the one of 4.1 million networks, of the directory
//! that `PORTOLAN_SHARED` names; without it there is nothing to measure.

#![expect(clippy::print_stdout, reason = "the benchmark prints what it measured")]

use std::{fmt::Write as _, sync::Arc, time::Instant};

use portolan::{
    engine::{PlanOptions, PlanSide, moved_share, plan},
    steer::{Compilation, Compiler, Conditions, ServingState, Surveys, WheelCache},
};

#[path = "support/city.rs"]
mod city;

const DATACENTERS: usize = 20;
const SERVICES: usize = 1000;
/// Services with biases of their own, so that their geography is their own.
const BIASED: usize = 100;

fn tables() -> String {
    let mut text = "[zone.\"x.example\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"h@example.com\"\n".to_owned();
    let mut line = |line: String| writeln!(text, "{line}").expect("memory");
    for number in 0..DATACENTERS {
        // Spread over the inhabited latitudes and all longitudes.
        let (latitude, longitude) = ((number * 37) % 90, (number * 67) % 360);
        let (latitude, longitude) = (latitude as f64 - 30.0, longitude as f64 - 180.0);
        line(format!(
            "[datacenter.d{number}]\nlocation = {{ latitude = {latitude:?}, longitude = {longitude:?} }}"
        ));
    }
    for service in 0..SERVICES {
        let bias = |number: usize| match service < BIASED {
            true => (number * service) % 20,
            false => 0,
        };
        let member = |number: usize| {
            let (third, fourth) = (service / 250, service % 250);
            format!(
                "{{ addresses = [\"10.{third}.{fourth}.{}\"], datacenter = \"d{number}\", bias = {} }}",
                number + 1,
                bias(number)
            )
        };
        let members: Vec<String> = (0..DATACENTERS).map(member).collect();
        line(format!(
            "[service.\"s{service}.x.example\"]\npolicy = \"nearest\"\nmembers = [{}]",
            members.join(", ")
        ));
    }
    text
}

fn main() {
    let Some(databases) = city::databases() else { return };
    let config = city::load(tables());
    let started = Instant::now();
    let (mut surveys, mut wheels) = (Surveys::default(), WheelCache::default());
    let compiler = Compiler::new(Arc::clone(&config.topology), &databases, &mut surveys);
    let conditions = Conditions::unprobed(&config.topology, 0);
    let mut drained = conditions.clone();
    drained.datacenters[0] = ServingState::Draining;
    let before = Compilation::new(Arc::clone(&compiler), Arc::new(conditions))
        .finish(&mut surveys, &mut wheels);
    let after =
        Compilation::after(&before, compiler, Arc::new(drained)).finish(&mut surveys, &mut wheels);
    let compiled = started.elapsed();
    let sides = [&before, &after].map(|compiled| PlanSide { compiled, databases: &databases });
    let options = PlanOptions::default();
    let started = Instant::now();
    let planned = plan(sides[0], sides[1], &options, &mut surveys);
    let whole = started.elapsed();
    let started = Instant::now();
    let moved = moved_share(sides[0], sides[1], &options);
    let share = started.elapsed();
    assert_eq!(planned.changed.len(), SERVICES, "the drain concerns every service");
    assert!(moved.share > 0.0, "the drain moves clients");
    println!(
        "{SERVICES} services, {DATACENTERS} datacenters: compiled in {:.2} s; plan {:.2} s; moved share {:.2} s",
        compiled.as_secs_f64(),
        whole.as_secs_f64(),
        share.as_secs_f64()
    );
}
