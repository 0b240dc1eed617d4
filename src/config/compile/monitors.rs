//! Checks combined monitors: their parts exist, none contains itself, and none is nested too deep.

use super::{
    symbols::SymbolTable,
    topological_order::{Cycle, topological_order},
};
use crate::config::{place::SourcePlace, problems::Problems, quoted::Quoted, spec::Specs};

/// The maximum depth of nested monitors.
const MAX_DEPTH: usize = 16;

/// For each monitor, its parts and the places where they are named.
type MonitorParts = [Vec<(usize, SourcePlace)>];

/// Resolves every part, and checks how monitors are nested. Returns whether they are nested without
/// cycles and not too deep.
pub(super) fn check<'s>(
    specs: &'s Specs,
    monitors: &mut SymbolTable<'s>,
    problems: &mut Problems,
) -> bool {
    let mut parts = vec![Vec::new(); specs.monitors.len()];
    for (whole, part) in &specs.monitor_parts {
        let found = monitors.resolve(part, problems);
        // Monitors are in order of name.
        let whole = specs.monitors.binary_search_by(|monitor| monitor.value.name.cmp(whole));
        if let (Ok(whole), Some(found)) = (whole, found) {
            parts[whole].push((found, part.place));
        }
    }
    let Some(order) = order_by_nesting(specs, &parts, problems) else { return false };
    let mut depths = vec![0; parts.len()];
    for monitor in order {
        depths[monitor] =
            1 + parts[monitor].iter().map(|(part, _)| depths[*part]).max().unwrap_or_default();
        // Reported once, for the monitor at which the bound is first exceeded.
        if depths[monitor] == MAX_DEPTH + 1 {
            let whole = &specs.monitors[monitor];
            let name = Quoted(&whole.value.name);
            problems
                .error(
                    whole.place,
                    format!("monitors are nested more than {MAX_DEPTH} deep below {name}"),
                )
                .help("name the inner monitors' parts directly");
        }
    }
    depths.into_iter().all(|depth| depth <= MAX_DEPTH)
}

/// The monitors, each after its parts; `None` where there are cycles, which are reported.
fn order_by_nesting(
    specs: &Specs,
    parts: &MonitorParts,
    problems: &mut Problems,
) -> Option<Vec<usize>> {
    let mut has_cycle = false;
    let part =
        |monitor: usize, position: usize| parts[monitor].get(position).map(|(part, _)| Some(*part));
    let order = topological_order(parts.len(), part, |Cycle { nodes, closing_child }| {
        has_cycle = true;
        let place = nodes.last().map(|monitor| parts[*monitor][closing_child].1);
        place.into_iter().for_each(|place| report_cycle(specs, nodes, place, problems));
    });
    (!has_cycle).then_some(order)
}

fn report_cycle(specs: &Specs, cycle: &[usize], place: SourcePlace, problems: &mut Problems) {
    const SHOWN: usize = 12;
    let mut names: Vec<&str> =
        cycle.iter().take(SHOWN).map(|monitor| &*specs.monitors[*monitor].value.name).collect();
    if names.len() == SHOWN {
        names.push("...");
    }
    names.extend(names.first().copied());
    let name = names.first().copied().unwrap_or_default();
    problems
        .error(place, format!("monitor {} combines itself: {}", Quoted(name), names.join(" -> ")))
        .help("take one of the monitors out of the other's parts");
}
