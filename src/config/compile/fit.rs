//! The largest answer of each service: whether it fits into a message, and whether resolvers accept
//! that many records.
//!
//! Only answers that the configuration can give while all members are healthy are counted, so that
//! an error is never false. An alias counts as one address of each family, since its addresses are
//! not known here.

use std::{cmp::Reverse, net::IpAddr};

use hashbrown::HashSet;

use super::{pools::Compiled, shape::Reach};
use crate::{
    config::{
        diagnostics::Quoted,
        place::Place,
        problems::Problems,
        spec::{PolicyWord, PoolSpec, ServiceSpec},
    },
    dns::{Name, Rtype},
    steer::{
        Answers, Endpoint, EndpointId, Host, Kind, Member, MemberKind, Policy, Pool, State, Target,
    },
    zone::{MOST_RRSET_OCTETS, RECORD_OCTETS},
};

/// The most records of one type in an answer that BIND accepts as a resolver: its default of
/// `max-records-per-type`.
pub(super) const MOST_RECORDS: u64 = 100;
/// What more records than that lead to.
pub(super) const CONSEQUENCE: &str = "resolvers with BIND 9.18.28 or later answer SERVFAIL for more than 100 records of one type (max-records-per-type)";

/// Priority, weight and port of an SRV record.
const SRV_NUMBERS_OCTETS: usize = 6;

/// The size of the records of one type in an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Size {
    records: u64,
    octets: u64,
}

/// The types of records that services draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Drawn {
    A,
    Aaaa,
    Srv,
}

/// The most that one answer of a pool or an endpoint holds, by type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Most([Size; 3]);

/// A bound that an answer exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Bound {
    /// A message has no room for it.
    Octets,
    /// Resolvers do not accept it.
    Records,
}

impl Bound {
    /// The first bound that a size exceeds.
    fn passed_by(size: Size) -> Option<Self> {
        [Self::Octets, Self::Records].into_iter().find(|&bound| size.passes(bound))
    }
}

impl Drawn {
    const ALL: [Self; 3] = [Self::A, Self::Aaaa, Self::Srv];

    fn rtype(self) -> Rtype {
        match self {
            Self::A => Rtype::A,
            Self::Aaaa => Rtype::AAAA,
            Self::Srv => Rtype::SRV,
        }
    }

    /// Whether a service answers records of the type.
    fn is_of(self, spec: &ServiceSpec) -> bool {
        match (&spec.kind, self) {
            (Kind::Srv, drawn) => drawn == Self::Srv,
            (Kind::Addresses | Kind::Binding(_), Self::A) => true,
            (Kind::Addresses | Kind::Binding(_), Self::Aaaa) => spec.ipv6,
            (Kind::Addresses | Kind::Binding(_), Self::Srv) => false,
        }
    }
}

impl Size {
    fn plus(self, other: Self) -> Self {
        let (records, octets) =
            (self.records.saturating_add(other.records), self.octets.saturating_add(other.octets));
        Self { records, octets }
    }

    fn at_most(self, other: Self) -> Self {
        Self { records: self.records.min(other.records), octets: self.octets.min(other.octets) }
    }

    fn passes(self, bound: Bound) -> bool {
        match bound {
            Bound::Octets => self.octets > MOST_RRSET_OCTETS as u64,
            Bound::Records => self.records > MOST_RECORDS,
        }
    }
}

impl Most {
    fn of(self, drawn: Drawn) -> Size {
        self.0[drawn as usize]
    }

    /// The larger of each type.
    fn larger(self, other: Self) -> Self {
        let larger = |drawn: Drawn| {
            std::cmp::max_by_key(self.of(drawn), other.of(drawn), |size| size.octets)
        };
        Self(Drawn::ALL.map(larger))
    }

    /// The records of an endpoint.
    fn of_endpoint(endpoint: &Endpoint) -> Self {
        let records = |drawn: Drawn| {
            records_of(endpoint, drawn).fold(Size::default(), |sum, octets| sum.plus(one(octets)))
        };
        Self(Drawn::ALL.map(records))
    }

    /// The largest answer of a pool, whose inner pools are in `reach` already.
    pub(super) fn of_pool(pool: &Pool, compiled: &Compiled, reach: &[Reach]) -> Self {
        let below = |member: &Member| match member.kind {
            MemberKind::Pool(inner) => reach[inner.index()].most,
            MemberKind::Endpoint(id) => Self::of_endpoint(&compiled.endpoints[id.index()]),
        };
        let count = match (&pool.policy, pool.answers) {
            (Policy::All, _) | (_, Answers::All) => usize::MAX,
            (_, Answers::Count(count)) => count.get() as usize,
        };
        if count == 1 {
            // Most pools answer one member: no sums are needed.
            return pool.members.iter().map(below).fold(Self::default(), Self::larger);
        }
        let sets = candidate_sets(pool, compiled);
        let largest = |drawn: Drawn| {
            let sums = sets
                .iter()
                .map(|set| largest_sum(set.iter().map(|member| below(member).of(drawn)), count));
            sums.max_by_key(|size| size.octets).unwrap_or_default()
        };
        Self(Drawn::ALL.map(largest))
    }
}

fn one(rdata_octets: usize) -> Size {
    Size { records: 1, octets: (RECORD_OCTETS + rdata_octets) as u64 }
}

/// The octets of the rdata of each of an endpoint's records.
fn records_of(endpoint: &Endpoint, drawn: Drawn) -> impl Iterator<Item = usize> {
    const A_OCTETS: usize = 4;
    const AAAA_OCTETS: usize = 16;
    let addresses = match (&endpoint.target, drawn) {
        (Target::Addresses(addresses), Drawn::A) => {
            addresses.iter().filter(|address| address.is_ipv4()).count()
        }
        (Target::Addresses(addresses), Drawn::Aaaa) => {
            addresses.iter().filter(|address| address.is_ipv6()).count()
        }
        (Target::Alias(_), Drawn::A | Drawn::Aaaa) | (Target::Host(_), Drawn::Srv) => 1,
        (Target::Addresses(_) | Target::Alias(_), Drawn::Srv)
        | (Target::Cname(_), _)
        | (Target::Host(_), _) => 0,
    };
    let octets = match (&endpoint.target, drawn) {
        (Target::Host(Host { name, .. }), _) => SRV_NUMBERS_OCTETS + name.as_wire().len(),
        (_, Drawn::A) => A_OCTETS,
        (_, Drawn::Aaaa | Drawn::Srv) => AAAA_OCTETS,
    };
    std::iter::repeat_n(octets, addresses)
}

/// Members that one answer may draw from together. Standbys answer only where no other member does.
fn candidate_sets<'p>(pool: &'p Pool, compiled: &Compiled) -> Vec<Vec<&'p Member>> {
    let at = |positions: &[u32]| {
        positions.iter().filter_map(|&at| pool.members.get(at as usize)).collect::<Vec<_>>()
    };
    if let Policy::Geo { rules, default } = &pool.policy {
        // A client that one rule alone matches gets the rule's members, then those of `default`.
        let of_rules = rules.iter().map(|rule| {
            let default: &[u32] =
                if rule.strict || rule.members.is_empty() { &[] } else { default };
            at(&[&rule.members, default].concat())
        });
        return of_rules.chain([at(default)]).collect();
    }
    let is_standby = |member: &&Member| {
        let state = match member.kind {
            MemberKind::Endpoint(id) => compiled.endpoints[id.index()].state,
            MemberKind::Pool(_) => State::Active,
        };
        member.weight == 0 || state != State::Active
    };
    let (standby, active): (Vec<_>, Vec<_>) = pool.members.iter().partition(is_standby);
    vec![active, standby]
}

/// The sum of the `count` largest.
fn largest_sum(sizes: impl Iterator<Item = Size>, count: usize) -> Size {
    let mut sizes: Vec<Size> = sizes.collect();
    sizes.sort_unstable_by_key(|size| Reverse(size.octets));
    sizes.into_iter().take(count).fold(Size::default(), Size::plus)
}

/// What makes an answer too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Culprit {
    /// A pool, which puts several members into one answer.
    Pool(usize),
    /// An endpoint by itself, at its place in the file.
    Endpoint(EndpointId, Place),
}

/// An answer that exceeds a bound.
#[derive(Debug, Clone, Copy)]
struct Excess {
    drawn: Drawn,
    bound: Bound,
    most: Size,
    culprit: Culprit,
}

/// The check of all services. A cause that several of them share is reported once.
pub(super) struct Fitting<'c> {
    specs: &'c [&'c PoolSpec],
    compiled: &'c Compiled,
    reach: &'c [Reach],
    checked: HashSet<(usize, Drawn)>,
    reported: HashSet<(Culprit, Drawn)>,
}

impl<'c> Fitting<'c> {
    pub(super) fn new(
        specs: &'c [&'c PoolSpec],
        compiled: &'c Compiled,
        reach: &'c [Reach],
    ) -> Self {
        Self { specs, compiled, reach, checked: HashSet::new(), reported: HashSet::new() }
    }

    /// Reports what is too large of the answers that a service draws from a pool.
    pub(super) fn check(&mut self, service: &ServiceSpec, pool: usize, problems: &mut Problems) {
        for drawn in Drawn::ALL.into_iter().filter(|drawn| drawn.is_of(service)) {
            let Some(reach) = self.reach.get(pool) else { continue };
            let most = reach.most.of(drawn);
            if Bound::passed_by(most).is_some() && self.checked.insert((pool, drawn)) {
                self.check_distinct(service, pool, drawn, problems);
            }
        }
    }

    /// Counts a record that several members have once, as an answer has it once.
    fn check_distinct(
        &mut self,
        service: &ServiceSpec,
        pool: usize,
        drawn: Drawn,
        problems: &mut Problems,
    ) {
        let most = self.distinct(pool, drawn).at_most(self.reach[pool].most.of(drawn));
        let Some(bound) = Bound::passed_by(most) else { return };
        let excess = Excess { drawn, bound, most, culprit: self.culprit(pool, drawn, bound) };
        if self.reported.insert((excess.culprit, drawn)) {
            self.report(service, excess, problems);
        }
    }

    /// The innermost pool, or the endpoint, that is too large by itself.
    fn culprit(&self, mut pool: usize, drawn: Drawn, bound: Bound) -> Culprit {
        // Pools in a circle, which is an error of its own, are not followed for ever.
        for _ in 0..self.specs.len() {
            let members =
                self.compiled.pools[pool].members.iter().zip(&self.compiled.member_places[pool]);
            let mut large = members.filter_map(|(member, &place)| match member.kind {
                MemberKind::Pool(inner) => self.reach[inner.index()]
                    .most
                    .of(drawn)
                    .passes(bound)
                    .then_some(Culprit::Pool(inner.index())),
                MemberKind::Endpoint(id) => {
                    let most = Most::of_endpoint(&self.compiled.endpoints[id.index()]);
                    most.of(drawn).passes(bound).then_some(Culprit::Endpoint(id, place))
                }
            });
            match large.next() {
                Some(Culprit::Pool(inner)) => pool = inner,
                Some(endpoint @ Culprit::Endpoint(..)) => return endpoint,
                None => break,
            }
        }
        Culprit::Pool(pool)
    }

    /// The different records that are below a pool.
    fn distinct(&self, pool: usize, drawn: Drawn) -> Size {
        let (mut open, mut seen) = (vec![pool], HashSet::<usize>::new());
        let (mut addresses, mut hosts) = (HashSet::<IpAddr>::new(), HashSet::<(&Name, u16)>::new());
        let mut size = Size::default();
        while let Some(pool) = open.pop() {
            for member in &self.compiled.pools[pool].members {
                let id = match member.kind {
                    MemberKind::Pool(inner) if seen.insert(inner.index()) => {
                        open.push(inner.index());
                        continue;
                    }
                    MemberKind::Pool(_) => continue,
                    MemberKind::Endpoint(id) => id,
                };
                let endpoint = &self.compiled.endpoints[id.index()];
                let is_new = match &endpoint.target {
                    Target::Addresses(of_endpoint) => {
                        let of_family =
                            of_endpoint.iter().filter(|at| at.is_ipv4() == (drawn == Drawn::A));
                        let new = of_family.filter(|at| addresses.insert(**at)).count();
                        size = records_of(endpoint, drawn)
                            .take(new)
                            .fold(size, |sum, octets| sum.plus(one(octets)));
                        continue;
                    }
                    Target::Host(host) => hosts.insert((&host.name, host.port)),
                    Target::Alias(_) | Target::Cname(_) => true,
                };
                if is_new {
                    size =
                        records_of(endpoint, drawn).fold(size, |sum, octets| sum.plus(one(octets)));
                }
            }
        }
        size
    }

    fn report(&self, service: &ServiceSpec, excess: Excess, problems: &mut Problems) {
        let Excess { drawn, bound, most: Size { records, octets }, culprit } = excess;
        let (place, help) = match culprit {
            Culprit::Pool(pool) => self.remedy(pool),
            Culprit::Endpoint(_, place) => (place, "divide its addresses among several endpoints"),
        };
        let (name, rtype) = (service.name.value.to_string(), drawn.rtype());
        let what =
            format!("service {} answers up to {records} {rtype} records at once", Quoted(&name));
        let diagnostic = match bound {
            Bound::Octets => problems.error(
                place,
                format!(
                    "{what}, {octets} octets: a DNS message has room for {MOST_RRSET_OCTETS}, so that clients would get no \
                     record at all"
                ),
            ),
            Bound::Records => problems.warning(place, format!("{what}: {CONSEQUENCE}")),
        };
        diagnostic.help(help).also(service.name.place, "the service");
    }

    /// Where it is written how many members a pool answers, and what to write there.
    fn remedy(&self, pool: usize) -> (Place, &'static str) {
        let spec = self.specs[pool];
        match spec.policy.value {
            PolicyWord::All => (
                spec.policy.place,
                "answer fewer members: policy = \"weighted\" and, for example, answers = 3",
            ),
            _ => (spec.answers.place, "answer fewer members: for example, answers = 3"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use crate::config::{Config, Locations, Sources};

    const ZONE: &str = "[zone.\"x.example\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"h@example.com\"\n";
    /// The most A and AAAA records that a message has room for.
    const FITTING: [usize; 2] = [4_062, 2_321];

    /// The errors of a file, or its warnings.
    fn lines(text: &str) -> Vec<String> {
        let sources = Sources::from_texts(
            &Locations::default(),
            [("zones/x.toml", &*(ZONE.to_owned() + text))],
        );
        match Config::load(&sources) {
            Ok((_, warnings)) => warnings.lines().collect(),
            Err(errors) => errors.lines().map(|line| format!("error: {line}")).collect(),
        }
    }

    fn members(count: usize, prefix: &str, keys: &str) -> String {
        let address = |at: usize| match prefix {
            "10." => format!("10.0.{}.{}", at / 250, at % 250 + 1),
            prefix => format!("{prefix}{at:x}"),
        };
        (0..count).fold(String::new(), |mut text, at| {
            writeln!(text, "  {{ addresses = [\"{}\"]{keys} }},", address(at)).unwrap();
            text
        })
    }

    fn service(keys: &str, members: &str) -> String {
        format!("[service.\"w.x.example\"]\n{keys}\nmembers = [\n{members}]\n")
    }

    #[test]
    fn an_answer_that_no_message_has_room_for_is_an_error_where_its_size_is_written() {
        let [v4, _] = FITTING;
        let found = lines(&service("answers = \"all\"", &members(v4 + 1, "10.", "")));
        let expected = "error: zones/x.toml:5:11: service \"w.x.example\" answers up to 4063 A records at once, 65008 octets: \
                        a DNS message has room for 65000, so that clients would get no record at all (help: answer fewer \
                        members: for example, answers = 3)";
        assert_eq!(found, [expected]);
        let found = lines(&service("policy = \"all\"", &members(v4 + 1, "10.", "")));
        assert!(
            found[0].contains("zones/x.toml:5:10") && found[0].contains("policy = \"weighted\""),
            "{found:?}"
        );
    }

    #[test]
    fn the_largest_answer_counts_and_nothing_beyond_it() {
        let [v4, v6] = FITTING;
        let all = |members: &str| service("answers = \"all\"", members);
        let nested = |count: usize| {
            let pool = format!(
                "[pool.all]\npolicy = \"all\"\nmembers = [\n{}]\n",
                members(count, "10.", "")
            );
            pool + &service(
                "answers = 2",
                "\"all\", { addresses = [\"192.0.2.1\"] }, { addresses = [\"192.0.2.2\"] }",
            )
        };
        let geo = |count: usize| {
            let rule = format!(
                "{{ country = [\"DE\"], members = [{}] }}",
                members(count, "10.", "").replace('\n', " ")
            );
            format!(
                "[service.\"w.x.example\"]\npolicy = \"geo\"\nanswers = \"all\"\nrules = [{rule}]\n\
                 default = [{{ addresses = [\"192.0.2.1\"] }}]\n"
            )
        };
        let two_pools = |prefixes: [&str; 2]| {
            let pool = |at: usize| {
                let members = members(v6 - 1, prefixes[at], "");
                format!("[pool.p{at}]\npolicy = \"all\"\nmembers = [\n{members}]\n")
            };
            let both = "[pool.both]\npolicy = \"all\"\nmembers = [\"p0\", \"p1\"]\n";
            pool(0) + &pool(1) + both + "[service.\"w.x.example\"]\npool = \"both\"\n"
        };
        for (text, fits, why) in [
            (all(&members(v4, "10.", "")), true, "as many A records as fit"),
            (all(&members(v6, "2001:db8::", "")), true, "as many AAAA records as fit"),
            (all(&members(v6 + 1, "2001:db8::", "")), false, "one more"),
            (
                all(&(members(v4, "10.", "") + &members(v6, "2001:db8::", ""))),
                true,
                "each type has an answer of its own",
            ),
            (
                service(
                    "answers = \"all\"\nipv6 = false",
                    &(members(1, "10.", "") + &members(v6 + 1, "2001:db8::", "")),
                ),
                true,
                "the service has no AAAA records",
            ),
            (service("answers = 1000", &members(v4 + 1, "10.", "")), true, "1000 of them at once"),
            (
                all(&(members(v4, "10.", "") + &members(9, "2001:db8::", ", weight = 0"))),
                true,
                "standbys of another type",
            ),
            (
                all(&(members(v4, "10.", "") + "{ addresses = [\"192.0.2.1\"], weight = 0 }")),
                true,
                "a standby answers only where all others are down",
            ),
            (nested(v4 - 1), true, "the largest member and one more"),
            (nested(v4), false, "the largest member and one more, which does not fit"),
            (geo(v4 - 1), true, "a rule and the default"),
            (geo(v4), false, "a rule and the default, which does not fit"),
            (
                two_pools(["2001:db8::", "2001:db8::"]),
                true,
                "an address of two members is answered once",
            ),
            (two_pools(["2001:db8::", "2001:db9::"]), false, "addresses of two pools"),
        ] {
            let found = lines(&text);
            assert_eq!(
                !found.iter().any(|line| line.starts_with("error:")),
                fits,
                "{why}: {found:?}"
            );
        }
    }

    #[test]
    fn srv_records_count_with_their_targets() {
        let target = |at: usize| {
            format!("h{at:03}.{}.{}.{}.example", "a".repeat(60), "b".repeat(60), "c".repeat(60))
        };
        let members = |count: usize| -> String {
            (0..count).map(|at| format!("{{ target = \"{}\", port = 1 }},\n", target(at))).collect()
        };
        let srv = |count| lines(&service("type = \"SRV\"\nanswers = \"all\"", &members(count)));
        // 12 octets and 6 before the target, which has 197 as a name.
        let fitting = 65_000 / (12 + 6 + 197);
        assert!(!srv(fitting)[0].starts_with("error:"));
        assert!(srv(fitting + 1)[0].contains("303 SRV records"), "{:?}", srv(fitting + 1));
    }
}
