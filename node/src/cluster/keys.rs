//! The keys that all nodes of a cluster derive from its secret: the CA that vouches for each node's leaf certificate, the key
//! that seals cursors, the key of stateless resets. Two nodes with one secret get the same keys; others are strangers.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519,
};
use ring::hmac;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use starling_protocol::{
    NodeId,
    event::{SecretFingerprint, SecretsReported},
};
use thiserror::Error;

use crate::{
    config::{ClusterSecret, ClusterSecrets},
    key_derivation::RootKey,
};

/// Every leaf certificate has this name, so that ordinary verification works before the peer is known.
pub const CLUSTER_NAME: &str = "node.starling.internal";
/// The name of a cluster's CA, before the fingerprint of its secret.
pub(super) const CA_NAME: &str = "Starling cluster ";
/// PKCS#8 (RFC 8410) of an Ed25519 private key, up to its 32 bytes.
const PKCS8_ED25519: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// A library refused a key or certificate, although they are always well-formed here.
#[derive(Debug, Error)]
pub enum KeyError {
    /// Certificates failed.
    #[error("cannot make the node's certificate")]
    Certificate(#[from] rcgen::Error),
    /// TLS failed.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// The certificate verifier failed.
    #[error("cannot set up the verifier of peers")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// QUIC's configuration failed.
    #[error("cannot set up QUIC")]
    Quic(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

/// The keys of a cluster.
pub struct ClusterKeys {
    issuer: Issuer<'static, KeyPair>,
    ca: CertificateDer<'static>,
    /// Identifies the secret without revealing it; kept in the data directory.
    pub fingerprint: SecretFingerprint,
    /// Seals cursors.
    pub cursor_key: [u8; 32],
    /// The secret from which the keys of access tokens are derived.
    pub token_secret: [u8; 32],
    /// Seals service keys.
    pub sealing_key: [u8; 32],
    /// The key of stateless resets: with it a restarted node ends the old connections of its peers at once.
    pub reset_key: hmac::Key,
}

impl ClusterKeys {
    /// Derives all keys from the secret.
    pub fn derive(secret: &ClusterSecret) -> Result<Self, KeyError> {
        let root = RootKey::new("starling cluster 1", secret.as_bytes());
        let key = key_pair(&root.expand(b"ca"))?;
        let hash = blake3::hash(key.public_key_raw());
        let fingerprint = SecretFingerprint(*hash.as_bytes().first_chunk().expect("16 of 32"));
        let mut params = CertificateParams::default();
        // The name tells clusters apart, so that a stranger's certificate is 'unknown issuer' and not 'bad signature'.
        params.distinguished_name.push(DnType::CommonName, format!("{CA_NAME}{fingerprint}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca = params.self_signed(&key)?.der().clone();
        Ok(Self {
            issuer: Issuer::new(params, key),
            ca,
            fingerprint,
            token_secret: root.expand(b"access tokens"),
            sealing_key: root.expand(b"service keys"),
            cursor_key: root.expand(b"cursors"),
            reset_key: hmac::Key::new(hmac::HMAC_SHA256, &root.expand(b"stateless resets")),
        })
    }

    /// Returns the certificate of the CA.
    pub(super) fn ca(&self) -> &CertificateDer<'static> {
        &self.ca
    }

    /// Issues a leaf certificate for a node; `key` is its key pair.
    pub(super) fn issue(&self, node: NodeId, key: &KeyPair) -> Result<CertificateDer<'static>, KeyError> {
        let mut params =
            CertificateParams::new(vec![CLUSTER_NAME.to_owned(), format!("{node}.{CLUSTER_NAME}")])?;
        params.distinguished_name.push(DnType::CommonName, format!("Starling node {node}"));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        Ok(params.signed_by(key, &self.issuer)?.der().clone())
    }
}

/// The keys of the secrets that a node has: it uses one, and accepts the other where it must.
#[derive(Clone)]
pub struct HeldKeys {
    /// The keys in use.
    pub active: Arc<ClusterKeys>,
    /// The keys of the other secret, while there are two.
    pub other: Option<Arc<ClusterKeys>>,
    /// The fingerprint of the first line.
    newest: SecretFingerprint,
}

impl HeldKeys {
    /// Derives the keys of one or two secrets. `in_use` is the secret that the node uses; without it, the second line is used:
    /// the first one is new. Returns `None` if neither is the one in use.
    pub fn derive(
        secrets: &ClusterSecrets,
        in_use: Option<SecretFingerprint>,
    ) -> Result<Option<Self>, KeyError> {
        let newest = Arc::new(ClusterKeys::derive(&secrets.newest)?);
        let older = secrets.older.as_ref().map(ClusterKeys::derive).transpose()?.map(Arc::new);
        let held = Self { newest: newest.fingerprint, active: newest, other: older };
        let in_use = in_use.or(held.other.as_ref().map(|older| older.fingerprint)).unwrap_or(held.newest);
        Ok(held.using(in_use))
    }

    /// Returns the same keys with another one in use; `None` if it is not among them.
    pub fn using(&self, secret: SecretFingerprint) -> Option<Self> {
        let Self { active, other, newest } = self.clone();
        if active.fingerprint == secret {
            return Some(Self { active, other, newest });
        }
        let other = other.filter(|other| other.fingerprint == secret)?;
        Some(Self { active: other, other: Some(active), newest })
    }

    /// Returns all keys, the ones in use first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<ClusterKeys>> {
        [Some(&self.active), self.other.as_ref()].into_iter().flatten()
    }

    /// Returns which secrets these are, for other nodes.
    pub fn report(&self) -> SecretsReported {
        let uses = self.active.fingerprint;
        let older = self.all().map(|keys| keys.fingerprint).find(|secret| *secret != self.newest);
        SecretsReported { newest: self.newest, older, uses }
    }
}

/// Returns the key pair of an Ed25519 private key.
pub(super) fn key_pair(private: &[u8; 32]) -> Result<KeyPair, rcgen::Error> {
    let pkcs8 = [&PKCS8_ED25519[..], private].concat();
    KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(pkcs8), &PKCS_ED25519)
}

/// Returns the node that a verified leaf certificate names.
pub fn node_of(leaf: &CertificateDer<'_>) -> Option<NodeId> {
    let certificate = webpki::EndEntityCert::try_from(leaf).ok()?;
    let mut names = certificate.valid_dns_names();
    names.find_map(|name| NodeId::parse(name.strip_suffix(CLUSTER_NAME)?.strip_suffix('.')?).ok())
}
