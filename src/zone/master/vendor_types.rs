//! Record types of other servers that no RFC defines, and the help that says what replaces each
//! here.
//!
//! PowerDNS and many providers have ALIAS and ANAME, PowerDNS has LUA, gdnsd has DYNA and DYNC.

use super::{
    field_reader::{FieldReader, append_name},
    problem::Problem,
};
use crate::dns::Name;

/// Adds the help for a type of another server to a problem. `fields` starts at the TTL, the class
/// or the type.
pub(super) fn help_for_type(
    problem: Problem,
    owner: &Name,
    mut fields: FieldReader<'_, '_>,
) -> Problem {
    let is = |text: &[u8], words: &[&str]| {
        words.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()))
    };
    while let Some(token) = fields.peek() {
        if fields.token("type").is_err() {
            return problem;
        }
        if is(token.text, &["ALIAS", "ANAME"]) {
            let target = fields.peek().and_then(|token| target_of(token.text, fields.origin()));
            let target =
                target.map_or_else(|| "cdn.example.net".to_owned(), |name| name.to_string());
            return problem.with_help(format!(
                "remove the record, and serve the name from a *.toml file: [service.\"{owner}\"] with members = [{{ alias = \"{target}\" }}]"
            ));
        }
        if is(token.text, &["DYNA", "DYNC", "LUA"]) {
            return problem.with_help(format!(
                "remove the record, and serve the name from a *.toml file, where pools, policies and monitors choose the answer: [service.\"{owner}\"] with members = [{{ addresses = [\"192.0.2.1\"] }}]"
            ));
        }
    }
    problem
}

/// The target of an alias record. A target with dots inside was most probably meant as absolute.
fn target_of(text: &[u8], origin: &[u8]) -> Option<Name> {
    let origin = if text.contains(&b'.') { &[0][..] } else { origin };
    let mut wire = Vec::new();
    append_name(text, origin, &mut wire).ok()?;
    Name::from_wire(&wire).ok()
}
