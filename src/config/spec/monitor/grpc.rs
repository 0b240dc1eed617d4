//! Reads `grpc` of a monitor: a check by the gRPC health protocol.

use std::path::Path;

use super::{
    common_keys::{self, HostUse},
    credentials::Credential,
};
use crate::{
    config::{
        problems::Problems,
        reader::{TableSubject, ValueReader},
    },
    health::GrpcCheck,
};

pub(super) fn check(
    item: ValueReader<'_>,
    directory: &Path,
    credentials: &mut Vec<Credential>,
    problems: &mut Problems,
) -> Option<GrpcCheck> {
    let mut table =
        item.table(TableSubject { kind: "`grpc` of monitor", name: item.subject.name }, problems)?;
    let port = table.required("port", "write grpc = { port = 50051 }", problems);
    let port = port.and_then(|item| common_keys::port(item, problems));
    let service = table
        .value("service")
        .map_or(Some("".into()), |item| item.text(problems).map(|text| text.value.into()));
    let is_tls = table.optional("tls", problems, ValueReader::boolean).unwrap_or(false);
    let host = common_keys::host(&mut table, HostUse::for_http(is_tls), problems);
    let tls =
        common_keys::tls_if(is_tls, &mut table, "add tls = true", directory, credentials, problems);
    let proxy_protocol = common_keys::proxy_protocol(&mut table, problems);
    table.finish(problems);
    Some(GrpcCheck {
        port: port?,
        service: service?,
        host: host?,
        tls: tls?,
        proxy_protocol: proxy_protocol?,
    })
}
