//! The settings of `portolan.toml`. Flags override them, and they override the defaults.

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use toml::de::DeTable;

use super::{
    admin_settings::AdminSettings,
    listen_addresses::listen,
    place::{FileId, FileOffset, Placed, SourcePlace},
    problems::Problems,
    quoted::Quoted,
    reader::{self, TableReader, TableSubject, ValueReader},
    source_options::SourceOptions,
    sources::SourceFile,
    syntax,
};

/// The settings of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// The addresses on which DNS is served over UDP and TCP; never empty.
    pub listen: Vec<SocketAddr>,
    /// The number of UDP shards; `None` for one per core.
    pub threads: Option<NonZeroUsize>,
    /// Whether each shard receives the datagrams of its own core. Otherwise the kernel spreads
    /// clients over the shards by a hash.
    pub socket_affinity: bool,
    /// The settings of the admin API.
    pub admin: AdminSettings,
    /// The directory for state that must survive a restart.
    pub state_directory: PathBuf,
    /// The NSID (RFC 5001), at most 128 octets; `None` for the host name.
    pub nsid: Option<Box<str>>,
    /// Targets outside of the service: if they fail, too, the server's own network has failed.
    pub canaries: Vec<Canary>,
    /// The resolvers that are asked for aliases; empty for those of the system.
    pub resolvers: Vec<SocketAddr>,
    /// The listeners for DNS over TLS (RFC 7858); `None` for none.
    pub tls: Option<TlsSettings>,
    /// The listeners for DNS over HTTPS (RFC 8484); `None` for none.
    pub https: Option<HttpsSettings>,
}

impl ServerSettings {
    /// The keys that differ in `newer` and that take effect only after a restart.
    pub fn keys_requiring_restart(&self, newer: &Self) -> Vec<&'static str> {
        // All fields are named, so that adding a key requires deciding here whether a reload
        // applies it.
        let Self {
            listen,
            threads,
            socket_affinity,
            admin,
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

/// A host and a TCP port to which connections should always succeed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Canary {
    /// The address or name of the host.
    pub host: Box<str>,
    /// The TCP port to connect to.
    pub port: u16,
}

/// The listeners and the certificate of DNS over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The addresses to listen on; never empty.
    pub listen: Vec<SocketAddr>,
    /// The PEM file of the certificate and its chain.
    pub certificate: PathBuf,
    /// The PEM file of the certificate's private key.
    pub key: PathBuf,
}

/// The listeners, the certificate and the path of DNS over HTTPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpsSettings {
    /// The listeners and the certificate.
    pub tls: TlsSettings,
    /// The path of the resource that takes queries; it starts with `/`.
    pub path: Box<str>,
    /// Whether HTTP/1.1 is served, besides HTTP/2.
    pub http1: bool,
    /// Whether HTTP/3 is served on UDP at the same addresses.
    pub http3: bool,
}

/// A GeoIP database to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseSource {
    /// The path of the file.
    pub path: PathBuf,
    /// The place where it is named, as `file:line:column`; `None` for a database that a flag names
    /// or that was found.
    pub origin: Option<String>,
    /// The same place as octets of a file.
    pub place: Option<SourcePlace>,
    /// The reason why the database is left out, if the configuration is valid without it; see
    /// [`super::Sources::tolerate_databases`].
    pub fault: Option<DatabaseFault>,
}

/// The reason why a database, or the directory in which databases are searched for, cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFault {
    /// One line: `where: what (help: how to fix it)`.
    pub line: String,
    /// Whether it may become usable without being changed.
    pub is_transient: bool,
}

/// The port of resolvers that are written without one.
const DNS_PORT: u16 = 53;
const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5300);

/// The content of `portolan.toml`, with the places that later checks need.
pub(super) struct Settings {
    pub(super) server: ServerSettings,
    zones: Option<PathBuf>,
    /// The paths of databases relative to the working directory, in the order in which they are
    /// written.
    pub(super) databases: Option<Vec<Placed<PathBuf>>>,
}

/// The paths of all other files of the configuration.
pub(super) struct InputPaths {
    pub(super) zones: PathBuf,
    pub(super) databases: Option<Vec<PathBuf>>,
    pub(super) default_databases: PathBuf,
}

/// The paths that flags and `portolan.toml` name. Mistakes in the file are not reported here, but
/// when it is read as part of the load.
pub(super) fn input_paths(locations: &SourceOptions, config: Option<&SourceFile>) -> InputPaths {
    let base = locations.base();
    let settings = read(locations, config.map(|file| (FileId(0), file)), &mut Problems::default());
    let named = settings.databases.map(|list| list.into_iter().map(|path| path.value).collect());
    InputPaths {
        zones: locations.zones.clone().or(settings.zones).unwrap_or_else(|| base.join("zones")),
        databases: if locations.geoip.is_empty() { named } else { Some(locations.geoip.clone()) },
        default_databases: base.join("geoip"),
    }
}

/// Reads `portolan.toml`; without the file, all settings are defaults.
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
        admin: AdminSettings::default(),
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
        let mut short_form = None;
        if let Some(item) = root.value("server")
            && let Some(table) = item.table(TableSubject { kind: "`server`", name: "" }, problems)
        {
            short_form = self.server(table, base, problems);
        }
        if let Some(item) = root.value("admin")
            && let Some(table) = item.table(TableSubject { kind: "`admin`", name: "" }, problems)
        {
            self.server.admin.read_table(table, short_form, problems);
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

    /// Reads `[server]`. Returns the place of `admin`, the short form of `listen` of `[admin]`.
    fn server(
        &mut self,
        mut table: TableReader<'_>,
        base: &Path,
        problems: &mut Problems,
    ) -> Option<SourcePlace> {
        let server = &mut self.server;
        let path = |item: ValueReader<'_>, problems: &mut Problems| {
            item.text(problems).map(|text| base.join(text.value))
        };
        if let Some(listen) = table.optional("listen", problems, listen) {
            server.listen = listen;
        }
        server.threads = table.optional("threads", problems, |item, problems| {
            let threads =
                item.integer(1, 1024, "it counts UDP shards; omit it for one per core", problems)?;
            usize::try_from(threads.value).ok().and_then(NonZeroUsize::new)
        });
        server.socket_affinity =
            table.optional("socket-affinity", problems, ValueReader::boolean).unwrap_or(false);
        self.zones = table.optional("zones", problems, path);
        let short_form =
            table.value("admin").map(|item| server.admin.read_short_form(item, problems));
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
        short_form
    }
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
            .error(text.place, format!("canary {} is not a host with a port", Quoted(text.value)))
            .help(
                "write it as \"192.0.2.1:443\", \"[2001:db8::1]:443\" or \"www.example.com:443\"",
            );
    }
    canary
}

/// Reads `resolvers`: addresses, each with or without a port.
fn resolvers(item: ValueReader<'_>, problems: &mut Problems) -> Option<Vec<SocketAddr>> {
    let texts = item.texts("addresses", problems)?;
    if texts.is_empty() {
        problems
            .error(
                item.place,
                format!("{} is empty: no alias would be resolved", item.description()),
            )
            .help("omit it to ask the system's resolvers, or write at least one: [\"192.0.2.53\"]");
        return None;
    }
    // All addresses are read before the first error ends the reading, so that each error is
    // reported.
    let read: Vec<_> = texts.into_iter().map(|text| resolver(text, problems)).collect();
    read.into_iter().collect()
}

fn resolver(text: Placed<&str>, problems: &mut Problems) -> Option<SocketAddr> {
    let without_port = || text.value.parse().ok().map(|address| SocketAddr::new(address, DNS_PORT));
    let address = text.value.parse().ok().or_else(without_port);
    if address.is_none() {
        problems
            .error(text.place, format!("resolver {} is not an address", Quoted(text.value)))
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
