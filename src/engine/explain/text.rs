//! An explanation as text: the answer first, then the reason, then every step with the members
//! that were picked or skipped.

use super::view::{
    AttemptView, Explanation, LocationView, MemberView, PoolView, RecordView, SteeringView,
    StepView,
};
use crate::number_format::percent_in_column;

/// Marks words with ANSI colours, if they are on.
#[derive(Clone, Copy)]
struct TextStyle {
    is_on: bool,
}

impl TextStyle {
    fn paint(self, code: &str, text: &str) -> String {
        if self.is_on && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }
}

/// The explanation as text, with ANSI colours if `color` is set.
pub fn render_text(explanation: &Explanation, color: bool) -> String {
    let style = TextStyle { is_on: color };
    let mut lines = headline(explanation, style);
    lines.push(String::new());
    lines.push(format!("  {} {}", style.strong("because"), style.good(&explanation.because)));
    for (index, step) in explanation.steps.iter().enumerate() {
        lines.push(String::new());
        lines.push(format!("{}. {} {}", index + 1, style.strong(&step.name), describe_step(step)));
        if let Some(steering) = &step.steering {
            push_steering(steering, style, &mut lines);
        }
    }
    lines.push(String::new());
    lines.push(field("cache", &explanation.reply.scope_means, style));
    lines.push(field("snapshot", &format!("generation {}", explanation.generation), style));
    let text: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    text.join("\n") + "\n"
}

fn describe_step(step: &StepView) -> String {
    match &step.zone {
        Some(zone) => format!("in zone {zone}: {}", step.means),
        None => step.means.clone(),
    }
}

/// The question, and the records of the reply.
fn headline(explanation: &Explanation, style: TextStyle) -> Vec<String> {
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
        lines.push(format!("  {}", style.strong(what)));
    }
    let authorities = if reply.answers.is_empty() { &reply.authorities[..] } else { &[] };
    let shown: Vec<&RecordView> = reply.answers.iter().chain(authorities).collect();
    let name_width = shown.iter().map(|record| record.name.len()).max().unwrap_or(0);
    for record in shown {
        let RecordView { name, ttl, rtype, rdata } = record;
        let is_answer = !reply.answers.is_empty();
        let rdata = if is_answer { style.strong(rdata) } else { style.faint(rdata) };
        lines.push(format!("  {name:name_width$}  {ttl:>5}  {rtype:<5}  {rdata}"));
    }
    lines
}

fn push_steering(steering: &SteeringView, style: TextStyle, lines: &mut Vec<String>) {
    let decided_by = &steering.decided_by;
    let client = if decided_by.is_subnet {
        format!("{}, {}", decided_by.address, decided_by.why)
    } else {
        format!("{}, the resolver's address: {}", decided_by.address, decided_by.why)
    };
    lines.push(field("client", &client, style));
    lines.push(field("place", &location_text(&steering.location), style));
    let ttl = &steering.ttl;
    lines.push(field(
        "ttl",
        &match &ttl.lowered_because {
            Some(why) => format!("{} s, lowered from {} s: {why}", ttl.secs, ttl.configured_secs),
            None => format!("{} s, as configured", ttl.secs),
        },
        style,
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
        style,
    ));
    for attempt in &steering.attempts {
        push_attempt(attempt, style, lines);
    }
}

fn field(name: &str, text: &str, style: TextStyle) -> String {
    format!("   {} {text}", style.faint(&format!("{name:<8}")))
}

fn location_text(location: &LocationView) -> String {
    let mut parts: Vec<String> = Vec::new();
    // The code of a subdivision includes its country.
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
    if let Some(ipv4) = &location.carried {
        parts.push(format!("looked up as {ipv4}"));
    }
    if !location.named.is_empty() {
        parts.push(format!("in {}, which rules name", location.named.join(", ")));
    }
    parts.join(" · ")
}

fn push_attempt(attempt: &AttemptView, style: TextStyle, lines: &mut Vec<String>) {
    lines.push(String::new());
    if let Some(why) = &attempt.why {
        lines.push(format!("   {}", style.bad(why)));
    }
    push_pool(&attempt.pool, 3, style, lines);
}

/// The line of a pool, a table of its members, and below it the member pools that were picked.
fn push_pool(pool: &PoolView, indent: usize, style: TextStyle, lines: &mut Vec<String>) {
    let margin = " ".repeat(indent);
    lines.push(format!(
        "{margin}{} {}",
        style.strong(&format!("pool {}", pool.name)),
        style.faint(&describe_pool(pool))
    ));
    let column_width = |text: &dyn Fn(&MemberView) -> String| {
        pool.members.iter().map(|m| text(m).chars().count()).max().unwrap_or(0)
    };
    let (name_width, datacenter_width, target_width) =
        (column_width(&|m| m.name.clone()), column_width(&datacenters), column_width(&targets));
    for member in &pool.members {
        let percent =
            if member.is_picked { percent_in_column(member.percent) } else { String::new() };
        let (name, datacenter, target) = (&member.name, datacenters(member), targets(member));
        let mut line = format!("{name:name_width$}");
        for (text, width) in [(datacenter, datacenter_width), (target, target_width)] {
            if width > 0 {
                line += &format!("  {text:width$}");
            }
        }
        let symbol = symbol(member);
        let share = format!("{percent:>6}");
        lines.push(match (member.is_answered, member.is_picked) {
            (true, _) => {
                format!(
                    "{margin}{} {}",
                    style.good(&format!("{symbol} {line} {share} ")),
                    style.good(&member.reason)
                )
            }
            (false, true) => format!("{margin}{symbol} {line} {share}  {}", member.reason),
            (false, false) => format!(
                "{margin}{}  {}",
                style.faint(&format!("{symbol} {line} {share}")),
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
        push_pool(inner, indent + 2, style, lines);
    }
}

/// `>`: the member is in this answer; `+`: in other answers to this client; `-`: in none.
fn symbol(member: &MemberView) -> char {
    match (member.is_answered, member.is_picked) {
        (true, _) => '>',
        (false, true) => '+',
        (false, false) => '-',
    }
}

fn describe_pool(pool: &PoolView) -> String {
    let mut facts = vec![format!("· {}", pool.policy)];
    if pool.slots > 1 {
        let spread = match pool.spread.as_str() {
            "client" => "each client keeps its slot",
            "turn" => "slots in turn",
            _ => "each query draws a slot",
        };
        facts.push(format!("{spread} of {}", pool.slots));
    }
    if pool.picks > 1 {
        facts.push(format!("{} members an answer", pool.picks));
    }
    if pool.min_up != "1" {
        let met = if pool.meets_min_up { "met" } else { "not met" };
        facts.push(format!("min-up {} {met}", pool.min_up));
    }
    if let Some(rule) = &pool.ends_at {
        facts.push(format!("the search ends at {rule}"));
    }
    facts.join(" · ")
}

/// The datacenters of a member: `fra`, `fra draining`, `fra+iad`.
fn datacenters(member: &MemberView) -> String {
    match &member.datacenters[..] {
        [] => String::new(),
        [only] if only.state == "active" => only.name.clone(),
        [only] => format!("{} {}", only.name, only.state),
        several => {
            let names: Vec<&str> =
                several.iter().map(|datacenter| datacenter.name.as_str()).collect();
            names.join("+")
        }
    }
}

/// The addresses of the family asked for, `192.0.2.11 up, 192.0.2.12 down`, after the name of an
/// alias.
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
