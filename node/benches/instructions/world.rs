//! Nodes on one thread, and turns that let them run.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use clap::Parser as _;
use starling_node::{
    config::{Config, Flags},
    data_dir::Identity,
    disk_space::DiskSpace,
    node::{Core, CoreStart, StartError},
    store::Store,
};
use starling_protocol::{GuestId, GuestName, MessageId, MessagePosted, MessageText, NodeId, RoomId, Sender};
use starling_web::{
    guard::limits::LIMITS,
    router,
    server::{Server, ServerLimits},
    service::Post,
};
use tokio::{net::TcpListener, runtime::Runtime, sync::mpsc};

use crate::{environment::CountedMachine, guest::Guest, turn};

const SECRET: &str = "92f1c07ae86b435dd9a01e6f72c4b853";
/// Turns after which a scenario hangs: a minute of virtual time.
const TURNS_MAX: u32 = 60_000;

pub struct World {
    runtime: Runtime,
    nodes: u8,
}

/// A node that serves users.
pub struct Node {
    pub core: Core,
    pub http: SocketAddr,
}

impl World {
    pub fn new() -> Self {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        Self { runtime: runtime.enable_all().start_paused(true).build().unwrap(), nodes: 0 }
    }

    /// A node alone.
    pub fn node(&mut self) -> Node {
        self.start(&[])
    }

    /// Two nodes that are one cluster.
    pub fn two_nodes(&mut self) -> [Node; 2] {
        let listen = format!("{}:0", Ipv4Addr::LOCALHOST);
        let one = self.start(&["--cluster-secret", SECRET, "--cluster-listen", &listen]);
        let address = one.core.cluster.as_ref().unwrap().endpoint.local_addr().unwrap().to_string();
        let two = self.start(&["--cluster-secret", SECRET, "--cluster-listen", &listen, "--join", &address]);
        self.until(turn::uncounted, || {
            [&one, &two].iter().all(|node| {
                let figures = node.core.web.operations.metrics();
                figures.lines().any(|line| line.starts_with("starling_peer_in_s") && line.ends_with(" 1"))
            })
        });
        [one, two]
    }

    fn start(&mut self, flags: &[&str]) -> Node {
        self.nodes += 1;
        let identity = Identity::new(NodeId([self.nodes; 16]), [self.nodes; 32]);
        let rates = LIMITS.iter().map(|limit| format!("--limit-{}=0", limit.name.replace('_', "-")));
        let flags = ["starling", "--limit-connections-per-address", "0"]
            .iter()
            .chain(flags)
            .map(|flag| (*flag).to_owned())
            .chain(rates);
        let config = Config::resolve(Flags::try_parse_from(flags).unwrap().serve).unwrap();
        let seed = u64::from(self.nodes);
        self.runtime.block_on(async {
            let core = Core::start(CoreStart {
                environment: Arc::new(CountedMachine::new(seed)),
                config: &config,
                identity: &identity,
                known: Vec::new(),
                space: DiskSpace::new(0),
                refill: None,
                open_store: Box::new(|_| {
                    Store::in_memory().map_err(|error| StartError::store(&config.data_dir, error))
                }),
                save_members: Box::new(|_| Ok(())),
                save_secret: Arc::new(|_| Ok(())),
            });
            let core = core.await.unwrap();
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let http = listener.local_addr().unwrap();
            let limits = ServerLimits { connections_max: 1_000, header_timeout: Duration::from_secs(30) };
            let mut server = Server::new(listener, router(core.web.clone()), limits, (&core.web).into());
            tokio::spawn(async move { server.run().await });
            Node { core, http }
        })
    }

    /// Lets the nodes run until something has come true.
    pub fn until(&self, turn: fn(&Runtime), mut is_true: impl FnMut() -> bool) {
        for _ in 0..TURNS_MAX {
            if is_true() {
                return;
            }
            turn(&self.runtime);
        }
        unreachable!("a minute has passed in vain");
    }

    /// Lets the nodes run for one turn.
    pub fn go_on(&self, turn: fn(&Runtime)) {
        turn(&self.runtime);
    }

    pub fn room(&self, node: &Node) -> RoomId {
        let rooms = Arc::clone(&node.core.web.quick_rooms);
        self.runtime.block_on(rooms.create(None)).unwrap()
    }

    /// A guest who has joined and received all frames of the opening.
    pub fn guest(&self, turn: fn(&Runtime), node: &Node, room: RoomId, query: &str) -> Guest {
        let mut guest = Guest::open(node.http, &format!("/ws?roomID={room}&{query}"));
        self.until(turn, || guest.cursor().is_some());
        guest
    }

    /// Posts messages into a room, by hand and at once.
    pub fn fill(&self, node: &Node, room: RoomId, first: u128, count: u128) {
        let (outcomes, mut settled) = mpsc::unbounded_channel();
        for number in first..first + count {
            let sender = Sender::Guest { id: GuestId([7; 16]), name: GuestName::parse("Filler").unwrap() };
            let text = MessageText::parse(&text(number)).unwrap();
            let message = MessagePosted::new(MessageId::from_u128(number), sender, text);
            node.core.web.posting.post(Post { room, message, above_hlc: None }, &outcomes).unwrap();
        }
        let mut left = count;
        self.until(turn::uncounted, || {
            while settled.try_recv().is_ok() {
                left -= 1;
            }
            left == 0
        });
    }
}

/// The text of a message: 80 characters.
pub fn text(number: u128) -> String {
    format!("{number:08} and some more words, as many as people write when they chat with others...")
}
