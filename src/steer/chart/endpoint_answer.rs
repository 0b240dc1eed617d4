//! An endpoint's answer: its rdata, ready to be copied into a reply.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::{
    dns::Name,
    steer::model::{DatacenterId, EndpointId},
};

/// The records of one endpoint in an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointAnswer {
    /// The datacenter that counters attribute the answer to. For an endpoint that names a region:
    /// the first datacenter among those with the least strict state.
    pub datacenter: Option<DatacenterId>,
    /// The endpoint, for reports: no query reads it.
    pub endpoint: EndpointId,
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
    /// The rdata of one SRV record.
    Srv(SrvRdata),
}

impl Rdata {
    /// Whether there is no record: the endpoint has no address of the family, and is a choice only
    /// because another member of its pool answers a CNAME for every type.
    pub(in crate::steer) fn is_empty(&self) -> bool {
        match self {
            Self::A(addresses) => addresses.is_empty(),
            Self::Aaaa(addresses) => addresses.is_empty(),
            Self::Cname(_) | Self::Srv(_) => false,
        }
    }

    /// The rdata as text, one item for each record, in the order of the answer.
    pub fn texts(&self) -> Vec<String> {
        match self {
            Self::A(addresses) => {
                addresses.iter().map(|a| Ipv4Addr::from(*a).to_string()).collect()
            }
            Self::Aaaa(addresses) => {
                addresses.iter().map(|a| Ipv6Addr::from(*a).to_string()).collect()
            }
            Self::Cname(wire) => {
                Name::from_wire(wire).map(|name| vec![name.to_string()]).unwrap_or_default()
            }
            Self::Srv(srv) => {
                let host = |name: Name| vec![format!("{name}:{}", srv.port)];
                Name::from_wire(&srv.target).map(host).unwrap_or_default()
            }
        }
    }
}

/// The rdata of an SRV record (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrvRdata {
    /// The SRV priority: clients try the lowest first.
    pub priority: u16,
    /// The SRV weight, among records of one priority.
    pub weight: u16,
    /// The port of the service on the target host.
    pub port: u16,
    /// The target host in lower-cased uncompressed wire form.
    pub target: Box<[u8]>,
}
