//! The rows of the table: each service and type, asked by the clients of one area.

/// The number of clients, and so of queries, of each type of a service.
const CLIENTS: usize = 1000;

/// Clients that the services tell apart by place. A client is a /24.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientArea {
    Germany,
    UnitedStates,
    Japan,
    /// A third of the clients from each of these.
    Everywhere,
}

impl ClientArea {
    /// The first three octets of each client's network. The three areas have the clients of a type
    /// together.
    pub(super) fn clients(self) -> Vec<[u8; 3]> {
        let count = if self == Self::Everywhere { CLIENTS } else { CLIENTS.div_ceil(3) };
        (0..count).map(|index| self.client(index)).collect()
    }

    /// The client of a number. The sample database has these places.
    pub(super) fn client(self, index: usize) -> [u8; 3] {
        let (second, third) = (16 + (index / 250) as u8, (index % 250) as u8);
        match self {
            Self::Germany => [80, second, third],
            Self::UnitedStates => [8, second, third],
            Self::Japan => [126, second, third],
            Self::Everywhere => {
                [Self::Germany, Self::UnitedStates, Self::Japan][index % 3].client(index)
            }
        }
    }
}

/// One type of a service, asked for by the clients of one area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) service: &'static str,
    pub(super) rtype: &'static str,
    pub(super) area: ClientArea,
}

impl Row {
    /// Whether the client's network selects the member, so that a client keeps its answer.
    pub(super) fn is_by_client(&self) -> bool {
        self.service != "random.example.org"
    }
}

/// Each service with its types, and whether its answers depend on the client's place.
const SERVICES: [(&str, &[&str], bool); 12] = [
    ("geo.example.org", &["A", "AAAA"], true),
    ("near.example.org", &["A"], true),
    ("shares.example.org", &["A"], false),
    ("random.example.org", &["A"], false),
    ("load.example.org", &["A"], false),
    ("first.example.org", &["A"], false),
    ("two.example.org", &["A"], false),
    ("shop.example.org", &["A", "AAAA", "HTTPS"], false),
    ("six.example.org", &["A", "AAAA"], false),
    ("cdn.example.org", &["A", "AAAA"], false),
    ("_sip._tcp.example.org", &["SRV"], false),
    ("apart.example.org", &["A"], false),
];

pub(super) fn services() -> impl Iterator<Item = &'static str> {
    SERVICES.iter().map(|(service, ..)| *service)
}

/// All rows, those of a service one after the other.
pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (service, types, is_by_place) in SERVICES {
        for &rtype in types {
            let areas: &[ClientArea] = match is_by_place {
                true => &[ClientArea::Germany, ClientArea::UnitedStates, ClientArea::Japan],
                false => &[ClientArea::Everywhere],
            };
            rows.extend(areas.iter().map(|&area| Row { service, rtype, area }));
        }
    }
    rows
}
