//! Combined monitors: their parts exist, none leads back to itself, and none is too deep.

use super::symbols::SymbolTable;
use crate::config::{place::SourcePlace, problems::Problems, quoted::Quoted, spec::Specs};

/// How many monitors may be inside each other.
const MAX_DEPTH: usize = 16;

/// For each monitor its parts, and where they are named.
type MonitorParts = [Vec<(usize, SourcePlace)>];

/// Looks up every part and checks their shape. Whether that is such that it can be followed.
pub(super) fn check<'s>(
    specs: &'s Specs,
    monitors: &mut SymbolTable<'s>,
    problems: &mut Problems,
) -> bool {
    let mut parts = vec![Vec::new(); specs.monitors.len()];
    for (whole, part) in &specs.monitor_parts {
        let found = monitors.resolve(part, problems);
        // They are in order of name.
        let whole = specs.monitors.binary_search_by(|monitor| monitor.value.name.cmp(whole));
        if let (Ok(whole), Some(found)) = (whole, found) {
            parts[whole].push((found, part.place));
        }
    }
    let Some(order) = topological_order(specs, &parts, problems) else { return false };
    let mut depths = vec![0; parts.len()];
    for monitor in order {
        depths[monitor] =
            1 + parts[monitor].iter().map(|(part, _)| depths[*part]).max().unwrap_or_default();
        // Told once, of the monitor where the bound is first passed.
        if depths[monitor] == MAX_DEPTH + 1 {
            let whole = &specs.monitors[monitor];
            let name = Quoted(&whole.value.name);
            problems
                .error(
                    whole.place,
                    format!(
                        "monitors are more than {MAX_DEPTH} deep inside each other below {name}"
                    ),
                )
                .help("name the inner monitors' parts directly");
        }
    }
    depths.into_iter().all(|depth| depth <= MAX_DEPTH)
}

/// The monitors so that each comes after its parts; `None` where there are cycles, which are
/// reported.
fn topological_order(
    specs: &Specs,
    parts: &MonitorParts,
    problems: &mut Problems,
) -> Option<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum MonitorVisit {
        New,
        Open,
        Done,
    }
    let mut marks = vec![MonitorVisit::New; parts.len()];
    let mut order = Vec::with_capacity(parts.len());
    let mut has_cycle = false;
    for start in 0..parts.len() {
        if marks[start] != MonitorVisit::New {
            continue;
        }
        // An explicit stack: a chain of monitors may be longer than a thread's stack is deep.
        let mut path = vec![(start, 0)];
        marks[start] = MonitorVisit::Open;
        while let Some((monitor, next)) = path.last_mut() {
            let Some(&(part, place)) = parts[*monitor].get(*next) else {
                marks[*monitor] = MonitorVisit::Done;
                order.push(*monitor);
                path.pop();
                continue;
            };
            *next += 1;
            match marks[part] {
                MonitorVisit::Done => {}
                MonitorVisit::New => {
                    marks[part] = MonitorVisit::Open;
                    path.push((part, 0));
                }
                MonitorVisit::Open => {
                    has_cycle = true;
                    let from =
                        path.iter().position(|(monitor, _)| *monitor == part).unwrap_or_default();
                    report_cycle(
                        specs,
                        path.iter().skip(from).map(|(monitor, _)| *monitor),
                        place,
                        problems,
                    );
                }
            }
        }
    }
    (!has_cycle).then_some(order)
}

fn report_cycle(
    specs: &Specs,
    cycle: impl Iterator<Item = usize>,
    place: SourcePlace,
    problems: &mut Problems,
) {
    const SHOWN: usize = 12;
    let mut names: Vec<&str> =
        cycle.take(SHOWN).map(|monitor| &*specs.monitors[monitor].value.name).collect();
    if names.len() == SHOWN {
        names.push("...");
    }
    names.extend(names.first().copied());
    let name = names.first().copied().unwrap_or_default();
    problems
        .error(place, format!("monitor {} combines itself: {}", Quoted(name), names.join(" -> ")))
        .help("take one of the monitors out of the other's parts");
}
