//! `check`: which directory it reads, what it prints, and its exit code.

use std::fs;

use super::harness::ServerDirectory;

const ZONE: &str = r#"[zone."x.example"]
nameservers = ["ns1.example.com"]
hostmaster = "hostmaster@example.com"
"#;

#[test]
fn check_accepts_a_configuration_directory_or_a_zones_directory() {
    let site = ServerDirectory::new(&[("zones/x.toml", ZONE), ("other/zones/y.zone", "")]);
    site.write("other/zones/z.toml", &ZONE.replace("x.example", "z.example"));
    fs::remove_file(site.path("other/zones/y.zone")).unwrap();
    let shown = |arguments: &[&str]| {
        let (code, out, err) = site.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        out.lines().take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    let expected =
        ["checked 1 file in zones, and portolan.toml", "zone x.example: 2 records, 0 services"];
    assert_eq!(shown(&["check"]), expected);
    assert_eq!(shown(&["check", "."])[1], expected[1], "the directory of portolan.toml");
    let other = "zone z.example: 2 records, 0 services";
    let without = "checked 1 file in other/zones; there is no portolan.toml, so the defaults apply";
    assert_eq!(shown(&["check", "other"]), [without, other], "a directory that holds zones");
    let beside = "checked 1 file in other/zones, and portolan.toml";
    assert_eq!(
        shown(&["check", "other/zones"]),
        [beside, other],
        "a zones directory, beside our portolan.toml"
    );
    for arguments in [["check", "nowhere"], ["check", "zones/x.toml"]] {
        let (code, out, err) = site.run(&arguments);
        assert!(code == 1 && err.contains(arguments[1]), "{arguments:?}: {code} {out}{err}");
    }
}

#[test]
fn a_warning_fails_only_a_strict_check() {
    let site = ServerDirectory::new(&[("zones/x.toml", &ZONE.replace("ns1.example.com", "ns1"))]);
    let (code, out, err) = site.run(&["check"]);
    assert!(code == 0 && err.contains("single label"), "{code} {out}{err}");
    let (code, out, err) = site.run(&["check", "--strict"]);
    assert!(code == 1 && err.contains("1 warning, and --strict allows none"), "{code} {out}{err}");
    let (code, out, err) = site.run(&["check", "--strict", "--json"]);
    let document: serde_json::Value =
        serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    assert_eq!((code, &document["valid"]), (1, &false.into()));
    assert_eq!(document["diagnostics"][0]["severity"], "warning");
    assert_eq!(document["checked"]["files"], 1);
}

#[test]
fn a_database_that_cannot_be_used_is_an_error_on_the_line_that_names_it() {
    let site = ServerDirectory::new(&[("zones/x.toml", ZONE), ("geoip/bad.mmdb", "no database")]);
    site.write(
        "portolan.toml",
        r#"[geoip]
databases = [
  "geoip/world.mmdb",
  "geoip/bad.mmdb",
]
"#,
    );
    let (code, out, err) = site.run(&["check"]);
    assert!(
        code == 1 && err.contains("the database geoip/bad.mmdb cannot be used"),
        "{code} {out}{err}"
    );
    assert!(err.contains("portolan.toml:4:3") && err.contains("help: "), "{err}");
    assert_eq!(err.matches("error: ").count(), 1, "{err}");
}
