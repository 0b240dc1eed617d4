//! The fields of a record before its rdata: owner, TTL, class and type.

use super::{
    field_reader::{FieldReader, MAX_TTL_SECS, period_secs},
    help,
    problem::Problem,
};
use crate::dns::{Name, Rtype};

pub(super) fn read_owner(fields: &mut FieldReader<'_, '_>) -> Result<Name, Problem> {
    let mut wire = Vec::with_capacity(64);
    fields.name("owner", &mut wire)?;
    Name::from_wire(&wire)
        .map_err(|error| fields.problem(format!("the owner is not a domain name: {error}")))
}

/// Reads the TTL and the class, both optional and in either order, and the type.
pub(super) fn read_ttl_and_type(
    fields: &mut FieldReader<'_, '_>,
) -> Result<(Option<u32>, Rtype), Problem> {
    let mut ttl_secs = None;
    let mut class_is_known = false;
    loop {
        let mut ahead = *fields;
        let word = ahead.word("type")?;
        if ttl_secs.is_none()
            && word.starts_with(|first: char| first.is_ascii_digit())
            && period_secs(word.as_bytes()).is_some()
        {
            ttl_secs = Some(fields.period("TTL", MAX_TTL_SECS)?);
            continue;
        }
        *fields = ahead;
        if !class_is_known && is_class(word, fields)? {
            class_is_known = true;
            continue;
        }
        let rtype: Rtype = word.parse().map_err(|error| {
            let problem = fields.problem(format!("{word:?} is {error}"));
            if word.parse::<std::net::IpAddr>().is_ok() {
                return problem.with_help(
                    "the type of the record is missing: write A or AAAA before the address",
                );
            }
            match help::nearest_type(word) {
                Some(near) => problem.with_help(format!("did you mean {near}?")),
                None => problem,
            }
        })?;
        // Type 0, OPT and the meta-types and QTYPEs from 128 to 255 are not zone data (RFC 6895
        // section 3.1).
        return match rtype.0 {
            0 | 41 | 128..=255 => Err(fields.problem(format!("type {rtype} cannot be in a zone"))),
            _ => Ok((ttl_secs, rtype)),
        };
    }
}

/// Whether the word is class IN; an error if it is another class.
fn is_class(word: &str, fields: &FieldReader<'_, '_>) -> Result<bool, Problem> {
    let is = |class: &&str| word.eq_ignore_ascii_case(class);
    if ["IN", "CLASS1"].iter().any(is) {
        return Ok(true);
    }
    let is_numbered = word.get(..5).is_some_and(|head| head.eq_ignore_ascii_case("CLASS"))
        && word.get(5..).is_some_and(|number| number.parse::<u16>().is_ok());
    if is_numbered || ["CH", "HS", "CS", "NONE"].iter().any(is) {
        return Err(fields
            .problem(format!("class {word} is not served here"))
            .with_help("the class of every record is IN"));
    }
    Ok(false)
}
