//! Compiles zones: those of tables, with or without a master file, and master files that are zones
//! by themselves.

mod authority;
mod compiled_zones;
mod delegate;
mod finding;
mod integrity;
mod locate;
mod lookup;
mod master;
mod messages;
mod partial_zone;
mod redirects;
mod service_names;
mod unread_zones;
mod whoami;
mod zone_reader;

pub(super) use compiled_zones::CompiledZones;
pub(super) use locate::TableRecords;
pub(super) use partial_zone::StaticRrset;
pub(super) use service_names::ServiceNames;
pub(super) use whoami::check as check_whoami;
pub(super) use zone_reader::compile;
