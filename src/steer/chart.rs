//! The chart: a service compiled for the query path. Client area to wheel, wheel to slot, slot to ready answer.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{draws::Draws, topology::DatacenterId};

/// An address family, which is also what a query of type A or AAAA asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// A records.
    V4,
    /// AAAA records.
    V6,
}

/// A service compiled for the query path.
#[derive(Debug, Default)]
pub struct Chart {}

/// One endpoint's part of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Counted as answered; the first one of an endpoint that names a region.
    pub datacenter: Option<DatacenterId>,
    /// The records' rdata, all of one type.
    pub rdata: Rdata,
}

/// The rdata of one endpoint's records.
#[derive(Debug, Clone, PartialEq)]
pub enum Rdata {
    /// A records, in the order written.
    A(Box<[[u8; 4]]>),
    /// AAAA records, in the order written.
    Aaaa(Box<[[u8; 16]]>),
    /// One CNAME record: the target in lower-cased uncompressed wire form.
    Cname(Box<[u8]>),
}

/// What a chart has for one client: a wheel to draw from and how far the answer may travel.
#[derive(Debug)]
pub struct Course<'a> {
    /// The TTL of every record drawn from here, in seconds.
    pub ttl_secs: u32,
    /// ECS SCOPE PREFIX-LENGTH (RFC 7871 section 7.2.1), in the family of the subnet asked with; 0 where no subnet decided.
    pub scope: u8,
    chart: &'a Chart,
}

impl Chart {
    /// The course for a client: by `subnet` (what ECS says, host bits zero, prefix not 0), else by the `resolver`'s address.
    pub fn course(&self, _family: Family, _subnet: Option<IpNet>, _resolver: IpAddr) -> Course<'_> {
        Course { ttl_secs: 0, scope: 0, chart: self }
    }

    /// Whether a client may be answered a CNAME, for whatever type it asks.
    pub fn may_answer_cname(&self) -> bool {
        false
    }
}

impl<'a> Course<'a> {
    /// Draws the endpoints of one answer and hands each to `each`, in the order of the answer; none at all means NODATA.
    /// A CNAME comes alone.
    pub fn draw(&self, _draws: &mut Draws, _each: &mut dyn FnMut(&'a Answer)) {
        let _ = self.chart;
    }
}
