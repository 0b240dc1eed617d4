//! A route: the wheel that answers one client, and the key by which the client's slots are picked.

use std::net::{IpAddr, Ipv4Addr};

use super::{draw_state::DrawState, endpoint_answer::EndpointAnswer, wheel::WheelChoice};

/// The length of the IPv4 client prefix whose addresses `spread = "client"` gives equal answers,
/// and the minimum scope of such an answer.
const CLIENT_PREFIX_V4: u8 = 24;

/// The same length for IPv6.
const CLIENT_PREFIX_V6: u8 = 56;

/// What a chart holds for one client: the wheel to draw from, and the TTL and scope of the answer.
#[derive(Debug)]
pub struct Route<'a> {
    /// The TTL of every record drawn from here, in seconds.
    pub ttl_secs: u32,
    /// The SCOPE PREFIX-LENGTH of ECS (RFC 7871 section 7.2.1), in the family of the query's
    /// subnet; 0 if no subnet decided.
    pub scope: u8,
    /// Whether the order of the answer is one of preference.
    pub keeps_order: bool,
    pub(super) choice: Option<&'a WheelChoice>,
    pub(super) client: u64,
}

impl<'a> Route<'a> {
    /// Whether there is nothing to draw: NODATA.
    pub fn is_empty(&self) -> bool {
        self.choice.is_none()
    }

    /// Draws the endpoints of one answer and calls `each` with each of them, in the order of the
    /// answer. No call means NODATA. A CNAME is always alone.
    pub fn draw<F: FnMut(&'a EndpointAnswer)>(&self, draws: &mut DrawState, each: &mut F) {
        if let Some(choice) = self.choice {
            choice.draw(self.client, draws, each);
        }
    }
}

/// The client's prefix as a number, and the minimum scope of an answer chosen by it: /24 of IPv4
/// and /56 of IPv6, distinguished by the top bit.
pub(in crate::steer) fn client_key(client: &IpAddr) -> (u64, u8) {
    let v4_key = |address: &Ipv4Addr| u64::from(address.to_bits() >> (32 - CLIENT_PREFIX_V4));
    match client {
        IpAddr::V4(address) => (v4_key(address), CLIENT_PREFIX_V4),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => (v4_key(&mapped), 96 + CLIENT_PREFIX_V4),
            None => {
                ((address.to_bits() >> (128 - CLIENT_PREFIX_V6)) as u64 | 1 << 63, CLIENT_PREFIX_V6)
            }
        },
    }
}
