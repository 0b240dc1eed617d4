//! A route: what a chart has for one client, and the key by which the client picks its slots.

use std::net::{IpAddr, Ipv4Addr};

use super::{draw_state::DrawState, endpoint_answer::EndpointAnswer, wheel::WheelChoice};

/// The client prefix that `spread = "client"` keeps together, and the least scope of an answer
/// chosen by it.
const CLIENT_PREFIX_V4: u8 = 24;

const CLIENT_PREFIX_V6: u8 = 56;

/// What a chart has for one client: a wheel to draw from and how far the answer may travel.
#[derive(Debug)]
pub struct Route<'a> {
    /// The TTL of every record drawn from here, in seconds.
    pub ttl_secs: u32,
    /// ECS SCOPE PREFIX-LENGTH (RFC 7871 section 7.2.1), in the family of the subnet asked with; 0
    /// where no subnet decided.
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

    /// Draws the endpoints of one answer and hands each to `each`, in the order of the answer; none
    /// at all means NODATA. A CNAME comes alone.
    pub fn draw<F: FnMut(&'a EndpointAnswer)>(&self, draws: &mut DrawState, each: &mut F) {
        if let Some(choice) = self.choice {
            choice.draw(self.client, draws, each);
        }
    }
}

/// The client's prefix as a number, and the least scope of an answer chosen by it: /24 of IPv4 and
/// /56 of IPv6, told apart by the top bit.
pub(super) fn client_key(client: &IpAddr) -> (u64, u8) {
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
