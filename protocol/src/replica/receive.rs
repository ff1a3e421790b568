//! Handles frames from peers.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{LinkId, Millis, Output, Replica, send};
use crate::{
    Event, OriginId,
    frame::peer::{Confirm, ReplicaFrame},
    limits::PULL_EVENTS_MAX,
};

impl Replica {
    pub(super) fn receive_frame(
        &mut self,
        now: Millis,
        link_id: LinkId,
        frame: ReplicaFrame,
        out: &mut Vec<Output>,
    ) {
        let Some(link) = self.links.get_mut(&link_id) else { return };
        link.last_heard = now;
        match frame {
            ReplicaFrame::Push(events) => self.receive_events(now, link_id, None, events, out),
            ReplicaFrame::Pulled { origin, events } => {
                self.receive_events(now, link_id, Some(origin), events, out);
            }
            ReplicaFrame::Vector(vector) => {
                link.vector_received = true;
                let rose: Vec<_> = vector.iter().collect();
                self.peer_has(now, link_id, &rose, out);
                // The peer may lack this node's confirmations. (Confirmations are not answered, to avoid endless echoes.)
                self.confirm_everything_to(now, link_id, out);
            }
            ReplicaFrame::Confirm(Confirm { mut rose, own_head, in_sync, stalled, refilling, wall_ms }) => {
                link.set_peer_sees_us(in_sync);
                link.stalled = stalled;
                link.refilling = refilling;
                link.clock_ahead_ms = Some(self.local_status.clock_ahead_ms(now, wall_ms));
                rose.extend(own_head);
                self.peer_has(now, link_id, &rose, out);
            }
            ReplicaFrame::Pull { origin, from, to } => {
                let to = to.min(from.saturating_add(PULL_EVENTS_MAX - 1));
                if from > 0 && link.begin_read() {
                    if Some(origin) == self.own {
                        // It has missed pushes; further ones would leave a gap.
                        link.pushing = false;
                        link.own_reads += 1;
                    }
                    out.push(Output::Read { link: link_id, origin, from, to });
                }
            }
            ReplicaFrame::Digests(digests) => self.receive_digests(link_id, digests),
            ReplicaFrame::AskScopes(shard) => self.read_scopes(link_id, shard, out),
            ReplicaFrame::Scopes(shard, scopes) => self.compare_scopes(link_id, shard, scopes, out),
            ReplicaFrame::Probe(id) => {
                out.push(send(link_id, ReplicaFrame::Probed(id, self.held.clone())));
            }
            ReplicaFrame::Peers(peers) => link.note_peers(now, &peers),
            ReplicaFrame::AskClaim { origin, seq, pass_on } => {
                self.receive_ask_claim(now, link_id, (origin, seq), pass_on, out);
            }
            ReplicaFrame::ClaimAnswer(answer) => self.receive_claim_answer(now, link_id, answer, out),
            ReplicaFrame::Probed(id, vector) => {
                let rose: Vec<_> = vector.iter().collect();
                link.probed(id);
                self.barrier.probed(id, link_id, &vector);
                self.peer_has(now, link_id, &rose, out);
                self.drive_barrier(now, out);
            }
        }
    }

    /// Notes the heads of origins that a peer holds.
    pub(super) fn peer_has(
        &mut self,
        now: Millis,
        link_id: LinkId,
        rose: &[(OriginId, u64)],
        out: &mut Vec<Output>,
    ) {
        let Some(link) = self.links.get_mut(&link_id) else { return };
        for &(origin, seq) in rose {
            if link.confirmed.advance(origin, seq) && Some(origin) != self.own {
                self.pulls.note(origin, seq, self.accepted.get(origin), now);
            }
        }
        if link.update_caught_up() {
            self.confirm_in_sync(now, link_id, out);
            self.settle_all(now, out);
        }
        for &(origin, seq) in rose {
            self.settle_through(now, origin, seq, out);
        }
        self.resume_push(link_id, out);
        self.pull(now, out);
    }

    /// Handles received events: a push, or the answer to a pull of the origin `pulled`.
    fn receive_events(
        &mut self,
        now: Millis,
        link_id: LinkId,
        pulled: Option<OriginId>,
        events: Vec<Bytes>,
        out: &mut Vec<Output>,
    ) {
        let mut heads = BTreeMap::new();
        let mut fresh = Vec::new();
        let empty = events.is_empty();
        for bytes in events {
            let event = match Event::decode(bytes) {
                Ok(event) => event,
                Err(error) => {
                    out.push(Output::Close(link_id, error));
                    break;
                }
            };
            heads.insert(event.origin, event.seq);
            if event.seq == self.accepted.get(event.origin) + 1 && Some(event.origin) != self.own {
                self.accepted.advance(event.origin, event.seq);
                fresh.push(event);
            }
        }
        if let Some(last) = fresh.last() {
            if pulled.is_some() {
                self.applying.push((last.origin, last.seq));
            }
            out.push(Output::Apply(fresh));
        }
        if let Some(origin) = pulled {
            self.pulls.answered(origin, link_id, empty, now);
        }
        // The sender has made these events durable, and all before them.
        let heads: Vec<_> = heads.into_iter().collect();
        self.peer_has(now, link_id, &heads, out);
    }
}
