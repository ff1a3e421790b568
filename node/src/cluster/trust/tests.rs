//! Handshakes between real endpoints: nodes in each phase of a rotation, and under an operator's CA.

use std::{collections::BTreeSet, net::SocketAddr, slice::from_ref, sync::Arc};

use clap::Parser;
use quinn::{Connection, ConnectionError};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, UnixTime};
use starling_protocol::{NodeId, event::SecretFingerprint};

use super::{
    super::{HeldKeys, OwnCertificate, PeerEndpoint, open},
    Tls,
};
use crate::{
    config::{CertificateFiles, ClusterSecrets, Config, Flags},
    environment::{Environment, ThisMachine},
};

const OLD: &str = "92f1c07ae86b435dd9a01e6f72c4b853";
const NEW: &str = "c6a3f1de-90b7-4f52-8a1c-7e35d20b94f8";
const OTHER: &str = "52341662315546231125364415236641352261435241632514";
/// The alerts `certificate_revoked` and `access_denied`, of a dialled and of a dialling node, and `unknown_ca`.
const REVOKED: u64 = 0x12c;
const DENIED: u64 = 0x131;
const UNKNOWN: u64 = 0x130;

fn secrets(lines: &[&str]) -> ClusterSecrets {
    let flags = Flags::try_parse_from(["starling", "--cluster-secret", &lines.join("\n")]).unwrap();
    Config::resolve(flags.serve).unwrap().cluster.unwrap().secrets
}

fn fingerprint(secret: &str) -> SecretFingerprint {
    HeldKeys::derive(&secrets(&[secret]), None).unwrap().unwrap().active.fingerprint
}

/// A node that has secrets and uses one; `switched` says whether it knows that the old one is retired.
fn peer(number: u8, lines: &[&str], uses: &str, switched: bool) -> PeerEndpoint {
    let keys = HeldKeys::derive(&secrets(lines), Some(fingerprint(uses))).unwrap().unwrap();
    let machine: Arc<dyn Environment> = Arc::new(ThisMachine);
    let socket = machine.bind_udp(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let peer = open(&machine, socket, &keys, None, NodeId([number; 16])).unwrap();
    let retired: BTreeSet<_> = switched.then(|| fingerprint(OLD)).into_iter().collect();
    peer.replace_keys(&keys, &retired).unwrap();
    peer
}

/// Dials; returns both ends of the connection, or the alerts that the dialling and the dialled node saw.
async fn dial(from: &PeerEndpoint, to: &PeerEndpoint) -> Result<[Connection; 2], [Option<u64>; 2]> {
    let at = to.endpoint.local_addr().unwrap();
    let accept = async { to.endpoint.accept().await.unwrap().await };
    let (dialled, accepted) = tokio::join!(async { from.connect(at).unwrap().await }, accept);
    match (dialled, accepted) {
        (Ok(one), Ok(other)) => Ok([one, other]),
        // The side that dials is done before it learns that its certificate was refused.
        (Ok(one), Err(error)) => Err([alert(&one.closed().await), alert(&error)]),
        (Err(error), Err(other)) => Err([alert(&error), alert(&other)]),
        (Err(error), Ok(_)) => Err([alert(&error), None]),
    }
}

fn alert(error: &ConnectionError) -> Option<u64> {
    super::super::alerts::alert(error)
}

/// Promise: while the secret is rotated, any two nodes that share a secret that either uses are linked, whoever dials and however
/// far each has come; afterwards the old secret is refused, and both nodes see that this is why.
#[tokio::test]
async fn nodes_in_any_phase_are_linked_and_the_old_secret_is_refused_afterwards() {
    let both = |number| peer(number, &[NEW, OLD], OLD, false);
    let taken = |number| peer(number, &[NEW, OLD], NEW, true);
    let old = |number| peer(number, &[OLD], OLD, false);
    let new = |number| peer(number, &[NEW], NEW, true);
    for (name, one, other) in [
        ("before", old(1), both(2)),
        ("both have two", both(1), both(2)),
        ("one has switched", both(1), taken(2)),
        ("one has switched and removed the old one", both(1), new(2)),
        ("both have switched", taken(1), taken(2)),
        ("afterwards", taken(1), new(2)),
    ] {
        for (from, to) in [(&one, &other), (&other, &one)] {
            assert!(dial(from, to).await.is_ok(), "{name}");
        }
    }
    for switched in [taken(1), new(1)] {
        let late = old(2);
        assert_eq!(dial(&late, &switched).await.unwrap_err(), [Some(DENIED); 2]);
        assert_eq!(dial(&switched, &late).await.unwrap_err(), [Some(REVOKED); 2]);
        let stranger = peer(3, &[OTHER], OTHER, false);
        assert_eq!(dial(&stranger, &switched).await.unwrap_err(), [Some(UNKNOWN); 2]);
        assert_eq!(dial(&switched, &stranger).await.unwrap_err(), [Some(UNKNOWN); 2]);
    }
}

/// Promise: after the switch no link stays whose peer only proved that it has the old secret.
#[tokio::test]
async fn a_link_under_the_old_secret_is_no_longer_trusted_after_the_switch() {
    let (one, other) = (peer(1, &[NEW, OLD], OLD, false), peer(2, &[OLD], OLD, false));
    let [link, _kept] = dial(&one, &other).await.unwrap();
    assert!(one.trusts(&link));
    let keys = HeldKeys::derive(&secrets(&[NEW, OLD]), Some(fingerprint(NEW))).unwrap().unwrap();
    one.replace_keys(&keys, &[fingerprint(OLD)].into()).unwrap();
    assert!(!one.trusts(&link));
    let [link, _kept] = dial(&one, &peer(3, &[NEW, OLD], OLD, false)).await.unwrap();
    assert!(one.trusts(&link));
}

/// An operator's CA, and certificates of two nodes under it.
fn own_certificates() -> [OwnCertificate; 2] {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (ca, issuer) = (params.self_signed(&key).unwrap().pem(), Issuer::new(params, key));
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, pem: String| {
        let path = dir.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path
    };
    let ca = file("ca", ca);
    [1, 2].map(|_| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["chat.example".to_owned()]).unwrap();
        let cert = file("cert", params.signed_by(&key, &issuer).unwrap().pem());
        let files = CertificateFiles { ca: ca.clone(), cert, key: file("key", key.serialize_pem()) };
        OwnCertificate::new(&files, &crate::cluster::CertificatePem::read(&files).unwrap(), UnixTime::now())
            .unwrap()
    })
}

/// Promise: under an operator's CA a node needs a certificate of it and one of the secret's CA, both for the key that it proves to
/// have; a chain that has more than it needs is refused.
#[test]
fn under_an_own_ca_both_certificates_must_be_for_one_key() {
    let ([one, other], [elsewhere, _]) = (own_certificates(), own_certificates());
    let keys = |secret| HeldKeys::derive(&secrets(&[secret]), None).unwrap().unwrap();
    let (ours, theirs) = (keys(OLD), keys(OTHER));
    let verifier =
        |own| Tls::new(&ours, &BTreeSet::new(), own, NodeId([1; 16]), &[7; 32], &[]).unwrap().verifier;
    let member = |keys: &HeldKeys, key| keys.active.issue(NodeId([2; 16]), key).unwrap();
    let (good, of_other_key) = (member(&ours, &one.key), member(&ours, &other.key));
    let of_stranger = member(&theirs, &one.key);
    let check = |own, leaf, more: &[CertificateDer<'static>]| {
        verifier(own).verify_client_cert(leaf, more, UnixTime::now()).is_ok()
    };
    let leaf = &one.chain[0];
    assert!(check(Some(&one), leaf, from_ref(&good)));
    assert!(!check(Some(&one), leaf, &[of_other_key]), "a certificate of the secret for another node's key");
    assert!(!check(Some(&one), leaf, &[of_stranger]), "another secret");
    assert!(!check(Some(&one), leaf, &[]), "no certificate of the secret");
    assert!(!check(Some(&one), &good, &[]), "none of the operator");
    assert!(!check(Some(&elsewhere), leaf, from_ref(&good)), "another CA");
    assert!(check(None, &good, &[]));
    assert!(!check(None, &good, from_ref(&good)), "which of the two names the node?");
}
