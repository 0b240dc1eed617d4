//! Combined monitors: their parts exist, none leads back to itself, and none is too deep.

use super::names::Names;
use crate::config::{diagnostics::Quoted, place::Place, problems::Problems, spec::Specs};

/// How many monitors may be inside each other.
const DEEPEST: usize = 16;

/// For each monitor its parts, and where they are named.
type Parts = [Vec<(usize, Place)>];

/// Looks up every part and checks their shape. Whether that is such that it can be followed.
pub(super) fn check<'s>(
    specs: &'s Specs,
    monitors: &mut Names<'s>,
    problems: &mut Problems,
) -> bool {
    let mut parts = vec![Vec::new(); specs.monitors.len()];
    for (whole, part) in &specs.parts {
        let found = monitors.find(part, problems);
        // They are in order of name.
        let whole = specs.monitors.binary_search_by(|monitor| monitor.value.name.cmp(whole));
        if let (Ok(whole), Some(found)) = (whole, found) {
            parts[whole].push((found, part.place));
        }
    }
    let Some(order) = parts_first(specs, &parts, problems) else { return false };
    let mut depths = vec![0; parts.len()];
    for monitor in order {
        depths[monitor] =
            1 + parts[monitor].iter().map(|(part, _)| depths[*part]).max().unwrap_or_default();
        // Told once, of the monitor where the bound is first passed.
        if depths[monitor] == DEEPEST + 1 {
            let whole = &specs.monitors[monitor];
            let name = Quoted(&whole.value.name);
            problems
                .error(
                    whole.place,
                    format!("monitors are more than {DEEPEST} deep inside each other below {name}"),
                )
                .help("name the inner monitors' parts directly");
        }
    }
    depths.into_iter().all(|depth| depth <= DEEPEST)
}

/// The monitors so that each comes after its parts; `None` where there are cycles, which are
/// reported.
fn parts_first(specs: &Specs, parts: &Parts, problems: &mut Problems) -> Option<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; parts.len()];
    let mut order = Vec::with_capacity(parts.len());
    let mut has_cycle = false;
    for start in 0..parts.len() {
        if marks[start] != Mark::New {
            continue;
        }
        // An explicit stack: a chain of monitors may be longer than a thread's stack is deep.
        let mut path = vec![(start, 0)];
        marks[start] = Mark::Open;
        while let Some((monitor, next)) = path.last_mut() {
            let Some(&(part, place)) = parts[*monitor].get(*next) else {
                marks[*monitor] = Mark::Done;
                order.push(*monitor);
                path.pop();
                continue;
            };
            *next += 1;
            match marks[part] {
                Mark::Done => {}
                Mark::New => {
                    marks[part] = Mark::Open;
                    path.push((part, 0));
                }
                Mark::Open => {
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
    place: Place,
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
