//! How machines lose their disks, leave and join, and how much may be lost at once without a promise being at stake.

use rand::RngExt;
use starling_protocol::{NodeId, VersionVector};

use crate::{
    invariants,
    mutants::Mutant,
    node::Node,
    world::{Event, World},
};

impl World {
    /// Keeps a copy of what the disk holds now.
    pub fn back_up(&mut self, node: usize) {
        let machine = &mut self.nodes[node];
        machine.backup = Some((machine.disk.image(), machine.durable.clone()));
    }

    /// Whether a disk may go without a promise being at stake: only one does until all that remain hold what there is.
    pub fn may_lose_disk(&self) -> bool {
        !self.spread_is_due
            && self.members().iter().all(|&node| self.nodes[node].durable.covers(&self.spread))
    }

    /// The disk goes back to an earlier state; false if there is none.
    pub fn roll_back(&mut self, node: usize) -> bool {
        let Some((image, vector)) = self.nodes[node].backup.take() else { return false };
        self.crash(node);
        let machine = &mut self.nodes[node];
        machine.disk = machine.disk.restored(&image);
        machine.formerly.merge(&machine.durable);
        machine.durable = vector;
        self.disk_went();
        true
    }

    /// The machine is lost with its disk, or has left.
    pub fn go_for_ever(&mut self, node: usize) {
        self.end(node);
        let machine = &mut self.nodes[node];
        machine.formerly.merge(&machine.durable);
        machine.durable = VersionVector::default();
        machine.gone = true;
        self.disk_went();
    }

    /// A new node with an empty disk.
    pub fn join(&mut self, after: u64) {
        let id = NodeId(self.rng.random());
        self.nodes.push(Node::new(id, self.mutant));
        self.schedule(after, Event::Start(self.nodes.len() - 1));
    }

    /// What was on one disk alone is forgiven; what is on others is to be on all before another disk may go.
    fn disk_went(&mut self) {
        self.spread_is_due = true;
        invariants::acked::forgive(self);
        invariants::promised::forgive(self);
    }

    /// Once nobody counts on the disk that went any more, what is here then is what another loss must wait for: until
    /// then an ack may count a copy that has gone, as far as its node can know.
    pub fn see_what_is_left(&mut self) {
        let members = self.members();
        let counts_on = |&node: &usize| {
            (0..self.nodes.len()).any(|peer| {
                let machine = &self.nodes[peer];
                let is_current = machine.run.is_some() && !machine.gone;
                let start = self.network.linked_start(node, peer).filter(|_| peer != node);
                start.is_some_and(|start| !is_current || start != machine.starts)
            })
        };
        if !self.spread_is_due || members.iter().any(counts_on) {
            return;
        }
        self.spread_is_due = false;
        self.spread = VersionVector::default();
        for node in members {
            self.spread.merge(&self.nodes[node].durable);
        }
    }

    /// A node that is leaving ends once each event that it holds is on another node too, as `node`'s stop does.
    pub fn leave_when_safe(&mut self, node: usize) {
        let machine = &self.nodes[node];
        let Some(run) = machine.run.as_ref().filter(|_| machine.leaving && machine.hung_until <= self.now)
        else {
            return;
        };
        let too_early = self.mutant == Some(Mutant::LeavesTooEarly);
        let mut held =
            run.committer.vector().iter().filter(|&(origin, _)| !too_early || Some(origin) == run.own);
        let is_safe =
            run.inbox.is_empty() && held.all(|(origin, head)| run.replica().copies(origin, head) >= 2);
        drop(held);
        // Several that leave at once may each rely on the others: the last two stay.
        if is_safe && self.may_lose_disk() && self.members().len() > 2 {
            let forgiven = self.coverage.forgiven;
            self.go_for_ever(node);
            if self.coverage.forgiven > forgiven {
                self.violated(format!("node {node} took acked messages with it when it left"));
            }
        }
    }
}
