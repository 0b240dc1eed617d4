//! Reads master files: entry by entry, with the directives applied and the included files read in
//! their place.

use super::{
    budget::{Budget, Budgets, Resource},
    directive::{self, Directive, GeneratedRecords},
    field_reader::FieldReader,
    file::{IncludedFile, LocatedRecord, MasterError, MasterFile},
    help,
    lexer::{EntryStart, FieldToken, Lexer},
    problem::Problem,
    rdata,
    record_head::{read_owner, read_ttl_and_type},
    source_text::{SourceText, check_encoding},
    span::TextSpan,
    vendor_types::help_for_type,
};
use crate::{dns::Name, zone::Record};

/// The TTL in seconds of records for which neither the file nor the zone specifies one, as in NSD
/// and Knot.
const DEFAULT_TTL_SECS: u32 = 3600;
/// The maximum depth of files that include each other.
const MAX_INCLUDE_DEPTH: usize = 8;
/// The maximum number of files that one zone includes.
const MAX_INCLUDES: usize = 1000;
/// The maximum number of errors reported for one zone.
const MAX_ERRORS: usize = 100;
/// Help for a file that cannot be included.
const INCLUDE_HELP: &str = "put the file below the zones directory, readable for the server's user, and name it by its path from \
                            this file or from the zones directory, without `..`";

/// Yields the file that an `$INCLUDE` names, or the reason why it cannot be included. The argument
/// is the path as written.
pub type IncludeFn<'i> = dyn FnMut(&str) -> Result<IncludedFile, String> + 'i;

/// Reads a master file. Relative names are completed with `origin` until the file has an `$ORIGIN`.
/// A record without a TTL has the TTL of `$TTL`, else `default_ttl_secs`, else the TTL of the
/// record before it, else 3,600 seconds.
///
/// A million short records take less than a second.
pub fn parse(
    text: &[u8],
    origin: &Name,
    default_ttl_secs: Option<u32>,
    include: &mut IncludeFn<'_>,
) -> MasterFile {
    let mut entries = Vec::new();
    let mut budget = Budget::for_load();
    let file = parse_each(text, origin, default_ttl_secs, include, &mut budget, &mut |entry| {
        entries.push(entry)
    });
    MasterFile { entries, ..file }
}

/// Like [`parse`], but passes each record to `on_record` as soon as it is read;
/// [`MasterFile::entries`] of the result is empty. What is read also counts against `budget`, that
/// of the whole load.
pub fn parse_each(
    text: &[u8],
    origin: &Name,
    default_ttl_secs: Option<u32>,
    include: &mut IncludeFn<'_>,
    budget: &mut Budget,
    on_record: &mut dyn FnMut(LocatedRecord),
) -> MasterFile {
    if budget.is_exceeded() {
        return MasterFile { is_truncated: true, ..MasterFile::default() };
    }
    let budgets = Budgets { zone: Budget::for_zone(), load: budget };
    let mut reader = MasterFileReader {
        include,
        on_record,
        result: MasterFile::default(),
        include_path: Vec::new(),
        budgets,
    };
    let state = InheritedFields {
        origin: origin.as_wire().to_vec(),
        owner: CurrentOwner::Missing,
        default_ttl_secs,
        last_ttl_secs: None,
    };
    reader.read_zone_file(text, state);
    MasterFile { is_truncated: reader.budgets.are_exceeded(), ..reader.result }
}

/// What a record inherits from the lines before it. An included file starts with a copy, and its
/// changes end with it.
#[derive(Clone)]
struct InheritedFields {
    /// The current `$ORIGIN` in wire form, in the case written.
    origin: Vec<u8>,
    owner: CurrentOwner,
    default_ttl_secs: Option<u32>,
    last_ttl_secs: Option<u32>,
}

/// The owner of a record whose line starts with a blank.
#[derive(Clone)]
enum CurrentOwner {
    /// There is no record before it.
    Missing,
    /// The owner of the previous record could not be read, and the error was reported. Further
    /// records of that owner are checked and left out.
    Unreadable,
    /// The owner of the record before.
    Known(Name),
}

struct MasterFileReader<'i, 'f, 'b> {
    include: &'i mut IncludeFn<'f>,
    on_record: &'i mut dyn FnMut(LocatedRecord),
    result: MasterFile,
    /// The included files that are being read, outermost first.
    include_path: Vec<String>,
    budgets: Budgets<'b>,
}

impl MasterFileReader<'_, '_, '_> {
    /// Reads the zone's master file.
    fn read_zone_file(&mut self, text: &[u8], state: InheritedFields) {
        let span = TextSpan { start: 0, length: 0, line: 1 };
        match self.budgets.take(Resource::Text, text.len() as u64) {
            Ok(()) => self.read_file(0, text, state),
            Err(excess) => {
                self.report(SourceText { file: 0, text }, Problem::budget_exceeded(span, excess))
            }
        }
    }

    /// Reads a whole file, whose length already counts against the budgets.
    fn read_file(&mut self, file: u32, text: &[u8], mut state: InheritedFields) {
        let source = SourceText { file, text };
        if let Err(problem) = check_encoding(text) {
            return self.report(source, problem);
        }
        let mut lexer = Lexer::new(text, 1);
        let mut tokens = Vec::new();
        while self.result.errors.len() <= MAX_ERRORS && !self.budgets.are_exceeded() {
            let read = match lexer.next_entry(&mut tokens) {
                Ok(None) => break,
                // The file holds two versions of itself; any other error follows from that.
                Ok(Some(_)) if help::is_merge_conflict(&tokens[0]) => {
                    return self.report(source, help::merge_conflict(&tokens[0]));
                }
                Ok(Some(_)) if directive::is_directive(&tokens[0]) => {
                    self.apply_directive(source, &tokens, &mut state)
                }
                Ok(Some(start)) => self
                    .read_record(source, start, &tokens, &mut state)
                    .map_err(|problem| help::with_entry_help(problem, start, &tokens)),
                Err(problem) => Err(problem),
            };
            if let Err(problem) = read {
                self.report(source, problem);
            }
        }
    }

    fn report(&mut self, source: SourceText<'_>, problem: Problem) {
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

    fn apply_directive(
        &mut self,
        source: SourceText<'_>,
        tokens: &[FieldToken<'_>],
        state: &mut InheritedFields,
    ) -> Result<(), Problem> {
        match directive::read_directive(
            &mut FieldReader::new(tokens, &state.origin),
            &state.origin,
        )? {
            Directive::Origin(origin) => {
                if is_doubled(&origin, &state.origin) && self.result.doubled_origin.is_none() {
                    let name = tokens.get(1).unwrap_or(&tokens[0]).span;
                    self.result.doubled_origin = Some((source.position(name), name.range()));
                }
                state.origin = origin;
            }
            Directive::Ttl(secs) => state.default_ttl_secs = Some(secs),
            Directive::Include { path, origin, span } => {
                let mut inner = state.clone();
                inner.origin = origin.unwrap_or(inner.origin);
                self.include(&path, span, inner)?;
            }
            Directive::Generate(generated) => self.generate(source, &generated, state)?,
        }
        Ok(())
    }

    fn include(
        &mut self,
        path: &str,
        span: TextSpan,
        state: InheritedFields,
    ) -> Result<(), Problem> {
        if self.include_path.len() >= MAX_INCLUDE_DEPTH {
            let message =
                format!("the files include each other more than {MAX_INCLUDE_DEPTH} levels deep");
            return Err(Problem::new(span, message)
                .with_help("include the innermost files from a file further out"));
        }
        if self.result.included.len() >= MAX_INCLUDES {
            let message = format!("the zone includes more than {MAX_INCLUDES} files");
            return Err(
                Problem::new(span, message).with_help("put the records of several files into one")
            );
        }
        let included = (self.include)(path);
        let included =
            included.map_err(|message| Problem::new(span, message).with_help(INCLUDE_HELP))?;
        let IncludedFile { path, bytes } = included.clone();
        if self.include_path.contains(&path) {
            let message =
                format!("{path} includes itself: {} -> {path}", self.include_path.join(" -> "));
            return Err(Problem::new(span, message).with_help("remove one of these $INCLUDE lines"));
        }
        // Counted before any of it is read.
        self.budgets.take(Resource::Text, bytes.len() as u64).map_err(|excess| {
            Problem::file_exceeds_budget(span, excess, &path, bytes.len() as u64)
        })?;
        self.result.included.push(included);
        let index = self.result.included.len() as u32;
        self.include_path.push(path);
        self.read_file(index, &bytes, state);
        self.include_path.pop();
        Ok(())
    }

    /// Reads the records of a `$GENERATE`. The position of each is that of the directive.
    fn generate(
        &mut self,
        source: SourceText<'_>,
        generated: &GeneratedRecords,
        state: &mut InheritedFields,
    ) -> Result<(), Problem> {
        let excess = |excess| Problem::budget_exceeded(generated.span, excess);
        self.budgets.take(Resource::Generated, generated.length()).map_err(excess)?;
        for text in generated.texts() {
            self.budgets.take(Resource::Text, text.len() as u64).map_err(excess)?;
            let mut tokens = Vec::new();
            let mut read =
                Lexer::new(&text, generated.span.line).next_entry(&mut tokens).map(|_| ());
            tokens.iter_mut().for_each(|token| token.span = generated.span);
            if read.is_ok() {
                read = self.read_record(source, EntryStart::HasOwner, &tokens, state);
            }
            // The first error ends the series: what is wrong with one record is mostly wrong with
            // all.
            read.map_err(|problem| {
                let record = String::from_utf8_lossy(&text).trim_end().to_owned();
                match problem.excess {
                    Some(_) => problem,
                    None => Problem { span: generated.span, ..problem }
                        .with_help(format!("the error is in the generated record: {record}")),
                }
            })?;
        }
        Ok(())
    }

    /// Reads a record and passes it on; nothing is passed on if its owner could not be read.
    fn read_record(
        &mut self,
        source: SourceText<'_>,
        start: EntryStart,
        tokens: &[FieldToken<'_>],
        state: &mut InheritedFields,
    ) -> Result<(), Problem> {
        let Some(first) = tokens.first() else { return Ok(()) };
        let mut fields = FieldReader::new(tokens, &state.origin);
        if start == EntryStart::HasOwner {
            state.owner = CurrentOwner::Unreadable;
            state.owner = CurrentOwner::Known(read_owner(&mut fields)?);
        }
        if let CurrentOwner::Missing = state.owner {
            state.owner = CurrentOwner::Unreadable;
            return Err(Problem::new(first.span, "the first record has no owner").with_help(
                "write @ for the zone itself at the start of the line; a line that starts with a blank continues the record before it",
            ));
        }
        let from_ttl = fields;
        let (ttl_secs, rtype) =
            read_ttl_and_type(&mut fields).map_err(|problem| match &state.owner {
                CurrentOwner::Known(owner) => help_for_type(problem, owner, from_ttl),
                CurrentOwner::Missing | CurrentOwner::Unreadable => problem,
            })?;
        let mut rdata = Vec::new();
        rdata::read_rdata(rtype, &mut fields, &mut rdata)?;
        if rdata.len() > 65535 {
            return Err(Problem::new(
                first.span,
                format!("the rdata has {} octets; the maximum is 65535", rdata.len()),
            ));
        }
        let inherited = state.default_ttl_secs.or(state.last_ttl_secs).unwrap_or(DEFAULT_TTL_SECS);
        state.last_ttl_secs = ttl_secs.or(state.last_ttl_secs);
        if let CurrentOwner::Known(owner) = &state.owner {
            self.budgets
                .take_record(owner.as_wire().len(), rdata.len())
                .map_err(|excess| Problem::budget_exceeded(first.span, excess))?;
            let (owner, ttl_secs) = (owner.clone(), ttl_secs.unwrap_or(inherited));
            let record = Record { owner, rtype, ttl_secs, rdata: rdata.into_boxed_slice() };
            (self.on_record)(LocatedRecord { record, position: source.position(first.span) });
        }
        Ok(())
    }
}

/// Whether a name is the origin completed with itself, such as `x.test.x.test` for the origin
/// `x.test`; both in wire form.
fn is_doubled(name: &[u8], origin: &[u8]) -> bool {
    let labels = &origin[..origin.len() - 1];
    let is_origin = |front: &[u8]| front.eq_ignore_ascii_case(labels);
    !labels.is_empty()
        && name.len() == labels.len() + origin.len()
        && is_origin(&name[..labels.len()])
}
