//! The probe of kind `tls`: a handshake, and the time until the certificate expires.

use std::{net::SocketAddr, time::Duration};

use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::{
    proxy,
    result::{PassDetails, ProbeError},
    tls::{self, TlsClient},
};
use crate::health::{CertificateExpiry, Failure, OnExpiry, ProbeNote, TlsCheck};

const SECS_PER_DAY: i64 = 24 * 3600;

/// A prepared check, with its files read.
#[derive(Debug)]
pub(super) struct TlsProbe {
    check: TlsCheck,
    tls: TlsClient,
}

impl TlsProbe {
    /// Reads the files that the check names, so call it on a blocking thread.
    ///
    /// # Errors
    /// The reason why no probe of this check can pass.
    pub(super) fn new(check: &TlsCheck) -> Result<Self, Failure> {
        Ok(Self { check: check.clone(), tls: TlsClient::new(&check.tls, &[])? })
    }

    /// Makes a handshake with the target `literal`, a name or an address as text, at `address`.
    ///
    /// # Errors
    /// The reason why the target does not pass.
    pub(super) async fn probe(
        &self,
        literal: &str,
        address: SocketAddr,
    ) -> Result<PassDetails, ProbeError> {
        let name = tls::server_name(self.check.host.as_deref(), literal)?;
        let stream = proxy::open(address, self.check.proxy_protocol).await?;
        let stream = self.tls.connect(name.clone(), stream).await?;
        let Some(expiry) = self.check.expiry else { return Ok(PassDetails::default()) };
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        match (find_expiring(expiry.within, chain, &name, &self.tls)?, expiry.on_expiry) {
            (None, _) => Ok(PassDetails::default()),
            (Some(expiring), OnExpiry::Fail) => Err(Failure::CertificateExpires(expiring).into()),
            (Some(expiring), OnExpiry::Warn) => Ok(PassDetails {
                note: Some(ProbeNote::CertificateExpires(expiring)),
                ..PassDetails::default()
            }),
        }
    }
}

/// The expiry of the target's certificate, or else of its chain, if it is `within` this time.
fn find_expiring(
    within: Duration,
    chain: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    tls: &TlsClient,
) -> Result<Option<CertificateExpiry>, Failure> {
    let now = UnixTime::now();
    let end_entity =
        chain.first().ok_or_else(|| Failure::Tls("the target sent no certificate".into()))?;
    let (_, end_entity) = x509_parser::parse_x509_certificate(end_entity)
        .map_err(|error| Failure::CertificateBad(error.to_string().into()))?;
    let left_secs =
        end_entity.validity().not_after.timestamp().saturating_sub_unsigned(now.as_secs());
    if left_secs < i64::try_from(within.as_secs()).unwrap_or(i64::MAX) {
        return Ok(Some(CertificateExpiry::Certificate {
            days: left_secs.div_euclid(SECS_PER_DAY),
        }));
    }
    let then = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + within);
    let within_days = within.as_secs().div_ceil(SECS_PER_DAY.unsigned_abs());
    Ok(tls.has_expired_by(then, chain, name).then_some(CertificateExpiry::Chain { within_days }))
}
