//! The tables of the configuration, each with files that hold it.

/// One table of the configuration.
pub(super) struct Table {
    /// The heading in `docs/configuration.md` below which its keys are listed.
    pub(super) heading: &'static str,
    /// Another heading whose keys the table has too.
    pub(super) also: Option<&'static str>,
    /// Files that hold the table in each of its forms, with the key [`super::UNKNOWN`].
    pub(super) samples: &'static [&'static str],
}

const fn table(heading: &'static str, samples: &'static [&'static str]) -> Table {
    Table { heading, also: None, samples }
}

/// Every table. Samples that begin with `[server]`, `[admin]` or `[geoip]` are `portolan.toml`.
pub(super) static TABLES: [Table; 36] = [
    table("`[server]`", &["[server]\nqqqqqqqqqq = 1"]),
    table("`[admin]`", &["[admin]\nqqqqqqqqqq = 1"]),
    table(
        "`tls` and `https` of `[server]`",
        &[
            "[server]\ntls = { listen = ['127.0.0.1:0'], certificate = 'c', key = 'k', qqqqqqqqqq = 1 }",
            "[server]\nhttps = { listen = ['127.0.0.1:0'], certificate = 'c', key = 'k', qqqqqqqqqq = 1 }",
        ],
    ),
    table("`[geoip]`", &["[geoip]\nqqqqqqqqqq = 1"]),
    table("`[datacenter.NAME]`", &["[datacenter.x]\nqqqqqqqqqq = 1"]),
    table(
        "`location` of a datacenter",
        &["[datacenter.x]\nlocation = { latitude = 1, longitude = 1, qqqqqqqqqq = 1 }"],
    ),
    table(
        "`[zone.\"NAME\"]`",
        &["[zone.'x.example']\nnameservers = ['ns.x.net']\nhostmaster = 'x@x.net'\nqqqqqqqqqq = 1"],
    ),
    table(
        "`[delegate.\"NAME\"]`",
        &["[delegate.'x.example']\nnameservers = ['ns.x.net']\nqqqqqqqqqq = 1"],
    ),
    table("`[monitor.NAME]`", &["[monitor.x]\nicmp = {}\nqqqqqqqqqq = 1"]),
    table(
        "`http` and `https` of a monitor",
        &["[monitor.x]\nhttp = { qqqqqqqqqq = 1 }", "[monitor.x]\nhttps = { qqqqqqqqqq = 1 }"],
    ),
    table("`tcp` of a monitor", &["[monitor.x]\ntcp = { port = 1, qqqqqqqqqq = 1 }"]),
    table("`tls` of a monitor", &["[monitor.x]\ntls = { qqqqqqqqqq = 1 }"]),
    table("`grpc` of a monitor", &["[monitor.x]\ngrpc = { port = 1, qqqqqqqqqq = 1 }"]),
    table("`dns` of a monitor", &["[monitor.x]\ndns = { name = 'x', qqqqqqqqqq = 1 }"]),
    table("`exec` of a monitor", &["[monitor.x]\nexec = { argv = ['true'], qqqqqqqqqq = 1 }"]),
    table("`combine` of a monitor", &["[monitor.x]\ncombine = { all = ['y'], qqqqqqqqqq = 1 }"]),
    table(
        "`client-certificate` of a monitor",
        &[
            "[monitor.x]\ntls = { client-certificate = { certificate = 'c', key = 'k', qqqqqqqqqq = 1 } }",
        ],
    ),
    table("`[load.NAME]`", &["[load.x]\norca = {}\nqqqqqqqqqq = 1"]),
    table(
        "`haproxy` of a load source",
        &[
            "[load.x]\nhaproxy = { url = 'http://x/;csv', qqqqqqqqqq = 1 }", //
            "[load.x]\nhaproxy = { socket = 'x', qqqqqqqqqq = 1 }",
        ],
    ),
    table("`nginx` of a load source", &["[load.x]\nnginx = { url = 'http://x/', qqqqqqqqqq = 1 }"]),
    table(
        "`envoy` of a load source",
        &[
            "[load.x]\nenvoy = { url = 'http://x/?format=prometheus', cluster = 'x', qqqqqqqqqq = 1 }",
        ],
    ),
    table(
        "`prometheus` and `json` of a load source",
        &[
            "[load.x]\nprometheus = { url = 'http://x/', connections = 'x', qqqqqqqqqq = 1 }",
            "[load.x]\njson = { url = 'http://x/', connections = '/x', qqqqqqqqqq = 1 }",
        ],
    ),
    table(
        "`basic-auth` of a load source",
        &[
            "[load.x]\nnginx = { url = 'http://x/' }\nbasic-auth = { user = 'x', password = 'x', qqqqqqqqqq = 1 }",
        ],
    ),
    table("`[pool.NAME]`", &["[pool.x]\nmembers = ['y']\nqqqqqqqqqq = 1"]),
    table(
        "`capacity` of a pool",
        &["[pool.x]\nmembers = ['y']\ncapacity = { target = '80%', max = '90%', qqqqqqqqqq = 1 }"],
    ),
    table(
        "`on-all-down` with a pool",
        &["[pool.x]\nmembers = ['y']\non-all-down = { pool = 'y', qqqqqqqqqq = 1 }"],
    ),
    table(
        "Members",
        &[
            "[pool.x]\nmembers = [{ addresses = ['192.0.2.1'], qqqqqqqqqq = 1 }]", //
            "[pool.x]\nmembers = [{ pool = 'y', qqqqqqqqqq = 1 }]",
        ],
    ),
    table(
        "Rules of a `geo` pool",
        &[
            "[pool.x]\npolicy = 'geo'\ndefault = []\nrules = [{ country = ['DE'], members = [], qqqqqqqqqq = 1 }]",
        ],
    ),
    Table {
        heading: "`[service.\"NAME\"]`",
        also: Some("`[pool.NAME]`"),
        samples: &["[service.'x.example']\npool = 'y'\nqqqqqqqqqq = 1"],
    },
    table(
        "`[[expect]]`",
        &[
            "[[expect]]\nname = 'x'\nservice = 'y'\nclient = '192.0.2.1'\nanswer = []\nqqqqqqqqqq = 1",
        ],
    ),
    table(
        "`when` of an expectation",
        &[
            "[[expect]]\nname = 'x'\nservice = 'y'\nclient = '192.0.2.1'\nanswer = []\nwhen = { qqqqqqqqqq = 1 }",
        ],
    ),
    table(
        "`[[assert]]`",
        &[
            "[[assert]]\nname = 'x'\nservices = ['y']\nclients = { all = true }\nonly = ['z']\nqqqqqqqqqq = 1",
        ],
    ),
    table(
        "`clients` of an assertion",
        &[
            "[[assert]]\nname = 'x'\nservices = ['y']\nclients = { all = true, qqqqqqqqqq = 1 }\nonly = ['z']",
            "[[assert]]\nname = 'x'\nservices = ['y']\nclients = { asn = 1, qqqqqqqqqq = 1 }\nonly = ['z']",
        ],
    ),
    table("`[safety]`", &["[safety]\nqqqqqqqqqq = 1"]),
    table(
        "`at-least` of `[safety]`",
        &["[safety]\nat-least = [{ count = 1, of = ['a'], qqqqqqqqqq = 1 }]"],
    ),
    table(
        "`max-moved` of `[safety]`",
        &["[safety]\nmax-moved = { share = '1%', within = '1s', qqqqqqqqqq = 1 }"],
    ),
];
