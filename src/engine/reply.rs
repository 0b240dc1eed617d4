//! A written reply: its length, and the labels of the counters that it moves.

use crate::{
    dns::{Rcode, Rtype},
    steer::{DatacenterId, ServiceId},
};

/// A reply that was written.
#[derive(Debug, Clone, Copy)]
pub struct WrittenReply {
    /// The length of the message, in octets from the start of the output buffer.
    pub length: usize,
    /// The labels that the reply is counted by.
    pub labels: ReplyLabels,
}

/// The labels that a reply is counted by.
#[derive(Debug, Clone, Copy)]
pub struct ReplyLabels {
    /// The type asked for; 0 if the question could not be read.
    pub rtype: Rtype,
    /// The response code, including the extended bits in OPT.
    pub rcode: Rcode,
    /// The first service on the chain of aliases; `None` without one.
    pub service: Option<ServiceId>,
    /// The datacenter of the first endpoint answered.
    pub datacenter: Option<DatacenterId>,
    /// TC is set: the sections are empty, and the client is to ask again over a stream.
    pub truncated: bool,
}
