//! An operator's own CA: nodes need a certificate of it in addition to the cluster's secret.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use harness::{
    Node, PATIENCE,
    cluster::new_secret,
    eventually, http,
    process::{free_port, run},
    same,
};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// A CA, as an operator has one.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Ca {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Writes the CA, and a certificate for a host with its key, into the folder of a node.
    fn equip(&self, node: &Node) {
        self.certify(node, Duration::from_hours(24 * 365));
        put(node, "ca.pem", &self.pem);
    }

    /// Writes a certificate that is valid for so long, and its key, into the folder of a node.
    fn certify(&self, node: &Node, valid_for: Duration) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["chat.example".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = (SystemTime::now() + valid_for).into();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        put(node, "cert.pem", &cert.pem());
        put(node, "key.pem", &key.serialize_pem());
    }
}

fn put(node: &Node, file: &str, content: &str) {
    fs::write(node.beside(file), content).unwrap();
}

/// A node that is not started yet; `ca` equips it, and makes it join.
fn node(name: &str, secret: &str, ca: Option<&Ca>, join: &str) -> (Node, String) {
    let listen = format!("127.0.0.1:{}", free_port());
    let mut node = Node::new(name, &["--cluster-secret", secret, "--cluster-listen", &listen]);
    if let Some(ca) = ca {
        ca.equip(&node);
        for (flag, file) in
            [("--cluster-ca", "ca.pem"), ("--cluster-cert", "cert.pem"), ("--cluster-key", "key.pem")]
        {
            let file = node.beside(file).display().to_string();
            node.add_args(&[flag, &file]);
        }
    }
    if !join.is_empty() {
        node.add_args(&["--join", join]);
    }
    (node, listen)
}

/// Promise: with an own CA, only nodes that have both the secret and a certificate of the CA are linked.
#[tokio::test]
async fn nodes_need_the_secret_and_a_certificate_of_the_ca() {
    let (secret, ca) = (new_secret().await, Ca::new());
    let (mut first, at) = node("first", &secret, Some(&ca), "");
    let (mut second, _) = node("second", &secret, Some(&ca), &at);
    first.start();
    first.wait_ready().await;
    second.start();
    second.wait_ready().await;
    for node in [&first, &second] {
        in_sync(node).await;
    }
    // A restart shows the node under the same id.
    second.stop().await;
    second.restart().await;
    for (name, secret, ca) in [
        ("without a certificate", &secret, None),
        ("with a certificate of another CA", &secret, Some(&Ca::new())),
        ("with another secret", &new_secret().await, Some(&ca)),
    ] {
        let (stranger, _) = node(name, secret, ca, &at);
        refuses(&stranger, "the cluster secrets differ, or the CAs").await;
    }
    assert_eq!(first.status().await.unwrap()["peers"].as_array().map(Vec::len), Some(1));
}

/// Waits until a node is in sync with one peer.
async fn in_sync(node: &Node) {
    eventually(PATIENCE, &format!("{} is in sync", node.name), async || {
        let metrics = http::get(node.http, "/metrics").await.map_err(|error| error.to_string())?.text();
        let series = metrics.lines().filter(|line| line.starts_with("starling_peer_in_sync{"));
        same(&series.filter(|line| line.ends_with(" 1")).count(), &1)
    })
    .await;
}

/// Waits until a node has logged this so often.
async fn logs(node: &Node, text: &str, times: usize) {
    eventually(PATIENCE * 2, &format!("{} logs {text:?}", node.name), async || {
        let log = fs::read_to_string(node.beside("stderr")).unwrap_or_default();
        same(&log.matches(text).count(), &times)
    })
    .await;
}

/// Promise: certificates and the CA itself are renewed without a restart; what isn't usable changes nothing, and the log says so.
#[tokio::test]
async fn a_certificate_and_its_ca_are_replaced_while_nodes_run() {
    const TAKEN: &str = "holds now on new links";
    let (secret, old, new) = (new_secret().await, Ca::new(), Ca::new());
    let (mut first, at) = node("first", &secret, Some(&old), "");
    let (mut second, _) = node("second", &secret, Some(&old), &at);
    for node in [&mut first, &mut second] {
        node.start();
        node.wait_ready().await;
    }
    // As an operator changes a CA: first both are accepted, then certificates of the new one are shown, then the old one goes.
    for (step, of_both) in [(1, true), (2, true), (3, false)] {
        for node in [&first, &second] {
            if step == 2 {
                new.certify(node, Duration::from_hours(24 * 365));
            } else {
                put(node, "ca.pem", &if of_both { old.pem.clone() + &new.pem } else { new.pem.clone() });
            }
            logs(node, TAKEN, step).await;
        }
    }
    put(&first, "cert.pem", "nonsense");
    logs(&first, "have changed and are not usable", 1).await;
    second.stop().await;
    second.restart().await;
    in_sync(&first).await;
    refuses(&node("of the old CA", &secret, Some(&old), &at).0, "the cluster secrets differ, or the CAs")
        .await;
}

/// Promise: an operator is warned before a certificate expires, and not of one that was just renewed.
#[tokio::test]
async fn a_certificate_that_will_expire_is_warned_about() {
    const WARNING: &str = "expires within 14 days";
    let (secret, ca) = (new_secret().await, Ca::new());
    let (mut node, _) = node("alone", &secret, Some(&ca), "");
    ca.certify(&node, Duration::from_hours(24 * 3));
    node.start();
    node.wait_ready().await;
    logs(&node, WARNING, 1).await;
    ca.certify(&node, Duration::from_hours(24 * 90));
    logs(&node, "holds now on new links", 1).await;
    ca.certify(&node, Duration::from_hours(24 * 13));
    logs(&node, WARNING, 2).await;
}

/// Bad input: files that are missing, that don't belong together or that nobody would accept are refused, each in one line.
#[tokio::test]
async fn files_that_do_not_fit_are_refused() {
    let (secret, ca) = (new_secret().await, Ca::new());
    let spoil = |spoil: &dyn Fn(&Node)| {
        let (node, _) = node("spoilt", &secret, Some(&ca), "");
        spoil(&node);
        node
    };
    let other = |file: &'static str| {
        move |node: &Node| {
            let kept = fs::read(node.beside(file)).unwrap();
            Ca::new().equip(node);
            let of_other = fs::read(node.beside(file)).unwrap();
            assert_ne!(kept, of_other);
        }
    };
    refuses(&spoil(&|node| fs::remove_file(node.beside("ca.pem")).unwrap()), "cannot read").await;
    refuses(&spoil(&|node| fs::write(node.beside("cert.pem"), "nonsense").unwrap()), "holds no certificate")
        .await;
    refuses(&spoil(&|node| fs::write(node.beside("key.pem"), "nonsense").unwrap()), "PKCS#8").await;
    refuses(&spoil(&|node| keep(node, "key.pem", &other("cert.pem"))), "is not that of the certificate")
        .await;
    refuses(
        &spoil(&|node| keep(node, "ca.pem", &other("cert.pem"))),
        "other nodes would refuse the certificate",
    )
    .await;
    let (mut partly, _) = node("partly", &secret, None, "");
    partly.add_args(&["--cluster-ca", "ca.pem"]);
    refuses(&partly, "all three files").await;
}

/// Changes the files of a node but for one.
fn keep(node: &Node, file: &str, change: &dyn Fn(&Node)) {
    let path = node.beside(file);
    let kept = fs::read(Path::new(&path)).unwrap();
    change(node);
    fs::write(path, kept).unwrap();
}

/// A node does not start, and says why in one line.
async fn refuses(node: &Node, why: &str) {
    let ended = run(node.command()).await;
    assert_eq!(ended.code, Some(2), "{}: {ended:?}", node.name);
    let last = ended.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("starling: ") && last.contains(why), "{}: {}", node.name, ended.stderr);
}
