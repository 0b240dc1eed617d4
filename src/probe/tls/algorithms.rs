//! Signature algorithms for certificates and handshakes: those of ring, and what ring lacks of ECDSA.
//!
//! ring verifies ECDSA over P-256 and P-384 with SHA-256 and SHA-384 alone. Certificates of P-521 and signatures with SHA-512 are
//! verified here with RustCrypto's curves (FIPS 186-5 section 6; RFC 8446 section 4.2.3 names the schemes).
//!
//! Over TLS 1.2 a server shows a certificate of P-521 only to a client that also exchanges keys over it (RFC 8422 section 5.1), so
//! that is the last of the groups.

use std::sync::{Arc, LazyLock};

use p256::ecdsa::signature::hazmat::PrehashVerifier;
use p521::elliptic_curve::{ecdh::diffie_hellman, sec1::ToSec1Point};
use rustls::{
    Error, NamedGroup, PeerMisbehaved, SignatureScheme,
    crypto::{
        ActiveKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SharedSecret, SupportedKxGroup,
        WebPkiSupportedAlgorithms, ring,
    },
    pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id},
};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The octets of a number modulo the order of P-521.
const P521_OCTETS: usize = 66;

#[derive(Debug, Clone, Copy)]
enum Curve {
    P256,
    P384,
    P521,
}

#[derive(Debug, Clone, Copy)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// ECDSA over one curve with one hash.
#[derive(Debug)]
struct Ecdsa {
    curve: Curve,
    hash: Hash,
}

static P256_SHA512: Ecdsa = Ecdsa { curve: Curve::P256, hash: Hash::Sha512 };
static P384_SHA512: Ecdsa = Ecdsa { curve: Curve::P384, hash: Hash::Sha512 };
static P521_SHA256: Ecdsa = Ecdsa { curve: Curve::P521, hash: Hash::Sha256 };
static P521_SHA384: Ecdsa = Ecdsa { curve: Curve::P521, hash: Hash::Sha384 };
static P521_SHA512: Ecdsa = Ecdsa { curve: Curve::P521, hash: Hash::Sha512 };

type Algorithms = &'static [&'static dyn SignatureVerificationAlgorithm];

/// What a handshake may be signed with beside ring's schemes. TLS 1.3 ties a scheme to the first curve, TLS 1.2 to none.
static SCHEMES: [(SignatureScheme, Algorithms); 3] = [
    (SignatureScheme::ECDSA_NISTP256_SHA256, &[&P521_SHA256]),
    (SignatureScheme::ECDSA_NISTP384_SHA384, &[&P521_SHA384]),
    (SignatureScheme::ECDSA_NISTP521_SHA512, &[&P521_SHA512, &P384_SHA512, &P256_SHA512]),
];

/// ring with every algorithm of this module.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let mut provider = ring::default_provider();
        provider.signature_verification_algorithms = extended(provider.signature_verification_algorithms);
        provider.kx_groups.push(&Secp521r1);
        Arc::new(provider)
    });
    Arc::clone(&PROVIDER)
}

/// Adds [`SCHEMES`]. What rustls wants to live for ever is leaked once, by the only caller.
fn extended(of_ring: WebPkiSupportedAlgorithms) -> WebPkiSupportedAlgorithms {
    let ours = SCHEMES.iter().flat_map(|(_, algorithms)| algorithms.iter().copied());
    let all: Vec<_> = of_ring.all.iter().copied().chain(ours).collect();
    let mut mapping = of_ring.mapping.to_vec();
    for &(scheme, algorithms) in &SCHEMES {
        match mapping.iter_mut().find(|(known, _)| *known == scheme) {
            Some((_, known)) => *known = [known, algorithms].concat().leak(),
            None => mapping.push((scheme, algorithms)),
        }
    }
    WebPkiSupportedAlgorithms { all: all.leak(), mapping: mapping.leak() }
}

impl SignatureVerificationAlgorithm for Ecdsa {
    fn verify_signature(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        self.verified(public_key, &self.hash.digest(message), signature).ok_or(InvalidSignature)
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
            Hash::Sha256 => alg_id::ECDSA_SHA256,
            Hash::Sha384 => alg_id::ECDSA_SHA384,
            Hash::Sha512 => alg_id::ECDSA_SHA512,
        }
    }
}

/// Whether a DER signature of a digest was made with the key at a point of the curve.
macro_rules! verified {
    ($curve:ident, $public_key:expr, $digest:expr, $signature:expr) => {{
        let key = $curve::ecdsa::VerifyingKey::from_sec1_bytes($public_key).ok()?;
        let signature = $curve::ecdsa::Signature::from_der($signature).ok()?;
        key.verify_prehash($digest, &signature).ok()
    }};
}

impl Ecdsa {
    fn verified(&self, public_key: &[u8], digest: &[u8], signature: &[u8]) -> Option<()> {
        match self.curve {
            Curve::P256 => verified!(p256, public_key, digest, signature),
            Curve::P384 => verified!(p384, public_key, digest, signature),
            Curve::P521 => {
                // The curve's code refuses digests of less than half of its size; as numbers they are what they are.
                let mut padded = [0; P521_OCTETS];
                padded.get_mut(P521_OCTETS - digest.len()..)?.copy_from_slice(digest);
                verified!(p521, public_key, &padded, signature)
            }
        }
    }
}

impl Hash {
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

/// One exchange: our secret, and the point that the target is sent.
struct Exchange {
    secret: p521::SecretKey,
    point: Vec<u8>,
}

impl SupportedKxGroup for Secp521r1 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let secret = secret(ring::default_provider().secure_random)?;
        let point = secret.public_key().to_sec1_point(false).as_bytes().to_vec();
        Ok(Box::new(Exchange { secret, point }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, point: &[u8]) -> Result<SharedSecret, Error> {
        let theirs = p521::PublicKey::from_sec1_bytes(point).map_err(|_| PeerMisbehaved::InvalidKeyShare)?;
        let shared = diffie_hellman(self.secret.to_nonzero_scalar(), theirs.as_affine());
        Ok(SharedSecret::from(shared.raw_secret_bytes().as_slice()))
    }

    fn pub_key(&self) -> &[u8] {
        &self.point
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

/// A random number below the order of the curve, which is barely less than 2^521: nearly the first one is.
fn secret(random: &dyn SecureRandom) -> Result<p521::SecretKey, GetRandomFailed> {
    loop {
        let mut octets = [0; P521_OCTETS];
        random.fill(&mut octets)?;
        octets[0] &= 1;
        if let Ok(secret) = p521::SecretKey::from_slice(&octets) {
            return Ok(secret);
        }
    }
}
