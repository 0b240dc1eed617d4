//! Services with `spread = "client"` and two addresses in an answer, over 20 balancers: 500, 1,500
//! and 5,000; and 1,500 of type HTTPS, which pick by the client as well.

use std::io;

use super::{
    figures::tabulate,
    fleet::{BALANCERS, Fleet, Kind},
    peers::Peer,
    targets::Targets,
    trial,
};

const INTERVAL_SECS: u32 = 1;

pub(crate) fn run() -> io::Result<()> {
    let targets = Targets::start(BALANCERS)?;
    let fleet =
        |kind, services| Fleet { kind, services, port: targets.port, interval_secs: INTERVAL_SECS };
    let peer = Peer::Portolan;
    tabulate(peer.name(), "client services", &[500, 1_500, 5_000], |services| {
        trial::measure(peer, fleet(Kind::Client, services), &targets)
    })?;
    tabulate(peer.name(), "HTTPS services", &[1_500], |services| {
        trial::measure(peer, fleet(Kind::Https, services), &targets)
    })?;
    println!("\ngdnsd and Knot: neither picks several addresses by the client's network; skipped");
    Ok(())
}
