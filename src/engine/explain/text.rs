//! An explanation as text: the answer first, then why, then what was passed over and why.

use super::view::{
    AttemptView, Explanation, LocationView, MemberView, PoolView, RecordView, SteeringView,
    StepView,
};
use crate::number_format::percent_in_column;

/// How words are set off.
#[derive(Clone, Copy)]
struct TextStyle {
    is_on: bool,
}

impl TextStyle {
    fn paint(self, code: &str, words: &str) -> String {
        if self.is_on && !words.is_empty() {
            format!("\x1b[{code}m{words}\x1b[0m")
        } else {
            words.to_owned()
        }
    }

    fn strong(self, words: &str) -> String {
        self.paint("1", words)
    }

    fn good(self, words: &str) -> String {
        self.paint("32", words)
    }

    fn bad(self, words: &str) -> String {
        self.paint("31", words)
    }

    fn faint(self, words: &str) -> String {
        self.paint("2", words)
    }
}

/// The explanation as text, with ANSI colours or without.
pub fn render_text(explanation: &Explanation, color: bool) -> String {
    let ink = TextStyle { is_on: color };
    let mut lines = headline(explanation, ink);
    lines.push(String::new());
    lines.push(format!("  {} {}", ink.strong("because"), ink.good(&explanation.because)));
    for (at, step) in explanation.steps.iter().enumerate() {
        lines.push(String::new());
        lines.push(format!("{}. {} {}", at + 1, ink.strong(&step.name), step_words(step)));
        if let Some(steering) = &step.steering {
            push_steering(steering, ink, &mut lines);
        }
    }
    lines.push(String::new());
    lines.push(field("cache", &explanation.reply.scope_means, ink));
    lines.push(field("snapshot", &format!("generation {}", explanation.generation), ink));
    let text: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    text.join("\n") + "\n"
}

fn step_words(step: &StepView) -> String {
    match &step.zone {
        Some(zone) => format!("in zone {zone}: {}", step.means),
        None => step.means.clone(),
    }
}

/// The question and the records.
fn headline(explanation: &Explanation, ink: TextStyle) -> Vec<String> {
    let question = &explanation.question;
    let subnet =
        question.subnet.as_ref().map(|subnet| format!(" for {subnet}")).unwrap_or_default();
    let mut lines = vec![
        format!("{} {} from {}{subnet}", question.name, question.rtype, question.client),
        String::new(),
    ];
    let reply = &explanation.reply;
    if reply.answers.is_empty() {
        let what = match reply.rcode.as_str() {
            "NOERROR" if reply.is_authoritative => {
                "NODATA: the name exists and has no such records"
            }
            "NOERROR" => "a referral",
            "NXDOMAIN" => "NXDOMAIN: the name does not exist",
            other => other,
        };
        lines.push(format!("  {}", ink.strong(what)));
    }
    let authorities = if reply.answers.is_empty() { &reply.authorities[..] } else { &[] };
    let shown: Vec<&RecordView> = reply.answers.iter().chain(authorities).collect();
    let name_width = shown.iter().map(|record| record.name.len()).max().unwrap_or(0);
    for record in shown {
        let RecordView { name, ttl, rtype, rdata } = record;
        let is_answer = !reply.answers.is_empty();
        let rdata = if is_answer { ink.strong(rdata) } else { ink.faint(rdata) };
        lines.push(format!("  {name:name_width$}  {ttl:>5}  {rtype:<5}  {rdata}"));
    }
    lines
}

fn push_steering(steering: &SteeringView, ink: TextStyle, lines: &mut Vec<String>) {
    let decided_by = &steering.decided_by;
    let by = if decided_by.is_subnet {
        format!("{}, {}", decided_by.address, decided_by.why)
    } else {
        format!("{}, the resolver's address: {}", decided_by.address, decided_by.why)
    };
    lines.push(field("client", &by, ink));
    lines.push(field("place", &place(&steering.location), ink));
    let ttl = &steering.ttl;
    lines.push(field(
        "ttl",
        &match &ttl.lowered_because {
            Some(why) => format!("{} s, lowered from {} s: {why}", ttl.secs, ttl.configured_secs),
            None => format!("{} s, as configured", ttl.secs),
        },
        ink,
    ));
    lines.push(field(
        "areas",
        &match (steering.area, steering.areas) {
            (Some(area), areas) => {
                format!("area {area} of {areas}: other places get other answers")
            }
            (None, 0) => "none: no answer of this type is published".to_owned(),
            (None, _) => "one: every place gets the same answer at this moment".to_owned(),
        },
        ink,
    ));
    for attempt in &steering.attempts {
        push_attempt(attempt, ink, lines);
    }
}

fn field(name: &str, words: &str, ink: TextStyle) -> String {
    format!("   {} {words}", ink.faint(&format!("{name:<8}")))
}

fn place(location: &LocationView) -> String {
    let mut parts: Vec<String> = Vec::new();
    // The code of a subdivision has its country in it.
    let country = location.country.as_ref().filter(|_| location.subdivisions.is_empty());
    let wide = country.into_iter().chain(&location.continent);
    let named: Vec<&str> = location
        .city
        .iter()
        .chain(&location.subdivisions)
        .chain(wide)
        .map(String::as_str)
        .collect();
    parts.push(if named.is_empty() {
        "unknown to the databases".to_owned()
    } else {
        named.join(", ")
    });
    if let (Some(latitude), Some(longitude)) = (location.latitude, location.longitude) {
        parts.push(format!("{latitude:.2}, {longitude:.2}"));
    }
    if let Some(asn) = location.asn {
        let organization =
            location.organization.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        parts.push(format!("AS{asn}{organization}"));
    }
    if !location.databases.is_empty() {
        parts.push(format!("{} by {}", location.network, location.databases.join(", ")));
    }
    if let Some(carried) = &location.carried {
        parts.push(format!("looked up as {carried}"));
    }
    if !location.named.is_empty() {
        parts.push(format!("in {}, which rules name", location.named.join(", ")));
    }
    parts.join(" · ")
}

fn push_attempt(attempt: &AttemptView, ink: TextStyle, lines: &mut Vec<String>) {
    lines.push(String::new());
    if let Some(why) = &attempt.why {
        lines.push(format!("   {}", ink.bad(why)));
    }
    push_pool(&attempt.pool, 3, ink, lines);
}

/// A pool's line, its members in a table, and below it the pools among them that were picked.
fn push_pool(pool: &PoolView, indent: usize, ink: TextStyle, lines: &mut Vec<String>) {
    let margin = " ".repeat(indent);
    lines.push(format!(
        "{margin}{} {}",
        ink.strong(&format!("pool {}", pool.name)),
        ink.faint(&pool_words(pool))
    ));
    let column = |of: &dyn Fn(&MemberView) -> String| {
        pool.members.iter().map(|m| of(m).chars().count()).max().unwrap_or(0)
    };
    let (name_width, place_width, target_width) =
        (column(&|m| m.name.clone()), column(&datacenters), column(&targets));
    for member in &pool.members {
        let percent =
            if member.is_picked { percent_in_column(member.percent) } else { String::new() };
        let (name, place, target) = (&member.name, datacenters(member), targets(member));
        let mut line = format!("{name:name_width$}");
        for (words, width) in [(place, place_width), (target, target_width)] {
            if width > 0 {
                line += &format!("  {words:width$}");
            }
        }
        let mark = mark(member);
        let share = format!("{percent:>6}");
        lines.push(match (member.is_answered, member.is_picked) {
            (true, _) => {
                format!(
                    "{margin}{} {}",
                    ink.good(&format!("{mark} {line} {share} ")),
                    ink.good(&member.reason)
                )
            }
            (false, true) => format!("{margin}{mark} {line} {share}  {}", member.reason),
            (false, false) => format!(
                "{margin}{}  {}",
                ink.faint(&format!("{mark} {line} {share}")),
                member.reason
            ),
        });
    }
    for inner in pool
        .members
        .iter()
        .filter(|member| member.is_picked)
        .filter_map(|member| member.pool.as_ref())
    {
        push_pool(inner, indent + 2, ink, lines);
    }
}

/// `>` the answer holds it, `+` other answers to this client hold it, `-` none does.
fn mark(member: &MemberView) -> char {
    match (member.is_answered, member.is_picked) {
        (true, _) => '>',
        (false, true) => '+',
        (false, false) => '-',
    }
}

fn pool_words(pool: &PoolView) -> String {
    let mut words = vec![format!("· {}", pool.policy)];
    if pool.slots > 1 {
        let spread = match pool.spread.as_str() {
            "client" => "each client keeps its slot",
            "turn" => "slots in turn",
            _ => "each query draws a slot",
        };
        words.push(format!("{spread} of {}", pool.slots));
    }
    if pool.picks > 1 {
        words.push(format!("{} members an answer", pool.picks));
    }
    if pool.min_up != "1" {
        let met = if pool.meets_min_up { "met" } else { "not met" };
        words.push(format!("min-up {} {met}", pool.min_up));
    }
    words.join(" · ")
}

/// `fra`, `fra draining`, `3 datacenters`.
fn datacenters(member: &MemberView) -> String {
    match &member.datacenters[..] {
        [] => String::new(),
        [one] if one.state == "active" => one.name.clone(),
        [one] => format!("{} {}", one.name, one.state),
        several => {
            let names: Vec<&str> =
                several.iter().map(|datacenter| datacenter.name.as_str()).collect();
            names.join("+")
        }
    }
}

/// `192.0.2.11 up, 192.0.2.12 down`, of the family asked for; for an alias with its name before
/// them.
fn targets(member: &MemberView) -> String {
    let shown = member.targets.iter().filter(|target| target.is_of_family).map(|target| {
        match &target.verdict {
            Some(verdict) => format!("{} {verdict}", target.target),
            None => target.target.clone(),
        }
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    match &member.alias {
        Some(alias) if shown.is_empty() => format!("alias {alias}"),
        Some(alias) => format!("alias {alias}: {shown}"),
        None => shown,
    }
}
