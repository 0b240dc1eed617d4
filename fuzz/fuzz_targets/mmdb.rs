//! Any octets as a GeoIP database: it is refused, or read, surveyed and folded. Nothing panics and
//! everything ends quickly.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use portolan::geo::{Atlas, Database, Databases};

fuzz_target!(|bytes: &[u8]| {
    let Ok(database) = Database::open("fuzzed", bytes.to_vec()) else { return };
    let databases = Databases::new(vec![Arc::new(database)]);
    let (atlas, areas) = Atlas::survey(&databases, &[], |location, _| location.clone());
    for run in atlas.runs() {
        let place = atlas.locate(&run.first);
        assert_eq!(place.area, run.area);
        let said = &databases.lookup(run.first).location;
        assert_eq!(&areas[place.area.0 as usize], said);
    }
});
