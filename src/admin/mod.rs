//! admin

/// stub
pub fn serve(
    _l: std::net::TcpListener,
    _h: crate::control::Handle,
    _c: crate::transport::Counters,
    _a: std::sync::Arc<std::sync::atomic::AtomicBool>,
) -> std::io::Result<tokio::task::JoinHandle<()>> {
    Ok(tokio::spawn(async {}))
}
