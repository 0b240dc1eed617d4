//! A zone as domain values, and where its serial comes from.

use std::{fmt, time::SystemTime};

use super::{content_hash::ContentHash, definition_origin::DefinitionOrigin, soa_serial};
use crate::{
    dns::Name,
    zone::{Record, RecordError, Zone, ZoneBuilder, ZoneError},
};

/// A zone with its static records.
#[derive(Debug, Clone)]
pub struct ZoneConfig {
    /// The apex.
    pub apex: Name,
    /// Whether EDNS Client Subnet is used in it.
    pub client_subnet: bool,
    /// The name whose TXT record tells clients how they are seen.
    pub whoami: Option<Name>,
    /// Where the SOA's serial comes from.
    pub serial: SerialSource,
    /// Where it is defined.
    pub origin: DefinitionOrigin,
    /// All static records but an SOA that is made here.
    pub(super) builder: ZoneBuilder,
    pub(super) record_count: usize,
    /// Why records of tables cannot be in it.
    pub(super) record_errors: Vec<RecordError>,
    /// The SOA where it is made here, with serial 0.
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

/// Where a zone's serial comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SerialSource {
    /// The master file's own SOA.
    OwnSoa(u32),
    /// Of the content: a serial belongs to a hash, and another hash needs a greater serial.
    FromContent {
        /// Of the static records and of the services in the zone; the same on every machine.
        hash: u64,
        /// When a file that defines the zone was last changed; a good serial where none was given
        /// before.
        last_modified: Option<SystemTime>,
    },
}

impl SerialSource {
    /// Adds a part of the content to the hash.
    pub(super) fn add(&mut self, part: ContentHash) {
        if let Self::FromContent { hash, .. } = self {
            *hash = hash.wrapping_add(part.0);
        }
    }

    /// Removes a part from the hash that was added to it.
    pub(super) fn subtract(&mut self, part: ContentHash) {
        self.add(ContentHash(part.0.wrapping_neg()));
    }

    /// Sets when a file of the zone was last changed.
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

    /// At how many names other servers answer: those below the apex that have NS records.
    pub fn delegation_count(&self) -> usize {
        self.builder.delegation_count()
    }

    /// How many static records there are, the SOA among them.
    pub fn record_count(&self) -> usize {
        self.record_count
    }
}
