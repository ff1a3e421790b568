//! Presence in rooms, on all linked nodes. It is never logged: an entry is a lease of the node that holds the session,
//! and ends with the session or with the link to that node. Sessions of this node and frames of peers change it.

mod notifier;
mod people;
mod rooms;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

use starling_protocol::{
    GuestId, GuestName, Hlc, NodeId, RoomId,
    frame::{
        client::{self, ServerFrame},
        peer::{PeerFrame, Presence, Present},
    },
    limits::PRESENCE_ENTRIES_MAX,
    merge::guest_name::NameClaim,
    replica::LinkId,
};
use starling_web::{
    lane::{Frame, Lanes},
    service::{self, Lease, NameInUse},
};
use tokio::sync::{Notify, oneshot};

pub use self::notifier::PresenceNotifier;
use self::{
    people::People,
    rooms::{ClaimLookup, NameShareRecord, Notice, Rooms, SessionAt},
};
use super::LinkSender;
use crate::{
    environment::Environment,
    store::{Op, Store},
    writer::WriterHandle,
};

/// The sending side of presence on a link.
#[derive(Debug)]
struct PeerFeed {
    sender: LinkSender,
    /// Whether everything must be sent again: the queue was full, or the link is new.
    needs_resend: bool,
}

#[derive(Debug, Default)]
struct State {
    rooms: Rooms,
    people: People,
    peers: BTreeMap<NodeId, PeerFeed>,
}

/// All presence that this node knows of.
#[derive(Debug)]
pub struct PresenceMap {
    environment: Arc<dyn Environment>,
    lanes: Arc<Lanes>,
    /// The store, which holds guest names, and the writer that records shared ones.
    store_and_writer: OnceLock<(Arc<Store>, WriterHandle)>,
    state: Mutex<State>,
    /// Wakes [`PresenceNotifier`]: the set of online users may have changed.
    people_changed: Notify,
    me: Weak<Self>,
}

impl PresenceMap {
    /// Creates an empty map.
    pub fn new(environment: Arc<dyn Environment>, lanes: Arc<Lanes>) -> Arc<Self> {
        let (store_and_writer, state, people_changed) = Default::default();
        Arc::new_cyclic(|me| Self {
            environment,
            lanes,
            store_and_writer,
            state,
            people_changed,
            me: me.clone(),
        })
    }

    /// Attaches the open store. Until then, names are settled by presence alone.
    pub fn attach(&self, store: Arc<Store>, writer: WriterHandle) {
        // Set once, at the start.
        let _ = self.store_and_writer.set((store, writer));
        let everyone: Vec<_> = self.state().rooms.all().collect();
        self.show_renamed(everyone);
    }

    /// Sends each room the new names of its guests whose names the log has changed.
    pub fn show_renamed(&self, guests: impl IntoIterator<Item = (RoomId, GuestId)>) {
        let renamed = |state: &mut State, claims: ClaimLookup<'_>| {
            let rename_one = |(room, guest)| state.rooms.settle_renamed(room, guest, claims);
            guests.into_iter().flat_map(rename_one).collect()
        };
        self.change(self.state(), renamed);
    }

    /// Makes a change and notifies the people in the rooms, still under the lock: they see changes in their order.
    fn change(
        &self,
        mut state: MutexGuard<'_, State>,
        change: impl FnOnce(&mut State, ClaimLookup<'_>) -> Vec<(RoomId, Notice)>,
    ) {
        let notices = change(&mut state, &|room, name, guest| self.name_claim(room, name, guest));
        if state.people.has_changes() {
            self.people_changed.notify_one();
        }
        self.persist_shared_names(&mut state);
        self.notify(notices);
    }

    fn name_claim(&self, room: RoomId, name: &GuestName, guest: GuestId) -> Option<NameClaim> {
        let (store, _) = self.store_and_writer.get()?;
        store.name_claim(room, name, guest).unwrap_or_else(|error| {
            tracing::error!(%error, "cannot read a guest's name");
            None
        })
    }

    /// Writes shared names to the log. Names that the writer refuses now are tried again.
    fn persist_shared_names(&self, state: &mut State) {
        let Some((_, writer)) = self.store_and_writer.get() else { return };
        state.rooms.unwritten_shares.retain(|NameShareRecord { room, shared, above_hlc }| {
            !writer.try_op(Op::ShareName { room: *room, shared: shared.clone(), above_hlc: *above_hlc })
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends all presence of this node over a new link. Call it only for the link that stays between its pair.
    pub fn link_up(&self, peer: NodeId, sender: LinkSender) {
        let mut state = self.state();
        state.peers.insert(peer, PeerFeed { sender, needs_resend: true });
        state.resend_all();
        self.change(state, |state, claims| state.clear_peer(peer, claims));
    }

    /// Ends all presence on a node, with the link to it.
    pub fn link_down(&self, peer: NodeId, link: LinkId) {
        let mut state = self.state();
        if !state.is_current_link(peer, link) {
            return;
        }
        state.peers.remove(&peer);
        self.change(state, |state, claims| state.clear_peer(peer, claims));
    }

    /// Handles a frame of presence from a peer.
    pub fn receive(&self, peer: NodeId, link: LinkId, presence: Presence) {
        let state = self.state();
        if !state.is_current_link(peer, link) {
            return;
        }
        self.change(state, |state, claims| match presence {
            Presence::Reset => state.clear_peer(peer, claims),
            Presence::Joined(all) => {
                let joined = |present| state.rooms.joined(present, SessionAt::Peer(peer), claims);
                all.into_iter().flat_map(joined).collect()
            }
            Presence::Left(present) => state.rooms.end_session(&present, claims),
            Presence::Online(users) => {
                for user in users {
                    state.people.set_at_peer(peer, user, true);
                }
                Vec::new()
            }
            Presence::Offline(user) => {
                state.people.set_at_peer(peer, user, false);
                Vec::new()
            }
            Presence::Broadcast { room, user, frame } => {
                self.broadcast(room, user, &frame);
                Vec::new()
            }
        });
    }

    /// Sends everything again over links whose queue was full, and retries names that the writer refused. Called every
    /// second.
    pub fn repair(&self) {
        let mut state = self.state();
        state.resend_all();
        self.persist_shared_names(&mut state);
    }

    /// The number of entries in quick rooms, on this and all linked nodes; somebody in two rooms counts twice.
    pub fn count(&self) -> usize {
        self.state().rooms.entry_count()
    }

    /// Notifies the people in the rooms: one push per room, however many joined or left at once.
    fn notify(&self, notices: Vec<(RoomId, Notice)>) {
        let mut frames: BTreeMap<RoomId, Vec<Frame>> = BTreeMap::new();
        for (room, notice) in notices {
            let at = client::format_time(Hlc::from_unix_ms(self.environment.now_ms()));
            let frame = match &notice {
                Notice::Joined { username, is_guest } => {
                    ServerFrame::Joined { username, guest: *is_guest, at }
                }
                Notice::Left { username, is_guest } => ServerFrame::Left { username, guest: *is_guest, at },
            };
            let frame = Frame::new(Frame::EPHEMERAL, Hlc::default(), frame.to_json());
            frames.entry(room).or_default().push(frame);
        }
        for (room, frames) in frames {
            if let Some(lane) = self.lanes.get(room) {
                lane.push(frames);
            }
        }
    }

    fn leave(&self, present: &Present) {
        self.change(self.state(), |state, claims| {
            // Also if this session is not shown here: a peer that has not heard of the later one may show it.
            state.send_to_peers(&Presence::Left(present.clone()));
            state.rooms.end_session(present, claims)
        });
    }
}

impl State {
    /// Whether this is the current link to the peer.
    fn is_current_link(&self, peer: NodeId, link: LinkId) -> bool {
        self.peers.get(&peer).is_some_and(|feed| feed.sender.id() == link)
    }

    /// Forgets all presence on a peer.
    fn clear_peer(&mut self, peer: NodeId, claims: ClaimLookup<'_>) -> Vec<(RoomId, Notice)> {
        self.people.clear_peer(peer);
        self.rooms.clear_peer(peer, claims)
    }

    /// Sends a passing event to all peers; a link whose queue is full loses it.
    fn send_transient(&self, presence: &Presence) {
        let frame = PeerFrame::Presence(presence.clone()).encode();
        for feed in self.peers.values().filter(|feed| !feed.needs_resend) {
            let _ = feed.sender.try_send(frame.clone());
        }
    }

    /// Sends a change to all peers.
    fn send_to_peers(&mut self, presence: &Presence) {
        let frame = PeerFrame::Presence(presence.clone()).encode();
        for feed in self.peers.values_mut().filter(|feed| !feed.needs_resend) {
            feed.needs_resend = feed.sender.try_send(frame.clone()).is_err();
        }
    }

    fn resend_all(&mut self) {
        if self.peers.values().all(|feed| !feed.needs_resend) {
            return;
        }
        let here: Vec<_> = self.rooms.here().cloned().collect();
        let chunks = here.chunks(PRESENCE_ENTRIES_MAX).map(|chunk| Presence::Joined(chunk.to_vec()));
        let people: Vec<_> = self.people.here().collect();
        let online = people.chunks(PRESENCE_ENTRIES_MAX).map(|chunk| Presence::Online(chunk.to_vec()));
        let frames: Vec<_> = std::iter::once(Presence::Reset)
            .chain(chunks)
            .chain(online)
            .map(|presence| PeerFrame::Presence(presence).encode())
            .collect();
        for feed in self.peers.values_mut().filter(|feed| feed.needs_resend) {
            feed.needs_resend = frames.iter().any(|frame| feed.sender.try_send(frame.clone()).is_err());
        }
    }
}

impl service::Presence for PresenceMap {
    fn enter(
        &self,
        room: RoomId,
        guest: GuestId,
        name: GuestName,
        account: bool,
    ) -> Result<Lease, NameInUse> {
        let state = self.state();
        let claims = |room, name: &GuestName, guest| self.name_claim(room, name, guest);
        // An account keeps its name, even if a guest has one that looks like it.
        let looks_taken = !account && state.rooms.is_lookalike(room, guest, &name, &claims);
        if looks_taken || !state.rooms.is_free(room, guest, &name, &claims) {
            return Err(NameInUse);
        }
        // Random low bits: of two sessions that one guest begins on two nodes in the same millisecond, one is later.
        let now = Hlc(Hlc::from_unix_ms(self.environment.now_ms()).0
            | u64::from(u16::from_le_bytes(self.environment.random())));
        // Later than the session that it replaces, whatever this node's clock says.
        let since = state.rooms.since(room, guest).map_or(now, |replaced| now.max(replaced.next()));
        let present = Present { room, guest, name, account, since };
        let (sender, taken_over) = oneshot::channel();
        self.change(state, |state, claims| {
            state.send_to_peers(&Presence::Joined(vec![present.clone()]));
            // The session that was taken over may hang in a write for a while: it must not be shown again meanwhile.
            if let Some(replaced) = state.rooms.taken_over_here(room, guest) {
                state.send_to_peers(&Presence::Left(replaced));
            }
            state.rooms.joined(present.clone(), SessionAt::Here(Some(sender)), claims)
        });
        let map = self.me.clone();
        let release = move || {
            if let Some(map) = map.upgrade() {
                map.leave(&present);
            }
        };
        Ok(Lease { taken_over, release: Some(Box::new(release)) })
    }

    fn is_free(&self, room: RoomId, guest: GuestId, name: &GuestName) -> bool {
        let claims = |room, name: &GuestName, guest| self.name_claim(room, name, guest);
        let state = self.state();
        state.rooms.is_free(room, guest, name, &claims)
            && !state.rooms.is_lookalike(room, guest, name, &claims)
    }

    fn shown(&self, room: RoomId, guest: GuestId) -> Option<String> {
        self.state().rooms.shown(room, guest).map(str::to_owned)
    }

    fn users(&self, room: RoomId) -> Vec<String> {
        let mut users = self.state().rooms.names(room);
        users.sort_unstable();
        users
    }
}
