//! Handles frames from peers.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{LinkId, Millis, Output, Replica};
use crate::{
    Event, OriginId, Seq, VersionVector,
    frame::{
        peer::{Confirm, ReplicaFrame},
        vector_part::VectorFrame,
    },
    limits::PULL_EVENTS_MAX,
};

impl Replica {
    pub(super) fn on_frame(
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
                self.receive_vector(now, link_id, VectorFrame::Vector, vector, out);
            }
            ReplicaFrame::Confirm(confirm) => self.receive_confirm(now, link_id, confirm, out),
            ReplicaFrame::Pull { origin, from, to } => {
                let to = to.min(from.saturating_add(PULL_EVENTS_MAX - 1));
                if from > Seq::NONE && link.begin_read() {
                    if Some(origin) == self.own_origin {
                        // It has missed pushes; further ones would leave a gap.
                        link.pushing = false;
                        link.own_log_reads += 1;
                    }
                    out.push(Output::Read { link: link_id, origin, from, to });
                }
            }
            ReplicaFrame::Views(version) => self.receive_views_version(link_id, version),
            ReplicaFrame::Digests(digests) => self.receive_digests(link_id, digests),
            ReplicaFrame::AskScopes(shard) => self.read_scopes(link_id, shard, out),
            ReplicaFrame::Scopes(shard, scopes) => self.compare_scopes(link_id, shard, scopes, out),
            ReplicaFrame::Folds(folds) => {
                link.vectors.receive_names(folds);
                self.name_folds(link_id, out);
            }
            ReplicaFrame::VectorPart(part) => match link.vectors.receive(part) {
                Ok(received) => {
                    self.name_folds(link_id, out);
                    if let Some((frame, vector)) = received {
                        self.receive_vector(now, link_id, frame, vector, out);
                    }
                }
                Err(breach) => out.push(Output::Close(link_id, breach)),
            },
            ReplicaFrame::Probe(id) => self.send_held(link_id, VectorFrame::Probed(id), out),
            ReplicaFrame::LiveOrigins(origins) => link.set_live_origins(now, origins),
            ReplicaFrame::Peers(peers) => link.set_peers(now, &peers),
            ReplicaFrame::AskClaim { origin, seq, relay_to } => {
                self.receive_ask_claim(now, link_id, (origin, seq), relay_to, out);
            }
            ReplicaFrame::ClaimAnswer(mut answer) => match answer.held.take() {
                Some(held) => {
                    self.receive_vector(now, link_id, VectorFrame::ClaimAnswer(answer), held, out);
                }
                None => self.receive_claim_answer(now, link_id, &answer, None, out),
            },
            ReplicaFrame::Probed(id, vector) => {
                self.receive_vector(now, link_id, VectorFrame::Probed(id), vector, out);
            }
        }
    }

    /// Handles a frame with a vector.
    fn receive_vector(
        &mut self,
        now: Millis,
        link_id: LinkId,
        frame: VectorFrame,
        mut vector: VersionVector,
        out: &mut Vec<Output>,
    ) {
        let Some(link) = self.links.get_mut(&link_id) else { return };
        match frame {
            VectorFrame::Vector => {
                link.vector_received = true;
                self.note_vector(now, link_id, &vector, out);
                // The peer may lack this node's confirmations. (Confirmations are not answered, to avoid endless echoes.)
                self.confirm_all_heads_to(now, link_id, out);
            }
            VectorFrame::Confirm(mut confirm) => {
                confirm.new_heads = vector.beyond(&link.confirmed).collect();
                self.receive_confirm(now, link_id, confirm, out);
            }
            VectorFrame::Probed(id) => {
                link.on_probed(id);
                self.write_over_base(&mut vector);
                self.barrier.on_probed(id, link_id, &vector);
                self.note_vector(now, link_id, &vector, out);
                self.drive_barrier(now, out);
            }
            VectorFrame::ClaimAnswer(answer) => {
                self.write_over_base(&mut vector);
                self.receive_claim_answer(now, link_id, &answer, Some(vector), out);
            }
        }
    }

    fn receive_confirm(&mut self, now: Millis, link_id: LinkId, confirm: Confirm, out: &mut Vec<Output>) {
        let Some(link) = self.links.get_mut(&link_id) else { return };
        let Confirm { mut new_heads, own_head, in_sync, stalled, refilling, wall_ms } = confirm;
        link.set_peer_sees_us_in_sync(in_sync);
        link.stalled = stalled;
        link.refilling = refilling;
        link.peer_clock_ahead_ms = Some(self.local_status.peer_clock_ahead_ms(now, wall_ms));
        link.own_origin = own_head.map(|(origin, _)| origin).or(link.own_origin);
        new_heads.extend(own_head);
        self.note_heads(now, link_id, &new_heads, out);
    }

    /// Notes all that a peer holds. What it has confirmed already costs nothing more.
    pub(super) fn note_vector(
        &mut self,
        now: Millis,
        link_id: LinkId,
        vector: &VersionVector,
        out: &mut Vec<Output>,
    ) {
        let Some(link) = self.links.get(&link_id) else { return };
        let higher: Vec<_> = vector.beyond(&link.confirmed).collect();
        self.note_heads(now, link_id, &higher, out);
    }

    /// Notes the heads of origins that a peer holds.
    pub(super) fn note_heads(
        &mut self,
        now: Millis,
        link_id: LinkId,
        new_heads: &[(OriginId, Seq)],
        out: &mut Vec<Output>,
    ) {
        let Some(link) = self.links.get_mut(&link_id) else { return };
        for &(origin, seq) in new_heads {
            if link.confirmed.advance(origin, seq) && Some(origin) != self.own_origin {
                self.pulls.note(origin, seq, self.accepted.get(origin), now);
            }
        }
        if link.update_caught_up() {
            self.confirm_to(now, link_id, out);
            self.settle_all(now, out);
        }
        for &(origin, seq) in new_heads {
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
                    out.push(Output::Close(link_id, error.into()));
                    break;
                }
            };
            heads.insert(event.origin, event.seq);
            if event.seq == self.accepted.get(event.origin).next() && Some(event.origin) != self.own_origin {
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
            self.pulls.on_answer(origin, link_id, empty, now);
        }
        // The sender has made these events durable, and all before them.
        let heads: Vec<_> = heads.into_iter().collect();
        self.note_heads(now, link_id, &heads, out);
    }
}
