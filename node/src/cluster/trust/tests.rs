use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use clap::Parser;
use quinn::{Connection, ConnectionError};
use starling_protocol::{NodeId, event::SecretFingerprint};

use super::super::{HeldKeys, PeerEndpoint, open};
use crate::{
    config::{ClusterSecrets, Config, Flags},
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
    let peer = open(&machine, socket, &keys, NodeId([number; 16])).unwrap();
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
    super::super::refusals::alert(error)
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
