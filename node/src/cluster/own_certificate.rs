//! An operator's own CA (`[cluster] ca, cert, key`). A node then shows the operator's certificate, and with it one of the CA that is
//! derived from the cluster's secret, for the same key: it names the node, and proves that the node has the secret.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::KeyPair;
use rustls::{
    RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime, pem::PemObject},
    server::{VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::CertifiedKey,
};
use thiserror::Error;

use crate::config::CertificateFiles;

/// The reason why an operator's CA or certificate cannot be used: one line that says what to do.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, io::Error),
    /// A file holds no certificate.
    #[error("{0} holds no certificate: give a PEM file that begins with -----BEGIN CERTIFICATE-----")]
    NoCertificate(PathBuf),
    /// The file of the CA holds something that is none.
    #[error("{0} holds a certificate that cannot be trusted as a CA: {1}")]
    NoCa(PathBuf, rustls::Error),
    /// The CA's certificates cannot be trusted.
    #[error("{0} holds no CA to trust: {1}")]
    Roots(PathBuf, VerifierBuilderError),
    /// The file holds no private key that can be used.
    #[error(
        "{0} holds no private key that can be used ({1}): give an unencrypted PKCS#8 file (-----BEGIN PRIVATE KEY-----) of an \
         Ed25519, ECDSA P-256 or P-384, or RSA key; 'openssl pkcs8 -topk8 -nodes' converts others"
    )]
    NoKey(PathBuf, rcgen::Error),
    /// Key and certificate don't belong together.
    #[error("the private key {key} is not that of the certificate {cert}: {error}")]
    OtherKey {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        cert: PathBuf,
        /// The mismatch.
        error: rustls::Error,
    },
    /// Other nodes would refuse the certificate.
    #[error(
        "other nodes would refuse the certificate {cert} under the CA {ca}: {error}; it must be issued by that CA, be valid \
         now, and allow client authentication"
    )]
    Refused {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the CA.
        ca: PathBuf,
        /// The reason.
        error: rustls::Error,
    },
}

/// An operator's certificate, and the CA that vouches for those of all nodes.
pub struct OwnCertificate {
    /// Verifies the certificates of nodes.
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    /// The node's certificate, and intermediate ones.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub(super) key: KeyPair,
}

/// The content of the three files.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificatePem {
    ca: Vec<u8>,
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl CertificatePem {
    /// Reads the files.
    pub fn read(files: &CertificateFiles) -> Result<Self, CertificateError> {
        let read =
            |path: &PathBuf| fs::read(path).map_err(|error| CertificateError::Read(path.clone(), error));
        Ok(Self { ca: read(&files.ca)?, cert: read(&files.cert)?, key: read(&files.key)? })
    }
}

impl OwnCertificate {
    /// Takes what the files hold, and checks that other nodes with this CA would accept the certificate at this time.
    pub fn new(
        files: &CertificateFiles,
        pem: &CertificatePem,
        now: UnixTime,
    ) -> Result<Self, CertificateError> {
        let CertificateFiles { ca, cert, key } = files;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = verifier(ca, &pem.ca, &provider)?;
        let chain = certificates(cert, &pem.cert)?;
        // Not UTF-8 is no PEM either.
        let pair = KeyPair::from_pem(&String::from_utf8_lossy(&pem.key))
            .map_err(|error| CertificateError::NoKey(key.clone(), error))?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        CertifiedKey::from_der(chain.clone(), private, &provider)
            .map_err(|error| CertificateError::OtherKey { key: key.clone(), cert: cert.clone(), error })?;
        verifier
            .verify_client_cert(&chain[0], &chain[1..], now)
            .map_err(|error| CertificateError::Refused { cert: cert.clone(), ca: ca.clone(), error })?;
        Ok(Self { verifier, chain, key: pair })
    }

    /// Whether other nodes would accept the certificate at this time.
    pub(super) fn is_valid_at(&self, time: UnixTime) -> bool {
        self.verifier.verify_client_cert(&self.chain[0], &self.chain[1..], time).is_ok()
    }
}

fn verifier(
    ca: &Path,
    pem: &[u8],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, CertificateError> {
    let mut roots = RootCertStore::empty();
    for root in certificates(ca, pem)? {
        roots.add(root).map_err(|error| CertificateError::NoCa(ca.into(), error))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| CertificateError::Roots(ca.into(), error))
}

/// Returns the certificates of a PEM file; there is one at least.
fn certificates(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect();
    if found.is_empty() { Err(CertificateError::NoCertificate(file.into())) } else { Ok(found) }
}
