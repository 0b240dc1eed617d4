//! Any text as a file of zones/, as portolan.toml and as a master file: the result is a
//! configuration or errors that can be rendered.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portolan::config::{Colours, Config, SourceOptions, Sources, Summary};

fuzz_target!(|text: &str| {
    let files = [("zones/x.toml", text), ("portolan.toml", text), ("zones/x.example.zone", text)];
    let sources = Sources::from_texts(&SourceOptions::default(), files);
    let diagnostics = match Config::load(&sources) {
        Ok((mut config, warnings)) => {
            let _ = Summary::new(&config, 0).to_string();
            for zone in &mut config.zones {
                let _ = zone.take_zone(1);
            }
            warnings
        }
        Err(errors) => errors,
    };
    let shown = diagnostics.render(Colours::Plain) + &diagnostics.to_string();
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n' && c != '\t'));
});
