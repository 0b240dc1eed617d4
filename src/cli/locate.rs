//! `locate`: the locations of addresses in the GeoIP databases.

use std::{net::IpAddr, process::ExitCode};

use serde_json::{Value, json};

use super::{args::LocateArguments, output::Output};
use crate::{
    config::SourceOptions,
    control::open_databases,
    geo::{Databases, Location, MergedLookup},
};

pub(super) fn run(locate: &LocateArguments, output: &Output) -> ExitCode {
    let locations: SourceOptions = locate.files.locations();
    let databases = match open_databases(&locations) {
        Ok(databases) => databases,
        Err(error) => return output.fail(&error),
    };
    let findings: Vec<(IpAddr, MergedLookup<'_>)> =
        locate.addresses.iter().map(|&address| (address, databases.lookup(address))).collect();
    if output.json {
        output.print_document(
            &findings
                .iter()
                .map(|(address, finding)| to_json(*address, finding))
                .collect::<Vec<_>>(),
        );
        return ExitCode::SUCCESS;
    }
    for (address, finding) in &findings {
        output.print_line(&text(*address, finding, &databases));
    }
    ExitCode::SUCCESS
}

fn text(address: IpAddr, finding: &MergedLookup<'_>, databases: &Databases) -> String {
    let carried = finding
        .embedded_ipv4
        .map(|carried| format!(", which embeds {carried}"))
        .unwrap_or_default();
    let mut lines = vec![format!("{address}{carried}: {}", place_text(&finding.location))];
    lines.push(format!("  network      {}", finding.network));
    let location = &finding.location;
    let mut row = |label: &str, value: Option<String>| {
        if let Some(value) = value {
            lines.push(format!("  {label:<12} {value}"));
        }
    };
    row("continent", location.continent.as_deref().map(str::to_owned));
    row("country", location.country.as_deref().map(str::to_owned));
    row(
        "subdivision",
        (!location.subdivisions.is_empty()).then(|| location.subdivisions.join(", ")),
    );
    row("city", location.city.as_deref().map(str::to_owned));
    row(
        "coordinates",
        location
            .coordinates
            .map(|point| format!("{:.4}, {:.4}", point.latitude(), point.longitude())),
    );
    row(
        "asn",
        location.asn.map(|asn| match &location.organization {
            Some(organization) => format!("AS{asn} ({organization})"),
            None => format!("AS{asn}"),
        }),
    );
    if databases.list().len() > 1 {
        for source in &finding.by_database {
            row(
                "database",
                Some(format!(
                    "{} ({}): {} {}",
                    source.label,
                    source.kind,
                    source.network,
                    place_text(source.location)
                )),
            );
        }
    }
    lines.join("\n")
}

/// A location in one line, from the city to the continent.
fn place_text(location: &Location) -> String {
    let wide = [&location.country, &location.continent];
    let parts: Vec<String> = location
        .city
        .iter()
        .chain(&location.subdivisions)
        .chain(wide.into_iter().flatten())
        .map(|part| part.to_string())
        .collect();
    match (parts.is_empty(), location.asn) {
        (false, _) => parts.join(", "),
        (true, Some(asn)) => format!("AS{asn}"),
        (true, None) => "not in the databases".to_owned(),
    }
}

fn to_json(address: IpAddr, finding: &MergedLookup<'_>) -> Value {
    let sources: Vec<Value> = finding
        .by_database
        .iter()
        .map(|source| {
            let mut value = location_to_json(source.location);
            value["database"] = json!(source.label);
            value["type"] = json!(source.kind);
            value["built"] = json!(source.build_epoch);
            value["network"] = json!(source.network.to_string());
            value
        })
        .collect();
    let mut value = location_to_json(&finding.location);
    value["address"] = json!(address.to_string());
    value["network"] = json!(finding.network.to_string());
    value["carried"] = json!(finding.embedded_ipv4.map(|carried| carried.to_string()));
    value["sources"] = json!(sources);
    value
}

fn location_to_json(location: &Location) -> Value {
    json!({
        "continent": location.continent,
        "country": location.country,
        "subdivision": location.subdivisions.last(),
        "subdivisions": location.subdivisions,
        "city": location.city,
        "latitude": location.coordinates.map(|point| point.latitude()),
        "longitude": location.coordinates.map(|point| point.longitude()),
        "asn": location.asn,
        "organization": location.organization,
    })
}
