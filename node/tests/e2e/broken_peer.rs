//! A peer that holds the cluster's secret but breaks the protocol: its link is closed with a reason, counted and
//! logged, and the node goes on. A peer of a newer version that sends unknown kinds is no such peer, nor is one of an
//! older wire version. One of neither is refused with the versions of both.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use clap::Parser;
use futures_util::future::BoxFuture;
use harness::{Client, Node, PATIENCE, eventually, http, process::run};
use quinn::{AsyncUdpSocket, Connection, ConnectionError, Endpoint, RecvStream, SendStream};
use starling_node::{
    cluster::{self, HeldKeys},
    config::{Config, Flags},
    environment::{Environment, ThisMachine},
};
use starling_protocol::{
    Event, EventBody, EventDraft, Hlc, NodeId, OriginId, Scope, Seq, VersionVector,
    frame::{
        peer::{Confirm, Hello, Member, PROTOCOL_VERSION, PeerFrame, ReplicaFrame},
        wire::{ANY_VERSION, WireVersion},
    },
};
use tokio::task::JoinHandle;

const SECRET: &str = "92f1c07ae86b435dd9a01e6f72c4b853";
const ME: NodeId = NodeId([7; 16]);
/// The code with which a node closes the link to a peer that breaks the protocol.
const PROTOCOL_CLOSE: u32 = 3;

/// The code with which nodes without a common wire version close a connection.
const NO_COMMON_VERSION: u32 = 7;

/// This machine, with a build of Starling that speaks these wire versions.
#[derive(Debug)]
struct Build(Vec<&'static str>);

impl Environment for Build {
    fn wire_offers(&self) -> Vec<&'static str> {
        self.0.clone()
    }

    fn now_ms(&self) -> u64 {
        ThisMachine.now_ms()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        ThisMachine.fill_random(bytes);
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) {
        ThisMachine.run_blocking(work);
    }

    fn spawn_thread(&self, name: &'static str, task: BoxFuture<'static, ()>) -> JoinHandle<()> {
        ThisMachine.spawn_thread(name, task)
    }

    fn resolve(&self, name: String) -> BoxFuture<'static, Vec<SocketAddr>> {
        ThisMachine.resolve(name)
    }

    fn bind_udp(&self, listen: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        ThisMachine.bind_udp(listen)
    }
}

/// The endpoint of a peer that speaks these wire versions.
fn endpoint(offers: Vec<&'static str>) -> Endpoint {
    let flags = Flags::try_parse_from(["starling", "--cluster-secret", SECRET]).unwrap();
    let secrets = Config::resolve(flags.serve).unwrap().cluster.unwrap().secrets;
    let keys = HeldKeys::derive(&secrets, None).unwrap().unwrap();
    let machine: Arc<dyn Environment> = Arc::new(Build(offers));
    let socket = machine.bind_udp(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    cluster::open(&machine, socket, &keys, None, ME).unwrap().endpoint
}

/// A node, and the address where it takes links.
async fn node() -> (Node, SocketAddr) {
    let listen = SocketAddr::from(([127, 0, 0, 1], harness::process::free_port()));
    let node = Node::lone(&["--cluster-listen", &listen.to_string(), "--cluster-secret", SECRET]).await;
    (node, listen)
}

/// A node, and a peer made by hand that is linked to it.
struct Bench {
    node: Node,
    /// Keeps the socket open.
    _endpoint: Endpoint,
    connection: Connection,
    stream: SendStream,
    receive: RecvStream,
    version: WireVersion,
}

impl Bench {
    async fn start() -> Self {
        Self::of(WireVersion::V2).await
    }

    async fn of(version: WireVersion) -> Self {
        let (node, listen) = node().await;
        let endpoint = endpoint(vec![version.alpn(), ANY_VERSION]);
        let connection = endpoint.connect(listen, "node.starling.internal").unwrap().await.unwrap();
        let (stream, receive) = connection.open_bi().await.unwrap();
        Self { node, _endpoint: endpoint, connection, stream, receive, version }
    }

    /// Reads frames of replication until one has what is wanted.
    async fn receive<T>(&mut self, wanted: impl Fn(ReplicaFrame) -> Option<T>) -> T {
        let read = async {
            loop {
                let mut length = [0; 4];
                self.receive.read_exact(&mut length).await.unwrap();
                let mut frame = vec![0; u32::from_be_bytes(length) as usize];
                self.receive.read_exact(&mut frame).await.unwrap();
                if let Some(PeerFrame::Replica(frame)) = self.version.decode(&frame).unwrap()
                    && let Some(found) = wanted(frame)
                {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("the frame comes")
    }

    /// Sends a record as a frame.
    async fn send(&mut self, record: &[u8]) {
        let frame = [&self.version.head(record, &[])[..], record].concat();
        self.stream.write_all(&frame).await.unwrap();
    }

    /// Sends bytes as a frame, after their length.
    async fn send_raw(&mut self, frame: &[u8]) {
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
        let hello = Hello {
            protocol_version: PROTOCOL_VERSION,
            process,
            uptime_ms,
            me,
            members: Vec::new(),
            folds: None,
        };
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
    for version in WireVersion::ALL {
        for garbage in [&b""[..], b"\x01\xff", b"\x07future format", &[1; 300]] {
            let mut bench = Bench::of(version).await;
            bench.hello(ME).await;
            bench.send_raw(garbage).await;
            bench.is_turned_away().await;
        }
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

/// Promise 3: a peer on a slow link that sends one long frame for longer than the longest silence is heard all the time;
/// else a starting node would serve alone beside it and deny what it was about to learn.
#[tokio::test]
async fn a_peer_is_heard_while_a_long_frame_arrives() {
    let mut bench = Bench::start().await;
    bench.hello(ME).await;
    for frame in [ReplicaFrame::Vector(VersionVector::default()), ReplicaFrame::Confirm(Confirm::default())] {
        bench.send(&PeerFrame::Replica(frame).encode()).await;
    }
    let in_sync = "starling_peer_in_sync{peer=\"07070707070707070707070707070707\"} 1";
    bench.figure(in_sync).await;
    bench.stream.write_all(&100_000_u32.to_be_bytes()).await.unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        bench.stream.write_all(&[0; 500]).await.unwrap();
        let metrics = http::get(bench.node.http, "/metrics").await.unwrap().text();
        assert!(metrics.contains(in_sync), "after {:?}", began.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Promise 12: a node speaks to peers one wire version older, and goes on whatever a newer one sends.
#[tokio::test]
async fn an_event_of_an_unknown_kind_is_kept_and_an_unknown_frame_skipped() {
    for version in WireVersion::ALL {
        let mut bench = Bench::of(version).await;
        bench.hello(ME).await;
        if version == WireVersion::V2 {
            // A kind, the length of its record, the record, and an extension.
            bench.send_raw(b"\xc8\0\0\0\0\x06record\0\x09\0\0\0\x01x").await;
        }
        let body = EventBody::Unknown { kind: 4_711, payload: Bytes::from_static(b"of the future") };
        let scope = Scope { kind: 99, id: Box::from(&b"some scope of the future"[..]) };
        let origin = OriginId { node: ME, incarnation: 1 };
        let draft = EventDraft { scope, body, above_hlc: None };
        bench.push(Event::new(origin, Seq(1), Hlc(1), draft).encoded().clone()).await;
        bench.figure("starling_commits_total 1").await;
        assert!(bench.connection.close_reason().is_none(), "the link goes on");
    }
}

/// Promise 12: while a peer has the older build, it gets messages of kinds that it can list; otherwise they say more.
#[tokio::test]
async fn an_older_peer_gets_messages_of_kinds_that_it_knows() {
    for version in WireVersion::ALL {
        let mut bench = Bench::of(version).await;
        let room = http::create_room(bench.node.http).await;
        let mut ann = Client::join(bench.node.http, &room, "Ann").await;
        bench.hello(ME).await;
        let ours = ReplicaFrame::Vector(VersionVector::default());
        bench.send(&PeerFrame::Replica(ours).encode()).await;
        // The node's vector is its answer to the new link, so it knows the version by now.
        bench.receive(|frame| matches!(frame, ReplicaFrame::Vector(_)).then_some(())).await;
        ann.post("hello").await;
        let posted = bench.receive(|frame| {
            let ReplicaFrame::Push(events) = frame else { return None };
            events.into_iter().find_map(|event| match Event::decode(event).unwrap().body {
                EventBody::MessagePosted(posted) => Some(posted),
                _ => None,
            })
        });
        let posted = posted.await;
        assert_eq!((posted.body(), posted.details.is_some()), ("hello", version == WireVersion::V2));
    }
}

/// The log lines of a node, once one has a word.
async fn logged(node: &Node, word: &str) -> String {
    let lines = || std::fs::read_to_string(node.beside("stderr")).unwrap_or_default();
    eventually(PATIENCE, word, async || if lines().contains(word) { Ok(()) } else { Err(lines()) }).await;
    lines()
}

/// A node of a third version is refused with a line that names the versions of both, not as one with a wrong secret.
#[tokio::test]
async fn a_node_without_a_common_version_is_told_which_there_are() {
    const OURS: &str = "starling/2, starling/1";
    // It dials: the node names its versions.
    let (node, listen) = node().await;
    let third = endpoint(vec!["starling/9", ANY_VERSION]);
    let connection = third.connect(listen, "node.starling.internal").unwrap().await.unwrap();
    let closed = tokio::time::timeout(PATIENCE, connection.closed()).await.expect("it is closed");
    let ConnectionError::ApplicationClosed(close) = closed else { panic!("closed by {closed}") };
    assert_eq!((close.error_code, &close.reason[..]), (NO_COMMON_VERSION.into(), OURS.as_bytes()));
    // One that shares not even the name for this case.
    let stranger = endpoint(vec!["starling/9"]);
    assert!(stranger.connect(listen, "node.starling.internal").unwrap().await.is_err());
    let lines = logged(&node, "no wire version that this one speaks").await;
    assert!(!lines.contains("different cluster secret"), "{lines}");
    // It is dialled: the node logs both, and `status` says why the join address leads nowhere.
    let at = third.local_addr().unwrap().to_string();
    let joins = ["--cluster-listen", "127.0.0.1:0", "--cluster-secret", SECRET, "--join", &at];
    let joining = Node::lone(&joins).await;
    let turning_away = tokio::spawn(turn_away(third));
    let lines = logged(&joining, "starling/9").await;
    let line = lines.lines().find(|line| line.contains("starling/9")).unwrap();
    assert!(line.contains(OURS) && line.contains("upgrade the older one"), "{line}");
    assert!(!lines.contains("different cluster secret"), "{lines}");
    eventually(2 * PATIENCE, "it says why it finds nobody", async || {
        let problems = joining.status().await?["join_problems"].to_string();
        if problems.contains("no wire version") { Ok(()) } else { Err(problems) }
    })
    .await;
    // A node that finds it at its start does not serve alone beside its cluster.
    let late = Node::new("late", &joins);
    let ended = run(late.command()).await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    for part in [OURS, "starling/9", "upgrade the older", &at] {
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
    turning_away.abort();
}

/// Closes each connection as a node does that speaks another wire version.
async fn turn_away(endpoint: Endpoint) {
    while let Some(incoming) = endpoint.accept().await {
        if let Ok(connection) = incoming.await {
            connection.close(NO_COMMON_VERSION.into(), b"starling/9");
        }
    }
}
