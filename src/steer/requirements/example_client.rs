//! The clients that a counterexample shows: where a wheel picks by the client's prefix, not every
//! client of an area gets every answer.

use ipnet::IpNet;

use crate::steer::{
    chart::{DrawState, WheelChoice, client_key},
    model::EndpointId,
};

/// The maximum number of client prefixes that are tried.
const MAX_PREFIXES: usize = 4096;
/// The number of draws for each: pools below may spread by query or in turn.
const DRAWS: usize = 8;

/// The part of a network whose clients get an endpoint: the network itself, unless a wheel picks by
/// the client's prefix.
pub(super) fn example_client(
    network: IpNet,
    choice: &WheelChoice,
    endpoint: EndpointId,
    turn_counters: usize,
) -> IpNet {
    if !choice.spreads_by_client() {
        return network;
    }
    let mut draws = DrawState::new(0);
    draws.reserve_turns(turn_counters);
    let mut gets_endpoint = |client: &IpNet| {
        let (key, _) = client_key(&client.network());
        (0..DRAWS).any(|_| {
            let mut is_answered = false;
            choice.draw(key, &mut draws, &mut |answer| is_answered |= answer.endpoint == endpoint);
            is_answered
        })
    };
    client_prefixes(network)
        .take(MAX_PREFIXES)
        .find(|client| gets_endpoint(client))
        .unwrap_or(network)
}

/// The prefixes of a network whose clients get equal answers.
fn client_prefixes(network: IpNet) -> Box<dyn Iterator<Item = IpNet>> {
    let (_, length) = client_key(&network.network());
    match network.subnets(length) {
        Ok(prefixes) => Box::new(prefixes),
        // The network is a part of such a prefix.
        Err(_) => Box::new(std::iter::once(network)),
    }
}
