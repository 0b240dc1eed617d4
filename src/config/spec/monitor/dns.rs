//! Reads `dns` of a monitor: the query, and what its reply must contain.

use super::common_keys;
use crate::{
    config::{
        hostname,
        place::Placed,
        problems::Problems,
        quoted::Quoted,
        reader::{TableSubject, ValueReader},
    },
    dns::{Name, Rcode, Rtype},
    health::DnsCheck,
    zone::master,
};

/// The maximum number of required records: more would not fit into a reply over UDP.
const MAX_ANSWERS: usize = 64;

pub(super) fn check(item: ValueReader<'_>, problems: &mut Problems) -> Option<DnsCheck> {
    let mut table =
        item.table(TableSubject { kind: "`dns` of monitor", name: item.subject.name }, problems)?;
    let port = common_keys::port_or(&mut table, 53, problems);
    let name = table.required("name", "write dns = { name = \"www.example.com\" }", problems);
    let name = name
        .and_then(|item| item.text(problems))
        .and_then(|text| hostname::defined_name(text, "the name", problems));
    let rtype = table.value("type").map_or(Some(Rtype::A), |item| rtype(item, problems));
    let rcode = table.value("rcode").map_or(Some(Rcode::NOERROR), |item| rcode(item, problems));
    let answer = table.value("answer");
    let answers = match (answer, rtype) {
        (Some(item), Some(rtype)) => answers(item, rtype, problems),
        _ => Some(Vec::new()),
    };
    if let (Some(answer), Some(code)) = (answer, rcode.filter(|code| *code != Rcode::NOERROR)) {
        problems
            .error(answer.place, format!("{} requires records in a reply of {code}", table.subject))
            .help("only a reply of NOERROR answers: omit `answer` or `rcode`");
    }
    let tcp = table.optional("tcp", problems, ValueReader::boolean).unwrap_or(false);
    let recursion = table.optional("recursion", problems, ValueReader::boolean).unwrap_or(false);
    table.finish(problems);
    Some(DnsCheck {
        port: port?,
        name: name?.value.as_wire().into(),
        rtype: rtype?.0,
        required_rdata: answers?,
        rcode: rcode?.0,
        tcp,
        recursion,
    })
}

fn rtype(item: ValueReader<'_>, problems: &mut Problems) -> Option<Rtype> {
    let text = item.text(problems)?;
    match text.value.parse() {
        Ok(Rtype::OPT | Rtype::TKEY | Rtype::TSIG | Rtype::IXFR | Rtype::AXFR) | Err(_) => {
            problems
                .error(text.place, format!("{} asks for type {}", item.subject, Quoted(text.value)))
                .help("write a type of records, such as \"A\", \"SOA\" or \"TYPE65\"");
            None
        }
        Ok(rtype) => Some(rtype),
    }
}

fn rcode(item: ValueReader<'_>, problems: &mut Problems) -> Option<Rcode> {
    const CODES: [Rcode; 6] = [
        Rcode::NOERROR,
        Rcode::FORMERR,
        Rcode::SERVFAIL,
        Rcode::NXDOMAIN,
        Rcode::NOTIMP,
        Rcode::REFUSED,
    ];
    item.keyword(&CODES.map(|code| (code.mnemonic().unwrap_or_default(), code)), problems)
}

/// Reads the records that the reply must contain, written as in a master file after the type.
fn answers(item: ValueReader<'_>, rtype: Rtype, problems: &mut Problems) -> Option<Vec<Box<[u8]>>> {
    let texts = item.texts("strings: records as a master file has them", problems)?;
    if texts.len() > MAX_ANSWERS {
        problems
            .error(item.place, format!("{} requires {} records", item.subject, texts.len()))
            .help(format!("the maximum is {MAX_ANSWERS}"));
        return None;
    }
    // All are read before the first error ends the reading, so that each error is reported.
    let read: Vec<_> = texts.into_iter().map(|text| rdata(text, rtype, item, problems)).collect();
    read.into_iter().collect()
}

fn rdata(
    text: Placed<&str>,
    rtype: Rtype,
    item: ValueReader<'_>,
    problems: &mut Problems,
) -> Option<Box<[u8]>> {
    let line = format!(". 0 IN {rtype} {}\n", text.value);
    let no_file = &mut |_: &str| Err("a monitor includes no files".to_owned());
    let mut read = master::parse(line.as_bytes(), &Name::root(), Some(0), no_file);
    let is_one_line = !text.value.contains(['\n', '\r']);
    if let (true, true, [_]) = (is_one_line, read.errors.is_empty(), &read.entries[..]) {
        return read.entries.pop().map(|entry| entry.record.rdata);
    }
    let message = format!(
        "{} requires {}, which is not a record of type {rtype}",
        item.subject,
        Quoted(text.value)
    );
    let why = read.errors.pop().map(|error| error.help.unwrap_or(error.message));
    problems.error(text.place, message).help(
        why.unwrap_or_else(|| "write one record as a master file has it after its type".into()),
    );
    None
}
