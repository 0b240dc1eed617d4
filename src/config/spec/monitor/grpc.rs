//! `grpc` of a monitor.

use std::path::Path;

use super::{
    credentials::Credential,
    terms::{self, Place},
};
use crate::{
    config::{
        problems::Problems,
        reader::{Item, Subject},
    },
    health::GrpcCheck,
};

pub(super) fn check(
    item: Item<'_>,
    directory: &Path,
    credentials: &mut Vec<Credential>,
    problems: &mut Problems,
) -> Option<GrpcCheck> {
    let mut table =
        item.table(Subject { kind: "`grpc` of monitor", name: item.subject.name }, problems)?;
    let port = table.required("port", "write grpc = { port = 50051 }", problems);
    let port = port.and_then(|item| terms::port(item, problems));
    let service = table
        .item("service")
        .map_or(Some("".into()), |item| item.text(problems).map(|text| text.value.into()));
    let is_tls = table.optional("tls", problems, Item::boolean).unwrap_or(false);
    let host = terms::host(&mut table, Place::of_http(is_tls), problems);
    let tls = match is_tls {
        true => terms::tls(&mut table, directory, credentials, problems).map(Some),
        false => {
            table.optional("verify", problems, Item::boolean);
            terms::refuse_tls_keys(&mut table, "add tls = true", problems);
            Some(None)
        }
    };
    let proxy_protocol = terms::proxy_protocol(&mut table, problems);
    table.finish(problems);
    Some(GrpcCheck {
        port: port?,
        service: service?,
        host: host?,
        tls: tls?,
        proxy_protocol: proxy_protocol?,
    })
}
