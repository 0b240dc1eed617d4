//! `portolan.toml`: how the server runs. Flags go before it, and it goes before the defaults.

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use toml::de::DeTable;

use super::{
    place::{FileId, FileOffset, Placed, SourcePlace},
    problems::Problems,
    quoted::Quoted,
    reader::{self, TableReader, TableSubject, ValueReader},
    source_options::SourceOptions,
    sources::SourceFile,
    syntax,
};

/// How the server runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Where DNS is answered, over UDP and TCP; never empty.
    pub listen: Vec<SocketAddr>,
    /// How many UDP shards; `None` for one per core.
    pub threads: Option<NonZeroUsize>,
    /// Whether a shard answers what its own core receives, instead of what a hash gives it.
    pub socket_affinity: bool,
    /// Where HTTP is answered; `None` for nowhere.
    pub admin: Option<SocketAddr>,
    /// Whether `admin` was written. One that was not is no reason not to start.
    pub is_admin_configured: bool,
    /// The directory of what must survive a restart.
    pub state_directory: PathBuf,
    /// The NSID (RFC 5001), at most 128 octets; `None` for the host name.
    pub nsid: Option<Box<str>>,
    /// Targets outside of the service by which the server tells its own network's failure from
    /// everybody else's.
    pub canaries: Vec<Canary>,
    /// Who resolves aliases; empty for the system's resolvers.
    pub resolvers: Vec<SocketAddr>,
    /// DNS over TLS (RFC 7858).
    pub tls: Option<TlsSettings>,
    /// DNS over HTTPS (RFC 8484).
    pub https: Option<HttpsSettings>,
}

impl ServerSettings {
    /// The keys that differ in `newer` and that a running server does not follow.
    pub fn keys_requiring_restart(&self, newer: &Self) -> Vec<&'static str> {
        // Taken apart, so that a new key has to say here whether a reload is enough for it.
        let Self {
            listen,
            threads,
            socket_affinity,
            admin,
            is_admin_configured: _,
            state_directory: state,
            nsid,
            canaries: _,
            resolvers: _,
            tls,
            https,
        } = self;
        let differs = [
            ("listen", *listen != newer.listen),
            ("threads", *threads != newer.threads),
            ("socket-affinity", *socket_affinity != newer.socket_affinity),
            ("admin", *admin != newer.admin),
            ("state", *state != newer.state_directory),
            ("nsid", *nsid != newer.nsid),
            ("tls", *tls != newer.tls),
            ("https", *https != newer.https),
        ];
        differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

/// A host and a TCP port that should always answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Canary {
    /// An address or a name.
    pub host: Box<str>,
    /// The TCP port.
    pub port: u16,
}

/// Where and with which certificate DNS is answered over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// Never empty.
    pub listen: Vec<SocketAddr>,
    /// A PEM file: the certificate and its chain.
    pub certificate: PathBuf,
    /// A PEM file: its private key.
    pub key: PathBuf,
}

/// The same over HTTPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpsSettings {
    /// Listeners and certificate.
    pub tls: TlsSettings,
    /// Of the resource that takes queries, starting with `/`.
    pub path: Box<str>,
    /// Whether HTTP/1.1 is spoken beside HTTP/2.
    pub http1: bool,
    /// Whether HTTP/3 is served on UDP at the same addresses.
    pub http3: bool,
}

/// A GeoIP database that is to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseSource {
    /// The file.
    pub path: PathBuf,
    /// `file:line:column` of where it is named; `None` for a flag or a database that was found.
    pub origin: Option<String>,
    /// The same as a place.
    pub place: Option<SourcePlace>,
    /// Why it is left out, where the configuration is valid without it; see
    /// [`super::Sources::tolerate_databases`].
    pub fault: Option<DatabaseFault>,
}

/// Why a database, or the directory that databases are looked for in, cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFault {
    /// One line: `where: what (help: how to fix it)`.
    pub line: String,
    /// Whether it may be usable later without being changed.
    pub is_transient: bool,
}

const DEFAULT_ADMIN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8053);
/// Where resolvers answer whose port is not written.
const DNS_PORT: u16 = 53;
const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5300);

/// What `portolan.toml` says, with places where more is to be checked.
pub(super) struct Settings {
    pub(super) server: ServerSettings,
    zones: Option<PathBuf>,
    /// As resolved paths, in the order written.
    pub(super) databases: Option<Vec<Placed<PathBuf>>>,
}

/// Which files there are besides `portolan.toml`.
pub(super) struct InputPaths {
    pub(super) zones: PathBuf,
    pub(super) databases: Option<Vec<PathBuf>>,
    pub(super) default_databases: PathBuf,
}

/// The paths that flags and `portolan.toml` name; what is wrong with the file is reported later,
/// when it is read in earnest.
pub(super) fn input_paths(locations: &SourceOptions, config: Option<&SourceFile>) -> InputPaths {
    let base = locations.base();
    let settings = read(locations, config.map(|file| (FileId(0), file)), &mut Problems::default());
    let named = settings.databases.map(|list| list.into_iter().map(|at| at.value).collect());
    InputPaths {
        zones: locations.zones.clone().or(settings.zones).unwrap_or_else(|| base.join("zones")),
        databases: if locations.geoip.is_empty() { named } else { Some(locations.geoip.clone()) },
        default_databases: base.join("geoip"),
    }
}

/// Reads `portolan.toml`, or makes the defaults where there is none.
pub(super) fn read(
    locations: &SourceOptions,
    config: Option<(FileId, &SourceFile)>,
    problems: &mut Problems,
) -> Settings {
    let base = locations.base();
    let mut settings = Settings { server: defaults(&base), zones: None, databases: None };
    let Some((id, file)) = config else {
        settings.apply_options(locations);
        return settings;
    };
    match &file.content {
        Ok(octets) => {
            if let Some(text) = syntax::utf8(id, octets, problems) {
                settings.read_text(id, text, &base, problems);
            }
        }
        Err(reason) => {
            problems
                .error(
                    SourcePlace::whole_file(id),
                    format!("the configuration file cannot be read: {reason}"),
                )
                .help(reason.remedy_outside_zones());
        }
    }
    settings.apply_options(locations);
    settings
}

fn defaults(base: &Path) -> ServerSettings {
    ServerSettings {
        listen: vec![DEFAULT_LISTEN],
        threads: None,
        socket_affinity: false,
        admin: Some(DEFAULT_ADMIN),
        is_admin_configured: false,
        state_directory: base.join("state"),
        nsid: None,
        canaries: Vec::new(),
        resolvers: Vec::new(),
        tls: None,
        https: None,
    }
}

impl Settings {
    fn apply_options(&mut self, locations: &SourceOptions) {
        if !locations.listen.is_empty() {
            self.server.listen.clone_from(&locations.listen);
        }
    }

    fn read_text(&mut self, id: FileId, text: &str, base: &Path, problems: &mut Problems) {
        let (table, errors) = DeTable::parse_recoverable(text);
        syntax::report(id, &errors, text, problems);
        let mut root = reader::root_table(&table, FileOffset::new(id, 0), "portolan.toml");
        if let Some(item) = root.value("server")
            && let Some(table) = item.table(TableSubject { kind: "`server`", name: "" }, problems)
        {
            self.server(table, base, problems);
        }
        if let Some(item) = root.value("geoip")
            && let Some(mut table) =
                item.table(TableSubject { kind: "`geoip`", name: "" }, problems)
        {
            self.databases = table
                .value("databases")
                .and_then(|item| item.texts("paths", problems))
                .map(|texts| {
                    texts.into_iter().map(|text| text.map(|path| base.join(path))).collect()
                });
            table.finish(problems);
        }
        root.finish(problems);
    }

    fn server(&mut self, mut table: TableReader<'_>, base: &Path, problems: &mut Problems) {
        let server = &mut self.server;
        let path = |item: ValueReader<'_>, problems: &mut Problems| {
            item.text(problems).map(|text| base.join(text.value))
        };
        if let Some(listen) = table.optional("listen", problems, listen) {
            server.listen = listen;
        }
        server.threads = table.optional("threads", problems, |item, problems| {
            let threads = item.integer(
                1,
                1024,
                "it counts UDP shards; leave it away for one per core",
                problems,
            )?;
            usize::try_from(threads.value).ok().and_then(NonZeroUsize::new)
        });
        server.socket_affinity =
            table.optional("socket-affinity", problems, ValueReader::boolean).unwrap_or(false);
        self.zones = table.optional("zones", problems, path);
        if let Some(item) = table.value("admin") {
            server.admin = admin(item, problems);
            server.is_admin_configured = true;
        }
        if let Some(state) = table.optional("state", problems, path) {
            server.state_directory = state;
        }
        server.nsid = table.optional("nsid", problems, nsid);
        server.canaries = table.optional("canaries", problems, canaries).unwrap_or_default();
        server.resolvers = table.optional("resolvers", problems, resolvers).unwrap_or_default();
        server.tls = table.optional("tls", problems, |item, problems| {
            let mut table = item.table(TableSubject { kind: "`tls`", name: "" }, problems)?;
            let tls = tls(&mut table, base, problems);
            table.finish(problems);
            tls
        });
        server.https = table.optional("https", problems, |item, problems| {
            let mut table = item.table(TableSubject { kind: "`https`", name: "" }, problems)?;
            let tls = tls(&mut table, base, problems);
            let path = table
                .value("path")
                .map_or(Some("/dns-query".into()), |item| https_path(item, problems));
            let http1 = table.optional("http1", problems, ValueReader::boolean).unwrap_or(true);
            let h3 = table.optional("h3", problems, ValueReader::boolean).unwrap_or(false);
            table.finish(problems);
            Some(HttpsSettings { tls: tls?, path: path?, http1, http3: h3 })
        });
        table.finish(problems);
    }
}

fn listen(item: ValueReader<'_>, problems: &mut Problems) -> Option<Vec<SocketAddr>> {
    let texts = item.texts("addresses with ports", problems)?;
    if texts.is_empty() {
        problems
            .error(item.place, format!("{} is empty: nothing would answer", item.description()))
            .help("write at least one: [\"127.0.0.1:5300\"]");
        return None;
    }
    let mut list: Vec<SocketAddr> = Vec::with_capacity(texts.len());
    for text in texts {
        let address = socket_address(text, item, problems)?;
        if address.port() != 0 && list.contains(&address) {
            problems
                .error(text.place, format!("{} is listed twice", Quoted(text.value)))
                .help("leave one away");
        }
        list.push(address);
    }
    Some(list)
}

fn socket_address(
    text: Placed<&str>,
    item: ValueReader<'_>,
    problems: &mut Problems,
) -> Option<SocketAddr> {
    let address = text.value.parse();
    if address.is_err() {
        problems
            .error(
                text.place,
                format!(
                    "{} has {}, which is no address with a port",
                    item.description(),
                    Quoted(text.value)
                ),
            )
            .help("write it as \"127.0.0.1:5300\", \"0.0.0.0:53\" or \"[::]:53\"");
    }
    address.ok()
}

/// `"127.0.0.1:8053"` or `false`.
fn admin(item: ValueReader<'_>, problems: &mut Problems) -> Option<SocketAddr> {
    if item.is_boolean() {
        if item.boolean(problems) == Some(true) {
            problems
                .error(item.place, "`admin` is an address, or false")
                .help("write admin = \"127.0.0.1:8053\", or leave it away for just that");
        }
        return None;
    }
    if let Some(port) = item.as_number() {
        problems
            .error(item.place, "`admin` is an address with a port, or false")
            .help(format!("write admin = \"127.0.0.1:{port}\""));
        return None;
    }
    item.text(problems).and_then(|text| socket_address(text, item, problems))
}

fn nsid(item: ValueReader<'_>, problems: &mut Problems) -> Option<Box<str>> {
    let text = item.text(problems)?;
    if text.value.len() > 128 {
        problems
            .error(text.place, "`nsid` is longer than 128 octets")
            .help("it goes into replies: keep it short");
        return None;
    }
    Some(text.value.into())
}

fn canaries(item: ValueReader<'_>, problems: &mut Problems) -> Option<Vec<Canary>> {
    let texts = item.texts("hosts with ports", problems)?;
    texts.into_iter().map(|text| canary(text, problems)).collect()
}

fn canary(text: Placed<&str>, problems: &mut Problems) -> Option<Canary> {
    let canary = text.value.rsplit_once(':').and_then(|(host, port)| {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_host =
            host.parse::<std::net::IpAddr>().is_ok() || host.parse::<crate::dns::Name>().is_ok();
        let port = port.parse().ok().filter(|&port: &u16| port != 0)?;
        (is_host && !host.contains(char::is_whitespace)).then(|| Canary { host: host.into(), port })
    });
    if canary.is_none() {
        problems
            .error(text.place, format!("canary {} is no host with a port", Quoted(text.value)))
            .help(
                "write it as \"192.0.2.1:443\", \"[2001:db8::1]:443\" or \"www.example.com:443\"",
            );
    }
    canary
}

/// Addresses, each with or without a port.
fn resolvers(item: ValueReader<'_>, problems: &mut Problems) -> Option<Vec<SocketAddr>> {
    let texts = item.texts("addresses", problems)?;
    if texts.is_empty() {
        problems
            .error(item.place, format!("{} is empty: no alias would be resolved", item.description()))
            .help("leave it away to ask the system's resolvers, or write at least one: [\"192.0.2.53\"]");
        return None;
    }
    // Each is looked at before any is missed.
    let read: Vec<_> = texts.into_iter().map(|text| resolver(text, problems)).collect();
    read.into_iter().collect()
}

fn resolver(text: Placed<&str>, problems: &mut Problems) -> Option<SocketAddr> {
    let without_port = || text.value.parse().ok().map(|address| SocketAddr::new(address, DNS_PORT));
    let address = text.value.parse().ok().or_else(without_port);
    if address.is_none() {
        problems
            .error(text.place, format!("resolver {} is no address", Quoted(text.value)))
            .help("write it as \"192.0.2.53\", \"192.0.2.53:5353\" or \"[2001:db8::53]:53\"");
    }
    address
}

fn tls(table: &mut TableReader<'_>, base: &Path, problems: &mut Problems) -> Option<TlsSettings> {
    const HELP: &str =
        "write { listen = [\"0.0.0.0:853\"], certificate = \"cert.pem\", key = \"key.pem\" }";
    let addresses =
        table.required("listen", HELP, problems).and_then(|item| listen(item, problems));
    let certificate =
        table.required("certificate", HELP, problems).and_then(|item| item.text(problems));
    let key = table.required("key", HELP, problems).and_then(|item| item.text(problems));
    Some(TlsSettings {
        listen: addresses?,
        certificate: base.join(certificate?.value),
        key: base.join(key?.value),
    })
}

fn https_path(item: ValueReader<'_>, problems: &mut Problems) -> Option<Box<str>> {
    let text = item.text(problems)?;
    if text.value.starts_with('/')
        && text.value.bytes().all(|b| b.is_ascii_graphic() && !b"?#{}".contains(&b))
    {
        return Some(text.value.into());
    }
    problems
        .error(text.place, format!("{} is {}", item.description(), Quoted(text.value)))
        .help("a path starts with a slash: \"/dns-query\"");
    None
}
