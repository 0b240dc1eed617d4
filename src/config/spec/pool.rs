//! Reads `[pool.NAME]` and the inline form of a service: members and a policy.

use std::{num::NonZeroU32, sync::Arc};

use ipnet::IpNet;

use super::{
    endpoint::EndpointSpec,
    policy_name::{self, PolicyName, report_wrong_policy},
    regulation::RegulationSpec,
};
use crate::{
    config::{
        place::{Placed, SourcePlace},
        problems::Problems,
        quoted::Quoted,
        reader::{TableReader, TableSubject, ValueReader},
        values,
    },
    steer::{AnswerCount, FamilyCoupling, MinUp, Spread, Tie},
};

/// A pool as written.
#[derive(Debug)]
pub(in crate::config) struct PoolSpec {
    pub(in crate::config) name: Placed<Box<str>>,
    pub(in crate::config) policy: Placed<PolicyName>,
    pub(in crate::config) spread: Spread,
    pub(in crate::config) answers: Placed<AnswerCount>,
    pub(in crate::config) min_up: Option<Placed<MinUp>>,
    pub(in crate::config) families: FamilyCoupling,
    pub(in crate::config) tie: Option<Tie>,
    pub(in crate::config) datacenter: Option<Placed<Box<str>>>,
    pub(in crate::config) monitor: Option<Placed<Box<str>>>,
    pub(in crate::config) on_all_down: Option<OnAllDownSpec>,
    /// `client-subnet`: whether answers of services with this pool depend on client subnets.
    pub(in crate::config) client_subnet: Option<Placed<bool>>,
    pub(in crate::config) regulation: Arc<RegulationSpec>,
    /// The members outside of rules; `None` where the key is missing or its value is not a list.
    pub(in crate::config) members: Option<Vec<MemberSpec>>,
    /// A list of a `geo` pool; empty for other policies.
    pub(in crate::config) rules: Vec<RuleSpec>,
    /// A list of a `geo` pool; empty for other policies.
    pub(in crate::config) default: Vec<MemberSpec>,
    /// Whether every member that is written could be read: only then can their number and weights
    /// be checked.
    pub(in crate::config) is_complete: bool,
}

/// A member as written.
#[derive(Debug)]
pub(in crate::config) struct MemberSpec {
    pub(in crate::config) place: SourcePlace,
    pub(in crate::config) target: MemberTarget,
    pub(in crate::config) weight: u16,
    pub(in crate::config) bias: i8,
}

/// The pool or endpoint that a member is.
#[derive(Debug)]
pub(in crate::config) enum MemberTarget {
    Pool(Placed<Box<str>>),
    Endpoint(Box<EndpointSpec>),
}

/// A rule of a `geo` pool as written.
#[derive(Debug)]
pub(in crate::config) struct RuleSpec {
    pub(in crate::config) subnets: Vec<Placed<IpNet>>,
    pub(in crate::config) asns: Vec<Placed<u32>>,
    pub(in crate::config) subdivisions: Vec<Placed<Box<str>>>,
    pub(in crate::config) countries: Vec<Placed<Box<str>>>,
    pub(in crate::config) continents: Vec<Placed<Box<str>>>,
    pub(in crate::config) members: Vec<MemberSpec>,
    /// The place of `strict = true`.
    pub(in crate::config) strict: Option<SourcePlace>,
}

/// The value of `on-all-down` as it is written in the file.
#[derive(Debug, Clone)]
pub(in crate::config) enum OnAllDownSpec {
    All,
    Empty,
    Pool(Placed<Box<str>>),
}

/// The name of a rule of a `geo` pool in messages.
const RULE_SUBJECT: &str = "a rule of";

const MEMBERS_HELP: &str = "write members = [ { addresses = [\"192.0.2.1\"] } ] or the names of pools: members = [\"web-fra\", \"web-iad\"]";

impl PoolSpec {
    pub(super) fn read(
        name: Placed<&str>,
        mut table: TableReader<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let name = values::table_name(name, "pool", problems)?;
        let on_all_down = table.optional("on-all-down", problems, on_all_down);
        let client_subnet = table
            .value("client-subnet")
            .and_then(|item| Some(Placed::new(item.boolean(problems)?, item.place)));
        let spec =
            Self { client_subnet, ..Self::read_keys(name, &mut table, on_all_down, problems) };
        table.finish(problems);
        Some(spec)
    }

    /// Reads the keys that a pool's table and a service's table share.
    pub(super) fn read_keys(
        name: Placed<Box<str>>,
        table: &mut TableReader<'_>,
        on_all_down: Option<OnAllDownSpec>,
        problems: &mut Problems,
    ) -> Self {
        let place = table.place;
        let has_endpoint_key = refuse_endpoint_keys(table, problems);
        let written_policy = table.value("policy");
        let is_geo_meant = written_policy.is_none() && refuse_rules_without_policy(table, problems);
        let policy = match written_policy {
            None if is_geo_meant => Some(Placed::new(PolicyName::Geo, place)),
            None => Some(Placed::new(PolicyName::Weighted, place)),
            Some(item) => policy_name::read(item, problems),
        };
        let spread = table.optional("spread", problems, spread).unwrap_or_default();
        let default_answers = AnswerCount::Count(NonZeroU32::MIN);
        let answers = table
            .optional("answers", problems, answers)
            .unwrap_or(Placed::new(default_answers, place));
        let min_up = table.optional("min-up", problems, min_up);
        let families = table.optional("families", problems, families).unwrap_or_default();
        let datacenter = table.optional("datacenter", problems, values::name_reference);
        let monitor = table.optional("monitor", problems, values::name_reference);
        let regulation = RegulationSpec::read(table, policy.map(|policy| policy.value), problems);
        let tie = tie_of_policy(table, policy.map(|policy| policy.value), problems);
        let lists =
            MemberLists::read(table, policy.map(|policy| policy.value), has_endpoint_key, problems);
        let policy = policy.unwrap_or(Placed::new(PolicyName::Weighted, place));
        Self {
            name,
            policy,
            spread,
            answers,
            min_up,
            families,
            tie,
            datacenter,
            monitor,
            on_all_down,
            client_subnet: None,
            regulation,
            members: lists.members,
            rules: lists.rules,
            default: lists.default,
            is_complete: lists.is_complete,
        }
    }

    /// All members, including those of rules and of the default.
    pub(in crate::config) fn all_members(&self) -> impl Iterator<Item = &MemberSpec> {
        let members = self.members.iter().flatten();
        members.chain(self.rules.iter().flat_map(|rule| &rule.members)).chain(&self.default)
    }
}

/// The members of a pool: in one list, or in the rules and the default of a `geo` pool.
struct MemberLists {
    members: Option<Vec<MemberSpec>>,
    rules: Vec<RuleSpec>,
    default: Vec<MemberSpec>,
    is_complete: bool,
}

impl MemberLists {
    /// Reads the lists. `policy` is `None` where it could not be read. If `has_endpoint_key`, keys
    /// of an endpoint were reported already, and a missing list is not reported as well.
    fn read(
        table: &mut TableReader<'_>,
        policy: Option<PolicyName>,
        has_endpoint_key: bool,
        problems: &mut Problems,
    ) -> Self {
        let is_geo = policy == Some(PolicyName::Geo);
        let mut is_complete = policy.is_some();
        let (members, rules, default) =
            (table.value("members"), table.value("rules"), table.value("default"));
        let geo_key = rules.or(default);
        if let (Some(item), false, true) = (geo_key, is_geo, policy.is_some()) {
            report_wrong_policy(item, "geo", problems);
        }
        match (members, is_geo) {
            (Some(item), true) => refuse_members_of_geo(item, table.subject, problems),
            (None, false) if policy.is_some() && !has_endpoint_key && geo_key.is_none() => {
                problems
                    .error(table.place, format!("{} has no `members`", table.subject))
                    .help(MEMBERS_HELP);
            }
            (None, true) if default.is_none() && !has_endpoint_key => {
                require_default(table, problems);
            }
            _ => {}
        }
        let mut list = |item: Option<ValueReader<'_>>| {
            item.and_then(|item| members_of(item, &mut is_complete, problems))
        };
        let members = list(members.filter(|_| !is_geo));
        let default = list(default.filter(|_| is_geo)).unwrap_or_default();
        let rules = match rules.filter(|_| is_geo) {
            Some(item) => rules_of(item, &mut is_complete, problems),
            None => Vec::new(),
        };
        Self { members, rules, default, is_complete }
    }
}

fn refuse_members_of_geo(
    item: ValueReader<'_>,
    subject: TableSubject<'_>,
    problems: &mut Problems,
) {
    problems
        .error(item.place, format!("{subject}, whose policy is geo, has `members`"))
        .help("a geo pool's members are in its `rules` and in `default`: write default = [ ... ] in place of members = [ ... ]");
}

fn require_default(table: &TableReader<'_>, problems: &mut Problems) {
    problems.error(table.place, format!("{}, whose policy is geo, has no `default`", table.subject)).help(
        "write default = [\"POOL\"] for clients that no rule matches; default = [] answers them nothing (NODATA)",
    );
}

/// The keys that say what an endpoint answers; each endpoint has exactly one of them.
const ENDPOINT_KEYS: [&str; 4] = ["addresses", "cname", "alias", "target"];

/// Reports a key of an endpoint in the table of a pool or a service. Returns whether there is one.
pub(super) fn refuse_endpoint_keys(table: &mut TableReader<'_>, problems: &mut Problems) -> bool {
    let Some(key) = ENDPOINT_KEYS.into_iter().find(|key| table.has(key)) else { return false };
    // Further keys of an endpoint belong to the same mistake.
    for other in ENDPOINT_KEYS.into_iter().chain(["port", "priority", "weight", "bias", "name"]) {
        table.value(other);
    }
    if let Some(item) = table.value(key) {
        let sample = match key {
            "addresses" => "{ addresses = [\"192.0.2.1\"] }",
            "target" => "{ target = \"sip1.example.com\", port = 5060 }",
            "cname" => "{ cname = \"lb.example.net\" }",
            _ => "{ alias = \"lb.example.net\" }",
        };
        problems
            .error(item.place, format!("{} has `{key}`, which is a key of a member", table.subject))
            .help(format!("write it inside `members`: members = [{sample}]"));
    }
    true
}

/// Reports `rules` or `default` without `members` and without a policy: `policy = "geo"` was
/// forgotten. Returns whether it was.
fn refuse_rules_without_policy(table: &mut TableReader<'_>, problems: &mut Problems) -> bool {
    if table.has("members") {
        return false;
    }
    let Some(item) = table.value("rules").or_else(|| table.value("default")) else { return false };
    let is_misspelt = |name: &str| problems.suggest(name, std::iter::once("policy")).is_some();
    if table.entries().map(|(name, _)| name.value).any(is_misspelt) {
        // That key is reported with the other unknown keys.
        return true;
    }
    problems
        .error(
            item.place,
            format!("{} has `{}`, and its policy is not geo", item.subject, item.key),
        )
        .help("add policy = \"geo\"");
    true
}

fn spread(item: ValueReader<'_>, problems: &mut Problems) -> Option<Spread> {
    item.keyword(
        &[("query", Spread::Query), ("client", Spread::Client), ("turn", Spread::Turn)],
        problems,
    )
}

fn answers(item: ValueReader<'_>, problems: &mut Problems) -> Option<Placed<AnswerCount>> {
    if let Some(text) = item.as_text() {
        if text.trim().parse::<u32>().is_ok() {
            problems
                .error(item.place, format!("{} has answers {}", item.subject, Quoted(text)))
                .help(format!("write the number without quotes: {}", text.trim()));
            return None;
        }
        return item
            .keyword(&[("all", AnswerCount::All)], problems)
            .map(|word| Placed::new(word, item.place));
    }
    let count = item.integer(
        1,
        1000,
        "it counts endpoints in one answer; \"all\" means every usable one",
        problems,
    )?;
    let count = u32::try_from(count.value).ok().and_then(NonZeroU32::new)?;
    Some(Placed::new(AnswerCount::Count(count), item.place))
}

fn min_up(item: ValueReader<'_>, problems: &mut Problems) -> Option<Placed<MinUp>> {
    if !item.is_text() {
        let count =
            item.integer(1, 65_536, "it counts members; a share is written \"50%\"", problems)?;
        let count = u32::try_from(count.value).ok().and_then(NonZeroU32::new)?;
        return Some(Placed::new(MinUp::Members(count), item.place));
    }
    let text = item.text(problems)?;
    let Some(share) = values::share(text.value, 100.0) else {
        problems
            .error(text.place, format!("{} has min-up {}", item.subject, Quoted(text.value)))
            .help("write a number of members, 2, or a share by weight, \"50%\"");
        return None;
    };
    Some(Placed::new(MinUp::Share(share), item.place))
}

fn families(item: ValueReader<'_>, problems: &mut Problems) -> Option<FamilyCoupling> {
    item.keyword(
        &[("apart", FamilyCoupling::Independent), ("together", FamilyCoupling::Coupled)],
        problems,
    )
}

/// Reads `tie`, which belongs to `nearest`. Where the policy could not be read, it may be that.
fn tie_of_policy(
    table: &mut TableReader<'_>,
    policy: Option<PolicyName>,
    problems: &mut Problems,
) -> Option<Tie> {
    let item = table.value("tie")?;
    match policy {
        None | Some(PolicyName::Nearest) => tie(item, problems),
        Some(_) => {
            report_wrong_policy(item, "nearest", problems);
            None
        }
    }
}

fn tie(item: ValueReader<'_>, problems: &mut Problems) -> Option<Tie> {
    const HELP: &str =
        "write how much farther than the nearest still counts as near: \"5%\" or \"100km\"";
    if item.as_number().is_some() {
        problems.error(item.place, format!("{} has no unit", item.description())).help(HELP);
        return None;
    }
    let text = item.text(problems)?;
    let kilometres = || {
        let number: f64 = text.value.strip_suffix("km")?.trim_end().parse().ok()?;
        (number > 0.0 && number <= 20_100.0).then_some(Tie::Kilometres(number))
    };
    let tie = values::share(text.value, 1000.0).map(Tie::Share).or_else(kilometres);
    if tie.is_none() {
        problems
            .error(text.place, format!("{} has tie {}", item.subject, Quoted(text.value)))
            .help(HELP);
    }
    tie
}

/// `"all"`, `"empty"` or `{ pool = "..." }`.
pub(super) fn on_all_down(item: ValueReader<'_>, problems: &mut Problems) -> Option<OnAllDownSpec> {
    if !item.is_table() {
        const WORDS: [(&str, bool); 2] = [("all", true), ("empty", false)];
        if let Some(text) = item.as_text()
            && problems.suggest(text, WORDS.into_iter().map(|(word, _)| word)).is_none()
        {
            problems.error(item.place, format!("{} has on-all-down {}", item.subject, Quoted(text))).help(format!(
                "a pool is written on-all-down = {{ pool = {} }}; the words are \"all\" and \"empty\"",
                Quoted(text)
            ));
            return None;
        }
        let all = item.keyword(&WORDS, problems)?;
        return Some(if all { OnAllDownSpec::All } else { OnAllDownSpec::Empty });
    }
    let mut table =
        item.table(TableSubject { kind: "`on-all-down` of", name: item.subject.name }, problems)?;
    let pool = table.required("pool", "write on-all-down = { pool = \"NAME\" }", problems);
    let pool = pool.and_then(|item| values::name_reference(item, problems));
    table.finish(problems);
    pool.map(OnAllDownSpec::Pool)
}

/// Reads a list of members. Members that cannot be read are left out, and the list is then not
/// complete.
fn members_of(
    item: ValueReader<'_>,
    is_complete: &mut bool,
    problems: &mut Problems,
) -> Option<Vec<MemberSpec>> {
    let Some(items) = item.list("members", problems) else {
        *is_complete = false;
        return None;
    };
    let written = items.len();
    let members: Vec<_> = items.into_iter().filter_map(|item| member(item, problems)).collect();
    *is_complete &= members.len() == written;
    // A rule without members answers its clients with NODATA, and so does an empty default.
    if written == 0 && item.key == "members" && item.subject.kind != RULE_SUBJECT {
        problems.error(item.place, format!("{} has no member", item.subject)).help(MEMBERS_HELP);
    }
    Some(members)
}

fn member(item: ValueReader<'_>, problems: &mut Problems) -> Option<MemberSpec> {
    if item.is_text() {
        let name = values::name_reference(item, problems)?;
        return Some(MemberSpec {
            place: item.place,
            target: MemberTarget::Pool(name),
            weight: 1,
            bias: 0,
        });
    }
    if !item.is_table() {
        problems
            .error(
                item.place,
                format!("a member of {} must be a pool's name or a table", item.subject),
            )
            .help("write \"POOL\", { pool = \"POOL\", ... } or { addresses = [ ... ], ... }");
        return None;
    }
    let mut table = item.table(item.subject, problems)?;
    let pool = table.value("pool");
    let target = match pool {
        Some(item) => values::name_reference(item, problems).map(MemberTarget::Pool),
        None => EndpointSpec::read(&mut table, problems)
            .map(|endpoint| MemberTarget::Endpoint(Box::new(endpoint))),
    };
    // Mistakes in weights and biases are reported with the member's name, which is read before.
    let name = match &target {
        Some(MemberTarget::Pool(name)) => name.value.clone(),
        Some(MemberTarget::Endpoint(endpoint)) => endpoint.name.value.clone(),
        None => "".into(),
    };
    let kind = if pool.is_some() { "member" } else { "endpoint" };
    let subject = TableSubject { kind, name: &name };
    let weight =
        table.value("weight").map_or(Some(1), |item| weight(item.with_subject(subject), problems));
    let bias =
        table.value("bias").map_or(Some(0), |item| bias(item.with_subject(subject), problems));
    let place = table.place;
    table.finish(problems);
    Some(MemberSpec { place, target: target?, weight: weight?, bias: bias? })
}

fn weight(item: ValueReader<'_>, problems: &mut Problems) -> Option<u16> {
    let help = "weights are relative within a pool: 7 and 1 mean the same as 70000 and 10000; 0 is for standby";
    let weight = item.integer(0, 65535, help, problems)?;
    u16::try_from(weight.value).ok()
}

fn bias(item: ValueReader<'_>, problems: &mut Problems) -> Option<i8> {
    let bias = item.integer(
        -99,
        99,
        "it is a percentage: 25 draws clients from 25 % farther, -25 pushes them away",
        problems,
    )?;
    i8::try_from(bias.value).ok()
}

fn rules_of(
    item: ValueReader<'_>,
    is_complete: &mut bool,
    problems: &mut Problems,
) -> Vec<RuleSpec> {
    let items = item.list("rules", problems).unwrap_or_default();
    items.into_iter().filter_map(|item| rule(item, is_complete, problems)).collect()
}

fn rule(
    item: ValueReader<'_>,
    is_complete: &mut bool,
    problems: &mut Problems,
) -> Option<RuleSpec> {
    let subject = TableSubject { kind: RULE_SUBJECT, name: item.subject.name };
    let mut table = item.table(subject, problems)?;
    let mut keys = 0;
    let mut codes = |key, problems: &mut Problems| {
        let item = table.value(key)?;
        keys += 1;
        item.texts("strings", problems)
    };
    let subnets = codes("subnet", problems).unwrap_or_default();
    let subdivisions = codes("subdivision", problems).unwrap_or_default();
    let countries = codes("country", problems).unwrap_or_default();
    let continents = codes("continent", problems).unwrap_or_default();
    let asns = table.value("asn").map(|item| {
        keys += 1;
        item.list("numbers", problems).unwrap_or_default()
    });
    const HELP: &str =
        "write members = [\"POOL\"]: the pools to try, in order; members = [] answers NODATA";
    let members = table.required("members", HELP, problems);
    let strict = table.value("strict").filter(|item| item.boolean(problems) == Some(true));
    let rule = RuleSpec {
        subnets: subnets.into_iter().filter_map(|text| values::prefix(text, problems)).collect(),
        asns: asns.into_iter().flatten().filter_map(|item| asn(item, problems)).collect(),
        subdivisions: subdivisions
            .into_iter()
            .filter_map(|text| values::subdivision(text, problems))
            .collect(),
        countries: countries
            .into_iter()
            .filter_map(|text| values::country(text, problems))
            .collect(),
        continents: continents
            .into_iter()
            .filter_map(|text| values::continent(text, problems))
            .collect(),
        members: members
            .and_then(|item| members_of(item, is_complete, problems))
            .unwrap_or_default(),
        strict: strict.map(|item| item.place),
    };
    if keys == 0 {
        problems
            .error(table.place, format!("{} matches no client", table.subject))
            .help("add a condition: subnet = [...], asn = [...], subdivision = [...], country = [...] or continent = [...]");
    }
    table.finish(problems);
    Some(rule)
}

pub(super) fn asn(item: ValueReader<'_>, problems: &mut Problems) -> Option<Placed<u32>> {
    let number = item.integer(
        1,
        i64::from(u32::MAX),
        "it is the number of an autonomous system: 64500",
        problems,
    )?;
    u32::try_from(number.value).ok().map(|asn| Placed::new(asn, number.place))
}
