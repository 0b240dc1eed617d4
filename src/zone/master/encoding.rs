//! Hexadecimal and base64 fields.

use data_encoding::{DecodeError, DecodePartial, Encoding};

use super::{field_reader::FieldReader, problem::Problem};

/// Decodes the remaining fields, joined without blanks, and appends their octets to `out`.
pub(super) fn decode_remaining(
    encoding: &Encoding,
    encoding_name: &str,
    what: &str,
    fields: &mut FieldReader<'_, '_>,
    out: &mut Vec<u8>,
) -> Result<(), Problem> {
    let digits = fields.remaining_joined(what)?;
    append_decoded(encoding, &digits, out)
        .map_err(|error| fields.problem(format!("the {what} is not {encoding_name}: {error}")))
}

/// Decodes `digits` and appends the octets to `out`.
pub(super) fn append_decoded(
    encoding: &Encoding,
    digits: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let start = out.len();
    out.resize(start + encoding.decode_len(digits.len())?, 0);
    match encoding.decode_mut(digits, &mut out[start..]) {
        Ok(length) => {
            out.truncate(start + length);
            Ok(())
        }
        Err(DecodePartial { error, .. }) => Err(error),
    }
}
