//! What is known of a written reply: its length, and the labels that it is counted by.

use crate::{
    dns::{Rcode, Rtype},
    steer::{DatacenterId, ServiceId},
};

/// A reply that was written.
#[derive(Debug, Clone, Copy)]
pub struct WrittenReply {
    /// How many octets of `out` it fills.
    pub length: usize,
    /// What to count it as.
    pub labels: ReplyLabels,
}

/// What a reply counts as.
#[derive(Debug, Clone, Copy)]
pub struct ReplyLabels {
    /// The type asked for; 0 where the question could not be read.
    pub rtype: Rtype,
    /// The reply's code, the extended bits included.
    pub rcode: Rcode,
    /// The service that chose, if one did.
    pub service: Option<ServiceId>,
    /// The datacenter of the first endpoint answered.
    pub datacenter: Option<DatacenterId>,
    /// TC is set.
    pub truncated: bool,
}
