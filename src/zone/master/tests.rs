//! Master files, whole: what is read, what is refused and where.

use super::*;

mod types;

/// Reads a file for `example.com` that includes nothing.
fn read(text: &str) -> MasterFile {
    read_with(text, &[])
}

/// Reads a file for `example.com` beside the named ones.
fn read_with(text: &str, files: &[(&str, &str)]) -> MasterFile {
    parse(text.as_bytes(), &"example.com".parse().unwrap(), None, &mut |path| {
        files
            .iter()
            .find(|(name, _)| *name == path)
            .map(|(name, text)| IncludedFile { path: (*name).to_owned(), bytes: text.as_bytes().to_vec() })
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
        let Position { file, line, column } = error.position;
        format!("{file}:{line}:{column} {}", error.message)
    };
    file.errors.iter().map(show).collect()
}

#[test]
fn owners_ttls_and_classes_are_taken_from_before_when_missing() {
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
fn a_ttl_is_its_own_or_the_files_or_the_zones_or_the_one_before() {
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
fn parentheses_quotes_comments_and_escapes_are_understood() {
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
fn every_error_of_a_file_is_told_with_its_place_and_reading_goes_on() {
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
    assert_eq!(file.entries[0].position, Position { file: 0, line: 16, column: 1 });
}
