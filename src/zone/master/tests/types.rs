//! The rdata of every type, from text to octets. The octets are those that Knot 3.2.6 and NSD 4.6.1
//! serve, for the types that they support (names in lower case, as in Knot).

use super::*;

/// Presentation format, and the rdata in hexadecimal.
const RDATA: &[(&str, &str)] = &[
    ("AAAA 2001:db8::1", "20010db8000000000000000000000001"),
    ("CNAME Target", "06746172676574026578047465737400"),
    ("PTR host.example.", "04686f7374076578616d706c6500"),
    (r#"HINFO "PC \"x\"" Linux"#, "06504320227822054c696e7578"),
    ("MX 10 mail", "000a046d61696c026578047465737400"),
    (r#"TXT "one two" three \"q "caf\195\169""#, "076f6e652074776f05746872656502227105636166c3a9"),
    ("RP admin.example. txt", "0561646d696e076578616d706c650003747874026578047465737400"),
    ("AFSDB 1 host", "000104686f7374026578047465737400"),
    (
        "LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m",
        "000016138b3cf018810cbce0009895b8",
    ),
    ("LOC 42 21 54 S 71 06 18 W 24m 30m", "0033161376e8d23070be15f000989fe0"),
    ("LOC 0 N 180 E 42849672.95m 90000000.00m 1m 0.01m", "0099121080000000a69fb200ffffffff"),
    ("SRV 1 2 443 Target.example.", "0001000201bb06746172676574076578616d706c6500"),
    (
        r#"NAPTR 100 50 "s" "http+N2L+N2C+N2R" "!^.*$!sip:a\\1@x!" www"#,
        "00640032017310687474702b4e324c2b4e32432b4e325210215e2e2a24217369703a615c3140782103777777026578047465737400",
    ),
    ("KX 10 kx", "000a026b78026578047465737400"),
    ("CERT PKIX 12345 RSASHA256 AQIDBA==", "000130390801020304"),
    ("CERT 7 0 0 AQID BAUG", "0007000000010203040506"),
    ("DNAME other.example.", "056f74686572076578616d706c6500"),
    (
        "APL 1:192.168.32.0/21 !1:192.168.38.0/28 2:ff00::/8 1:0.0.0.0/0",
        "00011503c0a82000011c83c0a82600020801ff00010000",
    ),
    (
        "DS 12345 ECDSAP256SHA256 2 e3b0c44298fc1c149afbf4c8996fb924 27ae41e4649b934ca495991b7852b855",
        "30390d02e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ),
    (
        "SSHFP 4 2 E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
        "0402e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ),
    (
        "IPSECKEY 10 1 2 192.0.2.38 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==",
        "0a0102c0000226010351537986ed35533b6064478eeeb27b5bd74dae149b6e81ba3a0521af82ab7801",
    ),
    (
        "IPSECKEY 10 0 2 . AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==",
        "0a0002010351537986ed35533b6064478eeeb27b5bd74dae149b6e81ba3a0521af82ab7801",
    ),
    ("IPSECKEY 10 2 0 2001:db8::2", "0a020020010db8000000000000000000000002"),
    (
        "IPSECKEY 10 3 2 gw.example. AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==",
        "0a0302026777076578616d706c6500010351537986ed35533b6064478eeeb27b5bd74dae149b6e81ba3a0521af82ab7801",
    ),
    (
        "DHCID AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=",
        "000201636fc0b8271c82825bb1ac5c41cf5351aa69b4febd94e8f17cdb95000da48c40",
    ),
    ("TLSA 3 1 1 abcd", "030101abcd"),
    (
        "TLSA 3 1 1 ( e3b0c44298fc1c149afbf4c8996fb924 27ae41e4649b934ca495991b7852b855 )",
        "030101e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ),
    ("SMIMEA 3 0 0 0102030405", "0300000102030405"),
    ("CDS 0 0 0 00", "0000000000"),
    ("CDNSKEY 0 3 0 AA==", "0000030000"),
    ("OPENPGPKEY AQIDBAUGBwg=", "0102030405060708"),
    ("CSYNC 66 3 A NS AAAA", "000000420003000460000008"),
    (
        "ZONEMD 2018031500 1 240 e3b0c44298fc1c149afbf4c8996fb924",
        "7848b78c01f0e3b0c44298fc1c149afbf4c8996fb924",
    ),
    (
        "SVCB 1 . alpn=h2,h3 port=8443 ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1",
        "000100000100060268320268330003000220fb00040008c0000201c00002020006001020010db8000000000000000000000001",
    ),
    ("HTTPS 0 pool.example.", "000004706f6f6c076578616d706c6500"),
    (
        r#"HTTPS 1 . mandatory=port,alpn port=443 alpn="h2,h3" no-default-alpn ech="AQIDBA==" key667="he\"llo\210qoo""#,
        "000100000000040001000300010006026832026833000200000003000201bb0005000401020304029b000a6865226c6c6fd2716f6f",
    ),
    (
        r#"SVCB 16 foo.example. alpn="f\\\\oo\\,bar,h2""#,
        "001003666f6f076578616d706c65000001000c08665c6f6f2c626172026832",
    ),
    (r#"SPF "v=spf1 -all""#, "0b763d73706631202d616c6c"),
    ("NID 10 0014:4fff:ff20:ee64", "000a00144fffff20ee64"),
    ("L32 10 10.1.2.0", "000a0a010200"),
    ("L64 10 2001:0DB8:1140:1000", "000a20010db811401000"),
    ("LP 10 l64", "000a036c3634026578047465737400"),
    ("EUI48 00-00-5e-00-53-2a", "00005e00532a"),
    ("EUI64 00-00-5e-ef-10-00-00-2a", "00005eef1000002a"),
    (
        r#"URI 10 1 "ftp://ftp1.example.com/public""#,
        "000a00016674703a2f2f667470312e6578616d706c652e636f6d2f7075626c6963",
    ),
    (
        r#"CAA 128 issue "ca.example; account=\"1\"""#,
        "8005697373756563612e6578616d706c653b206163636f756e743d223122",
    ),
    (r#"TYPE65280 \# 4 0a0b 0c0d"#, "0a0b0c0d"),
    (r#"A \# 4 c0000201"#, "c0000201"),
    ("TYPE1 192.0.2.7", "c0000207"),
    ("MINFO a b", "01610265780474657374000162026578047465737400"),
    ("RT 10 rt", "000a027274026578047465737400"),
    ("X25 311061700956", "0c333131303631373030393536"),
    (r#"ISDN "150862028003217" "004""#, "0f31353038363230323830303332313703303034"),
    ("PX 10 a.example. b.example.", "000a0161076578616d706c65000162076578616d706c6500"),
    ("GPOS -32.6882 116.8652 10.0", "082d33322e36383832083131362e383635320431302e30"),
    (
        "DNSKEY 257 3 ED25519 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=",
        "0101030f974d96a22d224bc01adb915091477d44ccd91c9a41a11430010117d52c59240e",
    ),
    (
        "HIP 2 200100107B1A74DF365639CC39F1D578 AwEAAbdxyhNuSutc5EMzxTs9LBPCIkOFH8cIvM4p9+LrV4e19WzK00+CI6zBCQTdtWsuxKbWIy87UOoJTwkUs7lBu+Upr1gsNrut79ryra+bSRGQb1slImA8YVJyuIDsj7kwzG7jnERNqnWxZ48AWkskmdHaVDP4BcelrTI3rMXdXF5D rvs1.example. rvs2",
        "10020084200100107b1a74df365639cc39f1d57803010001b771ca136e4aeb5ce44333c53b3d2c13c22243851fc708bcce29f7e2eb5787b5f56ccad34f8223acc10904ddb56b2ec4a6d6232f3b50ea094f0914b3b941bbe529af582c36bbadefdaf2adaf9b4911906f5b2522603c615272b880ec8fb930cc6ee39c444daa75b1678f005a4b2499d1da5433f805c7a5ad3237acc5dd5c5e430472767331076578616d706c65000472767332026578047465737400",
    ),
    ("KEY 256 3 8 AQIDBA==", "0100030801020304"),
    (
        "RRSIG A 13 3 1h 20260101000000 20250101000000 12345 ex.test. AQIDBA==",
        "00010d0300000e106955b90067748580303902657804746573740001020304",
    ),
    (
        "NSEC host.example. A MX RRSIG NSEC TYPE1234",
        "04686f7374076578616d706c65000006400100000003041b000000000000000000000000000000000000000000000000000020",
    ),
    (
        "NSEC3 1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr MX DNSKEY NS SOA NSEC3PARAM RRSIG",
        "0101000c04aabbccdd14174eb2409fe28bcb4887a1836f957f0a8425e27b000722010000000290",
    ),
    ("NSEC3PARAM 1 0 12 -", "0100000c00"),
    ("AMTRELAY 10 0 1 203.0.113.15", "0a01cb00710f"),
    ("AMTRELAY 10 1 3 amt.example.", "0a8303616d74076578616d706c6500"),
    (
        "DLV 12345 8 1 0123456789abcdef0123456789abcdef01234567",
        "303908010123456789abcdef0123456789abcdef01234567",
    ),
    (
        "NSAP 0x47.0005.80.005a00.0000.0001.e133.ffffff000161.00",
        "47000580005a0000000001e133ffffff00016100",
    ),
    (r#"AVC "app-name:WOLFGANG""#, "116170702d6e616d653a574f4c4647414e47"),
    ("TALINK a b", "01610265780474657374000162026578047465737400"),
    (r#"NINFO "zone info""#, "097a6f6e6520696e666f"),
];

/// The text of a record of each type, without its owner.
pub(super) fn texts() -> impl Iterator<Item = &'static str> {
    RDATA.iter().map(|(text, _)| *text)
}

#[test]
fn every_type_is_read_into_the_octets_that_other_servers_serve() {
    for &(text, hex) in RDATA {
        let file = read(&format!("$ORIGIN ex.test.\n$TTL 300\nx {text}\n"));
        assert_eq!(file.errors, [], "{text}");
        let rdata = file.entries[0].record.rdata.to_ascii_lowercase();
        let expected =
            data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap_or_default().to_ascii_lowercase();
        assert!(rdata == expected, "{text} is {}", data_encoding::HEXLOWER.encode(&rdata));
    }
}

#[test]
fn the_octets_of_every_type_are_accepted_and_shortened_octets_are_refused() {
    for &(text, _) in RDATA {
        let record =
            read(&format!("$ORIGIN ex.test.\n$TTL 300\nx {text}\n")).entries.remove(0).record;
        let as_octets = |octets: &[u8]| {
            let hex = data_encoding::HEXLOWER.encode(octets);
            read(&format!(
                "$ORIGIN ex.test.\n$TTL 300\nx {} \\# {} {hex}\n",
                record.rtype,
                octets.len()
            ))
        };
        let again = as_octets(&record.rdata);
        assert_eq!(again.errors, [], "{text}");
        assert_eq!(again.entries[0].record, record, "{text}");
        // Any octets are valid rdata of an unknown type, and the last field of some types may have
        // any length.
        if record.rtype == Rtype(65280) {
            continue;
        }
        let is_open = [Rtype::DNSKEY, Rtype::CERT, Rtype::URI, Rtype::APL].contains(&record.rtype);
        let ends = if is_open { 1..4 } else { 0..1 };
        for end in ends {
            assert_eq!(as_octets(&record.rdata[..end]).entries, [], "{text}, {end} octets");
        }
    }
}
