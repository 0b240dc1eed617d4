//! Runs an exchange and its connection in one task, so that nothing outlives a probe.

/// Runs an exchange together with the connection that carries it.
pub(super) async fn drive<T>(connection: impl Future, exchange: impl Future<Output = T>) -> T {
    tokio::pin!(connection, exchange);
    tokio::select! {
        biased;
        result = &mut exchange => result,
        // If an error ended the connection, the exchange receives it.
        _ = &mut connection => exchange.await,
    }
}
