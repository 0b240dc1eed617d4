//! A zone as domain values, and where its serial comes from.

use std::{fmt, time::SystemTime};

use super::{content_hash::ContentHash, definition_origin::DefinitionOrigin, soa_serial};
use crate::{
    dns::Name,
    zone::{Record, RecordError, Zone, ZoneBuilder, ZoneError},
};

/// A zone with its settings and static records.
#[derive(Debug, Clone)]
pub struct ZoneConfig {
    /// The name of the zone.
    pub apex: Name,
    /// Whether answers in the zone may depend on EDNS Client Subnet.
    pub client_subnet: bool,
    /// The absolute name whose TXT record shows clients the address and location that the server
    /// sees.
    pub whoami: Option<Name>,
    /// The source of the SOA's serial.
    pub serial: SerialSource,
    /// The place of the zone's table, or its master file.
    pub origin: DefinitionOrigin,
    /// All static records, except for an SOA that is made from a table.
    pub(super) builder: ZoneBuilder,
    pub(super) record_count: usize,
    /// Records of tables that cannot be in the zone.
    pub(super) record_errors: Vec<RecordError>,
    /// The SOA that is made from a table, with serial 0; `None` where the master file has one.
    pub(super) soa: Option<Record>,
}

/// Why a zone cannot be built from its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZoneBuildError {
    /// A record cannot be in the zone.
    Record(RecordError),
    /// The zone lacks a record that every zone has.
    Zone(ZoneError),
}

impl fmt::Display for ZoneBuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(error) => error.fmt(f),
            Self::Zone(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ZoneBuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(match self {
            Self::Record(error) => error,
            Self::Zone(error) => error,
        })
    }
}

/// The source of a zone's serial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SerialSource {
    /// The serial in the SOA of the master file.
    OwnSoa(u32),
    /// A serial that follows the content: it belongs to a hash, and another hash needs a greater
    /// serial.
    FromContent {
        /// A hash of the static records and of the services in the zone; the same on every machine.
        hash: u64,
        /// The time at which a file that defines the zone was last changed: the first serial is
        /// made of it.
        last_modified: Option<SystemTime>,
    },
}

impl SerialSource {
    /// Adds the hash of a record or service.
    pub(super) fn add(&mut self, content: ContentHash) {
        if let Self::FromContent { hash, .. } = self {
            *hash = hash.wrapping_add(content.0);
        }
    }

    /// Removes the hash of a record or service that was added before.
    pub(super) fn subtract(&mut self, content: ContentHash) {
        self.add(ContentHash(content.0.wrapping_neg()));
    }

    /// Sets the time at which a file of the zone was last changed.
    pub(super) fn set_last_modified(&mut self, when: Option<SystemTime>) {
        if let Self::FromContent { last_modified, .. } = self {
            *last_modified = when;
        }
    }
}

impl ZoneConfig {
    pub(super) fn add(&mut self, record: Record) {
        self.record_count += 1;
        self.record_errors.extend(self.builder.add(record).err());
    }

    /// Builds the zone. `serial` is written into the SOA unless the master file has its own SOA.
    /// The records are moved into the zone, so that a second call fails.
    ///
    /// # Errors
    /// Every record that cannot be in a zone, and what the zone lacks.
    pub fn take_zone(&mut self, serial: u32) -> Result<Zone, Vec<ZoneBuildError>> {
        let mut builder = std::mem::replace(&mut self.builder, ZoneBuilder::new(self.apex.clone()));
        builder.client_subnet(self.client_subnet);
        self.whoami.iter().for_each(|name| builder.whoami(name));
        let soa = self.soa.take().map(|soa| soa_serial::with_serial(&soa, serial));
        self.record_errors.extend(soa.and_then(|soa| builder.add(soa).err()));
        if !self.record_errors.is_empty() {
            return Err(self.record_errors.iter().cloned().map(ZoneBuildError::Record).collect());
        }
        builder.finish().map_err(|errors| errors.into_iter().map(ZoneBuildError::Zone).collect())
    }

    /// The number of delegations: names below the apex that have NS records.
    pub fn delegation_count(&self) -> usize {
        self.builder.delegation_count()
    }

    /// The number of static records, including the SOA.
    pub fn record_count(&self) -> usize {
        self.record_count
    }
}
