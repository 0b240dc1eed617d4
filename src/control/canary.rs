//! Canaries: targets outside of the service, probed only during a doubt. A canary
//! that answers shows that this server's own network is up.

use std::time::Duration;

use tokio::{net::TcpStream, sync::mpsc, time::timeout};

use crate::{
    config::Canary,
    health::{Failure, Outcome},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Opens and closes a TCP connection to each canary, and sends the outcomes.
pub(super) fn probe_all(canaries: &[Canary], outcomes: &mpsc::Sender<Outcome>) {
    for canary in canaries {
        let (host, port) = (canary.host.to_string(), canary.port);
        let outcomes = outcomes.clone();
        tokio::spawn(async move {
            let started = std::time::Instant::now();
            let result =
                match timeout(CONNECT_TIMEOUT, TcpStream::connect((host.as_str(), port))).await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(error)) => Err(Failure::Connection(error.kind())),
                    Err(_) => Err(Failure::TimedOut(CONNECT_TIMEOUT)),
                };
            tracing::debug!(canary = %host, port, is_up = result.is_ok(), "canary probed");
            // If the queue is full, it holds recent outcomes.
            let _ = outcomes.try_send(Outcome::new(result, started.elapsed()));
        });
    }
}
