//! Losses: the clients that a change leaves without anything usable, by type and area.

use super::view::LossView;
use crate::steer::{Chart, Compiler, Family, ServiceId};

/// A service of one snapshot.
#[derive(Clone, Copy)]
pub(super) struct CompiledService<'a> {
    pub(super) compiler: &'a Compiler,
    pub(super) id: ServiceId,
    pub(super) chart: &'a Chart,
}

/// The clients without a usable member of one family.
#[derive(Debug, PartialEq)]
enum UnusableClients {
    None,
    All,
    /// Those of these areas, in words.
    Some(Vec<String>),
}

impl CompiledService<'_> {
    fn unusable(&self, family: Family) -> UnusableClients {
        let areas: Vec<u32> =
            self.chart.unusable_areas(family).iter().map(|unusable| unusable.area).collect();
        if areas.is_empty() {
            return UnusableClients::None;
        }
        let texts = self.compiler.describe_areas(self.id, &areas);
        if texts.is_empty() { UnusableClients::All } else { UnusableClients::Some(texts) }
    }
}

/// The losses of a service, for each type of record.
pub(super) fn losses(before: CompiledService<'_>, after: CompiledService<'_>) -> Vec<LossView> {
    let loss = |family| {
        let clients = match (before.unusable(family), after.unusable(family)) {
            (_, UnusableClients::None) | (UnusableClients::All, _) => return None,
            (_, UnusableClients::All) => Vec::new(),
            (UnusableClients::None, UnusableClients::Some(areas)) => areas,
            (UnusableClients::Some(known), UnusableClients::Some(mut areas)) => {
                areas.retain(|area| !known.contains(area));
                if areas.is_empty() {
                    return None;
                }
                areas
            }
        };
        // A family that never had a member is not lost.
        (before.chart.area_count(family) > 0).then(|| LossView {
            records: after.chart.kind().record_type(family).to_owned(),
            clients,
        })
    };
    [Family::V4, Family::V6].into_iter().filter_map(loss).collect()
}
