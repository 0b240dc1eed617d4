//! What the endpoints share.

use std::{sync::Arc, time::Duration};

use axum::{body::Bytes, extract::State};
use tokio::{task::spawn_blocking, time::timeout};

use super::{
    context::AdminContext,
    error::{ApiError, panic_error},
    readiness,
    single_flight::SingleFlight,
};
use crate::control::{ControllerStopped, ListDetail, ServiceStatus, Status};

/// What the endpoints share.
pub(super) struct AdminState {
    pub(super) context: AdminContext,
    status: SingleFlight<Arc<Status>>,
    services: SingleFlight<Arc<Vec<ServiceStatus>>>,
    pub(super) status_text: SingleFlight<Bytes>,
    pub(super) full_status_text: SingleFlight<Bytes>,
    pub(super) metrics: SingleFlight<Bytes>,
    pub(super) text_metrics: SingleFlight<Bytes>,
    pub(super) totals: SingleFlight<Bytes>,
    pub(super) steering: SingleFlight<Bytes>,
}

pub(super) type SharedState = State<Arc<AdminState>>;

impl AdminState {
    pub(super) fn new(context: AdminContext) -> Self {
        Self {
            context,
            status: SingleFlight::new(),
            services: SingleFlight::new(),
            status_text: SingleFlight::new(),
            full_status_text: SingleFlight::new(),
            metrics: SingleFlight::new(),
            text_metrics: SingleFlight::new(),
            totals: SingleFlight::new(),
            steering: SingleFlight::new(),
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.context.controller.published().load().generation
    }

    pub(super) async fn status(&self) -> Result<Arc<Status>, ControllerStopped> {
        self.status.fetch(async || Ok(Arc::new(self.fetch_status(ListDetail::Short).await?))).await
    }

    /// Every service, in order of name.
    pub(super) async fn services(&self) -> Result<Arc<Vec<ServiceStatus>>, ControllerStopped> {
        let fetch = async || Ok(Arc::new(self.context.controller.services().await?));
        self.services.fetch(fetch).await
    }

    pub(super) async fn fetch_status(
        &self,
        detail: ListDetail,
    ) -> Result<Status, ControllerStopped> {
        let mut status = self.context.controller.status(detail).await?;
        status.is_listening = (self.context.is_listening)();
        status.concerns = readiness::concerns(&self.context, Some(&status));
        Ok(status)
    }

    pub(super) async fn status_within(&self, limit: Duration) -> Option<Arc<Status>> {
        timeout(limit, self.status()).await.ok()?.ok()
    }

    /// Runs `render`, which may take long, on a thread where it delays no other request.
    pub(super) async fn run_blocking<T: Into<Bytes> + Send + 'static>(
        &self,
        render: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Bytes, ApiError> {
        let preemption = self.context.preemption_timer.activate();
        // It runs to its end even if the client disconnects.
        let render = move || {
            let document = render();
            drop(preemption);
            document
        };
        spawn_blocking(render).await.map(Into::into).map_err(|_| panic_error())
    }
}
