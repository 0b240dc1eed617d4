//! An answer that a requirement does not allow, and the counterexample that it makes.

use super::{
    model::AssumedStates,
    requirement_context::RequirementContext,
    trail::{AnsweredClient, trail},
    violation::Counterexample,
};
use crate::steer::model::{Conditions, EndpointId};

/// An answer that a requirement does not allow.
pub(super) struct AnswerMismatch {
    /// What the clients may get.
    pub(super) answer: Vec<String>,
    /// What the requirement allows.
    pub(super) expected: String,
    /// The endpoint that is not allowed, if one is answered.
    pub(super) endpoint: Option<EndpointId>,
}

impl AnswerMismatch {
    /// The counterexample of clients that get this answer under assumed states.
    pub(super) fn counterexample(
        self,
        context: &RequirementContext<'_>,
        client: AnsweredClient,
        (assumed, conditions): (&AssumedStates, &Conditions),
    ) -> Counterexample {
        let service = &context.topology.services[client.service.index()];
        Counterexample {
            service: service.name.clone(),
            records: service.kind.record_type(client.family),
            client: client.network,
            down: context.names(&assumed.down),
            drained: context.names(&assumed.drained),
            answer: self.answer,
            expected: self.expected,
            path: trail(context, conditions, client, self.endpoint),
        }
    }
}
