//! A flood of packets that open connections, from somebody who is no node: nodes join all the same.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use clap::Parser;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Endpoint, UdpPoller};
use starling_node::cluster::{self, HeldKeys};
use starling_node::config::{Config, Flags};
use starling_node::environment::{Environment, ThisMachine};
use starling_protocol::NodeId;
use tokio::sync::watch;

use harness::cluster::new_secret;
use harness::process::free_port;
use harness::{Node, eventually, http, same};

const OPENED_A_SECOND: u32 = 600;
/// A new node joins within so long.
const JOINS_WITHIN: Duration = Duration::from_secs(5);

/// A socket that sends and hears nothing.
#[derive(Debug)]
struct Deaf(Arc<dyn AsyncUdpSocket>);

impl AsyncUdpSocket for Deaf {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.0).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit) -> io::Result<()> {
        self.0.try_send(transmit)
    }

    fn poll_recv(
        &self,
        _: &mut Context,
        _: &mut [IoSliceMut<'_>],
        _: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// An endpoint of somebody with another secret, who never answers.
fn stranger(secret: &str) -> Endpoint {
    let flags = Flags::try_parse_from(["starling", "--cluster-secret", secret]).unwrap();
    let secrets = Config::resolve(flags.serve).unwrap().cluster.unwrap().secrets;
    let keys = HeldKeys::derive(&secrets, None).unwrap().unwrap();
    let machine: Arc<dyn Environment> = Arc::new(ThisMachine);
    let socket = Arc::new(Deaf(machine.bind_udp(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap()));
    cluster::open(&machine, socket, &keys, None, NodeId([9; 16])).unwrap().endpoint
}

/// Promise 14: handshakes are limited per client network, and a new node joins within 5 s while somebody opens 600
/// connections a second that come to nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_initials_keeps_no_node_from_joining() {
    let (secret, cluster_port) = (new_secret().await, free_port());
    let listen = SocketAddr::from(([127, 0, 0, 1], cluster_port));
    let node = Node::lone(&["--cluster-secret", &secret, "--cluster-listen", &listen.to_string()]).await;
    let stranger = stranger(&new_secret().await);
    let (opened, mut so_many) = watch::channel(0);
    let flood = tokio::spawn(async move {
        let mut kept = Vec::new();
        let mut every = tokio::time::interval(Duration::from_secs(1) / OPENED_A_SECOND);
        loop {
            every.tick().await;
            kept.push(stranger.connect(listen, "node.starling.internal").unwrap());
            opened.send_replace(kept.len());
        }
    });
    // By now all places for handshakes would be taken, and each that becomes free would be taken anew.
    so_many.wait_for(|opened| *opened > 1_000).await.unwrap();
    let begun = Instant::now();
    let mut newcomer = Node::new("newcomer", &["--cluster-secret", &secret, "--join", &listen.to_string()]);
    newcomer.add_args(&["--cluster-listen", &format!("127.0.0.1:{}", free_port())]);
    newcomer.start();
    eventually(JOINS_WITHIN, "the newcomer is linked", async || {
        let metrics = http::get(newcomer.http, "/metrics").await.map_err(|error| error.to_string())?.text();
        let in_sync = |line: &&str| line.starts_with("starling_peer_in_sync{") && line.ends_with(" 1");
        same(&metrics.lines().filter(in_sync).count(), &1)
    })
    .await;
    eprintln!("joined within {:.1} s", begun.elapsed().as_secs_f64());
    flood.abort();
    let metrics = http::get(node.http, "/metrics").await.unwrap().text();
    let asked = metrics.lines().find_map(|line| line.strip_prefix("starling_handshakes_retried_total "));
    let asked: u64 = asked.unwrap().parse().unwrap();
    assert!(asked > 500, "{asked} were asked to prove their address");
}
