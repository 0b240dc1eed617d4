//! Whole master files: what is read, what is refused, and at which position.

use std::sync::Arc;

use super::*;
use crate::{
    dns::{Name, Rtype},
    zone::Record,
};

mod types;

/// Reads a file for `example.com` that includes nothing.
fn read(text: &str) -> MasterFile {
    read_with(text, &[])
}

/// Reads a file for `example.com` that may include the named ones.
fn read_with(text: &str, files: &[(&str, &str)]) -> MasterFile {
    parse(text.as_bytes(), &"example.com".parse().unwrap(), None, &mut |path| {
        files
            .iter()
            .find(|(name, _)| *name == path)
            .map(|(name, text)| IncludedFile {
                path: (*name).to_owned(),
                bytes: Arc::new(text.as_bytes().to_vec()),
            })
            .ok_or_else(|| format!("there is no file {path}"))
    })
}

/// Records as `owner ttl type hex`.
fn shown(file: &MasterFile) -> Vec<String> {
    assert_eq!(file.errors, [], "the file has no errors");
    file.entries.iter().map(|entry| show(&entry.record)).collect()
}

fn show(record: &Record) -> String {
    let hex = data_encoding::HEXLOWER.encode(&record.rdata);
    format!("{} {} {} {hex}", record.owner, record.ttl_secs, record.rtype)
}

/// Errors as `file:line:column message`.
fn errors(file: &MasterFile) -> Vec<String> {
    let show = |error: &MasterError| {
        let FilePosition { file, line, column } = error.position;
        format!("{file}:{line}:{column} {}", error.message)
    };
    file.errors.iter().map(show).collect()
}

#[test]
fn a_missing_owner_ttl_or_class_is_that_of_an_earlier_line() {
    let text = "\
$TTL 1h30m
@ IN 60 A 192.0.2.1 ; the apex
   A 192.0.2.2
www 30 IN A 192.0.2.3
$ORIGIN sub
a.b\tA\t192.0.2.4
\tIN 1w AAAA 2001:db8::1
$ORIGIN other.
x A 192.0.2.5
absolute.example. A 192.0.2.6
* A 192.0.2.7
";
    assert_eq!(
        shown(&read(text)),
        [
            "example.com 60 A c0000201",
            "example.com 5400 A c0000202",
            "www.example.com 30 A c0000203",
            "a.b.sub.example.com 5400 A c0000204",
            "a.b.sub.example.com 604800 AAAA 20010db8000000000000000000000001",
            "x.other 5400 A c0000205",
            "absolute.example 5400 A c0000206",
            "*.other 5400 A c0000207",
        ]
    );
}

#[test]
fn a_ttl_is_that_of_the_record_or_of_the_file_or_of_the_zone_or_of_the_record_before() {
    let ttls = |text: &str, default: Option<u32>| -> Vec<u32> {
        let origin = "example.com".parse().unwrap();
        let file = parse(text.as_bytes(), &origin, default, &mut |_| Err(String::new()));
        file.entries.iter().map(|entry| entry.record.ttl_secs).collect()
    };
    let text = "a A 192.0.2.1\nb 5 A 192.0.2.1\nc A 192.0.2.1\n$TTL 7\nd A 192.0.2.1\n";
    assert_eq!(ttls(text, None), [3600, 5, 5, 7]);
    assert_eq!(ttls(text, Some(300)), [300, 5, 300, 7]);
}

#[test]
fn parentheses_quotes_comments_and_escapes_are_read() {
    let text = "\
@ 1 SOA ns1 Host\\.Master ( 2024010101 ; serial (of the day)
    1h 15m ( 2w ) ; refresh
    60 )
t 1 TXT \"a; b ( \\\" c\" d\\032e \\102 \"\" (
  \"z\" )
\\064.\\$x\\.y 1 A 192.0.2.1
w 1 TXT v=\\\"q
";
    assert_eq!(
        shown(&read(text)),
        [
            "example.com 1 SOA 036e7331076578616d706c6503636f6d000b486f73742e4d6173746572076578616d706c6503636f6d00\
             78a3f17500000e1000000384001275000000003c",
            "t.example.com 1 TXT 0a613b206220282022206303642065016600017a",
            "\\@.\\$x\\.y.example.com 1 A c0000201",
            "w.example.com 1 TXT 04763d2271",
        ]
    );
}

#[test]
fn every_error_of_a_file_is_reported_with_its_position() {
    let text = "\
\x20A 192.0.2.1
@ A 192.0.2.300
www CH A 192.0.2.1
www 1 IN AAAA 192.0.2.1
www 192.0.2.1
a..b A 192.0.2.1
mx MX ten mail
mx MX 70000 mail
mx MX 10
mx MX 10 mail extra
x 2147483648 A 192.0.2.1
\tTXT \"open
) x A 192.0.2.1
$FOO bar
q TYPE65534 abc
ok A 192.0.2.1
";
    let file = read(text);
    assert_eq!(
        errors(&file),
        [
            "0:1:2 the first record has no owner",
            "0:2:5 \"192.0.2.300\" is not an IPv4 address",
            "0:3:5 class CH is not served here",
            "0:4:15 \"192.0.2.1\" is not an IPv6 address",
            "0:5:5 \"192.0.2.1\" is not a record type; write a mnemonic such as AAAA, or TYPE and its number",
            "0:6:1 the owner is not a domain name: the name has an empty label (two dots in a row, or a dot in front)",
            "0:7:7 the preference \"ten\" is not a number",
            "0:8:7 the preference 70000 is above its maximum, 65535",
            "0:9:7 the mail exchange is missing after this",
            "0:10:15 the MX record ends before this field",
            "0:11:3 the TTL 2147483648 is above its maximum, 2147483647 seconds",
            "0:12:6 this quote is not closed on its line",
            "0:13:1 no parenthesis is open here",
            "0:14:1 \"$FOO\" is not a directive",
            "0:15:3 the rdata of type TYPE65534 has no text form here",
        ]
    );
    assert_eq!(file.entries.len(), 1);
    assert_eq!(file.entries[0].position, FilePosition { file: 0, line: 16, column: 1 });
}

#[test]
fn included_files_have_their_own_origin_and_change_nothing_outside() {
    let files = [
        (
            "hosts",
            "a A 192.0.2.1\n$ORIGIN far.\n$TTL 9\n  AAAA 2001:db8::1\nb A 192.0.2.2\nb A bad\n",
        ),
        ("deep", "$INCLUDE hosts sub\n"),
    ];
    let text = "$TTL 5\nfirst A 192.0.2.9\n$INCLUDE deep\n  TXT after\n$INCLUDE nowhere\n";
    let file = read_with(text, &files);
    let records: Vec<String> = file.entries.iter().map(|entry| show(&entry.record)).collect();
    assert_eq!(
        records,
        [
            "first.example.com 5 A c0000209",
            "a.sub.example.com 5 A c0000201",
            "a.sub.example.com 9 AAAA 20010db8000000000000000000000001",
            "b.far 9 A c0000202",
            "first.example.com 5 TXT 056166746572",
        ]
    );
    assert_eq!(
        errors(&file),
        ["2:6:5 \"bad\" is not an IPv4 address", "0:5:10 there is no file nowhere"]
    );
    assert_eq!(file.entries[3].position, FilePosition { file: 2, line: 5, column: 1 });
    let paths: Vec<&str> = file.included.iter().map(|file| &*file.path).collect();
    assert_eq!(paths, ["deep", "hosts"]);
    assert_eq!(*file.included[0].bytes, files[1].1.as_bytes());
}

#[test]
fn files_that_include_each_other_are_refused() {
    let around = [("a", "$INCLUDE b\n"), ("b", "$INCLUDE a\n")];
    assert_eq!(
        errors(&read_with("$INCLUDE a\n", &around)),
        ["2:1:10 a includes itself: a -> b -> a"]
    );

    let names: Vec<String> = (0..10).map(|depth| format!("f{depth}")).collect();
    let texts: Vec<String> = (1..11).map(|depth| format!("$INCLUDE f{depth}\n")).collect();
    let files: Vec<(&str, &str)> =
        names.iter().zip(&texts).map(|(name, text)| (&**name, &**text)).collect();
    assert_eq!(
        errors(&read_with("$INCLUDE f0\n", &files)),
        ["8:1:10 the files include each other more than 8 levels deep"]
    );

    let wide = "$INCLUDE leaf\n".repeat(1001);
    let file = read_with(&wide, &[("leaf", "")]);
    assert_eq!(errors(&file), ["0:1001:10 the zone includes more than 1000 files"]);
}

#[test]
fn generate_makes_a_record_for_each_number() {
    let text = "\
$TTL 5
$GENERATE 1-3/2 host-$ A 192.0.2.$
$GENERATE 10-11 ${0,4,x}.${-9} 60 IN CNAME $.\\$$$
$GENERATE 18-18 ${0,4,n}z${-20,0,x} A 192.0.2.1
$GENERATE 18-18 ${0,7,n} TXT \"a $ b\" ${1,3,o} ${0,2,X}
  TXT next
";
    assert_eq!(
        shown(&read(text)),
        [
            "host-1.example.com 5 A c0000201",
            "host-3.example.com 5 A c0000203",
            "000a.1.example.com 60 CNAME 023130022424076578616d706c6503636f6d00",
            "000b.2.example.com 60 CNAME 023131022424076578616d706c6503636f6d00",
            "2.1.zfffffffe.example.com 5 A c0000201",
            "2.1.0.0.example.com 5 TXT 0661203138206203303233023132",
            "2.1.0.0.example.com 5 TXT 046e657874",
        ]
    );
}

#[test]
fn generate_is_bounded() {
    let text = "\
$GENERATE 1-2147483647 a$ A 192.0.2.1
$GENERATE 5-1 a$ A 192.0.2.1
$GENERATE 1-5/0 a$ A 192.0.2.1
$GENERATE 1-5
$GENERATE 1-5 a${0,x A 192.0.2.1
$GENERATE 1-300 a$ A 192.0.2.$
";
    assert_eq!(
        errors(&read(text)),
        [
            "0:1:11 the range 1-2147483647 makes more than 65536 records",
            "0:2:11 \"5-1\" is not a range",
            "0:3:11 \"1-5/0\" is not a range",
            "0:4:11 the owner is missing after this",
            "0:5:15 a \"${\" is not followed by offset, width and base",
            "0:6:1 \"192.0.2.256\" is not an IPv4 address",
        ]
    );
    let file = read(&"$GENERATE 1-65536 a A 192.0.2.1\n".repeat(17));
    assert_eq!(
        errors(&file),
        ["0:17:1 the $GENERATE lines of this zone make more than 1048576 records"]
    );
}

#[test]
fn a_file_that_is_not_text_is_refused_as_such() {
    let message = |bytes: &[u8]| {
        let file = parse(bytes, &Name::root(), None, &mut |_| Err(String::new()));
        assert_eq!(file.entries, []);
        errors(&file).remove(0)
    };
    assert_eq!(
        message(b"\xef\xbb\xbfa A 192.0.2.1\n"),
        "0:1:1 the file starts with a byte order mark"
    );
    assert_eq!(message(b"; x\na\0b"), "0:2:2 there is a zero octet here: this is not a text file");
    assert_eq!(message(b"\x1f\x8b\x08"), "0:1:1 there is a control character (\\031) here");
    let long = [b"a TXT ".to_vec(), vec![b'x'; 1 << 20]].concat();
    assert_eq!(message(&long), "0:1:1 the line is longer than 1 MiB");
}

#[test]
fn an_open_parenthesis_loses_only_the_records_up_to_the_next_owner() {
    let text = "$TTL 5\n@ SOA ns h ( 1 2 3\n  4 5\nwww A bad\nok A 192.0.2.1\n";
    let file = read(text);
    assert_eq!(
        errors(&file),
        ["0:2:12 this parenthesis is never closed", "0:4:7 \"bad\" is not an IPv4 address"]
    );
    assert_eq!(file.entries.len(), 1);
}

#[test]
fn at_most_a_hundred_errors_are_reported() {
    let file = read(&"www A bad\n".repeat(1000));
    assert_eq!(file.errors.len(), 101);
    assert_eq!(errors(&file)[100], "0:101:7 there are more than 100 errors; the rest is not read");
}

#[test]
fn columns_count_characters() {
    assert_eq!(
        errors(&read("x 5 TXT \"\u{e9}\u{e9}\" \"open\n")),
        ["0:1:14 this quote is not closed on its line"]
    );
}

#[test]
fn records_that_cannot_be_in_a_zone_are_refused() {
    for (text, message) in [
        ("x OPT \\# 0", "type OPT cannot be in a zone"),
        ("x ANY 1", "type ANY cannot be in a zone"),
        ("x TYPE0 \\# 0", "type TYPE0 cannot be in a zone"),
        ("x AXFR", "type AXFR cannot be in a zone"),
        ("x A \\# 3 010203", "these octets are not the rdata of type A"),
        ("x A \\# 5 01020304", "the length says 5 octets, but 4 are written"),
        ("x CNAME \\# 2 c000", "these octets are not the rdata of type CNAME"),
        ("x TXT", "the string is missing after this"),
        ("x TXT a=\"b\"", "there is a quote in the middle of the string"),
        ("x DS 1 13 2 00", "the digest has 1 octets; one of type 2 has 32"),
        ("x SVCB 1 . port=1 port=2", "this parameter is given twice"),
        ("x SVCB 1 . mandatory=alpn", "alpn is mandatory, but is not given"),
        (
            "x SVCB 1 . no-default-alpn",
            "no-default-alpn leaves no protocol, since alpn is not given",
        ),
        ("x SVCB 1 . colour=red", "\"colour\" is not a parameter key"),
        ("x SVCB 1 . port=65536", "port is a number up to 65535"),
        ("x LOC 91 N 0 E 0", "\"91\" does not fit into the latitude"),
        ("x CAA 0 is-sue ca", "the property tag \"is-sue\" is not made of letters and digits"),
        ("x CLASS3 A 192.0.2.1", "class CLASS3 is not served here"),
        ("\"x\" A 192.0.2.1", "the owner is in quotes"),
        (
            "x\\300 A 192.0.2.1",
            "the owner is not a domain name: the name has a backslash that neither escapes a character nor starts three digits up to 255",
        ),
    ] {
        let file = read(&format!("{text}\n"));
        assert_eq!(file.entries, [], "{text}");
        assert_eq!(file.errors.first().map(|error| &*error.message), Some(message), "{text}");
    }
    let long = "x".repeat(256);
    assert_eq!(
        errors(&read(&format!("x TXT {long}\n"))),
        ["0:1:7 the string is 256 octets long; the maximum is 255"]
    );
    let large = "x TXT ".to_owned() + &"\"0123456789\" ".repeat(6000);
    assert_eq!(errors(&read(&large)), ["0:1:1 the rdata has 66000 octets; the maximum is 65535"]);
}

#[test]
fn no_mutation_of_a_file_makes_the_reader_panic() {
    let mut rng = fastrand::Rng::with_seed(1035);
    let seeds: Vec<String> = types::texts().map(|text| format!("x {text}\n")).collect();
    let alphabet = b" \t\n\r\"\\();.@$*=,-/{}0123456789azAZ\x00\x7f\xff";
    for _ in 0..20_000 {
        let mut text = b"$ORIGIN a.b.\n$TTL 1h\n$GENERATE 1-3 x$ A 192.0.2.${1,2,n}\n".to_vec();
        for _ in 0..3 {
            text.extend(seeds[rng.usize(0..seeds.len())].bytes());
        }
        for _ in 0..rng.usize(1..8) {
            let position = rng.usize(0..text.len().max(1));
            match rng.u8(0..4) {
                0 | 2 if text.is_empty() => {}
                0 => text[position] = alphabet[rng.usize(0..alphabet.len())],
                1 => text.insert(position, alphabet[rng.usize(0..alphabet.len())]),
                2 => drop(text.remove(position)),
                _ => text.truncate(position.max(1)),
            }
        }
        let file =
            parse(&text, &"example.com".parse().unwrap(), None, &mut |_| Err("none".to_owned()));
        let lines = text.iter().filter(|&&byte| byte == b'\n').count() as u32 + 1;
        for error in &file.errors {
            assert!(error.position.line <= lines && error.span.end <= text.len(), "{error:?}");
        }
    }
}

/// Reads a file that may include the named ones, within the budget of a load; also returns the
/// number of records.
fn read_within(
    text: &str,
    files: &[(&str, Arc<Vec<u8>>)],
    budget: &mut Budget,
) -> (MasterFile, usize) {
    let mut count = 0;
    let origin = "example.com".parse().unwrap();
    let mut include = |path: &str| {
        let (name, bytes) =
            files.iter().find(|(name, _)| *name == path).ok_or("there is no such file")?;
        Ok(IncludedFile { path: (*name).to_owned(), bytes: Arc::clone(bytes) })
    };
    let file =
        parse_each(text.as_bytes(), &origin, None, &mut include, budget, &mut |_| count += 1);
    (file, count)
}

#[test]
fn a_file_that_is_included_a_thousand_times_is_never_copied_and_read_only_up_to_the_bound() {
    let line = [&[b';'; 1 << 19][..], b"\na A 192.0.2.1\n"].concat();
    let large = Arc::new(line.repeat(128));
    let files = [("large", Arc::clone(&large))];
    let (file, count) =
        read_within(&"$INCLUDE large\n".repeat(1000), &files, &mut Budget::for_load());
    let help = "include each file once, or split the zone";
    let what = "large (65 MiB) is too much: the files of this zone have more than 256 MiB together \
                (a file counts once for each $INCLUDE)";
    assert_eq!(
        errors(&file),
        [format!("0:4:10 {what}")],
        "one error, with the line, the file and the limit"
    );
    assert_eq!(
        (file.errors[0].help.as_deref(), file.errors[0].about_path.as_deref()),
        (Some(help), Some("large"))
    );
    assert!(file.is_truncated && !file.errors[0].is_load_budget);
    assert_eq!(count, 3 * 128, "the first three are read");
    assert!(file.included.iter().all(|included| Arc::ptr_eq(&included.bytes, &large)));
}

#[test]
fn the_zones_of_a_load_share_a_budget_and_nothing_is_read_once_it_is_exceeded() {
    let files = [("part", Arc::new(b"a A 192.0.2.1\n".repeat(10)))];
    let text = "$INCLUDE part\n$INCLUDE part\nb A 192.0.2.2\n";
    for (mut budget, place, expected) in [
        (
            Budget::new(600, 9, 9999),
            "0:2:10",
            "part (1 KiB) is too much: the files of all zones have more than 1 KiB together \
             (a file counts once for each $INCLUDE)",
        ),
        (
            Budget::new(9999, 9, 40 * 81),
            "2:9:1",
            "the records of all zones need more than 4 KiB of memory",
        ),
    ] {
        let (first, _) = read_within(text, &files, &mut budget);
        assert_eq!((errors(&first), first.is_truncated), (vec![], false));
        let (second, _) = read_within(text, &files, &mut budget);
        assert_eq!(errors(&second), [format!("{place} {expected}")]);
        assert!(second.is_truncated && second.errors[0].is_load_budget);
        let (third, count) = read_within("a A 192.0.2.1\n", &files, &mut budget);
        assert_eq!(
            (errors(&third), third.is_truncated, count),
            (vec![], true, 0),
            "only the first zone has an error"
        );
    }
}

#[test]
fn generated_records_count_as_records_as_text_and_as_memory() {
    for (mut budget, expected) in [
        (
            Budget::new(1 << 20, 99, 1 << 20),
            "0:1:1 the $GENERATE lines of all zones make more than 99 records",
        ),
        (
            Budget::new(1000, 1000, 1 << 20),
            "0:1:1 the files of all zones have more than 1 KiB together (a file counts once for each $INCLUDE)",
        ),
        (
            Budget::new(1 << 20, 1000, 5000),
            "0:1:1 the records of all zones need more than 5 KiB of memory",
        ),
    ] {
        let (file, count) =
            read_within("$GENERATE 1-100 a$ A 192.0.2.1\nb A 192.0.2.1\n", &[], &mut budget);
        assert_eq!(errors(&file), [expected]);
        assert!(count < 100, "{count}");
    }
}

#[test]
fn a_generated_record_is_never_longer_than_a_line_may_be() {
    let template = "${0,255,d}".repeat(100_000);
    let file = read(&format!("$GENERATE 1-3 a TXT {template}\n"));
    assert_eq!(errors(&file), ["0:1:1 the line is longer than 1 MiB"]);
}

#[test]
fn a_message_quotes_no_more_than_a_thousand_octets_of_a_field() {
    let file = read(&format!("a A {}\n", "\u{e9}".repeat(100_000)).repeat(3));
    assert_eq!(file.errors.len(), 3);
    for error in &file.errors {
        let octets = error.message.capacity() + error.help.as_ref().map_or(0, String::capacity);
        assert!(error.message.ends_with('…') && octets < 4000, "{octets}");
    }
}
