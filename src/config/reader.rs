//! Reads TOML tables key by key, so that one run finds every mistake: each key is requested with
//! the type that it must have, and every key that was not requested is unknown. (Deserializers stop
//! at the first mistake.)

use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{
    place::{FileOffset, Placed, SourcePlace},
    problems::Problems,
    quoted::Quoted,
};

/// The object that a table describes, as messages call it: `pool "web"`.
#[derive(Debug, Clone, Copy)]
pub(super) struct TableSubject<'t> {
    pub(super) kind: &'static str,
    pub(super) name: &'t str,
}

impl fmt::Display for TableSubject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        if !self.name.is_empty() {
            write!(f, " {}", Quoted(self.name))?;
        }
        Ok(())
    }
}

/// A table that is being read.
pub(super) struct TableReader<'t> {
    table: &'t DeTable<'t>,
    offset: FileOffset,
    pub(super) subject: TableSubject<'t>,
    pub(super) place: SourcePlace,
    /// The keys that were requested, which are all known keys.
    asked_keys: Vec<&'static str>,
    /// The number of requested keys that the table has.
    found_count: usize,
}

/// A key that tables of its kind do not have.
#[derive(Debug, Clone, Copy)]
pub(super) struct UnknownKey<'t> {
    /// The known key that was most probably meant.
    pub(super) suggestion: Option<&'static str>,
    place: SourcePlace,
    value: &'t DeValue<'t>,
}

impl<'t> UnknownKey<'t> {
    /// The keys of its value, if that is a table.
    pub(super) fn keys(self) -> impl Iterator<Item = &'t str> {
        let table = if let DeValue::Table(table) = self.value { Some(table) } else { None };
        table.into_iter().flat_map(|table| table.iter().map(|(key, _)| &**key.get_ref()))
    }

    /// The place of the unknown key, if the known key `key` can have been meant.
    pub(super) fn place_if_meant(self, key: &str) -> Option<SourcePlace> {
        self.suggestion.is_none_or(|suggestion| suggestion == key).then_some(self.place)
    }
}

/// The value of one key, or one element of a list.
#[derive(Clone, Copy)]
pub(super) struct ValueReader<'t> {
    pub(super) key: &'static str,
    pub(super) subject: TableSubject<'t>,
    pub(super) place: SourcePlace,
    offset: FileOffset,
    value: &'t DeValue<'t>,
}

impl<'t> TableReader<'t> {
    fn new(
        table: &'t DeTable<'t>,
        subject: TableSubject<'t>,
        place: SourcePlace,
        offset: FileOffset,
    ) -> Self {
        Self { table, offset, subject, place, asked_keys: Vec::with_capacity(16), found_count: 0 }
    }

    /// The value of a key, if the table has it.
    pub(super) fn value(&mut self, key: &'static str) -> Option<ValueReader<'t>> {
        let is_new = !self.asked_keys.contains(&key);
        if is_new {
            self.asked_keys.push(key);
        }
        let spanned = self.table.get(key)?;
        self.found_count += usize::from(is_new);
        let (offset, place) = (self.offset, self.offset.place(spanned.span()));
        Some(ValueReader { key, subject: self.subject, place, offset, value: spanned.get_ref() })
    }

    /// Whether the table has a key. This does not count as requesting it.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The value of a required key. `help` says what to write if the key is missing.
    pub(super) fn required(
        &mut self,
        key: &'static str,
        help: &str,
        problems: &mut Problems,
    ) -> Option<ValueReader<'t>> {
        let item = self.value(key);
        if item.is_none() {
            problems.error(self.place, format!("{} has no `{key}`", self.subject)).help(help);
        }
        item
    }

    /// The value of a key, as `read` converts it, if the table has the key.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
        read: impl FnOnce(ValueReader<'t>, &mut Problems) -> Option<T>,
    ) -> Option<T> {
        self.value(key).and_then(|item| read(item, problems))
    }

    /// Every entry, with the place of its key: for tables whose keys are names.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Placed<&'t str>, ValueReader<'t>)> {
        let (offset, subject) = (self.offset, self.subject);
        self.table.iter().map(move |(key, value)| {
            let name = Placed::new(&**key.get_ref(), offset.place(key.span()));
            (
                name,
                ValueReader {
                    key: "",
                    subject,
                    place: offset.place(value.span()),
                    offset,
                    value: value.get_ref(),
                },
            )
        })
    }

    /// Reports every key that was not requested. A missing key is reported at the table's place;
    /// that error is removed if the unknown key can have been meant. Returns the unknown keys, each
    /// with the known key that is near.
    pub(super) fn finish(self, problems: &mut Problems) -> Vec<UnknownKey<'t>> {
        let mut unknown_keys = Vec::new();
        if self.found_count == self.table.len() {
            return unknown_keys;
        }
        for (key, value) in
            self.table.iter().filter(|(key, _)| !self.asked_keys.contains(&&**key.get_ref()))
        {
            let place = self.offset.place(key.span());
            let message = format!("{} has no key {}", self.subject, Quoted(key.get_ref()));
            let suggestion = problems.suggest(key.get_ref(), self.asked_keys.iter().copied());
            unknown_keys.push(UnknownKey { suggestion, place, value: value.get_ref() });
            let help = match suggestion {
                Some(suggestion) => {
                    if !self.has(suggestion) {
                        problems.retract(self.place);
                    }
                    format!("did you mean {}?", Quoted(suggestion))
                }
                None => problems.retract(self.place).unwrap_or_else(|| self.known_keys_text()),
            };
            problems.error(place, message).help(help);
        }
        unknown_keys
    }

    fn known_keys_text(&self) -> String {
        match &self.asked_keys[..] {
            [] => "this table takes no keys: remove everything between { and }".to_owned(),
            keys => format!("the keys are {}", keys.join(", ")),
        }
    }
}

/// The root table of a file, or of a text that was cut out of it.
pub(super) fn root_table<'t>(
    table: &'t Spanned<DeTable<'t>>,
    offset: FileOffset,
    kind: &'static str,
) -> TableReader<'t> {
    TableReader::new(table.get_ref(), TableSubject { kind, name: "" }, offset.place(0..0), offset)
}

impl<'t> ValueReader<'t> {
    /// The key and its table as messages call them: `` `weight` of pool "web" ``.
    pub(super) fn description(&self) -> String {
        format!("`{}` of {}", self.key, self.subject)
    }

    /// Reports a value of another type than `wanted`. `help` says what to write if the value itself
    /// does not show what was meant.
    fn mismatch<T>(&self, wanted: &str, help: &str, problems: &mut Problems) -> Option<T> {
        let found = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let help = self.corrected_form(wanted).unwrap_or_else(|| help.to_owned());
        problems
            .error(self.place, format!("{} must be {wanted}, not {found}", self.description()))
            .help(help);
        None
    }

    /// The same value in the form of the wanted type, as a help; `None` where the value does not
    /// show it.
    fn corrected_form(&self, wanted: &str) -> Option<String> {
        let without_quotes =
            |value: &dyn fmt::Display| Some(format!("write it without quotes: {value}"));
        match (self.value, wanted) {
            (DeValue::String(text), "a whole number") => {
                let number = text.trim().trim_end_matches('%').trim_end().parse::<i64>().ok()?;
                let percent = if text.contains('%') { " and without \"%\"" } else { "" };
                Some(format!("write it without quotes{percent}: {number}"))
            }
            (DeValue::String(text), "a number") => without_quotes(&text.trim().parse::<f64>().ok()?),
            (DeValue::String(text), "true or false") => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => without_quotes(&true),
                "false" | "no" | "off" | "0" => without_quotes(&false),
                _ => None,
            },
            (DeValue::Integer(number), "true or false") => match number.as_str() {
                "1" => Some("write true".into()),
                "0" => Some("write false".into()),
                _ => None,
            },
            (DeValue::Integer(number), "a string") => Some(format!("write it in quotes: \"{}\"", number.as_str())),
            (DeValue::Float(number), "a string") => Some(format!("write it in quotes: \"{}\"", number.as_str())),
            (DeValue::Integer(number), "a list of numbers") => {
                Some(format!("write it in square brackets: [{}]", number.as_str()))
            }
            (DeValue::String(text), wanted) if wanted.starts_with("a list") => {
                let quote = if wanted == "a list of numbers" { "" } else { "\"" };
                let parts = text.split([',', ' ']).filter(|part| !part.is_empty());
                let list: Vec<String> = parts.map(|part| format!("{quote}{part}{quote}")).collect();
                Some(format!("write it in square brackets: [{}]", list.join(", ")))
            }
            (DeValue::Table(_), wanted) if wanted.starts_with("a list") => {
                Some("write it in square brackets, [{ ... }], or its header in two pairs of them, [[ ... ]]".into())
            }
            _ => None,
        }
    }

    pub(super) fn text(self, problems: &mut Problems) -> Option<Placed<&'t str>> {
        match self.value {
            DeValue::String(text) => Some(Placed::new(&**text, self.place)),
            _ => self.mismatch("a string", "write text in quotes", problems),
        }
    }

    pub(super) fn boolean(self, problems: &mut Problems) -> Option<bool> {
        match self.value {
            DeValue::Boolean(value) => Some(*value),
            _ => self.mismatch("true or false", "write true or false, without quotes", problems),
        }
    }

    /// Reads a whole number from `min` to `max`. `help` says what it counts, or what to do
    /// instead.
    pub(super) fn integer(
        self,
        min: i64,
        max: i64,
        help: &str,
        problems: &mut Problems,
    ) -> Option<Placed<i64>> {
        let DeValue::Integer(integer) = self.value else {
            return self.mismatch("a whole number", help, problems);
        };
        let value = i64::from_str_radix(integer.as_str(), integer.radix());
        match value {
            Ok(value) if (min..=max).contains(&value) => Some(Placed::new(value, self.place)),
            value => {
                let limit = match value {
                    Ok(value) if value < min => format!("the minimum is {min}"),
                    _ if integer.as_str().starts_with('-') => format!("the minimum is {min}"),
                    _ => format!("the maximum is {max}"),
                };
                let message =
                    format!("{} has {} {}; {limit}", self.subject, self.key, integer.as_str());
                problems.error(self.place, message).help(help);
                None
            }
        }
    }

    /// Reads a number with or without a fraction.
    pub(super) fn number(self, problems: &mut Problems) -> Option<f64> {
        match self.value {
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .ok()
                .map(|value| value as f64),
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => self.mismatch("a number", "write a number without quotes", problems),
        }
    }

    /// Reads a list, and returns its elements.
    pub(super) fn list(
        self,
        wanted: &str,
        problems: &mut Problems,
    ) -> Option<Vec<ValueReader<'t>>> {
        match self.value {
            DeValue::Array(array) => {
                let element = |value: &'t Spanned<DeValue<'t>>| ValueReader {
                    place: self.offset.place(value.span()),
                    value: value.get_ref(),
                    ..self
                };
                Some(array.iter().map(element).collect())
            }
            _ => self.mismatch(
                &format!("a list of {wanted}"),
                "write a list in square brackets: [ ... ]",
                problems,
            ),
        }
    }

    /// Reads a list of strings. Elements of other types are reported and left out.
    pub(super) fn texts(
        self,
        wanted: &str,
        problems: &mut Problems,
    ) -> Option<Vec<Placed<&'t str>>> {
        let items = self.list(wanted, problems)?;
        Some(items.into_iter().filter_map(|item| item.text(problems)).collect())
    }

    /// Reads a table that describes `subject`.
    pub(super) fn table(
        self,
        subject: TableSubject<'t>,
        problems: &mut Problems,
    ) -> Option<TableReader<'t>> {
        match self.value {
            DeValue::Table(table) => {
                Some(TableReader::new(table, subject, self.place, self.offset))
            }
            _ => self.mismatch("a table", "write it as { key = value, ... }", problems),
        }
    }

    /// Reads one of a few words.
    pub(super) fn keyword<T: Copy>(
        self,
        words: &[(&'static str, T)],
        problems: &mut Problems,
    ) -> Option<T> {
        if !self.is_text() {
            let list =
                words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
            problems
                .error(self.place, format!("{} must be a word in quotes", self.description()))
                .help(match words {
                    [_] => format!("the only word here is {list}"),
                    _ => format!("it is one of {list}"),
                });
            return None;
        }
        let text = self.text(problems)?;
        let found = words.iter().find(|(word, _)| *word == text.value).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let list = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
            let help = match words {
                [(word, _)] => format!("the only word here is \"{word}\""),
                _ => format!("it is one of {list}"),
            };
            let message = format!("{} has {} {}", self.subject, self.key, Quoted(text.value));
            let names = words.iter().map(|(word, _)| *word);
            problems.unknown_name(self.place, message, text.value, names, &help);
        }
        found
    }

    /// The same value, which messages call a value of `subject`.
    pub(super) fn with_subject(self, subject: TableSubject<'t>) -> Self {
        Self { subject, ..self }
    }

    /// The same value, which messages call the value of `key`: for tables whose keys are names.
    pub(super) fn with_key(self, key: &'static str) -> Self {
        Self { key, ..self }
    }

    /// The value as a string, for keys whose strings have several forms.
    pub(super) fn as_text(&self) -> Option<&'t str> {
        match self.value {
            DeValue::String(text) => Some(&**text),
            _ => None,
        }
    }

    /// Whether the value is a string, for keys that also take other types.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.value, DeValue::String(_))
    }

    pub(super) fn is_boolean(&self) -> bool {
        matches!(self.value, DeValue::Boolean(_))
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    /// The value as a number, for keys that take a number and its unit as a string.
    pub(super) fn as_number(&self) -> Option<f64> {
        match self.value {
            DeValue::Integer(integer) => {
                i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|n| n as f64)
            }
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => None,
        }
    }

    /// The numbers of a list, or of a string with commas between them.
    pub(super) fn numbers(&self) -> Vec<f64> {
        match self.value {
            DeValue::Array(array) => {
                let number = |value: &'t Spanned<DeValue<'t>>| {
                    ValueReader { value: value.get_ref(), ..*self }.as_number()
                };
                array.iter().filter_map(number).collect()
            }
            DeValue::String(text) => {
                text.split(',').filter_map(|part| part.trim().parse().ok()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Reads a point in time, as the text of a TOML offset date-time.
    pub(super) fn timestamp(self, problems: &mut Problems) -> Option<String> {
        match self.value {
            DeValue::Datetime(time) if time.date.is_some() && time.offset.is_some() => {
                Some(time.to_string())
            }
            DeValue::Datetime(time) => {
                let message = format!("{} must name day, time and offset", self.description());
                let written = corrected_timestamp(&time.to_string());
                problems.error(self.place, message).help(format!("write it as {written}"));
                None
            }
            DeValue::String(text) => {
                let message =
                    format!("{} must be a date and time, not a string", self.description());
                problems
                    .error(self.place, message)
                    .help(format!("write it without quotes: {}", corrected_timestamp(text.trim())));
                None
            }
            _ => {
                let help = format!("write it without quotes: {SAMPLE_TIMESTAMP}");
                self.mismatch("a date and time", &help, problems)
            }
        }
    }
}

/// A point in time as TOML writes it.
pub(super) const SAMPLE_TIMESTAMP: &str = "2030-01-31T06:00:00Z";

/// The point in time that a text denotes, as TOML writes it; without an offset it is in UTC. If the
/// text denotes none, the sample timestamp.
fn corrected_timestamp(text: &str) -> String {
    let with_offset = || text.parse::<jiff::Timestamp>().ok();
    let without = || {
        text.parse::<jiff::civil::DateTime>()
            .ok()
            .and_then(|civil| jiff::tz::Offset::UTC.to_timestamp(civil).ok())
    };
    with_offset()
        .or_else(without)
        .map_or_else(|| SAMPLE_TIMESTAMP.to_owned(), |time| time.to_string())
}
