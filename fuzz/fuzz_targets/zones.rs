//! Any text as a whole zones directory: the result is errors that can be rendered, or a snapshot
//! whose every reply decodes.
//!
//! Lines of `---` separate the files: two of tables, two zones, and one that they may include.

#![no_main]

use hickory_proto::op::Message;
use libfuzzer_sys::fuzz_target;
use portolan::{
    config::{Colours, Config, SourceOptions, Sources},
    control::LoadedConfig,
    dns::{Name, Rtype},
    engine::{Query, Transport, answer},
    snapshot::Snapshot,
    steer::DrawState,
};

const FILES: [&str; 5] = [
    "zones/a.toml",
    "zones/b.toml",
    "zones/x.test.zone",
    "zones/sub/y.x.test.zone",
    "zones/sub/part.inc",
];

fuzz_target!(|text: &str| {
    let files = FILES.into_iter().zip(text.split("\n---\n"));
    let sources = Sources::from_texts(&SourceOptions::default(), files);
    let (config, warnings) = match Config::load(&sources) {
        Ok(loaded) => loaded,
        Err(errors) => {
            let shown = errors.render(Colours::Plain) + &errors.to_string();
            assert!(!shown.contains(|c: char| c.is_control() && c != '\n' && c != '\t'));
            return;
        }
    };
    // Mistakes that show only now, such as a zone without SOA, are errors as well.
    let Ok(mut world) = LoadedConfig::from_config(sources, config, &warnings) else { return };
    let names: Vec<Name> =
        world.topology.services.iter().map(|service| service.name.clone()).take(5).collect();
    let (snapshot, _) = world.first_snapshot();
    let apexes: Vec<Name> =
        snapshot.zones.list().iter().map(|zone| zone.apex.clone()).take(5).collect();
    for name in names.iter().chain(&apexes) {
        for name in [Some(name.clone()), name.child(b"absent").ok(), name.child(b"www").ok()]
            .into_iter()
            .flatten()
        {
            for rtype in [Rtype::A, Rtype::AAAA, Rtype::ANY, Rtype::NS, Rtype::SOA, Rtype::DS] {
                ask(&snapshot, &name, rtype);
            }
        }
    }
});

fn ask(snapshot: &Snapshot, name: &Name, rtype: Rtype) {
    let message = [
        &[0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..],
        name.as_wire(),
        &rtype.0.to_be_bytes(),
        &[0, 1],
    ]
    .concat();
    let query = Query {
        message: &message,
        source: [192, 0, 2, 99].into(),
        transport: Transport::Tcp,
        now_secs: 0,
    };
    let mut out = vec![0; 65_535];
    let reply =
        answer(snapshot, &query, &mut DrawState::new(1), &mut out).expect("a well-formed query");
    Message::from_vec(&out[..reply.length]).expect("a reply that decodes");
}
