//! Master files: the text of a zone, read into records (RFC 1035 section 5, RFC 2308 section 4, RFC
//! 3597).
//!
//! `lexer` cuts the text into entries, `directive` reads those with a `$`, and what is left are
//! records, whose rdata `layout` reads field by field. Files are never opened here: the caller
//! hands over the text and a function that yields what `$INCLUDE` names, and so decides which files
//! a zone may reach. Whether the records make a zone is for the zone builder to say; here an owner
//! may lie anywhere.
//!
//! One run reports every error, each with its file, line and column. The work is bounded whatever
//! the text says: eight files deep, 1,000 files, 100 errors, and what `budget` says of text,
//! generated records and memory. The first of the bounds of `budget` that is met ends the reading.

use std::{ops::Range, sync::Arc};

use crate::dns::{Name, Rtype};

use super::Record;

mod budget;
mod directive;
mod fields;
mod foreign;
mod layout;
mod lexer;
mod location;
mod problem;
mod remedy;
mod special;
mod svcb;

pub use budget::Budget;
use budget::{Budgets, Resource};
use directive::{Directive, Series};
use fields::{Fields, MAX_TTL_SECS, period_secs};
use foreign::help_for_type;
use lexer::{Lexer, Start, Token};
use problem::{Problem, Spot};

/// The TTL of records in a file that names none, in seconds (as NSD and Knot have it).
const LAST_RESORT_TTL_SECS: u32 = 3600;
/// How many files may include each other in a row.
const MAX_DEPTH: usize = 8;
/// How many $INCLUDE one zone may have.
const MAX_INCLUDED: usize = 1000;
/// How many errors are told.
const MAX_ERRORS: usize = 100;
/// How many octets of a message or a help are kept: they may quote a field of 1 MiB.
const MAX_MESSAGE: usize = 1000;

/// What to do about a file that cannot be included.
const INCLUDE_HELP: &str = "put the file below the zones directory, readable for the server's user, and name it by its path from \
                            this file or from the zones directory, without `..`";

/// What a zone's master file, and the files it includes, say.
#[derive(Debug, Default)]
pub struct MasterFile {
    /// The records, in the order they were written in.
    pub entries: Vec<Entry>,
    /// The files that were included, in the order they were reached; [`Position::file`] counts them
    /// from 1.
    pub included: Vec<IncludedFile>,
    /// What is wrong, in the order it was found; if anything is, the records are not the zone that
    /// was meant.
    pub errors: Vec<MasterError>,
    /// The first `$ORIGIN` that repeats the origin in force because its name lacks the final dot:
    /// where the name is, and the octets of that file.
    pub doubled_origin: Option<(Position, Range<usize>)>,
    /// Whether the reading ended early, at a bound. Where that was met by an earlier zone, there is
    /// no error here.
    pub is_cut: bool,
}

/// A record, and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The record.
    pub record: Record,
    /// Where its first field stands.
    pub position: Position,
}

/// A place in a master file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// 0: the file itself; n: the n-th of [`MasterFile::included`].
    pub file: u32,
    /// Counted from 1.
    pub line: u32,
    /// In characters, counted from 1.
    pub column: u32,
}

/// A file that was included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncludedFile {
    /// Its path, as messages show it; two of one path are one file.
    pub path: String,
    /// Its text, shared: one file may be included a thousand times.
    pub bytes: Arc<Vec<u8>>,
}

/// One thing that is wrong in a master file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterError {
    /// Where.
    pub position: Position,
    /// The octets of that file that are wrong.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
    /// The other file that it is about: its path.
    pub about: Option<String>,
    /// Whether all zones of the load together pass a bound. Other files may be the cause then.
    pub is_of_load: bool,
}

/// Yields the file that an $INCLUDE names, or says why it is not to be had. It gets the path as it
/// is written.
pub type Include<'i> = dyn FnMut(&str) -> Result<IncludedFile, String> + 'i;

/// Reads a master file. Relative names are completed with `origin` until the file says $ORIGIN. A
/// record without a TTL has that of $TTL, else `default_ttl_secs`, else that of the record before,
/// else 3,600 seconds.
///
/// A million short records take less than a second.
pub fn parse(
    text: &[u8],
    origin: &Name,
    default_ttl_secs: Option<u32>,
    include: &mut Include<'_>,
) -> MasterFile {
    let mut entries = Vec::new();
    let mut budget = Budget::of_load();
    let file = parse_each(text, origin, default_ttl_secs, include, &mut budget, &mut |entry| {
        entries.push(entry)
    });
    MasterFile { entries, ..file }
}

/// As [`parse`], handing each record over as it is read: the list in
/// what is returned is empty. What is read is taken from `budget`, too.
pub fn parse_each(
    text: &[u8],
    origin: &Name,
    default_ttl_secs: Option<u32>,
    include: &mut Include<'_>,
    budget: &mut Budget,
    take: &mut dyn FnMut(Entry),
) -> MasterFile {
    if budget.is_passed() {
        return MasterFile { is_cut: true, ..MasterFile::default() };
    }
    let budgets = Budgets { zone: Budget::of_zone(), load: budget };
    let mut reader =
        Reader { include, take, result: MasterFile::default(), path: Vec::new(), budgets };
    let state = State {
        origin: origin.as_wire().to_vec(),
        owner: Owner::Missing,
        default_ttl_secs,
        last_ttl_secs: None,
    };
    reader.first_file(text, state);
    let is_cut = reader.budgets.are_passed();
    MasterFile { is_cut, ..reader.result }
}

/// What a record takes from those before it. A file that is included starts with a copy, and what
/// it changes ends with it.
#[derive(Clone)]
struct State {
    /// In wire form, as written.
    origin: Vec<u8>,
    owner: Owner,
    default_ttl_secs: Option<u32>,
    last_ttl_secs: Option<u32>,
}

/// The owner of a record that starts with a blank.
#[derive(Clone)]
enum Owner {
    /// No record came before.
    Missing,
    /// The owner before could not be read, which was reported: its records are checked and left
    /// out.
    Unreadable,
    /// The owner of the record before.
    Known(Name),
}

struct Reader<'i, 'f, 'b> {
    include: &'i mut Include<'f>,
    take: &'i mut dyn FnMut(Entry),
    result: MasterFile,
    /// The included files that are being read, outermost first.
    path: Vec<String>,
    budgets: Budgets<'b>,
}

impl Reader<'_, '_, '_> {
    /// Reads the file that is the zone's own.
    fn first_file(&mut self, text: &[u8], state: State) {
        let spot = Spot { start: 0, length: 0, line: 1 };
        match self.budgets.take(Resource::Text, text.len() as u64) {
            Ok(()) => self.file(0, text, state),
            Err(excess) => self.tell(Source { file: 0, text }, Problem::of_excess(spot, excess)),
        }
    }

    /// Reads one file whole, whose length was taken from the budgets.
    fn file(&mut self, file: u32, text: &[u8], mut state: State) {
        let source = Source { file, text };
        if let Err(problem) = admit(text) {
            return self.tell(source, problem);
        }
        let mut lexer = Lexer::new(text, 1);
        let mut tokens = Vec::new();
        while self.result.errors.len() <= MAX_ERRORS && !self.budgets.are_passed() {
            let read = match lexer.entry(&mut tokens) {
                Ok(None) => break,
                // Two versions of the file: whatever else seems wrong follows from that.
                Ok(Some(_)) if remedy::is_conflict(&tokens[0]) => {
                    return self.tell(source, remedy::conflict(&tokens[0]));
                }
                Ok(Some(_)) if directive::is_directive(&tokens[0]) => {
                    self.directive(source, &tokens, &mut state)
                }
                Ok(Some(start)) => self
                    .entry(source, start, &tokens, &mut state)
                    .map_err(|problem| remedy::of_entry(problem, start, &tokens)),
                Err(problem) => Err(problem),
            };
            if let Err(problem) = read {
                self.tell(source, problem);
            }
        }
    }

    fn tell(&mut self, source: Source<'_>, problem: Problem) {
        match self.result.errors.len() {
            ..MAX_ERRORS => self.result.errors.push(source.error(problem)),
            MAX_ERRORS => self.result.errors.push(MasterError {
                message: format!("there are more than {MAX_ERRORS} errors; the rest is not read"),
                help: None,
                ..source.error(problem)
            }),
            _ => {}
        }
    }

    fn directive(
        &mut self,
        source: Source<'_>,
        tokens: &[Token<'_>],
        state: &mut State,
    ) -> Result<(), Problem> {
        match directive::read(&mut Fields::new(tokens, &state.origin), &state.origin)? {
            Directive::Origin(origin) => {
                if is_doubled(&origin, &state.origin) && self.result.doubled_origin.is_none() {
                    let spot = tokens.get(1).unwrap_or(&tokens[0]).spot;
                    let span = spot.start..spot.start + spot.length;
                    self.result.doubled_origin = Some((source.position(spot), span));
                }
                state.origin = origin;
            }
            Directive::Ttl(secs) => state.default_ttl_secs = Some(secs),
            Directive::Include { path, origin, spot } => {
                let mut inner = state.clone();
                inner.origin = origin.unwrap_or(inner.origin);
                self.include(&path, spot, inner)?;
            }
            Directive::Generate(series) => self.generate(source, &series, state)?,
        }
        Ok(())
    }

    fn include(&mut self, path: &str, spot: Spot, state: State) -> Result<(), Problem> {
        if self.path.len() >= MAX_DEPTH {
            let message = format!("the files include each other more than {MAX_DEPTH} deep");
            return Err(Problem::new(spot, message).help("include fewer files in a row"));
        }
        if self.result.included.len() >= MAX_INCLUDED {
            let message = format!("the zone includes more than {MAX_INCLUDED} files");
            return Err(
                Problem::new(spot, message).help("put the records of several files into one")
            );
        }
        let included = (self.include)(path);
        let included =
            included.map_err(|message| Problem::new(spot, message).help(INCLUDE_HELP))?;
        let IncludedFile { path, bytes } = included.clone();
        if self.path.contains(&path) {
            let message = format!("{path} includes itself: {} -> {path}", self.path.join(" -> "));
            return Err(Problem::new(spot, message).help("take one of these $INCLUDE away"));
        }
        // Before anything of it is read.
        self.budgets
            .take(Resource::Text, bytes.len() as u64)
            .map_err(|excess| Problem::of_large_file(spot, excess, &path, bytes.len() as u64))?;
        self.result.included.push(included);
        let index = self.result.included.len() as u32;
        self.path.push(path);
        self.file(index, &bytes, state);
        self.path.pop();
        Ok(())
    }

    /// Reads the records of a $GENERATE, each of which stands where the directive does.
    fn generate(
        &mut self,
        source: Source<'_>,
        series: &Series,
        state: &mut State,
    ) -> Result<(), Problem> {
        let excess = |excess| Problem::of_excess(series.spot, excess);
        self.budgets.take(Resource::Generated, series.length()).map_err(excess)?;
        for text in series.texts() {
            self.budgets.take(Resource::Text, text.len() as u64).map_err(excess)?;
            let mut tokens = Vec::new();
            let mut read = Lexer::new(&text, series.spot.line).entry(&mut tokens).map(|_| ());
            tokens.iter_mut().for_each(|token| token.spot = series.spot);
            if read.is_ok() {
                read = self.entry(source, Start::Flush, &tokens, state);
            }
            // One is enough: what is wrong with the first is mostly wrong with all.
            read.map_err(|problem| {
                let record = String::from_utf8_lossy(&text).trim_end().to_owned();
                match problem.excess {
                    Some(_) => problem,
                    None => Problem { spot: series.spot, ..problem }
                        .help(format!("this stands in the generated record: {record}")),
                }
            })?;
        }
        Ok(())
    }

    /// Reads a record.
    fn entry(
        &mut self,
        source: Source<'_>,
        start: Start,
        tokens: &[Token<'_>],
        state: &mut State,
    ) -> Result<(), Problem> {
        let Some(first) = tokens.first() else { return Ok(()) };
        let mut fields = Fields::new(tokens, &state.origin);
        if start == Start::Flush {
            state.owner = Owner::Unreadable;
            state.owner = Owner::Known(read_owner(&mut fields)?);
        }
        if let Owner::Missing = state.owner {
            state.owner = Owner::Unreadable;
            return Err(Problem::new(first.spot, "the first record has no owner").help(
                "write @ for the zone itself at the start of the line; a line that starts with a blank continues the record before it",
            ));
        }
        let unread = fields;
        let (ttl_secs, rtype) =
            read_ttl_and_type(&mut fields).map_err(|problem| match &state.owner {
                Owner::Known(owner) => help_for_type(problem, owner, unread),
                Owner::Missing | Owner::Unreadable => problem,
            })?;
        let mut rdata = Vec::new();
        layout::read_rdata(rtype, &mut fields, &mut rdata)?;
        if rdata.len() > 65535 {
            return Err(Problem::new(
                first.spot,
                format!("the rdata has {} octets; the maximum is 65535", rdata.len()),
            ));
        }
        let inherited =
            state.default_ttl_secs.or(state.last_ttl_secs).unwrap_or(LAST_RESORT_TTL_SECS);
        state.last_ttl_secs = ttl_secs.or(state.last_ttl_secs);
        if let Owner::Known(owner) = &state.owner {
            let taken = self.budgets.take_record(owner.as_wire().len(), rdata.len());
            taken.map_err(|excess| Problem::of_excess(first.spot, excess))?;
            let (owner, ttl_secs) = (owner.clone(), ttl_secs.unwrap_or(inherited));
            let record = Record { owner, rtype, ttl_secs, rdata: rdata.into_boxed_slice() };
            (self.take)(Entry { record, position: source.position(first.spot) });
        }
        Ok(())
    }
}

/// Whether a name is an origin that was completed with itself, both in wire form: `x.test.x.test`
/// under `x.test`.
fn is_doubled(name: &[u8], origin: &[u8]) -> bool {
    let labels = &origin[..origin.len() - 1];
    let is_twice = |front: &[u8]| front.eq_ignore_ascii_case(labels);
    !labels.is_empty()
        && name.len() == labels.len() + origin.len()
        && is_twice(&name[..labels.len()])
}

fn read_owner(fields: &mut Fields<'_, '_>) -> Result<Name, Problem> {
    let mut wire = Vec::with_capacity(64);
    fields.name("owner", &mut wire)?;
    Name::from_wire(&wire)
        .map_err(|error| fields.wrong(format!("the owner is not a domain name: {error}")))
}

/// Reads the TTL and the class, in either order and each of them or not, and the type.
fn read_ttl_and_type(fields: &mut Fields<'_, '_>) -> Result<(Option<u32>, Rtype), Problem> {
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
            let problem = fields.wrong(format!("{word:?} is {error}"));
            if word.parse::<std::net::IpAddr>().is_ok() {
                return problem
                    .help("the type of the record is missing: A or AAAA stands before an address");
            }
            match remedy::nearest_type(word) {
                Some(near) => problem.help(format!("did you mean {near}?")),
                None => problem,
            }
        })?;
        // RFC 6895 section 3.1: OPT and the types from 128 to 255 but SPF and the EUIs are not data
        // of zones.
        return match rtype.0 {
            0 | 41 | 128..=255 => {
                Err(fields.wrong(format!("type {rtype} does not stand in zones")))
            }
            _ => Ok((ttl_secs, rtype)),
        };
    }
}

/// Whether the word is class IN.
fn is_class(word: &str, fields: &Fields<'_, '_>) -> Result<bool, Problem> {
    let is = |class: &&str| word.eq_ignore_ascii_case(class);
    if ["IN", "CLASS1"].iter().any(is) {
        return Ok(true);
    }
    let is_numbered = word.get(..5).is_some_and(|head| head.eq_ignore_ascii_case("CLASS"))
        && word.get(5..).is_some_and(|number| number.parse::<u16>().is_ok());
    if is_numbered || ["CH", "HS", "CS", "NONE"].iter().any(is) {
        return Err(fields
            .wrong(format!("class {word} is not served here"))
            .help("the class of every record is IN"));
    }
    Ok(false)
}

/// A file whose places are being named.
#[derive(Clone, Copy)]
struct Source<'a> {
    file: u32,
    text: &'a [u8],
}

impl Source<'_> {
    fn position(self, spot: Spot) -> Position {
        let before = &self.text[..spot.start];
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        // Octets that continue a UTF-8 character are no characters of their own.
        let characters = before[line_start..].iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
        Position {
            file: self.file,
            line: spot.line,
            column: u32::try_from(characters + 1).unwrap_or(u32::MAX),
        }
    }

    fn error(self, problem: Problem) -> MasterError {
        MasterError {
            position: self.position(problem.spot),
            span: problem.spot.start..problem.spot.start + problem.spot.length,
            message: cut(problem.message.into_owned()),
            help: problem.help.map(|help| cut(help.into_owned())),
            about: problem.about,
            is_of_load: problem.excess.is_some_and(|excess| excess.is_of_load),
        }
    }
}

/// The text, cut after [`MAX_MESSAGE`] octets, without the memory of what is cut away.
fn cut(mut text: String) -> String {
    if text.len() > MAX_MESSAGE {
        let end = (0..=MAX_MESSAGE).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

/// Checks for the faults that are reported once for the whole file.
fn admit(text: &[u8]) -> Result<(), Problem> {
    let start = Spot { start: 0, length: 0, line: 1 };
    if text.starts_with(b"\xef\xbb\xbf") {
        return Err(Problem::new(start, "the file starts with a byte order mark")
            .help("save it as UTF-8 without one (\"UTF-8\", not \"UTF-8 with BOM\")"));
    }
    if let Some(at) = text.iter().position(|&byte| byte == 0) {
        let line = 1 + text[..at].iter().filter(|&&byte| byte == b'\n').count();
        return Err(Problem::new(
            Spot { start: at, length: 1, line: u32::try_from(line).unwrap_or(u32::MAX) },
            "a zero octet stands here: this is not a text file",
        )
        .help("a master file is text in ASCII or UTF-8, not in UTF-16 and not binary"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
