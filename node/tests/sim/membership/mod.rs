//! Nodes leave the cluster and are forgotten, as in `cluster::departure` and `services::membership`. What a node may do is decided
//! by the product's own `OtherMembers`, `Members` and driver; this file carries the frames and keeps the order of the steps.

mod directed;
mod leave;

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use rand::{RngExt, seq::IndexedRandom};
use starling_node::{
    cluster::Members,
    environment::ThisMachine,
    services::decide_forgotten,
    store::{Change, Decide, Op, Tables},
};
use starling_protocol::{
    Event as LogEvent, EventBody, NodeId, OriginId, Seq,
    event::NodeForgotten,
    frame::{peer::Member, wire::WireVersion},
    replica::LinkId,
};

use self::leave::{Leave, Stage};
use crate::{
    mutants::Mutant,
    node::Node,
    world::{Event, World},
    writer::Request,
};

/// The time in which the old links of a forgotten node end, before it starts under a new id.
const OLD_LINKS_END_MS: u64 = 4_000;

/// The list of members on a disk.
pub type KnownMembers = Arc<Mutex<Vec<Member>>>;

/// A frame about leaving. A link's frames arrive in order.
#[derive(Clone, Copy, Debug)]
pub enum Notice {
    /// Whether the sender leaves; the receiver answers if it is asked to.
    Leaving { leaving: bool, answer: bool },
    /// The answer.
    Answer,
}

/// The knowledge of a process about members.
pub struct Membership {
    pub members: Members,
    /// The peers that say that they leave.
    pub leaving_peers: BTreeSet<NodeId>,
    /// The peers that refuse this node because it was forgotten.
    forgotten_by: BTreeSet<NodeId>,
    /// Whether this node was forgotten.
    forgotten: bool,
    leave: Option<Leave>,
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership").field("leave", &self.leave).finish_non_exhaustive()
    }
}

impl Membership {
    /// Starts with the list of members on the disk, and the nodes that the store says were forgotten.
    pub fn new(me: NodeId, known: &KnownMembers, forgotten: BTreeSet<NodeId>) -> Self {
        let own = Member {
            node: me,
            number: 0,
            addresses: Vec::new(),
            public_url: None,
            observed_addresses: Vec::new(),
        };
        let (on_disk, file) = (known.lock().unwrap().clone(), Arc::clone(known));
        // The clock only numbers descriptions, which never change here.
        let members = Members::new(Arc::new(ThisMachine), own, on_disk);
        for node in forgotten {
            members.forget(node);
        }
        members.save_with(Box::new(move |known| {
            *file.lock().unwrap() = known.to_vec();
            Ok(())
        }));
        Self {
            members,
            leaving_peers: BTreeSet::new(),
            forgotten_by: BTreeSet::new(),
            forgotten: false,
            leave: None,
        }
    }

    /// The ids of the other members.
    pub fn listed(&self) -> BTreeSet<NodeId> {
        self.members.all().into_iter().map(|member| member.node).collect()
    }

    /// Whether the node takes what its peers write. One that hands over its last events takes no more: peers must not count
    /// on its copies.
    pub fn receives(&self) -> bool {
        self.leave.as_ref().is_none_or(|leave| leave.stage == Stage::Prepares)
    }

    /// Whether the node has decided to be no member any more: it writes nothing after that.
    pub fn has_ended(&self) -> bool {
        let ended = [Stage::Writes, Stage::Forgotten];
        self.leave.as_ref().is_some_and(|leave| ended.contains(&leave.stage))
    }

    /// Whether sessions have been told to go elsewhere.
    pub fn is_draining(&self) -> bool {
        self.forgotten || self.leave.as_ref().is_some_and(|leave| leave.stage != Stage::Prepares)
    }
}

fn op(node: NodeId) -> Op {
    Op::Decide(Decide::new(move |tables: &Tables<'_>| decide_forgotten(tables, node)))
}

impl World {
    fn membership(&mut self, node: usize) -> Option<&mut Membership> {
        Some(&mut self.nodes[node].run.as_mut()?.membership)
    }

    /// An operator lets a node forget another member by force, a dead one if there is any and `dead` says so.
    pub fn forget_some(&mut self, node: usize, dead: bool) -> bool {
        let knows = self.wire_version(node) >= WireVersion::V2;
        let Some(run) = self.nodes[node].run.as_ref().filter(|_| knows) else { return false };
        if run.membership.forgotten || run.membership.leave.is_some() {
            return false;
        }
        let listed: Vec<_> = run.membership.listed().into_iter().collect();
        let live = self.live_ids();
        let gone: Vec<_> = listed.iter().copied().filter(|id| !live.contains(id)).collect();
        let from = if dead && !gone.is_empty() { gone } else { listed };
        let Some(&id) = from.choose(&mut self.rng) else { return false };
        self.request(node, Request::Forget(op(id)))
    }

    /// Returns the machine that has an id, or had it.
    pub fn node_with(&self, id: NodeId) -> Option<usize> {
        let has = |machine: &Node| machine.id == id;
        let had = |machine: &Node| machine.former_ids.contains(&id);
        self.nodes.iter().position(has).or_else(|| self.nodes.iter().position(had))
    }

    /// The ids of the machines that are not gone.
    pub fn live_ids(&self) -> BTreeSet<NodeId> {
        self.members().into_iter().map(|node| self.nodes[node].id).collect()
    }

    /// The events that end the membership of a node.
    pub fn ends_of(&self, node: NodeId) -> impl Iterator<Item = (OriginId, Seq)> {
        let ends = move |encoded: &Bytes| {
            let event = LogEvent::decode(encoded.clone()).expect("it was written");
            matches!(event.body, EventBody::NodeForgotten(NodeForgotten { node: ended }) if ended == node)
        };
        self.written.iter().filter(move |(_, encoded)| ends(encoded)).map(|(&at, _)| at)
    }

    /// Once all is mended, an operator forgets the dead.
    pub fn forget_the_dead(&mut self) {
        let live = self.live_ids();
        let members = self.members();
        let free = |&&node: &&usize| {
            let run = self.nodes[node].run.as_ref();
            run.is_some_and(|run| !run.membership.forgotten && run.inbox.is_empty())
        };
        let Some(&node) = members.iter().find(free) else { return };
        let listed = |&node: &usize| self.nodes[node].run.as_ref().map(|run| run.membership.listed());
        let dead: BTreeSet<_> = members.iter().filter_map(listed).flatten().collect();
        for id in dead.difference(&live) {
            self.request(node, Request::Forget(op(*id)));
        }
    }

    /// Handles a notice that has arrived over a link that is up.
    pub fn notice(&mut self, node: usize, (from, peer): (usize, NodeId), link: LinkId, notice: Notice) {
        let Some(membership) = self.membership(node) else { return };
        match notice {
            Notice::Leaving { leaving, answer } => {
                if leaving {
                    membership.leaving_peers.insert(peer);
                } else {
                    membership.leaving_peers.remove(&peer);
                }
                if answer {
                    self.send_notice(node, from, link, Notice::Answer);
                }
            }
            Notice::Answer => {
                if let Some(leave) = &mut membership.leave {
                    leave.unanswered.remove(&link);
                }
            }
        }
    }

    /// Handles a new link: both ends exchange their lists, and each says so if it leaves.
    pub fn introduce(&mut self, node: usize, peer: usize, link: LinkId) {
        let id = self.nodes[peer].id;
        if let Some(membership) = self.membership(node) {
            membership.leaving_peers.remove(&id);
        }
        let knows = [node, peer].iter().all(|&end| self.wire_version(end) >= WireVersion::V2);
        if self.is_leaving(node) && knows {
            self.send_notice(node, peer, link, Notice::Leaving { leaving: true, answer: false });
        }
        self.learn_members(node, peer);
    }

    /// A node learns the members that a linked peer lists.
    pub fn learn_members(&mut self, node: usize, peer: usize) {
        let Some(theirs) = self.nodes[peer].run.as_ref().map(|run| &run.membership.members) else { return };
        let mut news = theirs.all();
        news.push(theirs.own());
        if let Some(membership) = self.membership(node) {
            membership.members.learn(&news, BTreeSet::new);
        }
    }

    /// Whether one of two nodes has forgotten the other, which learns it.
    pub fn refuses(&mut self, [one, other]: [usize; 2]) -> bool {
        let mut refused = false;
        for (node, peer) in [(one, other), (other, one)] {
            let (id, by) = (self.nodes[peer].id, self.nodes[node].id);
            let has_forgotten = self.membership(node).is_some_and(|known| known.members.is_forgotten(id));
            if has_forgotten {
                self.told_forgotten(peer, by);
            }
            refused |= has_forgotten;
        }
        refused
    }

    /// Handles that a peer refuses a node because it was forgotten.
    pub fn told_forgotten(&mut self, node: usize, by: NodeId) {
        if let Some(told) = self.membership(node) {
            told.forgotten = true;
            told.forgotten_by.insert(by);
        }
    }

    /// Handles that a commit has ended memberships: links end at once, and the close code says why.
    pub fn forget_nodes(&mut self, node: usize, changes: &[Change]) {
        for change in changes {
            let &Change::NodeForgotten(id) = change else { continue };
            let is_own = self.nodes[node].id == id;
            let Some(membership) = self.membership(node) else { return };
            membership.members.forget(id);
            membership.leaving_peers.remove(&id);
            membership.forgotten |= is_own;
            if !is_own {
                self.end_links_to(node, id);
            }
        }
    }

    /// Goes on with leaves, and with what a forgotten node does.
    pub fn step_membership(&mut self, node: usize) {
        if !self.is_awake(node) {
            return;
        }
        let Some(membership) = self.membership(node) else { return };
        match membership.leave.as_ref().map(|leave| leave.stage) {
            None | Some(Stage::Prepares | Stage::HandsOver) if membership.forgotten => self.renew(node),
            None => {}
            Some(Stage::Prepares) => self.prepare_leave(node),
            Some(Stage::HandsOver) => self.hand_over_log(node),
            Some(Stage::Writes) => self.see_own_end(node),
            Some(Stage::Forgotten) => self.leave_at_last(node),
        }
    }

    /// A forgotten node comes back under a new id, with its store.
    fn renew(&mut self, node: usize) {
        self.end(node);
        self.coverage.renewed += 1;
        self.draw_new_id(node);
        if self.mutant == Some(Mutant::ForgottenComesBackEmpty) {
            self.nodes[node].lose_store(self.mutant);
        }
    }

    /// Gives a machine whose process does not run a new id, and starts it when no peer takes the old one for running.
    pub fn draw_new_id(&mut self, node: usize) {
        let id = NodeId(self.rng.random());
        let machine = &mut self.nodes[node];
        let old = std::mem::replace(&mut machine.id, id);
        machine.former_ids.push(old);
        let after = OLD_LINKS_END_MS + self.rng.random_range(0..1_000);
        self.schedule(after, Event::Start(node));
    }
}
