//! Observed demand as a document: for the state directory, and for `plan`.

use serde::{Deserialize, Serialize};

use super::network_group::NetworkGroup;

/// The demand that a server has observed, by network group. Older samples count for less.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ObservedDemand {
    /// The time of the first sample, in seconds since 1970.
    pub since: i64,
    /// The time up to which samples have lost weight by their age, in seconds since 1970.
    pub faded_at: i64,
    /// The demand of IPv4 clients.
    pub ipv4: FamilyDemand,
    /// The demand of IPv6 clients.
    pub ipv6: FamilyDemand,
}

/// The observed demand of the clients of one family.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FamilyDemand {
    /// Groups with their number of samples, the largest first. A wide group has the samples of
    /// those of its narrow groups that are not listed.
    pub networks: Vec<(NetworkGroup, f64)>,
    /// The number of samples of networks that are not listed.
    pub other: f64,
}

impl ObservedDemand {
    /// The number of samples of both families.
    pub fn samples(&self) -> f64 {
        self.ipv4.samples() + self.ipv6.samples()
    }
}

impl FamilyDemand {
    /// The number of samples, those of networks that are not listed included.
    pub fn samples(&self) -> f64 {
        self.networks.iter().map(|(_, samples)| samples).sum::<f64>() + self.other
    }
}
