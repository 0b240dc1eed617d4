//! The names that a file defines, read without any other check: after a load has failed, they show
//! which file no longer defines a name.

use std::collections::BTreeSet;

use toml::de::{DeTable, DeValue};

use super::{
    definition::Definition,
    limits::MAX_PARSE_OCTETS,
    sources::{FileRole, SourceFile},
    table_slices,
};

/// The kinds of tables that define a name.
const KINDS: [&str; 7] = ["datacenter", "delegate", "load", "monitor", "pool", "service", "zone"];

/// Every name that a file defines, as far as the file can be read.
pub fn definitions(file: &SourceFile) -> BTreeSet<Definition> {
    match file.role {
        FileRole::Tables => {
            std::str::from_utf8(file.octets()).map(table_definitions).unwrap_or_default()
        }
        FileRole::Master => zone_of_file(file).into_iter().collect(),
        FileRole::Settings | FileRole::Directory | FileRole::Absent => BTreeSet::new(),
    }
}

/// The place of the table that defines a name, as `file:line:column`. `None` if the file does not
/// define it in a table of its own.
pub fn definition_place(file: &SourceFile, wanted: &Definition) -> Option<String> {
    let text = std::str::from_utf8(file.octets()).ok()?;
    if file.role != FileRole::Tables {
        return None;
    }
    let is_wanted = |written: &str| Definition::new(wanted.kind, written) == *wanted;
    let offset = if text.len() <= MAX_PARSE_OCTETS {
        let (root, _errors) = DeTable::parse_recoverable(text);
        let tables = root.get_ref().get(wanted.kind)?;
        let DeValue::Table(tables) = tables.get_ref() else { return None };
        tables.keys().find(|name| is_wanted(name.get_ref()))?.span().start
    } else {
        let slices = table_slices::split_tables(text)?;
        let is_defined = |slice: &table_slices::TableSlice<'_>| {
            slice.kind == wanted.kind && is_wanted(slice.name)
        };
        slices.into_iter().find(is_defined)?.range.start
    };
    let (line, start) = file.line_at(offset);
    let column = text[start..offset].chars().count() + 1;
    Some(format!("{}:{line}:{column}", file.shown))
}

fn table_definitions(text: &str) -> BTreeSet<Definition> {
    let mut found = BTreeSet::new();
    if text.len() <= MAX_PARSE_OCTETS {
        add_tree_definitions(text, &mut found);
        return found;
    }
    // A large file is read table by table, or not at all.
    for slice in
        table_slices::split_tables(text).and_then(table_slices::sort_unique).unwrap_or_default()
    {
        if let Some(kind) = KINDS.into_iter().find(|kind| *kind == slice.kind) {
            found.insert(Definition::new(kind, slice.name));
            if kind == "datacenter" && slice.range.len() <= MAX_PARSE_OCTETS {
                add_tree_definitions(&text[slice.range], &mut found);
            }
        }
    }
    found
}

fn add_tree_definitions(text: &str, found: &mut BTreeSet<Definition>) {
    let (root, _errors) = DeTable::parse_recoverable(text);
    for kind in KINDS {
        let Some(DeValue::Table(tables)) = root.get_ref().get(kind).map(toml::Spanned::get_ref)
        else {
            continue;
        };
        for (name, table) in tables {
            found.insert(Definition::new(kind, name.get_ref()));
            if let DeValue::Table(keys) = table.get_ref()
                && kind == "datacenter"
                && let Some(DeValue::String(region)) =
                    keys.get("region").map(toml::Spanned::get_ref)
            {
                found.insert(Definition::new(kind, region));
            }
        }
    }
}

/// A file `NAME.zone` is the zone NAME, and `root.zone` is the root zone.
fn zone_of_file(file: &SourceFile) -> Option<Definition> {
    let is_zone =
        file.path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zone"));
    let stem = file.path.file_stem().and_then(|stem| stem.to_str()).filter(|_| is_zone)?;
    Some(Definition::new("zone", if stem == "root" { "." } else { stem }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_file_defines_its_tables_its_regions_and_its_zone() {
        let text =
            b"[pool.web]\nmembers = []\n[datacenter.fra]\nregion = \"eu\"\n[zone.\"Example.ORG.\"]\n[pool.broken";
        let file = |path: &str, role, text: &[u8]| {
            definitions(&SourceFile::with_content(Path::new(path), role, None, text.to_vec()))
        };
        let tables = file("zones/a.toml", FileRole::Tables, text);
        for (kind, name) in
            [("pool", "web"), ("datacenter", "fra"), ("datacenter", "eu"), ("zone", "example.org")]
        {
            assert!(tables.contains(&Definition::new(kind, name)), "{kind} {name}: {tables:?}");
        }
        let zone = file("zones/example.net.zone", FileRole::Master, b"");
        assert_eq!(zone, BTreeSet::from([Definition::new("zone", "example.net.")]));
        assert_eq!(file("zones/records", FileRole::Master, b""), BTreeSet::new());
        let international = file("zones/b\u{fc}cher.test.zone", FileRole::Master, b"");
        assert_eq!(international, BTreeSet::from([Definition::new("zone", "xn--bcher-kva.test")]));
    }

    #[test]
    fn a_large_file_defines_the_same_names() {
        let text = "[zone.\"Example.ORG.\"]\n[datacenter.fra]\nregion = \"eu\"\n[pool.web]\nmembers = []\n";
        let large = format!("{text}# {}\n", "x".repeat(MAX_PARSE_OCTETS));
        let defined = |text: &str| {
            definitions(&SourceFile::with_content(
                Path::new("a.toml"),
                FileRole::Tables,
                None,
                text.into(),
            ))
        };
        assert_eq!(defined(&large), defined(text));
        assert_eq!(defined(text).len(), 4);
    }

    #[test]
    fn a_zone_provides_every_name_in_it() {
        let zone = Definition::new("zone", "example.org");
        assert!(zone.provides(&Definition::new("zone", "www.example.org")));
        assert!(!zone.provides(&Definition::new("zone", "www.example.net")));
        assert!(!zone.provides(&Definition::new("zone", "www.other-example.org")));
        assert!(Definition::new("zone", ".").provides(&zone));
        assert!(!zone.provides(&Definition::new("pool", "www.example.org")));
    }

    #[test]
    fn the_place_of_a_definition_is_that_of_its_name_however_it_is_written_and_in_large_files() {
        let text = "[pool.web]\nmembers = []\n\n[service.\"WWW.example.org.\"]\npool = \"web\"\n";
        let large = format!("{text}{}", "# a remark that goes on and on\n".repeat(1 << 18));
        assert!(large.len() > MAX_PARSE_OCTETS);
        let place = |text: &str, kind, name: &str| {
            let octets = text.as_bytes().to_vec();
            let path = Path::new("zones/a.toml");
            let file = SourceFile::with_content(path, FileRole::Tables, None, octets);
            definition_place(&file, &Definition::new(kind, name))
        };
        let found = |text: &str| Some(text.to_owned());
        assert_eq!(place(text, "pool", "web"), found("zones/a.toml:1:7"));
        assert_eq!(place(text, "service", "www.example.org"), found("zones/a.toml:4:10"));
        assert_eq!(place(text, "pool", "api"), None);
        assert_eq!(place(&large, "service", "www.example.org"), found("zones/a.toml:4:1"));
    }
}
