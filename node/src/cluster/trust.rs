//! TLS between nodes: whose certificates a node accepts, and which of its own it shows. While the cluster's secret is rotated
//! a node has a certificate under each of two CAs: both sides of a handshake say which CAs they accept, and are shown one
//! of these. Whoever accepts none but retired CAs is told so by the alert of the refusal.

use std::{collections::BTreeSet, sync::Arc};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::{
        ResolvesClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{
        CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
    },
    server::{
        ClientHello, ResolvesServerCert, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
};
use starling_protocol::{NodeId, event::SecretFingerprint};

use super::{
    keys::{CA_NAME, ClusterKeys, HeldKeys, KeyError, key_pair},
    own_certificate::OwnCertificate,
};

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
) -> impl Iterator<Item = &'a Arc<ClusterKeys>> {
    let in_use = keys.active.fingerprint;
    keys.all().filter(move |keys| keys.fingerprint == in_use || !retired.contains(&keys.fingerprint))
}

impl Tls {
    /// Makes the configurations. Without an operator's certificate this node gets a new leaf certificate, of which `leaf` is the
    /// private key. `offers` are the names of its wire versions.
    pub(super) fn new(
        keys: &HeldKeys,
        retired: &BTreeSet<SecretFingerprint>,
        own: Option<&OwnCertificate>,
        node: NodeId,
        leaf: &[u8; 32],
        offers: &[&str],
    ) -> Result<Self, KeyError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let drawn = key_pair(leaf)?;
        let (chain, key) = own.map_or((&[][..], &drawn), |own| (&own.chain, &own.key));
        let mut roots = RootCertStore::empty();
        let mut leaves = Vec::new();
        for keys in accepted(keys, retired) {
            roots.add(keys.ca().clone())?;
            let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
            let chain = chain.iter().cloned().chain([keys.issue(node, key)?]).collect();
            let certified = CertifiedKey::from_der(chain, private, &provider)?;
            leaves.push((keys.fingerprint, Arc::new(certified)));
        }
        let names = roots.subjects();
        let derived = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let own = own.map(|own| Arc::clone(&own.verifier));
        let verifier = Arc::new(Verifier { derived: derived.build()?, own, names, retired: retired.clone() });
        let leaves = Arc::new(OwnLeaves { own: leaves, retired: retired.clone() });
        let versions = &[&rustls::version::TLS13];
        let offers: Vec<_> = offers.iter().map(|name| name.as_bytes().to_vec()).collect();
        let mut server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)?
            .with_client_cert_verifier(Arc::clone(&verifier) as _)
            .with_cert_resolver(Arc::clone(&leaves) as _);
        server.alpn_protocols.clone_from(&offers);
        let mut client = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as _)
            .with_client_cert_resolver(leaves);
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

/// Verifies the certificates of other nodes, on both sides of a link. It also tells them which CAs this node accepts, and says
/// of a retired one that it is.
#[derive(Debug)]
struct Verifier {
    /// Verifies certificates under the CAs that are derived from the secrets.
    derived: Arc<dyn ClientCertVerifier>,
    /// Verifies certificates under the operator's CA, if there is one.
    own: Option<Arc<dyn ClientCertVerifier>>,
    names: Vec<DistinguishedName>,
    retired: BTreeSet<SecretFingerprint>,
}

impl Verifier {
    /// Checks that a chain is that of a node. Under an operator's CA its last certificate is one of a derived CA for the same key.
    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let member = match (&self.own, intermediates.split_last()) {
            (None, None) => leaf,
            (Some(own), Some((member, intermediates))) => {
                own.verify_client_cert(leaf, intermediates, now)?;
                if public_key(leaf).is_none() || public_key(leaf) != public_key(member) {
                    return Err(CertificateError::ApplicationVerificationFailure.into());
                }
                member
            }
            // One of the two nodes has an operator's CA, and the other has none.
            _ => return Err(CertificateError::UnknownIssuer.into()),
        };
        match self.derived.verify_client_cert(member, &[], now) {
            Err(_) if issued_under(member).is_some_and(|secret| self.retired.contains(&secret)) => {
                Err(CertificateError::Revoked.into())
            }
            verified => verified.map(drop),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        // Every node has the same name here; its hello is compared with the one in its certificate.
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(leaf, intermediates, now).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.derived.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.derived.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.derived.supported_verify_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        Some(&self.names)
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.names
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(leaf, intermediates, now).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.derived.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.derived.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.derived.supported_verify_schemes()
    }
}

/// Returns the public key of a certificate.
fn public_key(certificate: &CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'static>> {
    Some(webpki::EndEntityCert::try_from(certificate).ok()?.subject_public_key_info())
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
