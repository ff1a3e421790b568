//! Confirmations: tells peers which events of others are durable here. Whoever counts on it is told at once: the node that
//! wrote an event, since its ack waits, and peers that may have to pull it from here. All others are told a little later, so
//! that many batches cost one frame: otherwise each batch would cost a frame between each pair of nodes.

use super::{LinkId, Millis, Output, Replica, send, vectors::confirmations};
use crate::{
    OriginId, Seq,
    frame::{peer::Confirm, vector_part::VectorFrame},
};

/// How long a confirmation may wait for further ones. Before a node says that nobody has an event, it waits for longer.
pub const COALESCE_MS: u64 = 50;

impl Replica {
    /// Tells peers the heads of new durable events: now, or with the next confirmation.
    pub(super) fn confirm_new_heads(
        &mut self,
        now: Millis,
        new_heads: &[(OriginId, Seq)],
        out: &mut Vec<Output>,
    ) {
        let mut urgent = Vec::new();
        for (&id, link) in &mut self.links {
            link.unconfirmed.extend(new_heads.iter().copied());
            // A peer that does not reach the node that wrote an event pulls it, and must know from whom.
            let counts_on_it =
                |&(origin, _): &(OriginId, Seq)| origin.node == link.peer || !link.reaches(now, origin.node);
            if new_heads.iter().any(counts_on_it) {
                urgent.push(id);
            }
        }
        for id in urgent {
            self.confirm_to(now, id, out);
        }
        if self.confirm_at.is_none() && self.links.values().any(|link| !link.unconfirmed.is_empty()) {
            self.confirm_at = Some(now + COALESCE_MS);
        }
    }

    /// Sends the confirmations that have waited long enough.
    pub(super) fn confirm_what_is_due(&mut self, now: Millis, out: &mut Vec<Output>) {
        if self.confirm_at.is_none_or(|due| now < due) {
            return;
        }
        self.confirm_at = None;
        let owed: Vec<_> =
            self.links.iter().filter(|(_, link)| !link.unconfirmed.is_empty()).map(|(&id, _)| id).collect();
        for id in owed {
            self.confirm_to(now, id, out);
        }
    }

    /// Sends every peer this node's status, and the heads that it was not told yet.
    pub(super) fn confirm_to_all(&mut self, now: Millis, out: &mut Vec<Output>) {
        self.confirm_at = None;
        for id in self.links.keys().copied().collect::<Vec<_>>() {
            self.confirm_to(now, id, out);
        }
    }

    /// Sends a peer the heads of all durable events.
    pub(super) fn confirm_all_heads_to(&mut self, now: Millis, id: LinkId, out: &mut Vec<Output>) {
        if let Some(link) = self.links.get_mut(&id) {
            link.unconfirmed.clear();
            let confirm = VectorFrame::Confirm(self.status_for(now, id));
            self.send_held(id, confirm, out);
        }
    }

    /// Sends a peer this node's status, and the heads that it was not told yet. No confirmation leaves any out: a claim
    /// counts on it that a confirmation tells everything that the peer held when it confirmed.
    pub(super) fn confirm_to(&mut self, now: Millis, id: LinkId, out: &mut Vec<Output>) {
        let status = self.status_for(now, id);
        let Some(link) = self.links.get_mut(&id) else { return };
        let frames = confirmations(std::mem::take(&mut link.unconfirmed), &status, self.vector_entries_max);
        out.extend(frames.into_iter().map(|frame| send(id, frame)));
    }

    /// Returns a confirmation to a peer, without heads.
    fn status_for(&self, now: Millis, id: LinkId) -> Confirm {
        Confirm {
            new_heads: Vec::new(),
            own_head: self.own_head(),
            in_sync: self.links.get(&id).is_some_and(|link| link.is_in_sync(now)),
            stalled: self.local_status.stalled,
            refilling: self.local_status.refilling,
            wall_ms: self.local_status.wall_ms(now),
        }
    }
}
