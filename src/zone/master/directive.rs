//! Reads the directives of a master file: $ORIGIN and $INCLUDE (RFC 1035), $TTL (RFC 2308),
//! $GENERATE (BIND).

use super::{
    field_reader::{FieldReader, MAX_TTL_SECS, append_name},
    lexer::{FieldToken, MAX_LINE_OCTETS, TokenKind},
    problem::Problem,
    span::TextSpan,
};

/// The maximum number of records of one `$GENERATE`.
pub(super) const MAX_GENERATED_PER_DIRECTIVE: u64 = 65_536;

/// A directive of a master file.
pub(super) enum Directive {
    /// `$ORIGIN`: the name that completes relative names, in wire form and in the case written.
    Origin(Vec<u8>),
    /// `$TTL`: the TTL of records without one, in seconds.
    Ttl(u32),
    /// `$INCLUDE`: a file to be read in this place, and the origin for it if one is given.
    Include { path: String, origin: Option<Vec<u8>>, span: TextSpan },
    /// `$GENERATE`: a record for each number of a range.
    Generate(GeneratedRecords),
}

/// The records of one `$GENERATE`: a range of numbers, and the template into which each number is
/// inserted.
pub(super) struct GeneratedRecords {
    start: u64,
    stop: u64,
    step: u64,
    template: Vec<TemplatePart>,
    pub(super) span: TextSpan,
}

/// A piece of a template.
enum TemplatePart {
    Text(Vec<u8>),
    Number { offset: i64, width: usize, base: u8 },
}

/// Reads the directive in `fields`, whose first field is the `$` word.
pub(super) fn read_directive(
    fields: &mut FieldReader<'_, '_>,
    origin: &[u8],
) -> Result<Directive, Problem> {
    let word = fields.word("directive")?;
    let span = fields.last_span();
    let directive = match word.to_ascii_uppercase().as_str() {
        "$ORIGIN" => Directive::Origin(name("origin", fields)?),
        "$TTL" => Directive::Ttl(fields.period("TTL", MAX_TTL_SECS)?),
        "$INCLUDE" => include(fields, origin)?,
        "$GENERATE" => return generate(fields, span).map(Directive::Generate),
        _ => {
            return Err(fields.problem(format!("{word:?} is not a directive")).with_help(
                "the directives are $ORIGIN, $TTL, $INCLUDE and $GENERATE; write a name that starts with \"$\" with \\$",
            ));
        }
    };
    fields.finish("the directive")?;
    Ok(directive)
}

fn name(what: &str, fields: &mut FieldReader<'_, '_>) -> Result<Vec<u8>, Problem> {
    let mut wire = Vec::new();
    fields.name(what, &mut wire)?;
    Ok(wire)
}

fn include(fields: &mut FieldReader<'_, '_>, outer: &[u8]) -> Result<Directive, Problem> {
    let path = fields.octets("path")?;
    let path = String::from_utf8(path.into_owned())
        .map_err(|_| fields.problem("the path is not UTF-8"))?;
    let span = fields.last_span();
    if path.is_empty() {
        return Err(fields.problem("the path is empty"));
    }
    let origin = match fields.peek() {
        Some(token) => {
            let mut wire = Vec::new();
            fields.token("origin")?;
            append_name(token.text, outer, &mut wire).map_err(|error| {
                fields.problem(format!("the origin is not a domain name: {error}"))
            })?;
            Some(wire)
        }
        None => None,
    };
    Ok(Directive::Include { path, origin, span })
}

/// Reads `start-stop[/step]` and the record that follows it as a template.
fn generate(fields: &mut FieldReader<'_, '_>, span: TextSpan) -> Result<GeneratedRecords, Problem> {
    let range = fields.word("range")?;
    let (start, stop, step) = read_range(range).ok_or_else(|| {
        fields
            .problem(format!("{range:?} is not a range"))
            .with_help("write start-stop or start-stop/step: 1-254 or 0-30/2")
    })?;
    if (stop - start) / step >= MAX_GENERATED_PER_DIRECTIVE {
        return Err(fields
            .problem(format!(
                "the range {range} makes more than {MAX_GENERATED_PER_DIRECTIVE} records"
            ))
            .with_help("split it into several $GENERATE lines"));
    }
    let mut template = Vec::new();
    fields.peek().map_or_else(|| fields.token("owner").map(|_| ()), |_| Ok(()))?;
    while let Some(token) = fields.peek() {
        fields.token("record")?;
        append_template(token, &mut template).ok_or_else(|| {
            fields.problem("a \"${\" is not followed by offset, width and base").with_help(
                "write ${offset,width,base}, as in ${0,3,d}; bases are d, o, x, X, n and N",
            )
        })?;
        template.push(TemplatePart::Text(b" ".to_vec()));
    }
    Ok(GeneratedRecords { start, stop, step, template, span })
}

fn read_range(text: &str) -> Option<(u64, u64, u64)> {
    let number =
        |text: &str| text.parse::<u64>().ok().filter(|&number| number <= u64::from(u32::MAX >> 1));
    let (range, step) = text.split_once('/').unwrap_or((text, "1"));
    let (start, stop) = range.split_once('-')?;
    let (start, stop, step) = (number(start)?, number(stop)?, number(step)?);
    (start <= stop && step > 0).then_some((start, stop, step))
}

/// Splits a field at its dollar signs and appends the pieces to `template`; `$$` and `\$` are a
/// literal dollar sign. `None` where a `${` is malformed.
fn append_template(token: FieldToken<'_>, template: &mut Vec<TemplatePart>) -> Option<()> {
    let quote: &[u8] = if token.kind == TokenKind::Quoted { b"\"" } else { b"" };
    let mut text = quote.to_vec();
    let mut rest = token.text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail.first()) {
            (b'\\', Some(&next)) => {
                text.extend([byte, next]);
                rest = &tail[1..];
            }
            (b'$', Some(b'$')) => {
                text.extend(b"\\$");
                rest = &tail[1..];
            }
            (b'$', next) => {
                let number = match next {
                    Some(b'{') => {
                        let end = tail.iter().position(|&byte| byte == b'}')?;
                        rest = &tail[end + 1..];
                        read_modifiers(std::str::from_utf8(&tail[1..end]).ok()?)?
                    }
                    _ => TemplatePart::Number { offset: 0, width: 0, base: b'd' },
                };
                template.push(TemplatePart::Text(std::mem::take(&mut text)));
                template.push(number);
            }
            _ => text.push(byte),
        }
    }
    text.extend_from_slice(quote);
    template.push(TemplatePart::Text(text));
    Some(())
}

/// Reads the modifiers of a $GENERATE template: `offset[,width[,base]]`.
fn read_modifiers(text: &str) -> Option<TemplatePart> {
    let mut parts = text.split(',');
    let offset = parts.next()?.parse::<i32>().ok()?;
    let width = parts
        .next()
        .map_or(Some(0), |width| width.parse().ok().filter(|&width: &usize| width <= 255))?;
    let base = match parts.next().unwrap_or("d").as_bytes() {
        [base @ (b'd' | b'o' | b'x' | b'X' | b'n' | b'N')] => *base,
        _ => return None,
    };
    parts.next().is_none().then_some(TemplatePart::Number {
        offset: i64::from(offset),
        width,
        base,
    })
}

impl GeneratedRecords {
    /// The number of records.
    pub(super) fn length(&self) -> u64 {
        (self.stop - self.start) / self.step + 1
    }

    /// The text of each record in turn. A text above [`MAX_LINE_OCTETS`] is cut, but stays above
    /// the limit, so that the lexer refuses it.
    pub(super) fn texts(&self) -> impl Iterator<Item = Vec<u8>> {
        (0..self.length()).map(|index| {
            let number = (self.start + index * self.step) as i64;
            let mut text = Vec::new();
            for part in &self.template {
                if text.len() > MAX_LINE_OCTETS {
                    break;
                }
                match part {
                    TemplatePart::Text(piece) => text.extend_from_slice(piece),
                    TemplatePart::Number { offset, width, base } => {
                        append_number(number + offset, *width, *base, &mut text)
                    }
                }
            }
            text
        })
    }
}

/// Appends a number in the given base. Only decimal numbers have a sign: the other bases show the
/// low 32 bits, as in BIND.
fn append_number(number: i64, width: usize, base: u8, text: &mut Vec<u8>) {
    let bits = number as u32;
    let written = match base {
        b'o' => format!("{bits:0width$o}"),
        b'x' => format!("{bits:0width$x}"),
        b'X' => format!("{bits:0width$X}"),
        b'n' => nibbles(bits, width),
        b'N' => nibbles(bits, width).to_ascii_uppercase(),
        _ => format!("{number:0width$}"),
    };
    text.extend_from_slice(written.as_bytes());
}

/// The hexadecimal digits from the last to the first, separated by dots (ip6.arpa). The width
/// counts the dots: if an even width is one character longer than the digits with their dots, the
/// text ends in a dot, and further labels follow directly.
fn nibbles(bits: u32, width: usize) -> String {
    let digits = format!("{bits:0width$x}", width = width.div_ceil(2).max(1));
    let mut dotted = String::new();
    for digit in digits.chars().rev() {
        if !dotted.is_empty() {
            dotted.push('.');
        }
        dotted.push(digit);
    }
    if dotted.len() < width {
        dotted.push('.');
    }
    dotted
}

/// Whether an entry that starts with this field is a directive.
pub(super) fn is_directive(token: &FieldToken<'_>) -> bool {
    token.kind == TokenKind::Word && token.text.first() == Some(&b'$')
}
