//! The keys that all nodes of a cluster derive from its secret: the CA that vouches for each node's leaf certificate, the key
//! that seals cursors, the key of stateless resets. Two nodes with one secret get the same keys; others are strangers.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519,
};
use ring::hmac;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use starling_protocol::NodeId;
use thiserror::Error;

use crate::{config::ClusterSecret, key_derivation::RootKey};

/// Every leaf certificate has this name, so that ordinary verification works before the peer is known.
pub const CLUSTER_NAME: &str = "node.starling.internal";
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
    /// Identifies the cluster without revealing its secret; kept in the data directory.
    pub fingerprint: String,
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
        let fingerprint = HEXLOWER.encode(&blake3::hash(key.public_key_raw()).as_bytes()[..16]);
        let mut params = CertificateParams::default();
        // The name tells clusters apart, so that a stranger's certificate is 'unknown issuer' and not 'bad signature'.
        params.distinguished_name.push(DnType::CommonName, format!("Starling cluster {fingerprint}"));
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

    /// Returns the TLS configurations for both sides of a link, with a new leaf certificate for this node; `leaf` is its
    /// private key. `offers` are the names of its wire versions.
    pub fn tls(
        &self,
        node: NodeId,
        leaf: [u8; 32],
        offers: &[&str],
    ) -> Result<(quinn::crypto::rustls::QuicServerConfig, quinn::crypto::rustls::QuicClientConfig), KeyError>
    {
        let key = key_pair(&leaf)?;
        let mut params =
            CertificateParams::new(vec![CLUSTER_NAME.to_owned(), format!("{node}.{CLUSTER_NAME}")])?;
        params.distinguished_name.push(DnType::CommonName, format!("Starling node {node}"));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = params.signed_by(&key, &self.issuer)?.der().clone();
        let private = || PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.clone())?;
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = &[&rustls::version::TLS13];
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build()?;
        let mut server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![leaf.clone()], private())?;
        let offers: Vec<_> = offers.iter().map(|name| name.as_bytes().to_vec()).collect();
        server.alpn_protocols.clone_from(&offers);
        let mut client = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![leaf], private())?;
        client.alpn_protocols = offers;
        // A resumed session would keep a peer's identity beyond its process.
        client.resumption = rustls::client::Resumption::disabled();
        Ok((server.try_into()?, client.try_into()?))
    }
}

/// Returns the key pair of an Ed25519 private key.
fn key_pair(private: &[u8; 32]) -> Result<KeyPair, rcgen::Error> {
    let pkcs8 = [&PKCS8_ED25519[..], private].concat();
    KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(pkcs8), &PKCS_ED25519)
}

/// Returns the node that a verified leaf certificate names.
pub fn node_of(leaf: &CertificateDer<'_>) -> Option<NodeId> {
    let certificate = webpki::EndEntityCert::try_from(leaf).ok()?;
    let mut names = certificate.valid_dns_names();
    names.find_map(|name| NodeId::parse(name.strip_suffix(CLUSTER_NAME)?.strip_suffix('.')?).ok())
}
