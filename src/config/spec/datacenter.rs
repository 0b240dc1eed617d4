//! Reads `[datacenter.NAME]`: its location, and whether it serves.

use super::regulation::{self, RampSpec};
use crate::{
    config::{
        place::{Placed, SourcePlace},
        problems::Problems,
        reader::{SAMPLE_TIMESTAMP, TableReader, TableSubject, ValueReader},
        values,
    },
    geo::Coordinates,
    steer::{Fraction, ServingState},
};

/// A datacenter as written.
#[derive(Debug)]
pub(in crate::config) struct DatacenterSpec {
    pub(in crate::config) name: Placed<Box<str>>,
    pub(in crate::config) location: Option<Coordinates>,
    /// Whether a location is written, valid or not.
    pub(in crate::config) has_location: bool,
    pub(in crate::config) region: Option<Placed<Box<str>>>,
    pub(in crate::config) state: ServingState,
    pub(in crate::config) reason: Option<Box<str>>,
    /// The end of the state, in seconds since 1970.
    pub(in crate::config) until: Option<i64>,
    pub(in crate::config) load: Option<Placed<Box<str>>>,
    pub(in crate::config) ramps: RampSpec,
    /// The fraction of its clients that the datacenter keeps while its drain is paused.
    pub(in crate::config) paused_drain: Option<Fraction>,
    pub(in crate::config) keep: Fraction,
    /// The largest load, in the operator's unit.
    pub(in crate::config) capacity: Option<f64>,
}

impl DatacenterSpec {
    pub(super) fn read(
        name: Placed<&str>,
        mut table: TableReader<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let spec = Self {
            name: values::table_name(name, "datacenter", problems)?,
            has_location: table.has("location"),
            location: table.optional("location", problems, location),
            region: table.optional("region", problems, values::name_reference).and_then(|region| {
                values::table_name(Placed::new(&region.value, region.place), "region", problems)
            }),
            state: table.optional("state", problems, state).unwrap_or_default(),
            reason: table.optional("reason", problems, values::reason),
            until: table.optional("until", problems, until),
            load: table.optional("load", problems, values::name_reference),
            ramps: {
                let subject = table.subject;
                let ramps = RampSpec::read(&mut table, subject, problems);
                ramps.with_drain_over(table.optional(
                    "draining-over",
                    problems,
                    regulation::draining_over,
                ))
            },
            paused_drain: table.optional("drain-hold", problems, regulation::shed),
            keep: table.optional("shed", problems, regulation::shed).unwrap_or_default(),
            capacity: table.optional("capacity", problems, capacity),
        };
        table.finish(problems);
        Some(spec)
    }
}

/// Reads the state of a datacenter or an endpoint.
pub(super) fn state(item: ValueReader<'_>, problems: &mut Problems) -> Option<ServingState> {
    let words = [
        ServingState::Active,
        ServingState::Standby,
        ServingState::Draining,
        ServingState::Disabled,
    ]
    .map(|state| (state.as_str(), state));
    item.keyword(&words, problems)
}

fn location(item: ValueReader<'_>, problems: &mut Problems) -> Option<Coordinates> {
    const HELP: &str =
        "write location = { latitude = 50.11, longitude = 8.68 }, in degrees north and east";
    let subject = TableSubject { kind: "the location of", name: item.subject.name };
    if !item.is_table() {
        let help = match item.numbers()[..] {
            [latitude, longitude] if Coordinates::new(latitude, longitude).is_ok() => {
                format!("write location = {{ latitude = {latitude}, longitude = {longitude} }}")
            }
            _ => HELP.to_owned(),
        };
        problems.error(item.place, format!("{} must be a table", item.description())).help(help);
        return None;
    }
    let mut table = item.table(subject, problems)?;
    if !table.has("latitude") && !table.has("longitude") {
        problems
            .error(table.place, format!("{subject} has neither `latitude` nor `longitude`"))
            .help(HELP);
        return None;
    }
    let latitude =
        table.required("latitude", HELP, problems).and_then(|item| item.number(problems));
    let longitude =
        table.required("longitude", HELP, problems).and_then(|item| item.number(problems));
    let place: SourcePlace = table.place;
    table.finish(problems);
    match Coordinates::new(latitude?, longitude?) {
        Ok(coordinates) => Some(coordinates),
        Err(error) => {
            problems.error(place, format!("{}: {error}", item.subject)).help(HELP);
            None
        }
    }
}

/// Reads the largest load of a datacenter.
fn capacity(item: ValueReader<'_>, problems: &mut Problems) -> Option<f64> {
    const HELP: &str = "write the largest load as a number, in the same unit for all datacenters: \
                        capacity = 5000, for 5000 queries per second";
    if item.is_table() {
        // A pool's capacity is a table, and has another meaning.
        problems.error(item.place, format!("{} must be a number", item.description())).help(HELP);
        return None;
    }
    let place = item.place;
    let description = item.description();
    let capacity = item.number(problems)?;
    if capacity.is_finite() && capacity > 0.0 {
        return Some(capacity);
    }
    problems.error(place, format!("{description} must be above 0")).help(HELP);
    None
}

fn until(item: ValueReader<'_>, problems: &mut Problems) -> Option<i64> {
    let text = item.timestamp(problems)?;
    match text.parse::<jiff::Timestamp>() {
        Ok(end) => {
            if end < jiff::Timestamp::now() {
                problems
                    .warning(
                        item.place,
                        format!(
                            "{} is in the past: the state has ended, and the datacenter counts as active",
                            item.description()
                        ),
                    )
                    .help("remove `state` and `until`, or write a time in the future");
            }
            Some(end.as_second())
        }
        Err(_) => {
            problems
                .error(
                    item.place,
                    format!("{} is not a date and time that exists", item.description()),
                )
                .help(format!("write it as {SAMPLE_TIMESTAMP}"));
            None
        }
    }
}
