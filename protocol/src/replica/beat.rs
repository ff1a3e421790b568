//! The beat: what every peer is told every second, and what a node says of itself as it does.

use super::{BEAT_MS, LinkId, Millis, Output, Replica, link::Link, send};
use crate::{
    OriginId,
    clock_majority::{self, ClockVerdict},
    frame::peer::{Confirm, ReplicaFrame},
};

/// For so long after a stall a peer may not have heard yet that it is over: it is told with the next beat.
const DOUBT_MS: Millis = 2 * BEAT_MS;

/// What a node knows of itself that its peers should know.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LocalStatus {
    /// Its writer has been busy with one commit for too long.
    stalled: bool,
    /// Its store was lost, and no peer that holds the data has seen it in sync since.
    pub(super) refilling: bool,
    /// By how much the wall clock (Unix milliseconds) is ahead of the monotonic one.
    wall_ahead_ms: i64,
    /// Until when peers may go on without this node because it stalled.
    doubted_until: Millis,
}

impl LocalStatus {
    fn wall_ms(self, now: Millis) -> u64 {
        now.saturating_add_signed(self.wall_ahead_ms)
    }

    /// Whether a peer may have decided something without this node since then, because this node stalled.
    pub(super) fn may_have_been_passed_over(self, since: Millis) -> bool {
        since < self.doubted_until
    }

    /// How far a peer's clock of `wall_ms` is ahead of this node's.
    pub(super) fn clock_ahead_ms(self, now: Millis, wall_ms: u64) -> i64 {
        wall_ms.checked_signed_diff(self.wall_ms(now)).unwrap_or(i64::MAX)
    }
}

impl Replica {
    /// What this node's clock is worth, by those of the peers in sync. Of others, what they told may have been long
    /// under way, behind all that is being caught up with.
    pub fn clock(&self, now: Millis) -> ClockVerdict {
        let heard = self.in_sync(now).filter(|link| link.peer_sees_us_in_sync);
        clock_majority::judge(&heard.filter_map(|link| link.clock_ahead_ms).collect::<Vec<_>>())
    }

    pub(super) fn set_local_status(
        &mut self,
        now: Millis,
        wall_ms: u64,
        stalled: bool,
        out: &mut Vec<Output>,
    ) {
        let was_stalled = self.own_state.stalled;
        self.own_state.stalled = stalled;
        self.own_state.wall_ahead_ms = wall_ms.checked_signed_diff(now).unwrap_or(0);
        if stalled || was_stalled {
            self.note_stall(now);
        }
        if stalled != was_stalled {
            self.tell_all(now, &[], out);
        }
    }

    /// The process has not run for a while: nothing that it knows of its peers is sure any longer.
    pub(super) fn resumed(&mut self, now: Millis, out: &mut Vec<Output>) {
        self.note_stall(now);
        let probe = self.barrier.fresh_id();
        for (&id, link) in &mut self.links {
            link.reset(self.held.clone(), probe);
            out.push(send(id, ReplicaFrame::Vector(self.held.clone())));
            out.push(send(id, ReplicaFrame::Probe(probe)));
        }
        self.settle_all(now, out);
    }

    /// Once the store is refilled, a peer is only called in sync when it has all that came back: what it had when the
    /// link came up may have been nothing, and from now on being called in sync by this node proves something.
    pub(super) fn set_refilling(&mut self, now: Millis, refilling: bool, out: &mut Vec<Output>) {
        self.own_state.refilling = refilling;
        if !refilling {
            for link in self.links.values_mut() {
                link.measure_by(self.held.clone());
            }
        }
        self.tell_all(now, &[], out);
        self.settle_all(now, out);
    }

    fn note_stall(&mut self, now: Millis) {
        // Nobody waits for a node that is alone, stalled or not.
        if !self.links.is_empty() {
            self.own_state.doubted_until = now + DOUBT_MS;
        }
    }

    pub(super) fn tick(&mut self, now: Millis, out: &mut Vec<Output>) {
        if now >= self.next_beat {
            self.next_beat = now + BEAT_MS;
            for (&id, link) in &mut self.links {
                link.may_push = true;
                // The question, or its answer, may have been refused by a full queue.
                out.extend(link.proving().map(|probe| send(id, ReplicaFrame::Probe(probe))));
                // Who does not call this node in sync may lack its first vector, without which it never will.
                if link.needs_full_vector || link.confirmed != self.held || !link.peer_sees_us_in_sync {
                    link.needs_full_vector = false;
                    out.push(send(id, ReplicaFrame::Vector(self.held.clone())));
                }
            }
            self.tell_all(now, &[], out);
            self.tell_peers(now, out);
            self.ask_again(now, out);
            self.tell_digests(now, out);
            // Peers may have fallen out of sync: nobody waits for them any longer.
            self.settle_all(now, out);
        }
        self.expire(now, out);
        self.drive_barrier(now, out);
        self.pull(now, out);
    }

    /// Tells every peer what has become durable here.
    pub(super) fn tell_all(&self, now: Millis, rose: &[(OriginId, u64)], out: &mut Vec<Output>) {
        for (&id, link) in &self.links {
            out.push(self.confirm(now, id, link, rose.to_vec()));
        }
    }

    /// Tells a peer all that is durable here.
    pub(super) fn confirm_all(&self, now: Millis, id: LinkId, out: &mut Vec<Output>) {
        let confirm = |link| self.confirm(now, id, link, self.held.iter().collect());
        out.extend(self.links.get(&id).map(confirm));
    }

    /// Tells a peer at once that it is in sync now: a starting node waits for that.
    pub(super) fn tell_in_sync(&self, now: Millis, id: LinkId, out: &mut Vec<Output>) {
        out.extend(self.links.get(&id).map(|link| self.confirm(now, id, link, Vec::new())));
    }

    fn confirm(&self, now: Millis, id: LinkId, link: &Link, rose: Vec<(OriginId, u64)>) -> Output {
        let confirm = Confirm {
            rose,
            own_head: self.own_head(),
            in_sync: link.is_in_sync(now),
            stalled: self.own_state.stalled,
            refilling: self.own_state.refilling,
            wall_ms: self.own_state.wall_ms(now),
        };
        send(id, ReplicaFrame::Confirm(confirm))
    }
}
