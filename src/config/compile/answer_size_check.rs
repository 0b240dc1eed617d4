//! Reports answers that no message has room for, and answers with more records than resolvers
//! accept.

use std::net::IpAddr;

use hashbrown::HashSet;

use super::{
    answer_size::{
        AnswerSize, AnswerType, LargestAnswer, SizeLimit, TOO_MANY_RECORDS, rdata_sizes,
        record_size,
    },
    pool_graph::PoolGraph,
};
use crate::{
    config::{
        place::SourcePlace,
        problems::Problems,
        quoted::Quoted,
        spec::{PolicyName, ServiceSpec},
    },
    dns::Name,
    steer::{EndpointId, EndpointTarget, MemberKind},
    zone::MAX_RRSET_OCTETS,
};

/// The pool or endpoint that makes an answer too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum OversizeCause {
    /// A pool, by its position, which combines several members in one answer.
    Pool(usize),
    /// An endpoint by itself, with its place in the file.
    Endpoint(EndpointId, SourcePlace),
}

/// An answer that exceeds a limit.
#[derive(Debug, Clone, Copy)]
struct OversizedAnswer {
    answer_type: AnswerType,
    limit: SizeLimit,
    size: AnswerSize,
    cause: OversizeCause,
}

/// Checks the answers of all services. A cause that several services share is reported once.
pub(super) struct AnswerSizeCheck<'c> {
    pools: PoolGraph<'c>,
    checked: HashSet<(usize, AnswerType)>,
    reported: HashSet<(OversizeCause, AnswerType)>,
}

impl<'c> AnswerSizeCheck<'c> {
    pub(super) fn new(pools: PoolGraph<'c>) -> Self {
        Self { pools, checked: HashSet::new(), reported: HashSet::new() }
    }

    /// Reports answers of a service that are too large.
    pub(super) fn check(&mut self, service: &ServiceSpec, pool: usize, problems: &mut Problems) {
        for answer_type in
            AnswerType::ALL.into_iter().filter(|answer_type| answer_type.is_answered_by(service))
        {
            let Some(subtree) = self.pools.subtrees.get(pool) else { continue };
            let size = subtree.largest_answer.size(answer_type);
            if SizeLimit::exceeded_by(size).is_some() && self.checked.insert((pool, answer_type)) {
                self.check_distinct(service, pool, answer_type, problems);
            }
        }
    }

    /// Checks again with each record counted once, as an answer contains it once even if several
    /// members have it.
    fn check_distinct(
        &mut self,
        service: &ServiceSpec,
        pool: usize,
        answer_type: AnswerType,
        problems: &mut Problems,
    ) {
        let size = self
            .distinct_size(pool, answer_type)
            .at_most(self.pools.subtrees[pool].largest_answer.size(answer_type));
        let Some(limit) = SizeLimit::exceeded_by(size) else { return };
        let oversized = OversizedAnswer {
            answer_type,
            limit,
            size,
            cause: self.innermost_cause(pool, answer_type, limit),
        };
        if self.reported.insert((oversized.cause, answer_type)) {
            self.report(service, oversized, problems);
        }
    }

    /// The innermost pool, or the endpoint, that is too large by itself.
    fn innermost_cause(
        &self,
        mut pool: usize,
        answer_type: AnswerType,
        limit: SizeLimit,
    ) -> OversizeCause {
        // Pools in a cycle, which is an error of its own, are not followed endlessly.
        for _ in 0..self.pools.specs.len() {
            let members = self.pools.compiled.pools[pool]
                .members
                .iter()
                .zip(&self.pools.compiled.member_places[pool]);
            let mut large = members.filter_map(|(member, &place)| match member.kind {
                MemberKind::Pool(inner) => self.pools.subtrees[inner.index()]
                    .largest_answer
                    .size(answer_type)
                    .exceeds(limit)
                    .then_some(OversizeCause::Pool(inner.index())),
                MemberKind::Endpoint(id) => {
                    let size =
                        LargestAnswer::for_endpoint(&self.pools.compiled.endpoints[id.index()]);
                    size.size(answer_type)
                        .exceeds(limit)
                        .then_some(OversizeCause::Endpoint(id, place))
                }
            });
            match large.next() {
                Some(OversizeCause::Pool(inner)) => pool = inner,
                Some(endpoint @ OversizeCause::Endpoint(..)) => return endpoint,
                None => break,
            }
        }
        OversizeCause::Pool(pool)
    }

    /// The size of the distinct records below a pool.
    fn distinct_size(&self, pool: usize, answer_type: AnswerType) -> AnswerSize {
        let (mut pending, mut seen) = (vec![pool], HashSet::<usize>::new());
        let (mut addresses, mut hosts) = (HashSet::<IpAddr>::new(), HashSet::<(&Name, u16)>::new());
        let mut size = AnswerSize::default();
        while let Some(pool) = pending.pop() {
            for member in &self.pools.compiled.pools[pool].members {
                let id = match member.kind {
                    MemberKind::Pool(inner) if seen.insert(inner.index()) => {
                        pending.push(inner.index());
                        continue;
                    }
                    MemberKind::Pool(_) => continue,
                    MemberKind::Endpoint(id) => id,
                };
                let endpoint = &self.pools.compiled.endpoints[id.index()];
                let is_new = match &endpoint.target {
                    EndpointTarget::Addresses(all) => {
                        let candidates = all
                            .iter()
                            .filter(|address| address.is_ipv4() == (answer_type == AnswerType::A));
                        let new = candidates.filter(|address| addresses.insert(**address)).count();
                        size = rdata_sizes(endpoint, answer_type)
                            .take(new)
                            .fold(size, |sum, octets| sum.plus(record_size(octets)));
                        continue;
                    }
                    EndpointTarget::Host(host) => hosts.insert((&host.name, host.port)),
                    EndpointTarget::Alias(_) | EndpointTarget::Cname(_) => true,
                };
                if is_new {
                    size = rdata_sizes(endpoint, answer_type)
                        .fold(size, |sum, octets| sum.plus(record_size(octets)));
                }
            }
        }
        size
    }

    fn report(&self, service: &ServiceSpec, oversized: OversizedAnswer, problems: &mut Problems) {
        let OversizedAnswer { answer_type, limit, size: AnswerSize { records, octets }, cause } =
            oversized;
        let (place, help) = match cause {
            OversizeCause::Pool(pool) => self.remedy(pool),
            OversizeCause::Endpoint(_, place) => {
                (place, "divide its addresses among several endpoints")
            }
        };
        let (name, rtype) = (service.name.value.to_string(), answer_type.rtype());
        let what =
            format!("service {} answers up to {records} {rtype} records at once", Quoted(&name));
        let diagnostic = match limit {
            SizeLimit::Octets => problems.error(
                place,
                format!(
                    "{what}, {octets} octets: a DNS message has room for {MAX_RRSET_OCTETS}, so that clients would get no \
                     record at all"
                ),
            ),
            SizeLimit::Records => problems.warning(place, format!("{what}: {TOO_MANY_RECORDS}")),
        };
        diagnostic.help(help).also(service.name.place, "the service");
    }

    /// The place that sets how many members a pool answers, and what to write there.
    fn remedy(&self, pool: usize) -> (SourcePlace, &'static str) {
        let spec = self.pools.specs[pool];
        match spec.policy.value {
            PolicyName::All => (
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

    use crate::config::{Config, SourceOptions, Sources};

    const ZONE: &str = "[zone.\"x.example\"]\nnameservers = [\"ns1.example.com\"]\nhostmaster = \"h@example.com\"\n";
    /// The maximum number of A and of AAAA records that fit into a message.
    const FITTING: [usize; 2] = [4_062, 2_321];

    /// The errors of a file, or its warnings if it has no errors.
    fn lines(text: &str) -> Vec<String> {
        let sources = Sources::from_texts(
            &SourceOptions::default(),
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
    fn an_answer_that_fits_in_no_message_is_an_error_at_the_key_that_sets_its_size() {
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

    fn assert_fits(fits: bool, text: &str, why: &str) {
        let found = lines(text);
        let is_refused = found.iter().any(|line| line.starts_with("error:"));
        assert_eq!(!is_refused, fits, "{why}: {found:?}");
    }

    #[test]
    fn each_record_type_of_a_service_has_an_answer_of_its_own_size() {
        let [v4, v6] = FITTING;
        let all = |members: &str| service("answers = \"all\"", members);
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
        ] {
            assert_fits(fits, &text, why);
        }
    }

    #[test]
    fn a_member_that_is_a_pool_counts_with_its_largest_answer() {
        let [v4, v6] = FITTING;
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
            assert_fits(fits, &text, why);
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
        // 12 octets of the record, 6 of SRV numbers, and 197 of the target's name.
        let fitting = 65_000 / (12 + 6 + 197);
        assert!(!srv(fitting)[0].starts_with("error:"));
        assert!(srv(fitting + 1)[0].contains("303 SRV records"), "{:?}", srv(fitting + 1));
    }
}
