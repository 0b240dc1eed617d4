//! All sockets of the server, bound before anything is started, and the certificates of the
//! encrypted ones.

use std::{
    io,
    net::{TcpListener, UdpSocket},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use super::error::{ServeError, system_error};
use crate::{
    config::{AdminSettings, HttpsSettings, ServerSettings, TlsSettings},
    transport::{
        self, BoundSockets, Certificate, CertificateRegistry, HttpsResource, StreamListeners,
    },
};

/// How often certificate files are checked for changes.
const CERTIFICATE_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Every socket of the server.
pub(super) struct Sockets {
    pub(super) dns: BoundSockets,
    pub(super) tls: Option<TlsSockets>,
    pub(super) https: Option<HttpsSockets>,
    /// Empty if the admin API is off.
    pub(super) admin: Vec<TcpListener>,
    pub(super) certificates: CertificateRegistry,
}

impl Sockets {
    /// Binds all sockets and reads all certificates.
    pub(super) fn bind(settings: &ServerSettings) -> Result<Self, ServeError> {
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let shards = settings.threads.map_or_else(cores, NonZeroUsize::get);
        let dns = transport::bind(&settings.listen, shards).map_err(ServeError::Bind)?;
        let mut certificates = CertificateRegistry::default();
        let tls = settings
            .tls
            .as_ref()
            .map(|tls| TlsSockets::bind(tls, &mut certificates))
            .transpose()?;
        let https =
            settings.https.as_ref().map(|https| HttpsSockets::bind(https, &mut certificates));
        let admin = bind_admin(&settings.admin)?;
        Ok(Self { dns, tls, https: https.transpose()?, admin, certificates })
    }
}

/// Binds the addresses of the admin API. If the default address is taken, DNS is served without it:
/// a second server on one host needs other DNS addresses, and its operator may not know of this
/// one.
fn bind_admin(settings: &AdminSettings) -> Result<Vec<TcpListener>, ServeError> {
    match transport::bind_streams(&settings.listen) {
        Ok(listeners) => Ok(listeners),
        Err(error) if !settings.is_configured => {
            tracing::warn!(
                address = settings.listen.first().map(tracing::field::display),
                %error,
                help = "set `listen` in [admin] to a free address, or `admin` in [server] to false",
                "admin API not started: DNS is served without it"
            );
            Ok(Vec::new())
        }
        Err(error) => Err(ServeError::Bind(error)),
    }
}

/// Listeners with TLS, and their certificate.
pub(super) struct TlsSockets {
    listeners: Vec<TcpListener>,
    certificate: Arc<Certificate>,
}

impl TlsSockets {
    fn bind(
        settings: &TlsSettings,
        certificates: &mut CertificateRegistry,
    ) -> Result<Self, ServeError> {
        let certificate = certificates
            .load(&settings.certificate, &settings.key)
            .map_err(ServeError::Certificate)?;
        let listeners = transport::bind_streams(&settings.listen).map_err(ServeError::Bind)?;
        Ok(Self { listeners, certificate })
    }

    fn config(&self, protocols: &[&[u8]]) -> Result<Arc<rustls::ServerConfig>, ServeError> {
        self.certificate
            .server_config(protocols)
            .map_err(|error| system_error("set up TLS")(io::Error::other(error)))
    }

    pub(super) fn listening_lines(&self) -> Vec<String> {
        listening_lines("tls", &self.listeners)
    }

    /// Serves DNS over TLS.
    pub(super) fn serve(self, streams: &mut StreamListeners) -> Result<(), ServeError> {
        let config = self.config(&[b"dot"])?;
        streams.serve_tls(self.listeners, config).map_err(system_error("serve a listener"))?;
        tokio::spawn(self.certificate.refresh_periodically(CERTIFICATE_CHECK_INTERVAL));
        Ok(())
    }
}

/// Listeners of HTTPS, and the sockets of HTTP/3.
pub(super) struct HttpsSockets {
    tls: TlsSockets,
    resource: HttpsResource,
    /// Empty if HTTP/3 is off.
    http3_sockets: Vec<UdpSocket>,
}

impl HttpsSockets {
    fn bind(
        settings: &HttpsSettings,
        certificates: &mut CertificateRegistry,
    ) -> Result<Self, ServeError> {
        let tls = TlsSockets::bind(&settings.tls, certificates)?;
        let listeners = if settings.http3 { &tls.listeners[..] } else { &[] };
        let http3_sockets = transport::bind_http3(listeners).map_err(ServeError::Bind)?;
        let resource = HttpsResource { path: settings.path.clone(), http1: settings.http1 };
        Ok(Self { tls, resource, http3_sockets })
    }

    pub(super) fn listening_lines(&self) -> Vec<String> {
        let mut lines = listening_lines("https", &self.tls.listeners);
        let addresses = self.http3_sockets.iter().filter_map(|socket| socket.local_addr().ok());
        lines.extend(addresses.map(|address| format!("listening h3 {address}")));
        lines
    }

    /// Serves DNS over HTTPS, and over HTTP/3 if it is on.
    pub(super) fn serve(self, streams: &mut StreamListeners) -> Result<(), ServeError> {
        let Self { tls, resource, http3_sockets } = self;
        let config = tls.config(resource.alpn_protocols())?;
        let TlsSockets { listeners, certificate } = tls;
        streams
            .serve_https(listeners, config, resource)
            .map_err(system_error("serve a listener"))?;
        if !http3_sockets.is_empty() {
            streams
                .serve_http3(http3_sockets, &certificate)
                .map_err(system_error("serve HTTP/3"))?;
        }
        tokio::spawn(certificate.refresh_periodically(CERTIFICATE_CHECK_INTERVAL));
        Ok(())
    }
}

/// A line for each listener: `listening KIND ADDRESS`.
pub(super) fn listening_lines(kind: &str, listeners: &[TcpListener]) -> Vec<String> {
    listeners
        .iter()
        .filter_map(|listener| listener.local_addr().ok())
        .map(|address| format!("listening {kind} {address}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SourceOptions;

    #[test]
    fn an_admin_address_that_is_taken_is_an_error_only_if_it_is_configured() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("portolan.toml");
        std::fs::write(&config, "").unwrap();
        let (mut settings, _) = crate::config::server_settings(&SourceOptions {
            config: Some(config),
            ..SourceOptions::default()
        });
        settings.listen = vec!["127.0.0.1:0".parse().unwrap()];
        settings.admin.listen = vec![taken.local_addr().unwrap()];
        assert!(Sockets::bind(&settings).unwrap().admin.is_empty());
        settings.admin.is_configured = true;
        assert!(matches!(Sockets::bind(&settings), Err(ServeError::Bind(_))));
    }
}
