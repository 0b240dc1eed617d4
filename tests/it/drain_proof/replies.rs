//! Many queries at once, and the members that their answers name.

use std::{
    collections::{BTreeSet, HashMap},
    net::{SocketAddr, UdpSocket},
};

use super::{rows::Row, site::Site};
use crate::query::{REPLY_TIMEOUT, TestQuery, is_timeout};

/// The number of queries that wait for their replies at the same time.
const WINDOW: usize = 50;
/// The number of datagrams sent for a query before the server counts as silent.
const ATTEMPTS: usize = 3;

/// The members that one reply names, each once, in the order of its records.
type AnsweredMembers = Vec<&'static str>;

/// The members of all services, each by the data that its records contain.
#[derive(Debug)]
pub(super) struct MemberNames(Vec<(String, &'static str)>);

impl MemberNames {
    pub(super) fn new(site: &Site) -> Self {
        let data = [
            ("fra", site.fra),
            ("fra", "fra.cdn.example.net"),
            ("fra", "fra.sip.example.net"),
            ("six", "2001:db8:1::6"),
            ("iad", site.iad),
            ("iad", "iad.cdn.example.net"),
            ("iad", "iad.sip.example.net"),
            ("iad6", "2001:db8:2::6"),
            ("nrt", "192.0.2.3"),
            ("nrt", "2001:db8:3::1"),
            ("nrt6", "2001:db8:3::6"),
            ("colleague", "192.0.2.77"),
        ];
        Self(data.map(|(member, data)| (data.to_owned(), member)).into())
    }

    /// The members that the data of some records names, each once, in the order of the data.
    fn named(&self, rdata: &[String]) -> AnsweredMembers {
        let mut named = Vec::new();
        for text in rdata {
            let found =
                self.0.iter().filter_map(|(data, member)| Some((text.find(data)?, *member)));
            let mut found: Vec<(usize, &'static str)> = found.collect();
            assert!(!found.is_empty(), "a record of no member: {text}");
            found.sort_unstable();
            named.extend(found.into_iter().map(|(_, member)| member));
        }
        named.dedup();
        named
    }
}

/// The datacenter of a member.
pub(super) fn datacenter(member: &str) -> &'static str {
    match member {
        "fra" | "six" => "fra",
        "iad" | "iad6" => "iad",
        "nrt" | "nrt6" => "nrt",
        "colleague" => "none",
        _ => panic!("no member {member}"),
    }
}

/// The members in the replies to the clients of a row.
#[derive(Debug, Default)]
pub(super) struct ReplyCounts {
    /// The members in the reply to each client.
    pub(super) answers: Vec<AnsweredMembers>,
    /// The highest TTL of these replies, in seconds.
    pub(super) greatest_ttl: u32,
}

impl ReplyCounts {
    /// How many replies name a member.
    pub(super) fn count(&self, member: &str) -> usize {
        self.answers.iter().filter(|members| members.contains(&member)).count()
    }

    /// The part of the replies that name a member, in percent.
    pub(super) fn percent(&self, member: &str) -> f64 {
        self.count(member) as f64 * 100.0 / self.answers.len() as f64
    }

    /// The part of all members in all replies that a member has, in percent.
    pub(super) fn percent_of_members(&self, member: &str) -> f64 {
        let all: usize = self.answers.iter().map(Vec::len).sum();
        self.count(member) as f64 * 100.0 / all.max(1) as f64
    }

    /// All members that a reply names.
    pub(super) fn members(&self) -> BTreeSet<&'static str> {
        self.answers.iter().flatten().copied().collect()
    }

    /// How many replies name a member of a datacenter first.
    pub(super) fn count_of_first(&self, wanted: &str) -> usize {
        let first = self.answers.iter().filter_map(|members| members.first());
        first.filter(|member| datacenter(member) == wanted).count()
    }
}

/// Asks one server on one socket. A reply that came before is not parsed again.
#[derive(Debug)]
pub(super) struct QueryClient<'a> {
    socket: UdpSocket,
    names: &'a MemberNames,
    known: HashMap<Vec<u8>, (AnsweredMembers, u32)>,
}

impl<'a> QueryClient<'a> {
    pub(super) fn new(server: SocketAddr, names: &'a MemberNames) -> Self {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(REPLY_TIMEOUT)).unwrap();
        Self { socket, names, known: HashMap::new() }
    }

    /// Sends a query for each client of a row.
    pub(super) fn ask_all(&mut self, row: Row) -> ReplyCounts {
        self.ask(row, &row.area.clients())
    }

    /// Sends a query for each of these clients; every one must be answered.
    pub(super) fn ask(&mut self, row: Row, clients: &[[u8; 3]]) -> ReplyCounts {
        let query = TestQuery::new(row.service, row.rtype).subnet("192.0.2.0/24");
        let mut message = query.message(0);
        let mut counts = ReplyCounts::default();
        for window in clients.chunks(WINDOW) {
            let first = counts.answers.len();
            let mut replies: Vec<Option<AnsweredMembers>> = vec![None; window.len()];
            for _ in 0..ATTEMPTS {
                let waiting: Vec<usize> =
                    (0..window.len()).filter(|index| replies[*index].is_none()).collect();
                for &index in &waiting {
                    // The client's network is the end of the only option.
                    let end = message.len();
                    message[..2].copy_from_slice(&((first + index) as u16).to_be_bytes());
                    message[end - 3..].copy_from_slice(&window[index]);
                    self.socket.send(&message).unwrap();
                }
                for _ in &waiting {
                    let Some((id, members, ttl)) = self.receive(&query) else { break };
                    // A late reply to an earlier window is discarded.
                    if let Some(reply) =
                        usize::from(id).checked_sub(first).and_then(|index| replies.get_mut(index))
                    {
                        *reply = Some(members);
                        counts.greatest_ttl = counts.greatest_ttl.max(ttl);
                    }
                }
            }
            let silent = format!("{row:?}: no reply after {ATTEMPTS} attempts");
            counts.answers.extend(replies.into_iter().map(|reply| reply.expect(&silent)));
        }
        counts
    }

    /// Receives one reply: its id, its members and its TTL; `None` after a timeout.
    fn receive(&mut self, query: &TestQuery) -> Option<(u16, AnsweredMembers, u32)> {
        let mut buffer = [0; 2048];
        let length = match self.socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if is_timeout(&error) => return None,
            Err(error) => panic!("{}: {error}", query.name),
        };
        let id = u16::from_be_bytes([buffer[0], buffer[1]]);
        // Replies to one question differ by their id, and by the client's address at the end.
        let key = buffer[2..length - 3].to_vec();
        let names = self.names;
        let (members, ttl) = self.known.entry(key).or_insert_with(|| {
            let reply = query.read(id, buffer[..length].to_vec()).unwrap();
            assert_eq!(reply.rcode(), "NOERROR", "{}", query.name);
            (names.named(&reply.answers()), reply.ttl())
        });
        Some((id, members.clone(), *ttl))
    }
}
