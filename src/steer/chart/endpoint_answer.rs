//! An endpoint's answer: its rdata, ready to be copied into a reply.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::{
    dns::Name,
    steer::model::{DatacenterId, EndpointId},
};

/// One endpoint's part of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointAnswer {
    /// Counted as answered; of an endpoint that names a region, the first datacenter of those that
    /// are most in service.
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
    /// One SRV record.
    Srv(SrvRdata),
}

impl Rdata {
    /// Whether there is no record: the endpoint has no address of the family, and is in the answer
    /// to keep a CNAME company.
    pub(in crate::steer) fn is_empty(&self) -> bool {
        match self {
            Self::A(addresses) => addresses.is_empty(),
            Self::Aaaa(addresses) => addresses.is_empty(),
            Self::Cname(_) | Self::Srv(_) => false,
        }
    }

    /// As texts, in the order of the answer.
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
    /// Lower is tried first.
    pub priority: u16,
    /// Among those of one priority.
    pub weight: u16,
    /// Where the service is at the target.
    pub port: u16,
    /// In lower-cased uncompressed wire form.
    pub target: Box<[u8]>,
}
