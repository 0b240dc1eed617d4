//! Reads and plays scenario files: configuration files, then steps. A comment above each step names
//! the RFC or rule that it shows.
//!
//! ```text
//! --- zones/example.org.zone
//! ...
//! --- steps
//! # RFC 1034 section 4.3.2 step 3a: the name is there.
//! query www.example.org A +subnet=80.1.2.0/24
//!   NOERROR aa
//!   answer www.example.org. 300 IN A 192.0.2.1
//!   scope 0
//! ```
//!
//! Steps: `query NAME TYPE [+tcp] [+do] [+edns] [+subnet=P] [+option=CODE:HEX] [+version=N]
//! [+payload=N] [+class=N] [+opcode=N] [+within=SECONDS] [+times=N]`; `edit FILE` with a line `-
//! old` and a line `+ new`; `remove FILE`; `rename FROM TO`.
//!
//! Expectations of a reply: rcode and flags (`aa`, `tc`); whole records as `answer`, `authority`,
//! `additional` (compared as sets; `*` matches any word), or `data` for the rdata of the answer
//! alone; `among A B` for rdata of which each occurs at least once within `+times` and no other
//! does; `ttl N`; `scope N`; `option CODE HEX`; `at-most OCTETS`. A section that is not named must
//! be empty.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use data_encoding::HEXLOWER_PERMISSIVE;

use crate::{
    harness::{Server, ServerDirectory},
    query::{Deadline, Reply, TestQuery, line},
};

/// Plays a scenario file; panics with the line of the first step that fails.
pub fn play(path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    let scenario = Scenario::read(&text);
    let site = ServerDirectory::new(&scenario.files);
    let server = site.serve();
    for step in &scenario.steps {
        if let Err(why) = step.play(&site, &server) {
            panic!(
                "{}:{}: {}\n{why}\n{}",
                path.display(),
                step.line,
                step.words.join(" "),
                server.log()
            );
        }
    }
}

struct Scenario<'t> {
    files: Vec<(&'t str, &'t str)>,
    steps: Vec<Step<'t>>,
}

/// A step and the indented lines below it.
struct Step<'t> {
    line: usize,
    words: Vec<&'t str>,
    below: Vec<&'t str>,
}

impl<'t> Scenario<'t> {
    fn read(text: &'t str) -> Self {
        let (files, steps_text) =
            text.split_once("--- steps\n").expect("a scenario has `--- steps`");
        let first_line = files.lines().count() + 2;
        let files =
            files.split("--- ").skip(1).map(|file| file.split_once('\n').unwrap()).collect();
        let mut steps: Vec<Step<'t>> = Vec::new();
        // The comment above the current step.
        let mut rule = String::new();
        let mut is_in_comment = false;
        for (line, number) in steps_text.lines().zip(first_line..) {
            match line.trim() {
                "" => {}
                comment if comment.starts_with('#') => {
                    if !is_in_comment {
                        rule.clear();
                    }
                    rule.push_str(comment);
                }
                below if line.starts_with(' ') => steps.last_mut().unwrap().below.push(below),
                step => {
                    assert!(
                        rule.contains("RFC ") || rule.contains("Rule"),
                        "line {number}: no rule above {step}"
                    );
                    steps.push(Step {
                        line: number,
                        words: step.split_whitespace().collect(),
                        below: Vec::new(),
                    });
                }
            }
            is_in_comment = line.starts_with('#');
        }
        Self { files, steps }
    }
}

impl Step<'_> {
    fn play(&self, site: &ServerDirectory, server: &Server) -> Result<(), String> {
        match self.words[..] {
            ["query", name, rtype, ref options @ ..] => self.query(server, name, rtype, options),
            ["edit", file] => {
                let line = |sign| {
                    self.below.iter().find_map(|line| line.strip_prefix(sign)).unwrap().trim()
                };
                site.edit(file, line("- "), line("+ "));
                Ok(())
            }
            ["remove", file] => fs::remove_file(site.path(file)).map_err(|error| error.to_string()),
            ["rename", from, to] => {
                fs::rename(site.path(from), site.path(to)).map_err(|error| error.to_string())
            }
            _ => Err("no such step".into()),
        }
    }

    fn query(
        &self,
        server: &Server,
        name: &str,
        rtype: &str,
        options: &[&str],
    ) -> Result<(), String> {
        let mut query = TestQuery::new(name, rtype);
        let (mut timeout, mut times) = (Duration::ZERO, 1);
        for option in options {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let number = || value.parse::<u16>().map_err(|error| format!("{option}: {error}"));
            match key {
                "+tcp" => query.tcp = true,
                "+edns" => query = query.edns(|_| {}),
                "+do" => query = query.edns(|edns| edns.dnssec_ok = true),
                "+subnet" => query = query.subnet(value),
                "+option" => {
                    let (code, hex) = value.split_once(':').unwrap_or((value, ""));
                    let octets = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).unwrap();
                    query = query.edns(|edns| edns.options.push((code.parse().unwrap(), octets)));
                }
                "+version" => query = query.edns(|edns| edns.version = value.parse().unwrap()),
                "+payload" => {
                    let payload = number()?;
                    query = query.edns(|edns| edns.payload = payload);
                }
                "+class" => query.class = number()?,
                "+opcode" => query.opcode = value.parse().unwrap(),
                "+within" => timeout = Duration::from_secs(number()?.into()),
                "+times" => times = number()?,
                _ => return Err(format!("no such option: {option}")),
            }
        }
        let mut seen = BTreeSet::new();
        let deadline = Deadline::after(timeout);
        for _ in 0..times {
            let mut check = || {
                let reply = server.ask(&query);
                seen.extend(reply.answers());
                self.check(&reply).map_err(|why| format!("{why}\n{}", shown(&reply)))
            };
            let mut outcome = check();
            while outcome.is_err() && !timeout.is_zero() && deadline.tick() {
                outcome = check();
            }
            outcome?;
        }
        match self.words_of("among ").next() {
            Some(all) if all != seen => Err(format!("only {seen:?} of {all:?} were seen")),
            _ => Ok(()),
        }
    }

    /// The words after `key`, for each line that begins with it.
    fn words_of(&self, key: &str) -> impl Iterator<Item = BTreeSet<String>> {
        let lines = self.below.iter().filter_map(move |line| line.strip_prefix(key));
        lines.map(|words| words.split_whitespace().map(str::to_owned).collect())
    }

    fn check(&self, reply: &Reply) -> Result<(), String> {
        let metadata = &reply.message.metadata;
        let flags = [(metadata.authoritative, " aa"), (metadata.truncation, " tc")];
        let set: String =
            flags.into_iter().filter_map(|(is_set, flag)| is_set.then_some(flag)).collect();
        let actual = reply.rcode() + &set;
        let expected = self.below.first().ok_or("a query needs an expected rcode")?;
        if actual != *expected {
            return Err(format!("{actual}, not {expected}"));
        }
        self.check_answer(reply)?;
        self.check_records("authority ", &reply.message.authorities)?;
        self.check_records("additional ", &reply.message.additionals)?;
        for line in &self.below[1..] {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            let is_so = match key {
                "answer" | "authority" | "additional" | "data" | "among" => true,
                "ttl" => reply.ttl().to_string() == value,
                "scope" => reply.subnet().is_some_and(|(_, scope, _)| scope.to_string() == value),
                "no-scope" => reply.subnet().is_none(),
                "no-edns" => reply.message.edns.is_none(),
                "at-most" => reply.length <= value.parse().unwrap(),
                "option" => {
                    let (code, hex) = value.split_once(' ').unwrap_or((value, ""));
                    let found = reply
                        .option(code.parse().unwrap())
                        .map(|found| HEXLOWER_PERMISSIVE.encode(&found));
                    found.is_some_and(|found| {
                        if let Some(start) = hex.strip_suffix('*') {
                            found.starts_with(start)
                        } else {
                            found == hex
                        }
                    })
                }
                "no-option" => reply.option(value.parse().unwrap()).is_none(),
                _ => return Err(format!("no such expectation: {line}")),
            };
            if !is_so {
                return Err(format!("not {line}"));
            }
        }
        Ok(())
    }

    fn check_answer(&self, reply: &Reply) -> Result<(), String> {
        let found: BTreeSet<String> = reply.answers().into_iter().collect();
        if let Some(all) = self.words_of("among ").next() {
            let is_among = !found.is_empty() && found.is_subset(&all);
            return if is_among { Ok(()) } else { Err(format!("{found:?} is not among {all:?}")) };
        }
        match self.words_of("data ").next() {
            Some(data) if data == found => Ok(()),
            Some(data) => Err(format!("{found:?}, not {data:?}")),
            None => self.check_records("answer ", &reply.message.answers),
        }
    }

    /// Compares a section with its lines, as sets.
    fn check_records(
        &self,
        key: &str,
        records: &[hickory_proto::rr::Record],
    ) -> Result<(), String> {
        let mut expected: Vec<&str> =
            self.below.iter().filter_map(|line| line.strip_prefix(key)).collect();
        for found in records.iter().map(line) {
            let index = expected.iter().position(|expected| is_like(&found, expected));
            expected.remove(index.ok_or_else(|| format!("unexpected {key}{found}"))?);
        }
        if expected.is_empty() { Ok(()) } else { Err(format!("missing {key}{expected:?}")) }
    }
}

/// Compares word by word; `*` matches any word.
fn is_like(found: &str, expected: &str) -> bool {
    let (found, expected) = (found.split_whitespace(), expected.split_whitespace());
    found.clone().count() == expected.clone().count()
        && found.zip(expected).all(|(found, word)| word == "*" || found == word)
}

/// A reply as text for error messages.
fn shown(reply: &Reply) -> String {
    let message = &reply.message;
    let sections = [
        ("answer", &message.answers),
        ("authority", &message.authorities),
        ("additional", &message.additionals),
    ];
    let lines = sections.into_iter().flat_map(|(section, records)| {
        records.iter().map(move |record| format!("  {section} {}\n", line(record)))
    });
    format!(
        "reply: {}\n{}  subnet {:?}\n",
        reply.rcode(),
        lines.collect::<String>(),
        reply.subnet()
    )
}
