//! Special-purpose addresses, which do not show where on the Internet a client is (RFC 6890 and the
//! IANA registries that it set up, as of 2025). The atlas marks those that no rule names and no
//! database has a location for. If a client subnet is one of them, the address of the resolver
//! decides instead (RFC 7871 section 11.3). Such an answer is valid only for clients of this
//! resolver in the special block, so its scope is never wider than the block.

use std::net::IpAddr;

use ipnet::IpNet;

/// The blocks, written as in the registries. They are disjoint or nested; their order has no
/// meaning.
const SPECIAL_PURPOSE_BLOCKS: &[&str] = &[
    "0.0.0.0/8",       // this network, RFC 791
    "10.0.0.0/8",      // private, RFC 1918
    "100.64.0.0/10",   // shared (carrier-grade NAT), RFC 6598
    "127.0.0.0/8",     // loopback, RFC 1122
    "169.254.0.0/16",  // link-local, RFC 3927
    "172.16.0.0/12",   // private, RFC 1918
    "192.0.0.0/24",    // IETF protocol assignments, RFC 6890
    "192.0.2.0/24",    // documentation, RFC 5737
    "192.168.0.0/16",  // private, RFC 1918
    "198.18.0.0/15",   // benchmarking, RFC 2544
    "198.51.100.0/24", // documentation, RFC 5737
    "203.0.113.0/24",  // documentation, RFC 5737
    "224.0.0.0/4",     // multicast, RFC 5771
    "240.0.0.0/4",     // reserved and limited broadcast, RFC 1112, RFC 919
    "::/96",           // unspecified, loopback, IPv4-compatible (deprecated), RFC 4291
    "64:ff9b:1::/48",  // local translation, RFC 8215
    "100::/64",        // discard, RFC 6666
    "100:0:0:1::/64",  // dummy, RFC 9780
    "2001:2::/48",     // benchmarking, RFC 5180
    "2001:10::/28",    // ORCHID (deprecated), RFC 4843
    "2001:db8::/32",   // documentation, RFC 3849
    "3fff::/20",       // documentation, RFC 9637
    "5f00::/16",       // segment routing, RFC 9602
    "fc00::/7",        // unique local, RFC 4193
    "fe80::/10",       // link-local, RFC 4291
    "fec0::/10",       // site-local (deprecated), RFC 3879
    "ff00::/8",        // multicast, RFC 4291
];

/// All special-purpose blocks of both families.
pub(super) fn blocks() -> impl Iterator<Item = IpNet> {
    SPECIAL_PURPOSE_BLOCKS.iter().filter_map(|text| text.parse().ok())
}

/// Whether an address is special-purpose. Allocates nothing, but parses the whole list, so it is
/// for rare callers.
pub fn is_special_purpose(ip: IpAddr) -> bool {
    blocks().any(|block| block.contains(&ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_a_prefix_without_host_bits() {
        let parsed: Vec<_> = blocks().collect();
        assert_eq!(parsed.len(), SPECIAL_PURPOSE_BLOCKS.len());
        for block in parsed {
            assert_eq!(block, block.trunc());
        }
    }
}
