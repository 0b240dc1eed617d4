use std::time::Duration;

use super::{
    Statistics,
    bounds::{MAX_SERVERS, WRONG_FORMAT},
};
use crate::load::{LoadReport, PollHistory, ReportError, ServerCount};

const HEADER: &str =
    "# pxname,svname,qcur,qmax,scur,smax,slim,stot,status,weight,act,bck,type,rtime,last_chk,\n";

fn read_with(
    page: &str,
    proxy: Option<&str>,
    history: &mut PollHistory,
) -> Result<LoadReport, ReportError> {
    let mut statistics = Statistics::new(proxy);
    statistics.feed(page.as_bytes())?;
    let report = statistics.finish(history)?;
    report.check()?;
    Ok(report)
}

fn read(rows: &str, proxy: Option<&str>) -> Result<LoadReport, ReportError> {
    read_with(&format!("{HEADER}{rows}"), proxy, &mut PollHistory::default())
}

fn server(proxy: &str, name: &str, status: &str, weight: u32, limit: &str) -> String {
    format!(
        "{proxy},{name},0,0,0,0,{limit},9,{status},{weight},1,0,2,3,\"Layer4, \"\"timeout\"\"\",\n"
    )
}

#[test]
fn a_report_combines_a_backend_and_its_servers() {
    let rows = [
        "www,FRONTEND,,,7,9,200,50,OPEN,,,,0,,,\n".to_owned(),
        server("www", "a", "UP", 100, "30"),
        server("www", "b", "DOWN 1/2", 100, "30"),
        server("www", "c", "MAINT", 50, "20"),
        server("www", "d", "UP 1/3", 50, "20"),
        "www,BACKEND,4,9,6,9,20,50,UP,250,3,0,1,12,,\n".to_owned(),
        "api,BACKEND,1,9,50,9,100,50,UP,250,3,0,1,40,,\n".to_owned(),
    ]
    .concat();
    let report = read(&rows, Some("www")).unwrap();
    assert_eq!(
        (report.connections, report.limit),
        (Some(6.0), Some(100.0)),
        "the sum of the servers' limits"
    );
    assert_eq!(report.servers, Some(ServerCount { up: 2, total: 4 }));
    assert_eq!(report.capacity_share, Some(0.5), "150 of 300");
    assert_eq!(report.response_time, Some(Duration::from_millis(12)));
    assert_eq!(report.gauges.get("queue"), Some(&4.0));
    assert_eq!(read(&rows, Some("shop")), Err(ReportError::Missing("`proxy`".into())));
    let all = read(&rows, None).unwrap();
    assert_eq!(
        all.connections,
        Some(6.0),
        "a backend without servers, such as the statistics page, does not count"
    );
}

#[test]
fn the_limit_is_that_of_the_servers_or_the_frontend_or_the_backend() {
    let row = |name: &str, limit: &str, kind: u8| {
        format!("www,{name},0,0,1,1,{limit},1,UP,1,1,0,{kind},0,,\n")
    };
    let (front, back) = (row("FRONTEND", "200", 0), row("BACKEND", "20", 1));
    for (rows, expected, why) in [
        (
            vec![server("www", "a", "UP", 1, "30"), front.clone(), back.clone()],
            Some(30.0),
            "each server has a limit",
        ),
        (
            vec![server("www", "a", "UP", 1, ""), front.clone(), back.clone()],
            Some(200.0),
            "one server has no limit",
        ),
        (vec![server("www", "a", "UP", 1, "0"), back.clone()], Some(20.0), "zero means no limit"),
        (vec![row("BACKEND", "", 1)], None, "no limit at all"),
        (vec![front], Some(200.0), "a frontend alone"),
    ] {
        assert_eq!(read(&rows.concat(), Some("www")).unwrap().limit, expected, "{why}");
    }
}

#[test]
fn only_servers_that_take_new_requests_are_up() {
    for (status, is_up) in [
        ("UP", true),
        ("UP 2/3", true),
        ("no check", true),
        ("DOWN", false),
        ("DOWN 1/2", false),
        ("DOWN (agent)", false),
        ("DRAIN", false),
        ("DRAIN (agent)", false),
        ("NOLB", false),
        ("MAINT", false),
        ("MAINT (via www/a)", false),
        ("MAINT (resolution)", false),
    ] {
        let rows = server("www", "a", status, 10, "") + "www,BACKEND,0,0,0,0,0,0,UP,1,1,0,1,0,,\n";
        let servers = read(&rows, None).unwrap().servers;
        assert_eq!(servers, Some(ServerCount { up: is_up.into(), total: 1 }), "{status}");
    }
}

#[test]
fn a_row_without_name_or_status_is_not_a_server() {
    let back = "www,BACKEND,0,0,0,0,0,0,UP,1,1,0,1,0,,\n";
    for row in
        [server("www", "", "UP", 10, ""), server("www", "b", "", 10, ""), "www,b\n".to_owned()]
    {
        let rows = [&server("www", "a", "UP", 10, ""), &*row, back].concat();
        assert_eq!(
            read(&rows, None).unwrap().servers,
            Some(ServerCount { up: 1, total: 1 }),
            "{row}"
        );
    }
}

#[test]
fn backups_count_only_if_no_other_server_takes_requests() {
    let backup = "www,z,0,0,0,0,,9,UP,10,0,1,2,3,,\n";
    let back = "www,BACKEND,0,0,0,0,0,0,UP,1,1,0,1,0,,\n";
    let both = read(&[&server("www", "a", "UP", 10, ""), backup, back].concat(), None).unwrap();
    assert_eq!(
        (both.servers, both.capacity_share),
        (Some(ServerCount { up: 1, total: 1 }), Some(1.0))
    );
    let alone =
        [&server("www", "a", "DOWN", 20, ""), &server("www", "b", "DOWN", 20, ""), backup, back]
            .concat();
    let alone = read(&alone, None).unwrap();
    assert_eq!(
        (alone.servers, alone.capacity_share),
        (Some(ServerCount { up: 1, total: 2 }), Some(0.25))
    );
}

#[test]
fn the_capacity_share_is_relative_to_the_configured_or_the_highest_weight() {
    let page = |weight| {
        let servers = server("www", "a", "UP", 100, "") + &server("www", "b", "UP", weight, "");
        format!("{HEADER}{servers}www,BACKEND,0,0,0,0,0,0,UP,1,1,0,1,0,,\n")
    };
    let state = "\n1\n# be_id be_name srv_id srv_name srv_addr srv_uweight srv_iweight\n\
                 4 www 1 a 192.0.2.1 100 100\n4 www 2 b 192.0.2.2 50 100\n4 api 2 b 192.0.2.2 50 300\n\n";
    let share = |page: String, history: &mut PollHistory| {
        read_with(&page, Some("www"), history).unwrap().capacity_share.unwrap()
    };
    let history = &mut PollHistory::default();
    assert_eq!(share(page(50) + state, history), 0.75, "150 of 200");
    assert_eq!(share(page(50), history), 1.0, "the highest weight so far");
    assert_eq!(share(page(100), history), 1.0);
    assert_eq!(share(page(50), history), 0.75);
    assert_eq!(share(page(0), history), 0.5, "an agent reports 0 %");
}

#[test]
fn a_header_with_many_columns_makes_no_line_expensive() {
    // This would take minutes if each line were searched for each column.
    let header = format!("# pxname,svname,scur,status{}\n", ",".repeat(60_000));
    let mut statistics = Statistics::new(Some("www"));
    statistics.feed(header.as_bytes()).unwrap();
    for _ in 0..200 {
        statistics.feed("x,\n".repeat(5_000).as_bytes()).unwrap();
    }
    assert_eq!(
        statistics.finish(&mut PollHistory::default()),
        Err(ReportError::Missing("`proxy`".into()))
    );
}

#[test]
fn pages_that_are_no_statistics_are_errors() {
    let row = |fields: &str| format!("{HEADER}{fields}");
    for (page, why) in [
        (String::new(), "an empty page"),
        ("<html>".to_owned(), "a page for browsers"),
        ("# a,b,c\n1,2,3\n".to_owned(), "other columns"),
        (row("www,BACKEND,x,0,0,0,0,0,UP,1,1,0,1,0,,\n"), "not a number"),
        (row("www,BACKEND,0,0,,0,0,0,UP,1,1,0,1,0,,\n"), "no sessions"),
        (row(",BACKEND,0,0,0,0,0,0,UP,1,1,0,1,0,,\n"), "no name"),
        (row("www,BACKEND,0,0,0,0,0,0,\"UP,1,1,0,1,0,,\n"), "a quotation that does not end"),
    ] {
        assert_eq!(read_with(&page, None, &mut PollHistory::default()), Err(WRONG_FORMAT), "{why}");
    }
    assert_eq!(read("", None), Err(ReportError::Missing("any backend".into())), "a header alone");
    let negative = read("www,BACKEND,0,0,-5,0,0,0,UP,1,1,0,1,0,,\n", None);
    assert_eq!(negative.unwrap_err().to_string(), "the number of connections is negative");
    let long = server("www", &"x".repeat(257), "UP", 1, "");
    assert_eq!(read(&long, None), Err(WRONG_FORMAT), "a name longer than the bound");
    let many: String =
        (0..5000).map(|index| server("www", &index.to_string(), "UP", 1, "")).collect();
    assert_eq!(read(&many, None), Err(ReportError::TooMany(MAX_SERVERS, "servers")));
}
