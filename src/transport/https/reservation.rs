//! The octets that one request and its reply reserve of the buffers that all connections share.

use crate::transport::connections::BufferReservation;

/// Octets reserved for a request in progress, besides its body and reply.
const REQUEST_OVERHEAD_OCTETS: usize = 4 << 10;

/// All connections together buffer as much as they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BuffersFull;

/// The reservation of one request, released when it is dropped.
pub(super) struct RequestReservation {
    reservation: BufferReservation,
}

impl RequestReservation {
    /// A reservation of no octets yet.
    pub(super) fn new(reservation: BufferReservation) -> Self {
        Self { reservation }
    }

    /// Sets the reservation to the request's overhead and `octets` more. Waits for a moment if the
    /// buffers are full.
    ///
    /// # Errors
    /// The buffers are still full.
    pub(super) async fn resize(&mut self, octets: usize) -> Result<(), BuffersFull> {
        if self.reservation.resize_with_retry(REQUEST_OVERHEAD_OCTETS + octets).await {
            Ok(())
        } else {
            Err(BuffersFull)
        }
    }
}
