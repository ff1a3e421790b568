//! The replication state machine: a pure function `(now, input) → outputs`. `node` feeds it frames, commits and time,
//! and carries out its outputs. The simulator does the same on a virtual network.
//!
//! Each commit is pushed to every connected peer at once, as an optimization. Correctness depends only on pulls: peers
//! confirm to each other what they have made durable, and a node that lacks a range asks any peer that has it.

mod barrier;
#[cfg(test)]
mod barrier_tests;
#[cfg(test)]
mod claim_model;
#[cfg(test)]
mod claim_tests;
mod claims;
mod confirm;
#[cfg(test)]
mod confirm_tests;
mod digests;
mod folding;
mod heartbeat;
mod io;
mod link;
mod pull;
#[cfg(test)]
mod pull_tests;
#[cfg(test)]
mod push_tests;
mod queue_sizes;
mod receive;
mod recent;
#[cfg(test)]
mod refill_tests;
#[cfg(test)]
mod report_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vector_tests;
mod vectors;
#[cfg(test)]
mod waiter_tests;
mod waiters;

use std::collections::BTreeMap;

use bytes::Bytes;

use self::{
    barrier::Barrier,
    claims::Claims,
    digests::Digests,
    folding::Folding,
    heartbeat::LocalStatus,
    link::Link,
    pull::{Pull, PullPlanner},
    recent::{RecentEvents, chunks},
    waiters::Waiters,
};
pub use self::{
    confirm::COALESCE_MS,
    digests::Agreement,
    folding::{FoldPlan, UNFOLDED_ORIGINS_MAX},
    io::{Breach, Claim, ClaimOutcome, HelloFolds, Input, LinkId, Millis, Output, Token, Until, Waiter},
    queue_sizes::QueueSizes,
};
use crate::{
    NodeId, OriginId, Seq, VersionVector,
    frame::peer::{PeerFrame, ReplicaFrame},
};

/// The interval of heartbeats, and of vectors while they differ.
pub const HEARTBEAT_MS: u64 = 1_000;
/// A peer that was silent for longer is out of sync.
pub const SILENCE_MS_MAX: u64 = 3_000;

/// Pulled ranges that wait for the writer, at most: the one that it writes, and the next.
const APPLYING_MAX: usize = 2;

/// The replication state of one node.
#[derive(Debug)]
pub struct Replica {
    /// The origin of this process, once it has written.
    own_origin: Option<OriginId>,
    /// The events that are durable here.
    held: VersionVector,
    /// The events that are durable here or on their way to the store.
    accepted: VersionVector,
    links: BTreeMap<LinkId, Link>,
    pulls: PullPlanner,
    /// The ends of pulled ranges that were given to the store and are not durable yet.
    applying: Vec<(OriginId, Seq)>,
    /// The number of consecutive refusals by the store.
    refusals: u32,
    recent: RecentEvents,
    waiters: Waiters,
    claims: Claims,
    barrier: Barrier,
    local_status: LocalStatus,
    digests: Digests,
    folding: Folding,
    /// Entries of a vector in one frame, at most.
    vector_entries_max: usize,
    next_heartbeat: Millis,
    /// The time at which delayed confirmations are sent, if there are any.
    confirm_at: Option<Millis>,
}

impl Replica {
    /// Makes a replica of a store that holds `held`.
    pub fn new(held: VersionVector, now: Millis) -> Self {
        Self {
            own_origin: None,
            folding: Folding::new(held.base()),
            accepted: held.clone(),
            held,
            links: BTreeMap::new(),
            pulls: PullPlanner::default(),
            applying: Vec::new(),
            refusals: 0,
            recent: RecentEvents::default(),
            waiters: Waiters::default(),
            claims: Claims::default(),
            barrier: Barrier::default(),
            local_status: LocalStatus::default(),
            digests: Digests::default(),
            vector_entries_max: vectors::ENTRIES_MAX,
            next_heartbeat: now + HEARTBEAT_MS,
            confirm_at: None,
        }
    }

    /// Returns the events that are durable here.
    pub fn held(&self) -> &VersionVector {
        &self.held
    }

    /// Whether this node and the linked peers together hold all of `wanted`.
    pub fn reachable(&self, wanted: &VersionVector) -> bool {
        wanted
            .beyond(&self.held)
            .all(|(origin, seq)| self.links.values().any(|link| link.confirmed.contains(origin, seq)))
    }

    /// Returns the peers in sync that have confirmed all of `vector`.
    pub fn holders(&self, now: Millis, vector: &VersionVector) -> Vec<NodeId> {
        let holds = |link: &&Link| vector.beyond(&link.confirmed).next().is_none();
        self.in_sync(now).filter(holds).map(|link| link.peer).collect()
    }

    /// Returns the number of nodes with a durable event: this one and the linked peers that confirmed it.
    pub fn copies(&self, origin: OriginId, seq: Seq) -> usize {
        1 + self.links.values().filter(|link| link.confirmed.contains(origin, seq)).count()
    }

    /// Returns the last event of this process's log that cursors may include: one that a peer in sync has confirmed.
    /// `None` means no limit: while no peer is in sync, clients can't resume elsewhere anyway.
    pub fn cursor_limit(&self, now: Millis) -> Option<Seq> {
        let confirmed = |link: &Link| self.own_origin.map_or(Seq::NONE, |own| link.confirmed.get(own));
        self.in_sync(now).map(confirmed).max()
    }

    /// Returns the number of peers in sync.
    pub fn in_sync_count(&self, now: Millis) -> usize {
        self.in_sync(now).count()
    }

    /// Whether all recently heard peers see this node in sync; `None` without such peers. While this node refills its
    /// store, also `None` if all of them are refilling theirs, since they may lack the same events.
    pub fn peers_see_us_in_sync(&self, now: Millis) -> Option<bool> {
        let heard = || self.links.values().filter(move |link| link.is_heard(now));
        let is_proof = |link: &Link| !(self.local_status.refilling && link.refilling);
        heard().any(is_proof).then(|| heard().all(|link| link.peer_sees_us_in_sync))
    }

    /// Returns per peer the number of events held here that it lacks, and whether it is in sync.
    pub fn lag(&self, now: Millis) -> impl Iterator<Item = (NodeId, u64, bool)> + '_ {
        self.links.values().map(move |link| {
            let lag = |(origin, seq): (_, Seq)| seq.count_after(link.confirmed.get(origin));
            (link.peer, self.held.beyond(&link.confirmed).map(lag).sum(), link.is_in_sync(now))
        })
    }

    /// Returns the origins of which this node lacks events that peers have, with the number of missing events.
    pub fn missing(&self) -> impl Iterator<Item = (OriginId, u64)> + '_ {
        self.pulls
            .missing_origins()
            .map(|origin| (origin, self.best_head(origin).count_after(self.held.get(origin))))
    }

    /// Returns the number of pending answers to waiters and claims. The number of open requests and a limit on upgrades
    /// bound it.
    pub fn waiting(&self) -> usize {
        self.waiters.len() + self.claims.len()
    }

    /// Returns the time when the next [`Input::Tick`] is due.
    pub fn next_tick(&self) -> Millis {
        let pull = if self.may_pull() { self.pulls.next_deadline() } else { None };
        [
            self.confirm_at,
            self.waiters.next_deadline(),
            self.claims.next_tick(),
            pull,
            self.barrier.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .fold(self.next_heartbeat, Millis::min)
    }

    /// Handles an input and appends the outputs to `out`. `now` must never go back.
    pub fn handle(&mut self, now: Millis, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::LinkUp { link, peer, version, folds } => {
                self.on_link_up(now, link, Link::new((peer, version), now, &self.held, folds), out);
            }
            Input::LinkDown(link) => self.on_link_down(now, link, out),
            Input::Frame(link, frame) => self.on_frame(now, link, frame, out),
            Input::Heard(link) => {
                if let Some(link) = self.links.get_mut(&link) {
                    link.last_heard = now;
                }
            }
            Input::Committed { origin, first, events } => self.on_committed(origin, first, &events, out),
            Input::Applied(new_heads) => self.on_applied(now, &new_heads, out),
            Input::Folded(fold) => self.on_folded(&fold, out),
            Input::ApplyRefused => self.on_apply_refused(now),
            Input::ReadDone { link, origin, from, events } => {
                self.on_read_done(link, origin, from, events, out);
            }
            Input::SendRefused(link) => {
                if let Some(link) = self.links.get_mut(&link) {
                    link.on_send_refused();
                }
            }
            Input::Await(waiter) => self.add_waiter(now, waiter, out),
            Input::Claim(claim) => self.add_claim(now, claim, out),
            Input::Digests(changed) => self.digests.set(changed),
            Input::ScopesRead { link, shard, scopes } => self.send_scopes(link, shard, scopes, out),
            Input::LocalStatus { wall_ms, stalled } => self.set_local_status(now, wall_ms, stalled, out),
            Input::Refilling(refilling) => self.set_refilling(now, refilling, out),
            Input::Resumed => self.on_resumed(now, out),
            Input::Barrier(token) => {
                self.barrier.add(now, token);
                self.drive_barrier(now, out);
            }
            Input::Tick => self.on_tick(now, out),
        }
        self.settle_claims(now, out);
    }

    fn in_sync(&self, now: Millis) -> impl Iterator<Item = &Link> {
        self.links.values().filter(move |link| link.is_in_sync(now))
    }

    fn own_head(&self) -> Option<(OriginId, Seq)> {
        self.own_origin.map(|own| (own, self.held.get(own)))
    }

    fn best_head(&self, origin: OriginId) -> Seq {
        self.links.values().map(|link| link.confirmed.get(origin)).max().unwrap_or(Seq::NONE)
    }

    fn on_committed(&mut self, origin: OriginId, first: Seq, events: &[Bytes], out: &mut Vec<Output>) {
        self.own_origin = Some(origin);
        let mut first = first;
        for chunk in chunks(events) {
            let next = first + chunk.len() as u64;
            let last = Seq(next.0 - 1);
            self.held.advance(origin, last);
            self.accepted.advance(origin, last);
            let frame = PeerFrame::Replica(ReplicaFrame::Push(chunk.to_vec())).encode();
            for (&link, _) in self.links.iter().filter(|(_, link)| link.pushing) {
                out.push(Output::Send(link, frame.clone()));
            }
            first = next;
        }
        self.recent.push(events);
    }

    fn on_applied(&mut self, now: Millis, new_heads: &[(OriginId, Seq)], out: &mut Vec<Output>) {
        for &(origin, seq) in new_heads {
            self.held.advance(origin, seq);
            self.accepted.advance(origin, seq);
            // What was pushed is not missing, and then nobody needs to be looked at.
            if self.pulls.lacks(origin) && self.best_head(origin) <= seq {
                self.pulls.drop_origin(origin);
            }
        }
        self.refusals = 0;
        self.applying.retain(|&(origin, seq)| !self.held.contains(origin, seq));
        self.confirm_new_heads(now, new_heads, out);
        self.drive_barrier(now, out);
        self.pull(now, out);
    }

    fn on_apply_refused(&mut self, now: Millis) {
        self.accepted = self.held.clone();
        self.applying.clear();
        for link in self.links.values() {
            for (origin, seq) in link.confirmed.beyond(&self.held) {
                self.pulls.note(origin, seq, self.held.get(origin), now);
            }
        }
        // Answers to running pulls would now leave a gap. Ask again after a pause.
        self.pulls.pause(now, self.refusals);
        self.refusals = self.refusals.saturating_add(1);
    }

    fn on_read_done(
        &mut self,
        link_id: LinkId,
        origin: OriginId,
        from: Seq,
        events: Vec<Bytes>,
        out: &mut Vec<Output>,
    ) {
        let Some(link) = self.links.get_mut(&link_id) else { return };
        link.end_read();
        link.may_push = true;
        if Some(origin) == self.own_origin {
            link.own_log_reads = link.own_log_reads.saturating_sub(1);
            link.served = link.served.max(Seq((from + events.len() as u64).0.saturating_sub(1)));
        }
        out.push(send(link_id, ReplicaFrame::Pulled { origin, events }));
        self.resume_push(link_id, out);
    }

    /// Starts pushing again once the recent events close the gap to what the peer has or was sent.
    fn resume_push(&mut self, link_id: LinkId, out: &mut Vec<Output>) {
        let Some(link) = self.links.get_mut(&link_id) else { return };
        if link.pushing || !link.may_push || link.own_log_reads > 0 || !link.vector_received {
            return;
        }
        let (own_confirmed, head) = self
            .own_origin
            .map_or((Seq::NONE, Seq::NONE), |own| (link.confirmed.get(own), self.held.get(own)));
        let peer_head = own_confirmed.max(link.served);
        if let Some(events) = self.recent.last(head.count_after(peer_head)) {
            link.pushing = true;
            out.extend(chunks(&events).map(|chunk| send(link_id, ReplicaFrame::Push(chunk.to_vec()))));
        }
    }

    /// Whether another range may be pulled. Ranges that wait for the writer use memory and delay users' posts.
    fn may_pull(&self) -> bool {
        self.applying.len() < APPLYING_MAX
    }

    fn pull(&mut self, now: Millis, out: &mut Vec<Output>) {
        if !self.may_pull() {
            return;
        }
        for Pull { link, origin, from, to } in self.pulls.plan(now, &self.accepted, &self.links) {
            out.push(send(link, ReplicaFrame::Pull { origin, from, to }));
        }
    }

    fn drive_barrier(&mut self, now: Millis, out: &mut Vec<Output>) {
        let in_sync = self.links.iter().filter(|(_, link)| link.is_in_sync(now)).map(|(&id, _)| id).collect();
        let step = self.barrier.drive(now, &self.held, in_sync);
        out.extend(step.ended.into_iter().map(|(token, answered)| Output::BarrierEnded(token, answered)));
        for link in step.probe {
            out.push(send(link, ReplicaFrame::Probe(step.exchange_id)));
        }
    }
}

fn send(link: LinkId, frame: ReplicaFrame) -> Output {
    Output::Send(link, PeerFrame::Replica(frame).encode())
}
