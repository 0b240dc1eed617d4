//! `grpc` of a monitor.

use std::path::Path;

use super::terms;
use crate::{
    config::{
        problems::Problems,
        reader::{Item, Subject},
    },
    health::GrpcCheck,
};

pub(super) fn check(item: Item<'_>, directory: &Path, problems: &mut Problems) -> Option<GrpcCheck> {
    let mut table = item.table(Subject { kind: "`grpc` of monitor", name: item.subject.name }, problems)?;
    let port = table.required("port", "write grpc = { port = 50051 }", problems);
    let port = port.and_then(|item| terms::port(item, problems));
    let service =
        table.item("service").map_or(Some("".into()), |item| item.text(problems).map(|text| text.value.into()));
    let host = terms::host(&mut table, problems);
    let tls = match table.optional("tls", problems, Item::boolean).unwrap_or(false) {
        true => terms::tls(&mut table, directory, problems).map(Some),
        false => {
            table.optional("verify", problems, Item::boolean);
            terms::refuse_tls_keys(&mut table, "add tls = true", problems);
            Some(None)
        }
    };
    let proxy_protocol = terms::proxy_protocol(&mut table, problems);
    table.finish(problems);
    Some(GrpcCheck { port: port?, service: service?, host: host?, tls: tls?, proxy_protocol: proxy_protocol? })
}
