//! Discovers the members of the cluster by SWIM gossip (foca) over QUIC datagrams. It only discovers: pushes and presence
//! over a link end when the link has been silent.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use bytes::Bytes;
use foca::{AccumulatingRuntime, Config, Foca, Identity, NoCustomBroadcast, PostcardCodec, Timer};
use rand::{SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use starling_protocol::{NodeId, frame::peer::Member};
use tokio::sync::mpsc;

use super::{Links, Members};
use crate::{environment::Environment, supervisor::SupervisedTask};

/// A gossip packet fits the smallest datagram that QUIC promises.
const PACKET_BYTES_MAX: usize = 1_100;
/// Cluster size that gossip is tuned for; larger ones work, a little slower.
const CLUSTER_SIZE: u32 = 16;
/// Timers that wait to be handled, at most.
const TIMERS_MAX: usize = 1_024;

/// A node as gossip knows it; a restart is a newer identity of the same node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Peer {
    node: NodeId,
    addresses: Vec<String>,
    /// The number of the node's description of itself.
    number: u64,
    /// Unix milliseconds of the start, raised when others wrongly declared the node dead, or its description changes.
    generation: u64,
}

impl Peer {
    fn new(member: Member, generation: u64) -> Self {
        Self { node: member.node, addresses: member.addresses, number: member.number, generation }
    }
}

impl Identity for Peer {
    type Addr = NodeId;

    fn renew(&self) -> Option<Self> {
        Some(Self { generation: self.generation + 1, ..self.clone() })
    }

    fn addr(&self) -> NodeId {
        self.node
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.generation > adversary.generation
    }
}

type Gossip = Foca<Peer, PostcardCodec, StdRng, NoCustomBroadcast>;

/// The task that gossips.
pub struct Membership {
    environment: Arc<dyn Environment>,
    identity: Peer,
    runtime: AccumulatingRuntime<Peer>,
    links: Arc<Links>,
    members: Arc<Members>,
    packets: mpsc::Receiver<Bytes>,
    new_links: mpsc::Receiver<Member>,
    timers: (mpsc::Sender<Timer<Peer>>, mpsc::Receiver<Timer<Peer>>),
}

impl Membership {
    /// Gossips as this node. `packets` come from links, `new_links` receives the members at the other ends of new ones.
    pub fn new(
        environment: Arc<dyn Environment>,
        links: Arc<Links>,
        members: Arc<Members>,
        packets: mpsc::Receiver<Bytes>,
        new_links: mpsc::Receiver<Member>,
    ) -> Self {
        let identity = Peer::new(members.own(), environment.now_ms());
        let (runtime, timers) = (AccumulatingRuntime::new(), mpsc::channel(TIMERS_MAX));
        Self { environment, identity, runtime, links, members, packets, new_links, timers }
    }

    fn drain(&mut self, foca: &Gossip) {
        while let Some((to, packet)) = self.runtime.to_send() {
            self.links.datagram(to.node, packet);
        }
        while let Some((after, timer)) = self.runtime.to_schedule() {
            let timers = self.timers.0.clone();
            tokio::spawn(async move {
                tokio::time::sleep(after.max(Duration::from_millis(1))).await;
                let _ = timers.send(timer).await;
            });
        }
        let mut changed = false;
        while let Some(notification) = self.runtime.to_notify() {
            tracing::debug!(?notification, "gossip");
            changed = true;
        }
        if changed {
            let peers = foca.iter_members().map(foca::Member::id);
            let member = |peer: &Peer| Member {
                node: peer.node,
                number: peer.number,
                addresses: peer.addresses.clone(),
                public_url: None,
                observed_addresses: Vec::new(),
            };
            self.links.learn(&peers.map(member).collect::<Vec<_>>());
        }
    }

    /// Tells others that forgotten nodes are down, so that nobody goes on probing them.
    fn declare_forgotten_down(&mut self, foca: &mut Gossip) -> Result<(), foca::Error> {
        let forgotten = foca.iter_members().filter(|peer| self.members.is_forgotten(peer.id().node));
        let down: Vec<_> = forgotten.map(|peer| foca::Member::down(peer.id().clone())).collect();
        foca.apply_many(down.into_iter(), true, &mut self.runtime)
    }

    /// Gossips under this node's newest description, if it has changed.
    fn describe_anew_if_changed(&mut self, foca: &mut Gossip) -> Result<(), foca::Error> {
        let own = self.members.own();
        if own.number == self.identity.number {
            return Ok(());
        }
        let generation = foca.identity().generation.max(self.identity.generation) + 1;
        self.identity = Peer::new(own, generation);
        foca.change_identity(self.identity.clone(), &mut self.runtime)?;
        // A new identity knows no other node.
        for peer in self.members.all().into_iter().filter(|peer| self.links.has(peer.node)) {
            foca.announce(Peer::new(peer, 0), &mut self.runtime)?;
        }
        Ok(())
    }
}

impl SupervisedTask for Membership {
    fn name(&self) -> &'static str {
        "membership"
    }

    async fn run(&mut self) {
        // Called again after a panic, which lost foca's timers.
        self.identity = Peer::new(self.members.own(), self.identity.generation + 1);
        let mut seen = self.members.version();
        let mut foca = gossip(self.identity.clone(), self.environment.random());
        self.runtime = AccumulatingRuntime::new();
        loop {
            let result = tokio::select! {
                biased;
                Some(timer) = self.timers.1.recv() => foca.handle_timer(timer, &mut self.runtime),
                Some(member) = self.new_links.recv() => foca.announce(Peer::new(member, 0), &mut self.runtime),
                Some(packet) = self.packets.recv() => foca.handle_data(&packet, &mut self.runtime),
                () = self.members.changed_since(seen) => {
                    seen = self.members.version();
                    self.declare_forgotten_down(&mut foca).and_then(|()| self.describe_anew_if_changed(&mut foca))
                }
                else => return,
            };
            if let Err(error) = result {
                tracing::debug!(%error, "gossip");
            }
            self.drain(&foca);
        }
    }
}

fn gossip(identity: Peer, seed: [u8; 32]) -> Gossip {
    let size = std::num::NonZeroU32::new(CLUSTER_SIZE).expect("not zero");
    let mut config = Config::new_lan(size);
    config.max_packet_size = NonZeroUsize::new(PACKET_BYTES_MAX).expect("not zero");
    Foca::new(identity, config, StdRng::from_seed(seed), PostcardCodec)
}
