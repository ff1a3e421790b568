//! Who is present where, on all linked nodes. Never logged: an entry is a lease of the node that holds the session
//! and ends with it or with the link to it. Sessions enter here, links bring what peers tell.

mod news;
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

pub use self::news::PresenceNews;
use self::{
    people::People,
    rooms::{Holder, Log, Notice, Rooms, Share},
};
use super::LinkSender;
use crate::{
    environment::Environment,
    store::{Op, Store},
    writer::WriterHandle,
};

/// A link's part: whether it has been told everything.
#[derive(Debug)]
struct Told {
    sender: LinkSender,
    /// Its queue was full: it is to be told everything afresh.
    afresh: bool,
}

#[derive(Debug, Default)]
struct State {
    rooms: Rooms,
    people: People,
    peers: BTreeMap<NodeId, Told>,
}

/// All presence that this node knows of.
#[derive(Debug)]
pub struct PresenceMap {
    machine: Arc<dyn Environment>,
    lanes: Arc<Lanes>,
    /// What the log knows of names, and who adds to it.
    log: OnceLock<(Arc<Store>, WriterHandle)>,
    state: Mutex<State>,
    /// Somebody with an account may have come or gone.
    news: Notify,
    me: Weak<Self>,
}

impl PresenceMap {
    /// Nobody is present.
    pub fn new(machine: Arc<dyn Environment>, lanes: Arc<Lanes>) -> Arc<Self> {
        let (log, state, news) = Default::default();
        Arc::new_cyclic(|me| Self { machine, lanes, log, state, news, me: me.clone() })
    }

    /// The store is open now. Until then, names are settled by presence alone.
    pub fn attach(&self, store: Arc<Store>, writer: WriterHandle) {
        // Presence is attached once; there is no other log.
        let _ = self.log.set((store, writer));
        let everybody: Vec<_> = self.state().rooms.all().collect();
        self.renamed(everybody);
    }

    /// Guests whom the log shows otherwise than before, as their rooms see it.
    pub fn renamed(&self, guests: impl IntoIterator<Item = (RoomId, GuestId)>) {
        let renamed = |state: &mut State, log: Log<'_>| {
            let of_one = |(room, guest)| state.rooms.renamed(room, guest, log);
            guests.into_iter().flat_map(of_one).collect()
        };
        self.change(self.state(), renamed);
    }

    /// Makes a change and tells those who are in the rooms, still under the lock: changes are told in their order.
    fn change(
        &self,
        mut state: MutexGuard<'_, State>,
        change: impl FnOnce(&mut State, Log<'_>) -> Vec<(RoomId, Notice)>,
    ) {
        let notices = change(&mut state, &|room, name, guest| self.standing(room, name, guest));
        if state.people.has_news() {
            self.news.notify_one();
        }
        self.persist_shared_names(&mut state);
        self.notify(notices);
    }

    fn standing(&self, room: RoomId, name: &GuestName, guest: GuestId) -> Option<NameClaim> {
        let (store, _) = self.log.get()?;
        store.name_claim(room, name, guest).unwrap_or_else(|error| {
            tracing::error!(%error, "cannot read a guest's name");
            None
        })
    }

    /// Gives the log what it is to know of shared names; what the writer does not take now is tried again.
    fn persist_shared_names(&self, state: &mut State) {
        let Some((_, writer)) = self.log.get() else { return };
        state.rooms.shares.retain(|Share { room, shared, min_hlc }| {
            !writer.try_op(Op::ShareName { room: *room, shared: shared.clone(), min_hlc: *min_hlc })
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells a new link all that is present here. The caller knows that it is the one that stays between its pair.
    pub fn link_up(&self, peer: NodeId, sender: LinkSender) {
        let mut state = self.state();
        state.peers.insert(peer, Told { sender, afresh: true });
        state.tell_afresh();
        self.change(state, |state, log| state.peer_gone(peer, log));
    }

    /// All that was present on a node ends with the link to it.
    pub fn link_down(&self, peer: NodeId, link: LinkId) {
        let mut state = self.state();
        if !state.is_told_by(peer, link) {
            return;
        }
        state.peers.remove(&peer);
        self.change(state, |state, log| state.peer_gone(peer, log));
    }

    /// A peer tells of its sessions.
    pub fn receive(&self, peer: NodeId, link: LinkId, presence: Presence) {
        let state = self.state();
        if !state.is_told_by(peer, link) {
            return;
        }
        self.change(state, |state, log| match presence {
            Presence::Reset => state.peer_gone(peer, log),
            Presence::Joined(all) => {
                let joined = |present| state.rooms.joined(present, Holder::Peer(peer), log);
                all.into_iter().flat_map(joined).collect()
            }
            Presence::Left(present) => state.rooms.left(&present, log),
            Presence::Online(users) => {
                for user in users {
                    state.people.at_peer(peer, user, true);
                }
                Vec::new()
            }
            Presence::Offline(user) => {
                state.people.at_peer(peer, user, false);
                Vec::new()
            }
            Presence::Broadcast { room, user, frame } => {
                self.show(room, user, String::from(frame));
                Vec::new()
            }
        });
    }

    /// Tells links whose queue was full everything afresh, and the log what its writer's queue had no room for.
    /// Called every second.
    pub fn repair(&self) {
        let mut state = self.state();
        state.tell_afresh();
        self.persist_shared_names(&mut state);
    }

    /// How many people are present on linked nodes and here.
    pub fn count(&self) -> usize {
        self.state().rooms.people()
    }

    /// Tells those who are in the rooms: one push a room, however many came or left at once.
    fn notify(&self, notices: Vec<(RoomId, Notice)>) {
        let mut frames: BTreeMap<RoomId, Vec<Frame>> = BTreeMap::new();
        for (room, notice) in notices {
            let at = client::format_time(Hlc::from_unix_ms(self.machine.now_ms()));
            let frame = match &notice {
                Notice::Joined(name, guest) => ServerFrame::Joined { username: name, guest: *guest, at },
                Notice::Left(name, guest) => ServerFrame::Left { username: name, guest: *guest, at },
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
        self.change(self.state(), |state, log| {
            // Also if nobody sees it here: a peer may show this session, having heard of no later one.
            state.tell(&Presence::Left(present.clone()));
            state.rooms.left(present, log)
        });
    }
}

impl State {
    /// Whether the link is the one over which the peer is heard.
    fn is_told_by(&self, peer: NodeId, link: LinkId) -> bool {
        self.peers.get(&peer).is_some_and(|told| told.sender.id() == link)
    }

    /// All that a peer has told is over.
    fn peer_gone(&mut self, peer: NodeId, log: Log<'_>) -> Vec<(RoomId, Notice)> {
        self.people.peer_gone(peer);
        self.rooms.peer_gone(peer, log)
    }

    /// Tells all peers what is of the moment: a link that has no room for it loses it.
    fn tell_in_passing(&self, presence: &Presence) {
        let frame = PeerFrame::Presence(presence.clone()).encode();
        for told in self.peers.values().filter(|told| !told.afresh) {
            let _ = told.sender.try_send(frame.clone());
        }
    }

    /// Tells all peers of a change here.
    fn tell(&mut self, presence: &Presence) {
        let frame = PeerFrame::Presence(presence.clone()).encode();
        for told in self.peers.values_mut().filter(|told| !told.afresh) {
            told.afresh = told.sender.try_send(frame.clone()).is_err();
        }
    }

    fn tell_afresh(&mut self) {
        if self.peers.values().all(|told| !told.afresh) {
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
        for told in self.peers.values_mut().filter(|told| told.afresh) {
            told.afresh = frames.iter().any(|frame| told.sender.try_send(frame.clone()).is_err());
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
        let log = |room, name: &GuestName, guest| self.standing(room, name, guest);
        // Somebody with an account chose the name elsewhere, whoever has come under one that looks like it.
        let looks_taken = !account && state.rooms.is_lookalike(room, guest, &name, &log);
        if looks_taken || !state.rooms.is_free(room, guest, &name, &log) {
            return Err(NameInUse);
        }
        // Random low bits: of two sessions that one guest begins on two nodes in the same millisecond, one is later.
        let now =
            Hlc(Hlc::from_unix_ms(self.machine.now_ms()).0
                | u64::from(u16::from_le_bytes(self.machine.random())));
        // Above the session that it replaces, whatever this node's clock says.
        let since = state.rooms.since(room, guest).map_or(now, |replaced| now.max(replaced.next()));
        let present = Present { room, guest, name, account, since };
        let (sender, taken_over) = oneshot::channel();
        self.change(state, |state, log| {
            state.tell(&Presence::Joined(vec![present.clone()]));
            // The session that it takes over may hang in a write for a while: it is not to be shown again meanwhile.
            if let Some(replaced) = state.rooms.taken_over_here(room, guest) {
                state.tell(&Presence::Left(replaced));
            }
            state.rooms.joined(present.clone(), Holder::Here(Some(sender)), log)
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
        let log = |room, name: &GuestName, guest| self.standing(room, name, guest);
        let state = self.state();
        state.rooms.is_free(room, guest, name, &log) && !state.rooms.is_lookalike(room, guest, name, &log)
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
