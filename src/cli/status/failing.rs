//! `status --failing`: what is wrong, all of it.

use super::{headline::headline, lists};
use crate::{
    cli::{screen::Screen, text::StatusStyle},
    control::{Status, TargetStatus},
};

/// Every concern, every name and type without a usable member, every target and alias that fails.
pub(super) fn render(status: &Status, screen: Screen, style: StatusStyle) -> String {
    let mut text = headline(status, style) + "\n";
    for concern in &status.concerns {
        let line = screen.wrap(&format!("  {}", concern.text), 4).join("\n");
        text += &if concern.is_grave { style.bad(&line) } else { style.warn(&line) };
        text += "\n";
    }
    if !status.distressed.is_empty() {
        text += "\nnames and types without a usable member\n";
    }
    for service in &status.distressed {
        let line = format!("  {}: answered with {}", service.subject(), service.plight);
        text += &lists::joined(screen.wrap(&line, 4));
    }
    let failing: Vec<TargetStatus> =
        status.targets.iter().filter(|target| target.is_failing()).cloned().collect();
    if !failing.is_empty() {
        text += "\n";
        text += &lists::targets(&failing, status.now, screen, style);
    }
    let failing = status.aliases.iter().filter_map(|alias| Some((alias, alias.error.as_ref()?)));
    for (index, (alias, error)) in failing.enumerate() {
        if index == 0 {
            text += "\naliases that cannot be resolved again\n";
        }
        text += &lists::joined(screen.wrap(&format!("  {}: {error}", alias.name), 4));
    }
    text
}
