//! The replication state machine: `(now, input) → outputs`, nothing else. `node` feeds it frames, commits and
//! time and carries out what it asks for; the simulator does the same on a virtual network.
//!
//! A committed batch is pushed at once to every connected peer; that is an optimisation. The truth is the pull:
//! peers tell each other what they have made durable, and whoever lacks a range asks any peer that has it.

mod barrier;
mod beat;
#[cfg(test)]
mod claim_model;
#[cfg(test)]
mod claim_tests;
mod claims;
mod digests;
mod durability;
mod io;
mod link;
mod pull;
mod queue_sizes;
mod receive;
mod recent;
#[cfg(test)]
mod refill_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytes::Bytes;

use self::{
    barrier::Barrier, beat::LocalStatus, claims::Claims, digests::Digests, durability::Awaits, link::Link,
    pull::PullPlanner, recent::RecentEvents,
};
pub use self::{
    digests::Agreement,
    io::{Claim, ClaimOutcome, Input, LinkId, Millis, Output, Token, Until, Waiter},
    queue_sizes::QueueSizes,
};
use crate::{
    NodeId, OriginId, VersionVector,
    frame::peer::{PeerFrame, ReplicaFrame},
    limits::EVENTS_CHUNK_BYTES_MAX,
};

/// Heartbeats, and vectors while they differ, go out this often.
pub const BEAT_MS: Millis = 1_000;
/// A peer not heard for longer is out of sync.
pub const SILENCE_MS_MAX: Millis = 3_000;

/// Pulled ranges that wait for the writer, at most, before more is asked for: one that it writes, and the next.
const APPLYING_MAX: usize = 2;

/// Replication as seen from one node.
#[derive(Debug)]
pub struct Replica {
    /// The origin of this process, once it has written.
    own: Option<OriginId>,
    /// Durable here.
    held: VersionVector,
    /// Durable or handed out to be made durable.
    accepted: VersionVector,
    links: BTreeMap<LinkId, Link>,
    wants: PullPlanner,
    /// The ends of pulled ranges that were handed out and are not durable yet.
    applying: Vec<(OriginId, u64)>,
    /// How often in a row the store has refused what was handed out.
    refusals: u32,
    recent: RecentEvents,
    awaits: Awaits,
    claims: Claims,
    barrier: Barrier,
    own_state: LocalStatus,
    digests: Digests,
    next_beat: Millis,
}

impl Replica {
    /// Starts with what the store holds.
    pub fn new(held: VersionVector, now: Millis) -> Self {
        Self {
            own: None,
            accepted: held.clone(),
            held,
            links: BTreeMap::new(),
            wants: PullPlanner::default(),
            applying: Vec::new(),
            refusals: 0,
            recent: RecentEvents::default(),
            awaits: Awaits::default(),
            claims: Claims::default(),
            barrier: Barrier::default(),
            own_state: LocalStatus::default(),
            digests: Digests::default(),
            next_beat: now + BEAT_MS,
        }
    }

    /// What is durable here.
    pub fn held(&self) -> &VersionVector {
        &self.held
    }

    /// Whether somebody reachable reports to hold all of `wanted` that this node lacks.
    pub fn reachable(&self, wanted: &VersionVector) -> bool {
        wanted
            .beyond(&self.held)
            .all(|(origin, seq)| self.links.values().any(|link| link.confirmed.contains(origin, seq)))
    }

    /// On how many nodes an event is durable: this one and the connected peers that say so.
    pub fn copies(&self, origin: OriginId, seq: u64) -> usize {
        1 + self.links.values().filter(|link| link.confirmed.contains(origin, seq)).count()
    }

    /// Up to where cursors may go in the log of this process: what a peer in sync has confirmed.
    /// `None` while no peer is in sync: then there is nobody to outlive this node.
    pub fn own_limit(&self, now: Millis) -> Option<u64> {
        let confirmed = |link: &Link| self.own.map_or(0, |own| link.confirmed.get(own));
        self.in_sync(now).map(confirmed).max()
    }

    /// How many peers are in sync.
    pub fn in_sync_count(&self, now: Millis) -> usize {
        self.in_sync(now).count()
    }

    /// Whether every peer that is heard calls this node in sync; `None` if none is heard. While this node refills its
    /// store, others that refill theirs may lack the same: `None` if only such are heard.
    pub fn called_in_sync(&self, now: Millis) -> Option<bool> {
        let heard = || self.links.values().filter(move |link| link.is_heard(now));
        let counts = |link: &Link| !(self.own_state.refilling && link.refilling);
        heard().any(counts).then(|| heard().all(|link| link.peer_sees_us_in_sync))
    }

    /// Per peer: how many events it is known to lack of what is held here, and whether it is in sync.
    pub fn lag(&self, now: Millis) -> impl Iterator<Item = (NodeId, u64, bool)> + '_ {
        self.links.values().map(move |link| {
            let lag = |(origin, seq)| seq - link.confirmed.get(origin);
            (link.peer, self.held.beyond(&link.confirmed).map(lag).sum(), link.is_in_sync(now))
        })
    }

    /// Per origin that this node lacks events of: how many, as far as its peers have told.
    pub fn missing(&self) -> impl Iterator<Item = (OriginId, u64)> + '_ {
        self.wants.iter().map(|origin| (origin, self.best_head(origin).saturating_sub(self.held.get(origin))))
    }

    /// How many answers are owed: bounded by whoever waits, and by a limit for hopes of better ones.
    pub fn waiting(&self) -> usize {
        self.awaits.len() + self.claims.len()
    }

    /// When [`Input::Tick`] is due at the latest.
    pub fn next_tick(&self) -> Millis {
        let pull = if self.may_pull() { self.wants.next_deadline() } else { None };
        [self.awaits.next_deadline(), self.claims.next_tick(), pull, self.barrier.next_deadline()]
            .into_iter()
            .flatten()
            .fold(self.next_beat, Millis::min)
    }

    /// The one entrance. `now` never goes back.
    pub fn handle(&mut self, now: Millis, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::LinkUp { link, peer } => self.link_up(now, link, peer, out),
            Input::LinkDown(link) => self.link_down(now, link, out),
            Input::Frame(link, frame) => self.frame(now, link, frame, out),
            Input::Committed { origin, first, events } => self.committed(origin, first, &events, out),
            Input::Applied(rose) => self.applied(now, &rose, out),
            Input::ApplyRefused => self.apply_refused(now),
            Input::ReadDone { link, origin, from, events } => self.read_done(link, origin, from, events, out),
            Input::SendRefused(link) => {
                if let Some(link) = self.links.get_mut(&link) {
                    link.sending_failed();
                }
            }
            Input::Await(waiter) => self.wait(now, waiter, out),
            Input::Claim(claim) => self.claim(now, claim, out),
            Input::Digests(changed) => self.digests.set(changed),
            Input::ScopesRead { link, part, scopes } => self.scopes_read(link, part, scopes, out),
            Input::LocalStatus { wall_ms, stalled } => self.set_local_status(now, wall_ms, stalled, out),
            Input::Refilling(refilling) => self.set_refilling(now, refilling, out),
            Input::Resumed => self.resumed(now, out),
            Input::Barrier(token) => {
                self.barrier.wait(now, token);
                self.drive_barrier(now, out);
            }
            Input::Tick => self.tick(now, out),
        }
        self.settle_claims(now, out);
    }

    fn in_sync(&self, now: Millis) -> impl Iterator<Item = &Link> {
        self.links.values().filter(move |link| link.is_in_sync(now))
    }

    fn own_head(&self) -> Option<(OriginId, u64)> {
        self.own.map(|own| (own, self.held.get(own)))
    }

    fn best_head(&self, origin: OriginId) -> u64 {
        self.links.values().map(|link| link.confirmed.get(origin)).max().unwrap_or(0)
    }

    fn link_up(&mut self, now: Millis, link: LinkId, peer: NodeId, out: &mut Vec<Output>) {
        let replaced: Vec<_> =
            self.links.iter().filter(|(_, old)| old.peer == peer).map(|(&id, _)| id).collect();
        for old in replaced {
            self.links.remove(&old);
            self.barrier.link_gone(old);
        }
        self.links.insert(link, Link::new(peer, now, self.held.clone()));
        out.push(send(link, ReplicaFrame::Vector(self.held.clone())));
        self.settle_all(now, out);
        self.drive_barrier(now, out);
    }

    fn link_down(&mut self, now: Millis, link: LinkId, out: &mut Vec<Output>) {
        if self.links.remove(&link).is_some() {
            self.barrier.link_gone(link);
            self.settle_all(now, out);
            self.drive_barrier(now, out);
            self.pull(now, out);
        }
    }

    fn committed(&mut self, origin: OriginId, first: u64, events: &[Bytes], out: &mut Vec<Output>) {
        self.own = Some(origin);
        let mut first = first;
        for chunk in chunks(events) {
            let last = first + chunk.len() as u64 - 1;
            self.held.advance(origin, last);
            self.accepted.advance(origin, last);
            let frame = PeerFrame::Replica(ReplicaFrame::Push(chunk.to_vec())).encode();
            for (&link, _) in self.links.iter().filter(|(_, link)| link.pushing) {
                out.push(Output::Send(link, frame.clone()));
            }
            first = last + 1;
        }
        self.recent.push(events);
    }

    fn applied(&mut self, now: Millis, rose: &[(OriginId, u64)], out: &mut Vec<Output>) {
        for &(origin, seq) in rose {
            self.held.advance(origin, seq);
            self.accepted.advance(origin, seq);
        }
        self.refusals = 0;
        self.applying.retain(|&(origin, seq)| !self.held.contains(origin, seq));
        self.tell_all(now, rose, out);
        self.drive_barrier(now, out);
        self.pull(now, out);
    }

    fn apply_refused(&mut self, now: Millis) {
        self.accepted = self.held.clone();
        self.applying.clear();
        for link in self.links.values() {
            for (origin, seq) in link.confirmed.beyond(&self.held) {
                self.wants.note(origin, seq, self.held.get(origin), now);
            }
        }
        // What was asked for meanwhile would now come with a gap; ask again when the store has caught its breath.
        self.wants.pause(now, self.refusals);
        self.refusals = self.refusals.saturating_add(1);
    }

    fn read_done(
        &mut self,
        link_id: LinkId,
        origin: OriginId,
        from: u64,
        events: Vec<Bytes>,
        out: &mut Vec<Output>,
    ) {
        let Some(link) = self.links.get_mut(&link_id) else { return };
        link.end_read();
        link.may_push = true;
        if Some(origin) == self.own {
            link.own_reads = link.own_reads.saturating_sub(1);
            link.served = link.served.max((from + events.len() as u64).saturating_sub(1));
        }
        out.push(send(link_id, ReplicaFrame::Pulled { origin, events }));
        self.resume_push(link_id, out);
    }

    /// Goes (back) to pushing once the recent pushes reach back to what the peer has or was sent.
    fn resume_push(&mut self, link_id: LinkId, out: &mut Vec<Output>) {
        let Some(link) = self.links.get_mut(&link_id) else { return };
        if link.pushing || !link.may_push || link.own_reads > 0 || !link.vector_received {
            return;
        }
        let (own_confirmed, head) =
            self.own.map_or((0, 0), |own| (link.confirmed.get(own), self.held.get(own)));
        let has = own_confirmed.max(link.served);
        if let Some(events) = self.recent.last(head.saturating_sub(has)) {
            link.pushing = true;
            out.extend(chunks(&events).map(|chunk| send(link_id, ReplicaFrame::Push(chunk.to_vec()))));
        }
    }

    /// Pulling goes no further ahead of the writer: what waits for it takes memory, and users' posts wait behind it.
    fn may_pull(&self) -> bool {
        self.applying.len() < APPLYING_MAX
    }

    fn pull(&mut self, now: Millis, out: &mut Vec<Output>) {
        if !self.may_pull() {
            return;
        }
        for (link, origin, from, to) in self.wants.plan(now, &self.accepted, &self.links) {
            out.push(send(link, ReplicaFrame::Pull { origin, from, to }));
        }
    }

    fn drive_barrier(&mut self, now: Millis, out: &mut Vec<Output>) {
        let in_sync = self.links.iter().filter(|(_, link)| link.is_in_sync(now)).map(|(&id, _)| id).collect();
        let step = self.barrier.drive(now, &self.held, in_sync);
        out.extend(step.passed.into_iter().map(|(token, answered)| Output::BarrierPassed(token, answered)));
        for link in step.probe {
            out.push(send(link, ReplicaFrame::Probe(step.exchange)));
        }
    }
}

fn send(link: LinkId, frame: ReplicaFrame) -> Output {
    Output::Send(link, PeerFrame::Replica(frame).encode())
}

/// Splits events into runs of at most a chunk's bytes each.
fn chunks(events: &[Bytes]) -> impl Iterator<Item = &[Bytes]> {
    let mut rest = events;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|event| {
            bytes += event.len();
            bytes <= EVENTS_CHUNK_BYTES_MAX
        });
        // One event alone is always within the limit of a frame.
        let count = fits.count().max(1).min(rest.len());
        let (chunk, after) = rest.split_at(count);
        rest = after;
        (!chunk.is_empty()).then_some(chunk)
    })
}
