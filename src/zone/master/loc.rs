//! LOC rdata: `52 22 23.000 N 4 53 32.000 E -2.00m 1m 10000m 10m` (RFC 1876 section 3).

use super::{field_reader::FieldReader, problem::Problem};

/// The wire value of the equator and of the prime meridian, in thousandths of an arc second.
const ANGLE_ZERO: i64 = 1 << 31;
/// The wire value of altitude 0, in centimetres: wire values count from 100 km below the WGS 84
/// spheroid.
const ALTITUDE_ZERO_CM: i64 = 100_000 * 100;
/// The maximum altitude, in centimetres above the spheroid.
const MAX_ALTITUDE_CM: i64 = u32::MAX as i64 - ALTITUDE_ZERO_CM;

/// Reads a location; size and precisions default to 1 m, 10,000 m and 10 m.
pub(super) fn read_loc(fields: &mut FieldReader<'_, '_>, out: &mut Vec<u8>) -> Result<(), Problem> {
    let latitude = angle("latitude", 90, ["N", "S"], fields)?;
    let longitude = angle("longitude", 180, ["E", "W"], fields)?;
    let altitude =
        centimetres("altitude", -ALTITUDE_ZERO_CM, MAX_ALTITUDE_CM, fields)? + ALTITUDE_ZERO_CM;
    out.push(0);
    for (what, default) in
        [("size", 100), ("horizontal precision", 1_000_000), ("vertical precision", 1_000)]
    {
        let length = match fields.peek() {
            Some(_) => centimetres(what, 0, 9_000_000_000, fields)?,
            None => default,
        };
        out.push(mantissa_and_exponent(length));
    }
    out.extend((latitude as u32).to_be_bytes());
    out.extend((longitude as u32).to_be_bytes());
    out.extend((altitude as u32).to_be_bytes());
    Ok(())
}

/// Reads degrees, minutes and seconds, the latter two optional, and one of the two `hemispheres`,
/// of which the second is the negative one. Returns the wire value.
fn angle(
    what: &str,
    max: u32,
    hemispheres: [&str; 2],
    fields: &mut FieldReader<'_, '_>,
) -> Result<i64, Problem> {
    let mut total = 0;
    for (index, unit_milliseconds) in [3_600_000, 60_000, 1_000].into_iter().enumerate() {
        let word = fields.word(what)?;
        if index > 0 && hemispheres.iter().any(|letter| letter.eq_ignore_ascii_case(word)) {
            return signed(what, total, max, word, hemispheres, fields);
        }
        let fraction_digits = if index == 2 { 3 } else { 0 };
        let limit = if index == 0 { i64::from(max) } else { 59 };
        let scale = 10_i64.pow(fraction_digits);
        total += decimal(word, fraction_digits)
            .filter(|&number| number >= 0 && number / scale <= limit)
            .map(|number| number * unit_milliseconds / scale)
            .ok_or_else(|| {
                fields
                    .problem(format!("{word:?} does not fit into the {what}"))
                    .with_help("write degrees, minutes, seconds and the hemisphere: 52 22 23.000 N")
            })?;
    }
    let word = fields.word(&format!("hemisphere of the {what}"))?;
    signed(what, total, max, word, hemispheres, fields)
}

fn signed(
    what: &str,
    milliseconds: i64,
    max: u32,
    word: &str,
    [positive, negative]: [&str; 2],
    fields: &FieldReader<'_, '_>,
) -> Result<i64, Problem> {
    if milliseconds > i64::from(max) * 3_600_000 {
        return Err(fields.problem(format!("the {what} is beyond {max} degrees")));
    }
    if word.eq_ignore_ascii_case(positive) {
        return Ok(ANGLE_ZERO + milliseconds);
    }
    if word.eq_ignore_ascii_case(negative) {
        return Ok(ANGLE_ZERO - milliseconds);
    }
    Err(fields
        .problem(format!("the hemisphere of the {what} is {positive} or {negative}, not {word:?}")))
}

/// Reads metres with up to two decimals and an optional `m`, and returns centimetres.
fn centimetres(
    what: &str,
    min: i64,
    max: i64,
    fields: &mut FieldReader<'_, '_>,
) -> Result<i64, Problem> {
    let word = fields.word(what)?;
    decimal(word.strip_suffix(['m', 'M']).unwrap_or(word), 2)
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| {
            fields
                .problem(format!(
                    "the {what} {word:?} is not a length from {} to {} m",
                    min / 100,
                    max / 100
                ))
                .with_help("write metres with at most two decimals: 10.50m")
        })
}

/// Reads a decimal number with at most `digits` digits after the point, and multiplies it by
/// 10^`digits`.
fn decimal(word: &str, digits: u32) -> Option<i64> {
    let (sign, number) = word.strip_prefix('-').map_or((1, word), |number| (-1, number));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let fraction_length = u32::try_from(fraction.len()).ok().filter(|&length| length <= digits)?;
    if whole.is_empty() || whole.len() > 12 || !plain(whole) || !plain(fraction) {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let decimals: i64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    Some(sign * (whole * 10_i64.pow(digits) + decimals * 10_i64.pow(digits - fraction_length)))
}

/// A length in centimetres as one digit and a power of ten (RFC 1876 section 2), rounded down.
fn mantissa_and_exponent(mut centimetres: i64) -> u8 {
    let mut exponent = 0;
    while centimetres > 9 {
        centimetres /= 10;
        exponent += 1;
    }
    (centimetres as u8) << 4 | exponent
}
