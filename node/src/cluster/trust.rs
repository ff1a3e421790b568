//! TLS between nodes: whose certificates a node accepts, and which of its own it shows. While the cluster's secret is rotated
//! a node has a certificate under each of two CAs: both sides of a handshake say which CAs they accept, and are shown one
//! of these. Whoever accepts none but retired CAs is told so by the alert of the refusal.

use std::{collections::BTreeSet, sync::Arc};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::{
        ResolvesClientCert, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::CertifiedKey,
};
use starling_protocol::{NodeId, event::SecretFingerprint};

use super::keys::{CA_NAME, HeldKeys, KeyError, key_pair};

/// Decides whether a certificate chain is one of a node of this cluster.
pub(super) type PeerVerifier = Arc<dyn ClientCertVerifier>;

/// The TLS configurations of both sides of a link.
pub(super) struct Tls {
    pub(super) server: QuicServerConfig,
    pub(super) client: QuicClientConfig,
    pub(super) verifier: PeerVerifier,
}

/// The secrets whose CAs a node accepts: until the cluster has switched all that it has, then only the new one.
fn accepted<'a>(
    keys: &'a HeldKeys,
    retired: &'a BTreeSet<SecretFingerprint>,
) -> impl Iterator<Item = &'a Arc<super::ClusterKeys>> {
    let in_use = keys.active.fingerprint;
    keys.all().filter(move |keys| keys.fingerprint == in_use || !retired.contains(&keys.fingerprint))
}

impl Tls {
    /// Makes the configurations, with new leaf certificates for this node; `leaf` is their private key. `offers` are the
    /// names of its wire versions.
    pub(super) fn new(
        keys: &HeldKeys,
        retired: &BTreeSet<SecretFingerprint>,
        node: NodeId,
        leaf: &[u8; 32],
        offers: &[&str],
    ) -> Result<Self, KeyError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = key_pair(leaf)?;
        let mut roots = RootCertStore::empty();
        let mut own = Vec::new();
        for keys in accepted(keys, retired) {
            roots.add(keys.ca().clone())?;
            let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
            let certified = CertifiedKey::from_der(vec![keys.issue(node, &key)?], private, &provider)?;
            own.push((keys.fingerprint, Arc::new(certified)));
        }
        let (roots, own) = (Arc::new(roots), Arc::new(OwnLeaves { own, retired: retired.clone() }));
        let versions = &[&rustls::version::TLS13];
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build()?;
        let offers: Vec<_> = offers.iter().map(|name| name.as_bytes().to_vec()).collect();
        let mut server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)?
            .with_client_cert_verifier(Arc::clone(&verifier))
            .with_cert_resolver(Arc::clone(&own) as _);
        server.alpn_protocols.clone_from(&offers);
        let mut client = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ServerVerifier::new(roots, provider, retired)?))
            .with_client_cert_resolver(own);
        client.alpn_protocols = offers;
        // A resumed session would keep a peer's identity beyond its process.
        client.resumption = rustls::client::Resumption::disabled();
        Ok(Self { server: server.try_into()?, client: client.try_into()?, verifier })
    }
}

/// The certificates of this node, the one under the secret in use first.
#[derive(Debug)]
struct OwnLeaves {
    own: Vec<(SecretFingerprint, Arc<CertifiedKey>)>,
    retired: BTreeSet<SecretFingerprint>,
}

impl OwnLeaves {
    /// Chooses the certificate for a peer that accepts these CAs; none says that it accepts anything. Returns `None` if it accepts
    /// retired ones alone.
    fn choose(&self, accepted: &[SecretFingerprint]) -> Option<Arc<CertifiedKey>> {
        let common = self.own.iter().find(|(secret, _)| accepted.contains(secret));
        let is_retired = !accepted.is_empty() && accepted.iter().all(|secret| self.retired.contains(secret));
        // A stranger refuses the certificate, and says so.
        let shown = common.or(self.own.first().filter(|_| !is_retired));
        shown.map(|(_, certified)| Arc::clone(certified))
    }
}

impl ResolvesServerCert for OwnLeaves {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let names = client_hello.certificate_authorities().unwrap_or_default();
        self.choose(&names.iter().filter_map(|name| secret_of(name.as_ref())).collect::<Vec<_>>())
    }
}

impl ResolvesClientCert for OwnLeaves {
    fn resolve(&self, names: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.choose(&names.iter().filter_map(|name| secret_of(name)).collect::<Vec<_>>())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Verifies the certificates of dialled nodes as rustls does. It also tells them which CAs this node accepts, and says of a
/// retired one that it is.
#[derive(Debug)]
struct ServerVerifier {
    inner: Arc<WebPkiServerVerifier>,
    names: Vec<DistinguishedName>,
    retired: BTreeSet<SecretFingerprint>,
}

impl ServerVerifier {
    fn new(
        roots: Arc<RootCertStore>,
        provider: Arc<CryptoProvider>,
        retired: &BTreeSet<SecretFingerprint>,
    ) -> Result<Self, KeyError> {
        let names = roots.subjects();
        let inner = WebPkiServerVerifier::builder_with_provider(roots, provider).build()?;
        Ok(Self { inner, names, retired: retired.clone() })
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.inner.verify_server_cert(leaf, intermediates, name, ocsp, now);
        verified.map_err(|error| match issued_under(leaf) {
            Some(secret) if self.retired.contains(&secret) => CertificateError::Revoked.into(),
            _ => error,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        Some(&self.names)
    }
}

/// Returns the secret whose CA is named as the issuer of a certificate. Nothing proves that it was the issuer.
fn issued_under(leaf: &CertificateDer<'_>) -> Option<SecretFingerprint> {
    secret_of(webpki::EndEntityCert::try_from(leaf).ok()?.issuer())
}

/// Returns the secret in the encoded name of a CA.
fn secret_of(name: &[u8]) -> Option<SecretFingerprint> {
    let at = name.windows(CA_NAME.len()).position(|window| window == CA_NAME.as_bytes())?;
    let digits = name.get(at + CA_NAME.len()..)?.first_chunk::<32>()?;
    SecretFingerprint::parse(std::str::from_utf8(digits).ok()?)
}

#[cfg(test)]
mod tests;
