//! Services with four weighted addresses each, with 20 balancers that are probed every 5 s: 1,000,
//! 10,000 and 100,000 in one file. For gdnsd each is a resource of its weighted plugin with
//! `http_status` checks, drained by its `admin_state` file. For Knot it is a list of its geoip
//! module in weighted mode, which neither probes nor drains.

use std::io;

use super::{
    figures::tabulate,
    fleet::{BALANCERS, Fleet, Kind},
    peers::Peer,
    targets::Targets,
    trial,
};

const INTERVAL_SECS: u32 = 5;

pub(crate) fn run() -> io::Result<()> {
    let targets = Targets::start(BALANCERS)?;
    for peer in [Peer::Portolan, Peer::Gdnsd { is_replaced: true }, Peer::Knot] {
        tabulate(peer.name(), "weighted services", &[1_000, 10_000, 100_000], |services| {
            let fleet = Fleet {
                kind: Kind::Weighted,
                services,
                port: targets.port,
                interval_secs: INTERVAL_SECS,
            };
            trial::measure(peer, fleet, &targets)
        })?;
    }
    Ok(())
}
