//! An operator's own CA: nodes need a certificate of it in addition to the cluster's secret.

use std::{fs, path::Path};

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
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["chat.example".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(node.beside("ca.pem"), &self.pem).unwrap();
        fs::write(node.beside("cert.pem"), cert.pem()).unwrap();
        fs::write(node.beside("key.pem"), key.serialize_pem()).unwrap();
    }
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
        eventually(PATIENCE, &format!("{} is in sync", node.name), async || {
            let metrics = http::get(node.http, "/metrics").await.map_err(|error| error.to_string())?.text();
            let series = metrics.lines().filter(|line| line.starts_with("starling_peer_in_sync{"));
            same(&series.filter(|line| line.ends_with(" 1")).count(), &1)
        })
        .await;
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
