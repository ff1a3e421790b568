//! A peer that holds the cluster's secret but breaks the protocol: its link is closed with a reason, counted and
//! logged, and the node goes on. A peer of a newer version that sends unknown kinds is no such peer.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use clap::Parser;
use harness::{Node, PATIENCE, eventually, http};
use quinn::{Connection, ConnectionError, Endpoint, SendStream};
use starling_node::{
    cluster::{self, ClusterKeys},
    config::{Config, Flags},
    environment::{Environment, ThisMachine},
};
use starling_protocol::{
    Event, EventBody, EventDraft, Hlc, NodeId, OriginId, Scope, Seq,
    frame::peer::{Hello, Member, PROTOCOL_VERSION, PeerFrame, ReplicaFrame},
};

const SECRET: &str = "92f1c07ae86b435dd9a01e6f72c4b853";
const ME: NodeId = NodeId([7; 16]);
/// The code with which a node closes the link to a peer that breaks the protocol.
const PROTOCOL_CLOSE: u32 = 3;

/// A node, and a peer made by hand that is linked to it.
struct Bench {
    node: Node,
    /// Keeps the socket open.
    _endpoint: Endpoint,
    connection: Connection,
    stream: SendStream,
}

impl Bench {
    async fn start() -> Self {
        let cluster_port = harness::process::free_port();
        let listen = format!("127.0.0.1:{cluster_port}");
        let node = Node::lone(&["--cluster-listen", &listen, "--cluster-secret", SECRET]).await;
        let flags = Flags::try_parse_from(["starling", "--cluster-secret", SECRET]).unwrap();
        let secret = Config::resolve(flags.serve).unwrap().cluster.unwrap().secret;
        let keys = ClusterKeys::derive(&secret).unwrap();
        let machine: Arc<dyn Environment> = Arc::new(ThisMachine);
        let socket = machine.bind_udp(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let endpoint = cluster::open(&machine, socket, &keys, ME).unwrap();
        let to = SocketAddr::from(([127, 0, 0, 1], cluster_port));
        let connection = endpoint.connect(to, "node.starling.internal").unwrap().await.unwrap();
        let (stream, _) = connection.open_bi().await.unwrap();
        Self { node, _endpoint: endpoint, connection, stream }
    }

    async fn send(&mut self, frame: &[u8]) {
        let length = u32::try_from(frame.len()).unwrap().to_be_bytes();
        self.stream.write_all(&[&length[..], frame].concat()).await.unwrap();
    }

    async fn hello(&mut self, me: NodeId) {
        let me = Member {
            node: me,
            number: 1,
            addresses: vec!["127.0.0.1:9".into()],
            public_url: None,
            observed_addresses: Vec::new(),
        };
        let (process, uptime_ms) = (1, 0);
        let hello = Hello { protocol_version: PROTOCOL_VERSION, process, uptime_ms, me, members: Vec::new() };
        self.send(&PeerFrame::Hello(hello).encode()).await;
    }

    async fn push(&mut self, event: Bytes) {
        self.send(&PeerFrame::Replica(ReplicaFrame::Push(vec![event])).encode()).await;
    }

    /// The link was closed for breaking the protocol; the node counts it and serves on.
    async fn is_turned_away(&self) {
        let closed =
            tokio::time::timeout(PATIENCE, self.connection.closed()).await.expect("the link is closed");
        let ConnectionError::ApplicationClosed(close) = closed else { panic!("closed by {closed}") };
        assert_eq!(close.error_code, PROTOCOL_CLOSE.into());
        assert!(!close.reason.is_empty(), "it says why");
        self.figure("starling_links_broken_total 1").await;
        http::create_room(self.node.http).await;
    }

    async fn figure(&self, line: &str) {
        eventually(PATIENCE, line, async || {
            let metrics =
                http::get(self.node.http, "/metrics").await.map_err(|error| error.to_string())?.text();
            if metrics.lines().any(|known| known == line) { Ok(()) } else { Err(metrics) }
        })
        .await;
    }
}

#[tokio::test]
async fn a_frame_that_does_not_decode_closes_the_link_alone() {
    for garbage in [&b""[..], b"\x01\xff", b"\x07future format", &[1; 300]] {
        let mut bench = Bench::start().await;
        bench.hello(ME).await;
        bench.send(garbage).await;
        bench.is_turned_away().await;
    }
}

#[tokio::test]
async fn a_frame_beyond_the_limit_closes_the_link_before_it_is_read() {
    let mut bench = Bench::start().await;
    bench.hello(ME).await;
    bench.stream.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    bench.is_turned_away().await;
}

#[tokio::test]
async fn an_event_that_does_not_decode_closes_the_link() {
    let mut bench = Bench::start().await;
    bench.hello(ME).await;
    bench.push(Bytes::from_static(b"\x01no event")).await;
    bench.is_turned_away().await;
}

#[tokio::test]
async fn a_link_begins_with_a_hello_of_who_the_certificate_names() {
    let mut bench = Bench::start().await;
    bench.hello(NodeId([8; 16])).await;
    bench.is_turned_away().await;
    let mut bench = Bench::start().await;
    bench.send(&PeerFrame::Ping(1).encode()).await;
    bench.is_turned_away().await;
}

#[tokio::test]
async fn an_event_of_an_unknown_kind_is_kept() {
    let mut bench = Bench::start().await;
    bench.hello(ME).await;
    let body = EventBody::Unknown { kind: 4_711, payload: Bytes::from_static(b"of the future") };
    let scope = Scope { kind: 99, id: Box::from(&b"some scope of the future"[..]) };
    let origin = OriginId { node: ME, incarnation: 1 };
    let draft = EventDraft { scope, body, above_hlc: None };
    bench.push(Event::new(origin, Seq(1), Hlc(1), draft).encoded().clone()).await;
    bench.figure("starling_commits_total 1").await;
    assert!(bench.connection.close_reason().is_none(), "the link goes on");
}
