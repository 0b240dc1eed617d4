//! Good configurations and what becomes of them.

use super::*;

fn load(texts: &[(&str, &str)]) -> Config {
    let sources = Sources::from_texts(&Locations::default(), texts.iter().copied());
    match Config::load(&sources) {
        Ok((config, _)) => config,
        Err(errors) => panic!("{}", errors.render(Colours::Plain)),
    }
}

const SAMPLES: [(&str, &str); 2] = [
    ("zones/datacenters.toml", include_str!("../../zones/datacenters.toml")),
    ("zones/gslb.example.com.toml", include_str!("../../zones/gslb.example.com.toml")),
];

#[test]
fn the_samples_serve_two_services_from_three_datacenters() {
    let config = load(&SAMPLES);
    assert_eq!(
        Summary::new(&config).to_string(),
        "zone gslb.example.com: 3 records, 2 services\n  \
         api.gslb.example.com nearest ttl 20: 192.0.2.21, 198.51.100.21, 203.0.113.21 (3 endpoints)\n  \
         www.gslb.example.com pool web nearest ttl 30: web-fra, web-iad, web-sin (4 endpoints)\n\
         datacenter fra in eu: active, 2 services depend on it\n\
         datacenter iad in us: active, 2 services depend on it\n\
         datacenter sin in ap: active, 2 services depend on it\n\
         0 monitors, 0 targets\n"
    );
}

#[test]
fn the_samples_have_nothing_to_warn_of() {
    let sources = Sources::from_texts(&Locations::default(), SAMPLES);
    let (_, warnings) = Config::load(&sources).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
}
