//! Who is present where, on all linked nodes. Never logged: an entry is a lease of the node that holds the session
//! and ends with it or with the link to it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{SystemTime, UNIX_EPOCH},
};

use starling_protocol::{
    Clock, GuestId, GuestName, NodeId, RoomId,
    frame::{
        client::{self, ServerFrame},
        peer::{PeerFrame, Presence, Present},
    },
    limits::PRESENCE_ENTRIES_MAX,
    replica::LinkId,
};
use starling_web::{
    lane::{Frame, Lanes},
    service::{self, Lease, NameInUse},
};
use tokio::sync::oneshot;

use super::LinkSender;

/// Milliseconds since the Unix epoch.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Whose session an entry stands for.
#[derive(Debug)]
enum Holder {
    /// One of this node; told when a later session takes over.
    Here(Option<oneshot::Sender<()>>),
    /// One of a linked node.
    Peer(NodeId),
}

#[derive(Debug)]
struct Entry {
    present: Present,
    holder: Holder,
}

/// A link's part: whether it has been told everything.
#[derive(Debug)]
struct Told {
    sender: LinkSender,
    /// Its queue was full: it is to be told everything afresh.
    afresh: bool,
}

#[derive(Debug, Default)]
struct State {
    rooms: HashMap<RoomId, BTreeMap<GuestId, Entry>>,
    peers: BTreeMap<NodeId, Told>,
    /// Which rooms each peer has sessions in: what ends with its link, without looking at all others.
    rooms_of_peers: HashMap<NodeId, HashSet<RoomId>>,
    clock: Clock,
}

/// All presence that this node knows of.
#[derive(Debug)]
pub struct PresenceMap {
    lanes: Arc<Lanes>,
    state: Mutex<State>,
    me: Weak<Self>,
}

/// What the people in a room see of a change.
enum Notice {
    Joined(GuestName),
    Left(GuestName),
}

impl PresenceMap {
    /// Nobody is present.
    pub fn new(lanes: Arc<Lanes>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self { lanes, state: Mutex::default(), me: me.clone() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells a new link all that is present here.
    pub fn link_up(&self, peer: NodeId, sender: LinkSender) {
        let mut state = self.state();
        let ended = state.peer_gone(peer);
        state.peers.insert(peer, Told { sender, afresh: true });
        state.tell_afresh();
        drop(state);
        self.notify(ended);
    }

    /// All that was present on a node ends with the link to it.
    pub fn link_down(&self, peer: NodeId, link: LinkId) {
        let mut state = self.state();
        if state.peers.get(&peer).is_none_or(|told| told.sender.id() != link) {
            return;
        }
        state.peers.remove(&peer);
        let ended = state.peer_gone(peer);
        drop(state);
        self.notify(ended);
    }

    /// A peer tells of its sessions.
    pub fn receive(&self, peer: NodeId, link: LinkId, presence: Presence) {
        let mut state = self.state();
        if state.peers.get(&peer).is_none_or(|told| told.sender.id() != link) {
            return;
        }
        let notices = match presence {
            Presence::Reset => state.peer_gone(peer),
            Presence::Joined(all) => {
                all.into_iter().flat_map(|present| state.joined(present, Holder::Peer(peer))).collect()
            }
            Presence::Left(present) => state.left(&present).into_iter().collect(),
        };
        drop(state);
        self.notify(notices);
    }

    /// Tells links whose queue was full everything afresh. Called every second.
    pub fn repair(&self) {
        self.state().tell_afresh();
    }

    /// How many people are present on linked nodes and here.
    pub fn count(&self) -> usize {
        self.state().rooms.values().map(BTreeMap::len).sum()
    }

    fn notify(&self, notices: Vec<(RoomId, Notice)>) {
        for (room, notice) in notices {
            let Some(lane) = self.lanes.get(room) else { continue };
            let at = client::at(starling_protocol::Hlc::from_unix_ms(now_ms()));
            let frame = match &notice {
                Notice::Joined(name) => ServerFrame::Joined { username: name.as_str(), guest: true, at },
                Notice::Left(name) => ServerFrame::Left { username: name.as_str(), guest: true, at },
            };
            lane.push([Frame { commit: Frame::EPHEMERAL, text: frame.to_json().into() }]);
        }
    }

    fn leave(&self, present: &Present) {
        let mut state = self.state();
        let notice = state.left(present);
        if notice.is_some() {
            state.tell(&Presence::Left(present.clone()));
        }
        drop(state);
        self.notify(notice.into_iter().collect());
    }
}

impl State {
    fn in_room(&self, room: RoomId) -> impl Iterator<Item = (&GuestId, &Entry)> {
        self.rooms.get(&room).into_iter().flatten()
    }

    fn is_free(&self, room: RoomId, guest: GuestId, name: &GuestName) -> bool {
        let folded = name.folded();
        self.in_room(room).all(|(&other, entry)| other == guest || entry.present.name.folded() != folded)
    }

    /// Somebody is present; of two sessions of one guest the later stays.
    fn joined(&mut self, present: Present, holder: Holder) -> Vec<(RoomId, Notice)> {
        let (room, name) = (present.room, present.name.clone());
        let guests = self.rooms.entry(room).or_default();
        if guests.get(&present.guest).is_some_and(|old| old.present.since > present.since) {
            return Vec::new();
        }
        if let Holder::Peer(peer) = holder {
            self.rooms_of_peers.entry(peer).or_default().insert(room);
        }
        let mut notices = Vec::new();
        match guests.insert(present.guest, Entry { present, holder }) {
            None => notices.push((room, Notice::Joined(name))),
            Some(old) => {
                if let Holder::Here(Some(taken_over)) = old.holder {
                    let _ = taken_over.send(());
                }
                // A guest who only moves is not announced.
                if old.present.name != name {
                    notices.push((room, Notice::Left(old.present.name)));
                    notices.push((room, Notice::Joined(name)));
                }
            }
        }
        notices
    }

    /// A session is over, unless a later one of the same guest goes on.
    fn left(&mut self, present: &Present) -> Option<(RoomId, Notice)> {
        let guests = self.rooms.get_mut(&present.room)?;
        if guests.get(&present.guest)?.present.since != present.since {
            return None;
        }
        let entry = guests.remove(&present.guest)?;
        if guests.is_empty() {
            self.rooms.remove(&present.room);
        }
        Some((present.room, Notice::Left(entry.present.name)))
    }

    fn peer_gone(&mut self, peer: NodeId) -> Vec<(RoomId, Notice)> {
        let mut notices = Vec::new();
        for room in self.rooms_of_peers.remove(&peer).unwrap_or_default() {
            let Some(guests) = self.rooms.get_mut(&room) else { continue };
            guests.retain(|_, entry| {
                let gone = matches!(entry.holder, Holder::Peer(holder) if holder == peer);
                if gone {
                    notices.push((room, Notice::Left(entry.present.name.clone())));
                }
                !gone
            });
            if guests.is_empty() {
                self.rooms.remove(&room);
            }
        }
        notices
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
        let here = self.rooms.values().flat_map(BTreeMap::values);
        let here = here.filter(|entry| matches!(entry.holder, Holder::Here(_)));
        let here: Vec<_> = here.map(|entry| entry.present.clone()).collect();
        let chunks = here.chunks(PRESENCE_ENTRIES_MAX).map(|chunk| Presence::Joined(chunk.to_vec()));
        let frames: Vec<_> = std::iter::once(Presence::Reset)
            .chain(chunks)
            .map(|presence| PeerFrame::Presence(presence).encode())
            .collect();
        for told in self.peers.values_mut().filter(|told| told.afresh) {
            told.afresh = frames.iter().any(|frame| told.sender.try_send(frame.clone()).is_err());
        }
    }
}

impl service::Presence for PresenceMap {
    fn enter(&self, room: RoomId, guest: GuestId, name: GuestName) -> Result<Lease, NameInUse> {
        let mut state = self.state();
        if !state.is_free(room, guest, &name) {
            return Err(NameInUse);
        }
        let (sender, taken_over) = oneshot::channel();
        // Above the session that it replaces, whatever this node's clock says.
        let replaced = state.rooms.get(&room).and_then(|guests| guests.get(&guest));
        let floor = replaced.map(|entry| entry.present.since);
        let since = state.clock.stamp(now_ms(), floor);
        let present = Present { room, guest, name, since };
        let notices = state.joined(present.clone(), Holder::Here(Some(sender)));
        state.tell(&Presence::Joined(vec![present.clone()]));
        drop(state);
        self.notify(notices);
        let map = self.me.clone();
        let release = move || {
            if let Some(map) = map.upgrade() {
                map.leave(&present);
            }
        };
        Ok(Lease { taken_over, release: Some(Box::new(release)) })
    }

    fn is_free(&self, room: RoomId, guest: GuestId, name: &GuestName) -> bool {
        self.state().is_free(room, guest, name)
    }

    fn users(&self, room: RoomId) -> Vec<String> {
        let state = self.state();
        let mut users: Vec<_> =
            state.in_room(room).map(|(_, entry)| entry.present.name.to_string()).collect();
        users.sort_unstable();
        users
    }
}
