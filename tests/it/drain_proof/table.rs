//! The table: for each state of the site, all reports of both servers are compared with 1,000
//! answers for each service, type and area of clients.

use super::{
    agreement::{ServerSample, assert_agreement},
    site::Site,
};
use crate::balancers::are_installed;

/// A state of the site that commands set.
struct State {
    /// The commands, without the servers.
    set: &'static [&'static str],
    /// What every answer must show, whatever the reports say.
    facts: &'static [Fact],
    /// The commands that end it.
    back: &'static [&'static str],
}

/// What the answers of both servers must show.
enum Fact {
    /// No answer names a member of this datacenter.
    Gone(&'static str),
    /// Of the answers of a service, this part names a member, in percent, to within 4 points.
    Share(&'static str, &'static str, f64),
}

use Fact::{Gone, Share};

const SHARES: &str = "shares.example.org";
const FIRST: &str = "first.example.org";

/// The words of a command; a reason is one word here.
fn words(command: &'static str) -> Vec<&'static str> {
    command.split(' ').collect()
}

/// Sets each state, and asserts that reports, answers and facts agree.
fn assert_states(site: &Site, states: &[State]) {
    for State { set, facts, back } in states {
        let mut printed = Vec::new();
        set.iter().for_each(|command| printed = site.done(&words(command)));
        assert_state(site, &set.join(", "), &printed, facts);
        back.iter().for_each(|command| _ = site.done(&words(command)));
    }
}

fn assert_state(
    site: &Site,
    why: &str,
    printed: &[serde_json::Value],
    facts: &[Fact],
) -> [ServerSample; 2] {
    let measured = assert_agreement(site, why, printed);
    for sample in &measured {
        facts.iter().for_each(|fact| assert_fact(why, sample, fact));
    }
    measured
}

fn assert_fact(why: &str, sample: &ServerSample, fact: &Fact) {
    match fact {
        Gone(datacenter) => {
            let named: Vec<_> = sample.names_and_types_of(datacenter).into_iter().collect();
            assert!(named.is_empty(), "{why}: {named:?} are answered from {datacenter}");
        }
        Share(service, member, expected) => {
            for (row, replies) in sample.of_service(service) {
                let percent = replies.percent(member);
                let tolerance = if matches!(expected, 0.0 | 100.0) { 0.0 } else { 4.0 };
                assert!(
                    (percent - expected).abs() <= tolerance,
                    "{why}: {row:?}: {member} has {percent} %, not {expected} %"
                );
            }
        }
    }
}

/// States of datacenters and regions.
const DATACENTER_STATES: [State; 7] = [
    State {
        set: &["drain fra --reason upgrade"],
        facts: &[Gone("fra"), Share(SHARES, "iad", 60.0), Share(FIRST, "iad", 100.0)],
        back: &["undrain fra"],
    },
    State { set: &["drain eu"], facts: &[Gone("fra")], back: &["undrain eu"] },
    State { set: &["disable fra"], facts: &[Gone("fra")], back: &["enable fra"] },
    State { set: &["standby fra"], facts: &[Gone("fra")], back: &["enable fra"] },
    State { set: &["force down fra"], facts: &[Gone("fra")], back: &["force none fra"] },
    // The only IPv4 address of six.example.org is in iad.
    State {
        set: &["drain iad --override usable-member --reason leak"],
        facts: &[Gone("iad"), Share(FIRST, "fra", 100.0)],
        back: &["undrain iad"],
    },
    // Nothing else is left, so that the drained members are answered as before.
    State {
        set: &["drain fra iad nrt --force"],
        facts: &[Share(SHARES, "fra", 50.0)],
        back: &["undrain fra iad nrt"],
    },
];

#[test]
fn reports_of_datacenters_agree_with_1000_answers_while_drained_disabled_standby_or_paused() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let site = Site::start(["127.0.81.1", "127.0.81.2"], 1);
    let configured = [
        Share(SHARES, "fra", 50.0),
        Share(SHARES, "nrt", 20.0),
        Share(FIRST, "fra", 100.0),
        Share("apart.example.org", "fra", 0.0),
    ];
    let before = assert_state(&site, "as configured", &[], &configured);
    assert_states(&site, &DATACENTER_STATES);

    assert_gradual_states(&site);
    let after = assert_state(&site, "undrained", &[], &configured);
    for (before, after) in before.iter().zip(&after) {
        for ((row, before), (_, after)) in before.rows.iter().zip(&after.rows) {
            assert!(
                !row.is_by_client() || before.answers == after.answers,
                "{row:?}: a client is not answered as before the drains"
            );
        }
    }
}

/// A drain that is paused on its way, and the return from there.
fn assert_gradual_states(site: &Site) {
    let assert_partly = |why: &str, printed: &[serde_json::Value]| {
        for sample in assert_state(site, why, printed, &[]) {
            let (_, replies) = sample.of_service(FIRST).next().unwrap();
            let percent = replies.percent("fra");
            // At most 67 %, to within five standard deviations.
            assert!((1.0..75.0).contains(&percent), "{why}: fra has {percent} % of {FIRST}");
        }
    };
    site.done(&["drain", "fra", "--over", "8s"]);
    site.until_both("a third of the clients has left", |server| {
        server.status().ramps.first().is_some_and(|ramp| ramp.at < 0.67)
    });
    let printed = site.done(&["drain", "fra", "--pause"]);
    assert_partly("drain fra --over 8s, drain fra --pause", &printed);
    let printed = site.done(&["undrain", "fra", "--over", "1h"]);
    assert_partly("undrain fra --over 1h", &printed);
    site.done(&["undrain", "fra", "--over", "0s"]);
}

/// States of pools and members. Overrides of different services are set at the same time.
const MEMBER_STATES: [State; 5] = [
    State {
        set: &["drain web-fra shares/fra"],
        facts: &[Share("geo.example.org", "fra", 0.0), Share(SHARES, "fra", 0.0)],
        back: &["undrain web-fra shares/fra"],
    },
    State {
        set: &[
            "drain service:first.example.org/fra",
            "drain service:six.example.org/six service:shop.example.org/six",
            "force down service:cdn.example.org/fra",
            "weight shares/fra 15",
        ],
        facts: &[
            Share(FIRST, "iad", 100.0),
            Share("six.example.org", "six", 0.0),
            Share("shop.example.org", "six", 0.0),
            Share("cdn.example.org", "iad", 100.0),
            Share(SHARES, "fra", 75.0),
        ],
        back: &[
            "undrain service:first.example.org/fra",
            "undrain service:six.example.org/six service:shop.example.org/six",
            "force none service:cdn.example.org/fra",
            "weight shares/fra none",
        ],
    },
    State {
        set: &["disable shares/iad", "standby shares/nrt"],
        facts: &[Share(SHARES, "fra", 100.0)],
        back: &["enable shares/iad shares/nrt"],
    },
    State {
        set: &["weight shares/fra 0", "force up service:first.example.org/fra"],
        facts: &[Share(SHARES, "iad", 60.0), Share(FIRST, "fra", 100.0)],
        back: &["weight shares/fra none", "force none service:first.example.org/fra"],
    },
    State { set: &[], facts: &[Share(SHARES, "fra", 50.0)], back: &[] },
];

#[test]
fn reports_of_pools_and_members_agree_with_1000_answers_while_overrides_change_them() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let site = Site::start(["127.0.82.1", "127.0.82.2"], 1);
    assert_states(&site, &MEMBER_STATES);
}

/// States while the balancer of iad does not answer its checks.
const OUTAGE_STATES: [State; 3] = [
    State { set: &[], facts: &[Share(SHARES, "iad", 0.0), Share(FIRST, "fra", 100.0)], back: &[] },
    State {
        set: &["force up iad"],
        facts: &[Share(SHARES, "iad", 30.0)],
        back: &["force none iad"],
    },
    // Services without another member are answered with what is down.
    State {
        set: &["drain fra --override usable-member --reason leak"],
        facts: &[Share(SHARES, "nrt", 100.0), Share("random.example.org", "iad", 100.0)],
        back: &["undrain fra"],
    },
];

#[test]
fn reports_agree_with_1000_answers_while_a_balancer_is_down_and_after_its_return() {
    if !are_installed(&["haproxy", "nginx"]) {
        return;
    }
    let mut site = Site::start(["127.0.83.1", "127.0.83.2"], 1);
    site.stop_nginx();
    assert_states(&site, &OUTAGE_STATES);
    site.start_nginx();
    assert_state(&site, "nginx is back", &[], &[Share(SHARES, "iad", 30.0)]);
}
