//! Machines lose their disks, leave and join; only as many at once as the promises allow.

use std::mem;

use rand::RngExt;
use starling_protocol::{NodeId, VersionVector};

use crate::{
    invariants,
    mutants::Mutant,
    node::{Backup, Node},
    world::{Event, World},
};

impl World {
    /// Keeps a copy of the disk.
    pub fn back_up(&mut self, node: usize) {
        let machine = &mut self.nodes[node];
        machine.backup = Some(Backup {
            image: machine.disk.image(),
            durable: machine.durable.clone(),
            has_store: machine.has_store,
        });
    }

    /// Whether a disk may be lost now: no other one may until all remaining nodes hold all events.
    pub fn may_lose_disk(&self) -> bool {
        !self.spread_is_due
            && self.members().iter().all(|&node| self.nodes[node].durable.covers(&self.spread))
    }

    /// Sets the disk back to an earlier state; false if there is none.
    pub fn roll_back(&mut self, node: usize) -> bool {
        let Some(backup) = self.nodes[node].backup.take() else { return false };
        self.crash(node);
        let machine = &mut self.nodes[node];
        machine.disk = machine.disk.restored(&backup.image);
        machine.has_store = backup.has_store;
        machine.formerly.merge(&machine.durable);
        machine.durable = backup.durable;
        self.disk_went();
        true
    }

    /// Makes a rotten disk readable. A node that has found damage stays so until it is restarted.
    pub fn mend_disk(&mut self, node: usize) {
        if self.nodes[node].has_rotten_disk() {
            self.nodes[node].disk.repair();
            self.crash(node);
        }
    }

    /// Swaps the disks of two machines, which both restart. Identity lies on the disk: to its peers, a node has moved.
    pub fn swap_disks(&mut self, one: usize, other: usize) {
        for node in [one, other] {
            self.crash(node);
            let machine = &mut self.nodes[node];
            // Peers may still have a link to the process before.
            machine.formerly.merge(&machine.durable);
            machine.starts += 1;
        }
        let [one_machine, other_machine] = self.nodes.get_disjoint_mut([one, other]).expect("two machines");
        mem::swap(&mut one_machine.id, &mut other_machine.id);
        mem::swap(&mut one_machine.former_ids, &mut other_machine.former_ids);
        mem::swap(&mut one_machine.known, &mut other_machine.known);
        mem::swap(&mut one_machine.disk, &mut other_machine.disk);
        mem::swap(&mut one_machine.has_store, &mut other_machine.has_store);
        mem::swap(&mut one_machine.durable, &mut other_machine.durable);
        mem::swap(&mut one_machine.backup, &mut other_machine.backup);
        mem::swap(&mut one_machine.incarnation, &mut other_machine.incarnation);
        for (node, _) in &mut self.arrivals {
            *node = match *node {
                node if node == one => other,
                node if node == other => one,
                node => node,
            };
        }
    }

    /// Removes the machine for ever: it is lost with its disk, or has left.
    pub fn go_for_ever(&mut self, node: usize) {
        self.end(node);
        let machine = &mut self.nodes[node];
        machine.formerly.merge(&machine.durable);
        machine.durable = VersionVector::default();
        machine.gone = true;
        self.disk_went();
    }

    /// Adds a new node with an empty disk.
    pub fn join(&mut self, after: u64) {
        let id = NodeId(self.rng.random());
        self.nodes.push(Node::new(id, self.mutant));
        self.schedule(after, Event::Start(self.nodes.len() - 1));
    }

    /// Puts a new node with an empty disk in the place of a machine that is gone, and starts it.
    pub fn replace(&mut self, node: usize) {
        let id = NodeId(self.rng.random());
        // Messages to the earlier process do not concern the next one.
        let starts = self.nodes[node].starts + 1;
        self.nodes[node] = Node { starts, ..Node::new(id, self.mutant) };
        self.start(node);
    }

    /// Handles a lost disk: events on that disk alone are no longer required; the others must be on all nodes before another
    /// disk may be lost.
    fn disk_went(&mut self) {
        self.spread_is_due = true;
        invariants::acked::forgive(self);
        invariants::promised::forgive(self);
    }

    /// Once no node counts on the lost disk any more, another loss must wait for the events that exist then: until then an
    /// ack may count the lost copy, because its node cannot know.
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

    /// Returns a node with events that no other disk holds: the one that must not leave.
    pub fn sole_holder(&self) -> Option<usize> {
        let members = self.members();
        let holds_alone = |&node: &usize| {
            let mut others = VersionVector::default();
            for &other in members.iter().filter(|&&other| other != node) {
                others.merge(&self.nodes[other].durable);
            }
            self.nodes[node].durable.beyond(&others).next().is_some()
        };
        members.iter().copied().find(holds_alone)
    }

    /// Ends a leaving node once each of its events is on another node too, as `node` does when it stops.
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
        // Several that leave at once may rely on each other: the last two stay.
        if is_safe && self.may_lose_disk() && self.members().len() > 2 {
            let forgiven = self.coverage.forgiven;
            self.go_for_ever(node);
            if self.coverage.forgiven > forgiven {
                self.violated(format!("node {node} took acked messages with it when it left"));
            }
        }
    }
}
