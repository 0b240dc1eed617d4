//! Reads the page of a load source: the URL in the table of its kind, and the keys beside the kind
//! that describe the request.

use std::path::Path;

use super::url;
use crate::{
    config::{
        place::Placed,
        problems::Problems,
        quoted::Quoted,
        reader::{TableReader, TableSubject, ValueReader},
    },
    load::{LoadKind, LoadPage, PageHeader},
};

/// Headers that the HTTP client writes itself.
const RESERVED_HEADERS: [&str; 5] =
    ["connection", "content-length", "transfer-encoding", "upgrade", "te"];

/// The keys beside the kind that describe the request for its page.
pub(super) struct PageKeys<'t> {
    headers: Option<ValueReader<'t>>,
    basic_auth: Option<ValueReader<'t>>,
    ca: Option<ValueReader<'t>>,
    verify: Option<ValueReader<'t>>,
}

impl<'t> PageKeys<'t> {
    pub(super) fn take(table: &mut TableReader<'t>) -> Self {
        Self {
            headers: table.value("headers"),
            basic_auth: table.value("basic-auth"),
            ca: table.value("ca"),
            verify: table.value("verify"),
        }
    }

    /// Reports the keys that are about a page if sources of this kind have no page.
    pub(super) fn check_used(
        &self,
        kind: &LoadKind,
        subject: TableSubject<'_>,
        problems: &mut Problems,
    ) {
        let is_page = !matches!(
            kind,
            LoadKind::Orca | LoadKind::Haproxy(crate::load::HaproxySource::Socket { .. })
        );
        if is_page {
            return;
        }
        for item in [self.headers, self.basic_auth, self.ca, self.verify].into_iter().flatten() {
            problems
                .error(item.place, format!("{subject} has `{}`, but no url", item.key))
                .help("it says how a page is asked for; omit it");
        }
    }

    /// Reads the page whose URL is in the kind's table.
    pub(super) fn page(
        &mut self,
        table: &mut TableReader<'_>,
        help: &str,
        directory: &Path,
        problems: &mut Problems,
    ) -> Option<Placed<LoadPage>> {
        let headers = self.headers(problems);
        let verify = self.verify.map_or(Some(true), |item| item.boolean(problems));
        let item = table.required("url", help, problems)?;
        let text = item.text(problems)?;
        let url = match url::parse(text.value) {
            Ok(url) => url,
            Err(help) => {
                let message = format!("{} has url {}", table.subject, Quoted(text.value));
                problems.error(text.place, message).help(help);
                return None;
            }
        };
        if let (Some(ca), false) = (self.ca, url.tls) {
            problems
                .error(ca.place, format!("{} has `ca`, but its url does not speak TLS", ca.subject))
                .help("write https:// in the url, or omit `ca`");
        }
        let authorities = match self.ca {
            None => None,
            Some(item) => Some(directory.join(item.text(problems)?.value).into()),
        };
        let page = LoadPage {
            tls: url.tls,
            host: url.host,
            port: url.port,
            path: url.path,
            headers: headers?,
            verify: verify?,
            authorities,
        };
        Some(Placed::new(page, text.place))
    }

    fn headers(&self, problems: &mut Problems) -> Option<Vec<PageHeader>> {
        let mut headers = Vec::new();
        if let Some(item) = self.headers {
            let table = item.table(
                TableSubject { kind: "`headers` of load", name: item.subject.name },
                problems,
            )?;
            for (name, item) in table.entries() {
                headers.push(header(name, item, problems)?);
            }
        }
        if let Some(item) = self.basic_auth {
            headers.push(credentials(item, problems)?);
        }
        Some(headers)
    }
}

fn header(
    name: Placed<&str>,
    item: ValueReader<'_>,
    problems: &mut Problems,
) -> Option<PageHeader> {
    let lower = name.value.to_ascii_lowercase();
    let is_token = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
    if lower.is_empty()
        || lower.len() > 128
        || !lower.bytes().all(is_token)
        || RESERVED_HEADERS.contains(&&*lower)
    {
        problems
            .error(
                name.place,
                format!(
                    "{} has {}, which is not a header that can be sent",
                    item.subject,
                    Quoted(name.value)
                ),
            )
            .help("write names and values: headers = { authorization = \"Bearer ...\" }");
        return None;
    }
    let text = item.text(problems)?;
    if text.value.len() > 8192
        || !text.value.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic())
    {
        problems
            .error(
                text.place,
                format!(
                    "{} has a value for {} that cannot be sent",
                    item.subject,
                    Quoted(name.value)
                ),
            )
            .help("a header's value is one line of ASCII");
        return None;
    }
    Some(PageHeader { name: lower.into(), value: text.value.into() })
}

/// Reads `basic-auth` as a header (RFC 7617).
fn credentials(item: ValueReader<'_>, problems: &mut Problems) -> Option<PageHeader> {
    let mut table = item
        .table(TableSubject { kind: "`basic-auth` of load", name: item.subject.name }, problems)?;
    let help = "write basic-auth = { user = \"stats\", password = \"...\" }";
    let user = table.required("user", help, problems).and_then(|item| item.text(problems));
    let password = table.required("password", help, problems).and_then(|item| item.text(problems));
    let subject = table.subject;
    table.finish(problems);
    let (user, password) = (user?, password?);
    if user.value.contains(':') {
        problems
            .error(user.place, format!("{subject} has a user with a colon"))
            .help("RFC 7617 has no way to send it");
        return None;
    }
    let encoded =
        data_encoding::BASE64.encode(format!("{}:{}", user.value, password.value).as_bytes());
    Some(PageHeader { name: "authorization".into(), value: format!("Basic {encoded}").into() })
}
