//! Reports on clients for which no member is usable.

use super::inputs::StatusInputs;
use crate::{
    control::{
        distress::{self, DistressedClients},
        status::DistressedService,
    },
    steer::ServiceId,
};

/// Services, types and clients for which no member is usable, in order of name.
pub(super) fn distressed_clients(inputs: &StatusInputs<'_>) -> Vec<DistressedClients> {
    (0..)
        .map(ServiceId)
        .zip(inputs.snapshot.charts.iter())
        .flat_map(|(id, chart)| distress::distressed_clients((id, chart), |_, _| true))
        .collect()
}

pub(super) fn distressed_service(
    inputs: &StatusInputs<'_>,
    clients: &DistressedClients,
) -> DistressedService {
    let index = clients.service.index();
    let service = &inputs.loaded.topology.services[index];
    let compiler = &inputs.loaded.compiler;
    DistressedService {
        name: service.name.to_string(),
        rtype: service.kind.record_type(clients.family).to_owned(),
        clients: clients.client_texts(compiler),
        plight: clients.answer_text(compiler, &inputs.snapshot.charts[index]),
        is_recovering: clients.is_recovering,
    }
}
