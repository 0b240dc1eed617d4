//! Signature algorithms for certificates and handshakes: those of ring, and the ECDSA and RSA-PSS
//! algorithms that ring lacks.
//!
//! ring verifies ECDSA only over P-256 and P-384 with SHA-256 and SHA-384. This module verifies
//! certificates of P-521 and signatures with SHA-512 with RustCrypto's curves (FIPS 186-5 section
//! 6; RFC 8446 section 4.2.3 names the schemes). ring's algorithms also verify signatures by RSA
//! keys that are restricted to RSA-PSS, under another identifier; rustls accepts them over TLS 1.3.
//!
//! Over TLS 1.2, a server sends a certificate of P-521 only to a client that also supports key
//! exchange over P-521 (RFC 8422 section 5.1), so that is the last of the offered groups.

use std::sync::{Arc, LazyLock};

use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p521::elliptic_curve::{ecdh::diffie_hellman, sec1::ToSec1Point};
use rustls::{
    CipherSuiteCommon, Error, NamedGroup, PeerMisbehaved, SignatureScheme, SupportedCipherSuite,
    Tls12CipherSuite,
    crypto::{
        ActiveKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SharedSecret,
        SupportedKxGroup, WebPkiSupportedAlgorithms, ring,
    },
    pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id},
};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The size of a number modulo the order of P-521, in octets.
const P521_OCTETS: usize = 66;

#[derive(Debug, Clone, Copy)]
enum Curve {
    P256,
    P384,
    P521,
}

#[derive(Debug, Clone, Copy)]
enum HashAlgorithm {
    Sha256,
    Sha384,
    Sha512,
}

/// ECDSA over one curve with one hash.
#[derive(Debug)]
struct EcdsaAlgorithm {
    curve: Curve,
    hash: HashAlgorithm,
}

/// RSA-PSS by a key that is restricted to it (RFC 4055 section 1.2).
#[derive(Debug)]
struct RsaPssAlgorithm {
    hash: HashAlgorithm,
}

static PSS_SHA256: RsaPssAlgorithm = RsaPssAlgorithm { hash: HashAlgorithm::Sha256 };
static PSS_SHA384: RsaPssAlgorithm = RsaPssAlgorithm { hash: HashAlgorithm::Sha384 };
static PSS_SHA512: RsaPssAlgorithm = RsaPssAlgorithm { hash: HashAlgorithm::Sha512 };

/// rsa_pss_pss_sha256, rsa_pss_pss_sha384 and rsa_pss_pss_sha512 (RFC 8446 section 4.2.3), for
/// which rustls has no names.
pub(super) const PSS_SCHEMES: [SignatureScheme; 3] = [
    SignatureScheme::Unknown(0x0809),
    SignatureScheme::Unknown(0x080a),
    SignatureScheme::Unknown(0x080b),
];

static P256_SHA512: EcdsaAlgorithm =
    EcdsaAlgorithm { curve: Curve::P256, hash: HashAlgorithm::Sha512 };
static P384_SHA512: EcdsaAlgorithm =
    EcdsaAlgorithm { curve: Curve::P384, hash: HashAlgorithm::Sha512 };
static P521_SHA256: EcdsaAlgorithm =
    EcdsaAlgorithm { curve: Curve::P521, hash: HashAlgorithm::Sha256 };
static P521_SHA384: EcdsaAlgorithm =
    EcdsaAlgorithm { curve: Curve::P521, hash: HashAlgorithm::Sha384 };
static P521_SHA512: EcdsaAlgorithm =
    EcdsaAlgorithm { curve: Curve::P521, hash: HashAlgorithm::Sha512 };

type Algorithms = &'static [&'static dyn SignatureVerificationAlgorithm];

/// The signature schemes of handshakes that are accepted in addition to ring's. TLS 1.3 binds a
/// scheme to the first algorithm, TLS 1.2 to none.
static EXTRA_SCHEMES: [(SignatureScheme, Algorithms); 6] = [
    (SignatureScheme::ECDSA_NISTP256_SHA256, &[&P521_SHA256]),
    (SignatureScheme::ECDSA_NISTP384_SHA384, &[&P521_SHA384]),
    (SignatureScheme::ECDSA_NISTP521_SHA512, &[&P521_SHA512, &P384_SHA512, &P256_SHA512]),
    (PSS_SCHEMES[0], &[&PSS_SHA256]),
    (PSS_SCHEMES[1], &[&PSS_SHA384]),
    (PSS_SCHEMES[2], &[&PSS_SHA512]),
];

/// ring with every algorithm of this module.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let mut provider = ring::default_provider();
        provider.signature_verification_algorithms =
            with_extra_schemes(provider.signature_verification_algorithms);
        provider.kx_groups.push(&Secp521r1);
        Arc::new(provider)
    });
    Arc::clone(&PROVIDER)
}

/// The provider for targets whose signatures are not verified: over TLS 1.2 they may also sign with
/// Ed448 (RFC 8422 section 5.1.1).
pub(super) fn unverified_provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let mut provider = CryptoProvider::clone(&provider());
        for suite in &mut provider.cipher_suites {
            if let SupportedCipherSuite::Tls12(old) = *suite
                && old.sign.contains(&SignatureScheme::ED25519)
            {
                *suite = SupportedCipherSuite::Tls12(Box::leak(Box::new(signed_by_ed448(old))));
            }
        }
        Arc::new(provider)
    });
    Arc::clone(&PROVIDER)
}

/// A cipher suite that also allows signatures with Ed448. rustls requires suites to be `'static`;
/// the only caller leaks each once.
fn signed_by_ed448(suite: &Tls12CipherSuite) -> Tls12CipherSuite {
    let CipherSuiteCommon { suite: name, hash_provider, confidentiality_limit, .. } = suite.common;
    Tls12CipherSuite {
        common: CipherSuiteCommon { suite: name, hash_provider, confidentiality_limit },
        prf_provider: suite.prf_provider,
        kx: suite.kx,
        sign: [suite.sign, &[SignatureScheme::ED448]].concat().leak(),
        aead_alg: suite.aead_alg,
    }
}

/// Adds [`EXTRA_SCHEMES`]. rustls requires the lists to be `'static`, so they are leaked; the only
/// caller runs once.
fn with_extra_schemes(ring_algorithms: WebPkiSupportedAlgorithms) -> WebPkiSupportedAlgorithms {
    let extra = EXTRA_SCHEMES.iter().flat_map(|(_, algorithms)| algorithms.iter().copied());
    let all: Vec<_> = ring_algorithms.all.iter().copied().chain(extra).collect();
    let mut mapping = ring_algorithms.mapping.to_vec();
    for &(scheme, algorithms) in &EXTRA_SCHEMES {
        match mapping.iter_mut().find(|(existing, _)| *existing == scheme) {
            Some((_, existing)) => *existing = [existing, algorithms].concat().leak(),
            None => mapping.push((scheme, algorithms)),
        }
    }
    WebPkiSupportedAlgorithms { all: all.leak(), mapping: mapping.leak() }
}

impl SignatureVerificationAlgorithm for EcdsaAlgorithm {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        self.verify(public_key, &self.hash.digest(message), signature).ok_or(InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        match self.curve {
            Curve::P256 => alg_id::ECDSA_P256,
            Curve::P384 => alg_id::ECDSA_P384,
            Curve::P521 => alg_id::ECDSA_P521,
        }
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        match self.hash {
            HashAlgorithm::Sha256 => alg_id::ECDSA_SHA256,
            HashAlgorithm::Sha384 => alg_id::ECDSA_SHA384,
            HashAlgorithm::Sha512 => alg_id::ECDSA_SHA512,
        }
    }
}

impl RsaPssAlgorithm {
    /// ring's algorithm for the same signatures by an RSA key without restriction.
    fn ring_algorithm(&self) -> Option<&'static dyn SignatureVerificationAlgorithm> {
        let wanted = match self.hash {
            HashAlgorithm::Sha256 => SignatureScheme::RSA_PSS_SHA256,
            HashAlgorithm::Sha384 => SignatureScheme::RSA_PSS_SHA384,
            HashAlgorithm::Sha512 => SignatureScheme::RSA_PSS_SHA512,
        };
        let mapping = ring::default_provider().signature_verification_algorithms.mapping;
        mapping
            .iter()
            .find(|(scheme, _)| *scheme == wanted)
            .and_then(|(_, algorithms)| algorithms.first().copied())
    }
}

impl SignatureVerificationAlgorithm for RsaPssAlgorithm {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        self.ring_algorithm()
            .ok_or(InvalidSignature)?
            .verify_signature(public_key, message, signature)
    }

    /// id-RSASSA-PSS without parameters: the key may be used with any hash.
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        const ANY_PSS: [u8; 11] =
            [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
        AlgorithmIdentifier::from_slice(&ANY_PSS)
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        match self.hash {
            HashAlgorithm::Sha256 => alg_id::RSA_PSS_SHA256,
            HashAlgorithm::Sha384 => alg_id::RSA_PSS_SHA384,
            HashAlgorithm::Sha512 => alg_id::RSA_PSS_SHA512,
        }
    }
}

/// Verifies a DER signature of a digest with a public key, a point of the curve; evaluates to
/// `None` if it does not match.
macro_rules! verified {
    ($curve:ident, $public_key:expr, $digest:expr, $signature:expr) => {{
        let key = $curve::ecdsa::VerifyingKey::from_sec1_bytes($public_key).ok()?;
        let signature = $curve::ecdsa::Signature::from_der($signature).ok()?;
        key.verify_prehash($digest, &signature).ok()
    }};
}

impl EcdsaAlgorithm {
    fn verify(&self, public_key: &[u8], digest: &[u8], signature: &[u8]) -> Option<()> {
        match self.curve {
            Curve::P256 => verified!(p256, public_key, digest, signature),
            Curve::P384 => verified!(p384, public_key, digest, signature),
            Curve::P521 => {
                // The library rejects digests of less than half the size of the curve. Leading
                // zeros do not change the number that a digest stands for.
                let mut padded = [0; P521_OCTETS];
                padded.get_mut(P521_OCTETS - digest.len()..)?.copy_from_slice(digest);
                verified!(p521, public_key, &padded, signature)
            }
        }
    }
}

impl HashAlgorithm {
    fn digest(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(message).to_vec(),
            Self::Sha384 => Sha384::digest(message).to_vec(),
            Self::Sha512 => Sha512::digest(message).to_vec(),
        }
    }
}

/// Key exchange over P-521 (RFC 8446 section 4.2.7).
#[derive(Debug)]
struct Secp521r1;

/// One key exchange: the local secret, and the point that is sent to the target.
struct P521KeyExchange {
    secret: p521::SecretKey,
    point: Vec<u8>,
}

impl SupportedKxGroup for Secp521r1 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let secret = random_secret(ring::default_provider().secure_random)?;
        let point = secret.public_key().to_sec1_point(false).as_bytes().to_vec();
        Ok(Box::new(P521KeyExchange { secret, point }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

impl ActiveKeyExchange for P521KeyExchange {
    fn complete(self: Box<Self>, point: &[u8]) -> Result<SharedSecret, Error> {
        let peer_key =
            p521::PublicKey::from_sec1_bytes(point).map_err(|_| PeerMisbehaved::InvalidKeyShare)?;
        let shared = diffie_hellman(self.secret.to_nonzero_scalar(), peer_key.as_affine());
        Ok(SharedSecret::from(shared.raw_secret_bytes().as_slice()))
    }

    fn pub_key(&self) -> &[u8] {
        &self.point
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

/// A random number below the order of the curve. The order is only slightly less than 2^521, so
/// nearly always the first candidate fits.
fn random_secret(random: &dyn SecureRandom) -> Result<p521::SecretKey, GetRandomFailed> {
    loop {
        let mut octets = [0; P521_OCTETS];
        random.fill(&mut octets)?;
        octets[0] &= 1;
        if let Ok(secret) = p521::SecretKey::from_slice(&octets) {
            return Ok(secret);
        }
    }
}
