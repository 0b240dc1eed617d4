//! Properties of every format: no octets cause a panic, pieces may end anywhere, and no report
//! contains an impossible number.

use std::{num::NonZeroU64, time::Duration};

use proptest::prelude::*;

use super::*;

fn page() -> LoadPage {
    LoadPage {
        tls: false,
        host: PageHost::Attached,
        port: 80,
        path: "/".into(),
        headers: Vec::new(),
        verify: true,
        authorities: None,
    }
}

fn source(kind: LoadKind) -> LoadSource {
    LoadSource {
        name: "www".into(),
        kind,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        stale_after: Duration::from_secs(15),
        scales_by_servers: false,
        limit: None,
    }
}

/// Each kind of source, with a page for it.
fn samples() -> Vec<(LoadSource, &'static str)> {
    let selector = |text: &str| Some(text.parse::<Selector>().unwrap());
    let pointer = |text: &str| Some(text.parse::<JsonPointer>().unwrap());
    let prometheus = ReportMapping {
        connections: selector("x{proxy=\"www\"}"),
        cpu: selector("max(cpu)"),
        servers: selector("up").zip(selector("all")),
        ..ReportMapping::empty()
    };
    let json = ReportMapping {
        connections: pointer("/a/0"),
        response_time: pointer("/t"),
        gauges: vec![("queue".into(), pointer("/q").unwrap())],
        ..ReportMapping::empty()
    };
    vec![
        (
            source(LoadKind::Haproxy(HaproxySource::Page {
                page: page(),
                proxy: Some("www".into()),
            })),
            "# pxname,svname,qcur,scur,slim,stot,status,weight,bck,type,rtime,last_chk\n\
             www,FRONTEND,,7,200,50,OPEN,,,0,,\nwww,a,0,3,30,9,UP,100,0,2,3,\"a, \"\"b\"\"\"\n\
             www,b,0,3,30,9,DOWN 1/2,100,0,2,3,\nwww,BACKEND,4,6,20,50,UP,100,0,1,12,\n\n1\n\
             # be_id be_name srv_id srv_name srv_addr srv_uweight srv_iweight\n4 www 1 a 192.0.2.1 50 100\n\n",
        ),
        (
            source(LoadKind::Nginx(page())),
            "Active connections: 291 \nserver accepts handled requests\n 1 1 3 \nReading: 6 Writing: 179 Waiting: 106 \n",
        ),
        (
            source(LoadKind::Envoy { page: page(), cluster: "www".into() }),
            "envoy_cluster_upstream_cx_active{envoy_cluster_name=\"www\"} 4\n\
             envoy_cluster_membership_healthy{envoy_cluster_name=\"www\"} 1\n\
             envoy_cluster_membership_total{envoy_cluster_name=\"www\"} 2\n\
             envoy_cluster_upstream_rq_time{envoy_cluster_name=\"www\",quantile=\"0.5\"} 12\n",
        ),
        (
            source(LoadKind::Prometheus { page: page(), mapping: prometheus }),
            "# HELP x X\nx{proxy=\"www\",y=\"\\\"\"} 12 17\ncpu 0.5\ncpu{a=\"b\"} 0.7\nup 1\nall 2\n",
        ),
        (
            source(LoadKind::Json { page: page(), mapping: json }),
            "{\"a\": [12, 3], \"t\": 0.2, \"q\": -1.5e2}",
        ),
    ]
}

fn read(source: &LoadSource, octets: &[u8], pieces: usize) -> Result<LoadReport, ReportError> {
    let mut reader = source.reader().expect("the source is polled");
    for piece in octets.chunks(pieces.max(1)) {
        reader.feed(piece)?;
    }
    reader.finish(&mut PollHistory::default())
}

#[test]
fn a_report_is_the_same_for_all_pieces_of_its_page() {
    for (source, page) in samples() {
        let expected = read(&source, page.as_bytes(), page.len()).unwrap();
        for pieces in 1..page.len() {
            assert_eq!(
                read(&source, page.as_bytes(), pieces),
                Ok(expected.clone()),
                "{source:?} by {pieces}"
            );
        }
    }
}

#[test]
fn a_page_without_an_announced_end_is_complete_or_truncated() {
    let [(haproxy, _), _, _, (prometheus, _), _] = &samples()[..] else { panic!("five samples") };
    let header = "# pxname,svname,qcur,scur,slim,stot,status,weight,bck,type,rtime,last_chk\n";
    let (front, back) =
        ("www,FRONTEND,,7,200,50,OPEN,,,0,,\n", "www,BACKEND,4,6,20,50,UP,100,0,1,12,\n");
    let server = |name: &str| format!("www,{name},0,3,30,9,UP,100,0,2,3,\n");
    let (a, b) = (server("a"), server("b"));
    let text = |rows: &[&str]| [&[header], rows].concat().concat();
    let check = |source: &LoadSource, page: &str, end: PageEnd| {
        let mut reader = source.reader().unwrap();
        reader.feed(page.as_bytes()).and_then(|()| reader.check_end(end))
    };
    for (page, expected, why) in [
        (text(&[front, &a, &b, back]), Ok(()), "complete"),
        (text(&[front, &a, &b, back, "\n"]), Ok(()), "complete, with an empty line"),
        (text(&[front, &a]), Err(ReportError::Truncated), "truncated after a server"),
        (text(&[front, &a, &b]), Err(ReportError::Truncated), "truncated before the backend"),
        (
            text(&[front, &a, "\n", &b, back]),
            Err(ReportError::Truncated),
            "an empty line between rows",
        ),
    ] {
        assert_eq!(check(haproxy, &page, PageEnd::ConnectionClosed), expected, "{why}");
    }
    for (page, expected, why) in [
        ("# TYPE cpu gauge\ncpu 5\n# EOF\n", Ok(()), "complete"),
        ("cpu 5\n# EOF", Ok(()), "the last line need not end"),
        ("# TYPE cpu gauge\ncpu 5\n", Err(ReportError::Truncated), "no end marker"),
        ("cpu 5\n# EO", Err(ReportError::Truncated), "half of the end marker"),
    ] {
        assert_eq!(check(prometheus, page, PageEnd::EndMarker), expected, "{why}");
    }
}

#[test]
fn no_page_is_read_beyond_its_bound() {
    for (source, _) in samples() {
        for filler in [&b"x\n"[..], b"x", b"{", b" ", b"\0"] {
            let piece = filler.repeat(8192 / filler.len());
            let mut reader = source.reader().unwrap();
            let pieces = (0..1000).take_while(|_| reader.feed(&piece).is_ok()).count();
            assert!(pieces * 8192 <= 4 << 20, "{source:?} read {pieces} pieces");
        }
    }
}

#[test]
fn the_configured_limit_overrides_that_of_the_report() {
    let (mut source, page) = samples().remove(0);
    assert_eq!(read(&source, page.as_bytes(), 100).unwrap().limit, Some(60.0));
    source.limit = NonZeroU64::new(500);
    assert_eq!(read(&source, page.as_bytes(), 100).unwrap().limit, Some(500.0));
}

#[test]
fn servers_scale_the_capacity_if_the_source_is_configured_so() {
    let report =
        LoadReport { servers: Some(ServerCount { up: 1, total: 4 }), ..LoadReport::default() };
    let mut source = source(LoadKind::Orca);
    assert_eq!(source.capacity_left(&report), 1.0);
    source.scales_by_servers = true;
    assert_eq!(source.capacity_left(&report), 0.25);
    assert_eq!(source.capacity_left(&LoadReport::default()), 1.0, "a report without servers");
    let report = LoadReport { capacity_share: Some(0.5), ..report };
    assert_eq!(
        source.capacity_left(&report),
        0.5,
        "weights are more exact than numbers of servers"
    );
}

#[test]
fn a_header_makes_a_report_unless_a_number_is_impossible() {
    let mut source = source(LoadKind::Orca);
    source.limit = NonZeroU64::new(70);
    let report = source.read_header("TEXT cpu_utilization=0.5").unwrap();
    assert_eq!((report.gauges.get("cpu"), report.limit), (Some(&0.5), Some(70.0)));
    let error = source.read_header("TEXT cpu_utilization=-1").unwrap_err();
    assert_eq!(error.to_string(), "the CPU load is negative");
    assert!(source.reader().is_none());
}

#[test]
fn an_address_replaces_its_placeholder_in_the_path() {
    let page = LoadPage {
        host: PageHost::Name("metrics.example".into()),
        path: "/of/{address}?x={address}".into(),
        ..page()
    };
    assert!(page.is_per_address());
    assert_eq!(page.path_for("192.0.2.1".parse().ok()), "/of/192.0.2.1?x=192.0.2.1");
    let secret = PageHeader { name: "authorization".into(), value: "Basic c2VjcmV0".into() };
    assert_eq!(format!("{secret:?}"), "authorization: ...");
}

fn mutated() -> impl Strategy<Value = (usize, Vec<u8>, usize)> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 0..12);
    (0..samples().len(), edits, any::<prop::sample::Index>(), 1..40_usize).prop_map(
        |(kind, edits, end, pieces)| {
            let mut octets = samples()[kind].1.as_bytes().to_vec();
            for (index, octet, edit) in edits {
                let position = index.index(octets.len().max(1)).min(octets.len());
                match edit {
                    0 => octets.insert(position, octet),
                    1 if position < octets.len() => _ = octets.remove(position),
                    2 if position < octets.len() => octets[position] = octet,
                    // Characters that have a meaning in some format.
                    _ => octets.insert(position, b"\n,\"{}[]#-e9=\\ "[usize::from(octet) % 14]),
                }
            }
            octets.truncate(end.index(octets.len() + 1).max(octets.len() / 2));
            (kind, octets, pieces)
        },
    )
}

proptest! {
    #[test]
    fn no_page_causes_a_panic_or_an_impossible_report((kind, octets, pieces) in mutated()) {
        let source = &samples()[kind].0;
        let result = read(source, &octets, pieces);
        if let Ok(report) = &result {
            prop_assert_eq!(report.check(), Ok(()));
        }
        prop_assert_eq!(result, read(source, &octets, octets.len()));
    }

    #[test]
    fn no_header_causes_a_panic_or_an_impossible_report(value in "(TEXT |JSON |)[a-z_.{}\":=,0-9e -]{0,60}") {
        if let Ok(report) = source(LoadKind::Orca).read_header(&value) {
            prop_assert_eq!(report.check(), Ok(()));
        }
    }

    #[test]
    fn no_text_causes_a_panic_as_a_selector_or_a_pointer(text in ".{0,40}") {
        let _ = (text.parse::<Selector>(), text.parse::<JsonPointer>());
    }
}
