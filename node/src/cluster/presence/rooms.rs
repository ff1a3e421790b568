//! The entries of presence and their indices: by room and guest, by name within a room, by the peer that holds them.
//! Pure bookkeeping; each change gives what the people in the room are to see of it.

use std::collections::{BTreeMap, HashMap};

use starling_protocol::{GuestId, GuestName, Hlc, NodeId, RoomId, frame::peer::Present};
use tokio::sync::oneshot;

/// Whose session an entry stands for.
#[derive(Debug)]
pub enum Holder {
    /// One of this node; told when a later session takes over.
    Here(Option<oneshot::Sender<()>>),
    /// One of a linked node.
    Peer(NodeId),
}

/// What the people in a room see of a change.
#[derive(Debug, PartialEq, Eq)]
pub enum Notice {
    Joined(GuestName),
    Left(GuestName),
}

#[derive(Debug)]
struct Entry {
    present: Present,
    holder: Holder,
}

#[derive(Debug, Default)]
struct Room {
    guests: BTreeMap<GuestId, Entry>,
    /// Folded name → who has it; several only after both sides of a split let it in.
    names: HashMap<Box<str>, Vec<GuestId>>,
}

/// All entries.
#[derive(Debug, Default)]
pub struct Rooms {
    rooms: HashMap<RoomId, Room>,
    /// How many entries each peer has in which rooms: what ends with its link, without looking at all others.
    of_peers: HashMap<NodeId, HashMap<RoomId, usize>>,
}

impl Rooms {
    /// Whether nobody but `guest` has the name.
    pub fn is_free(&self, room: RoomId, guest: GuestId, name: &GuestName) -> bool {
        let holders = self.rooms.get(&room).and_then(|room| room.names.get(&name.folded()));
        holders.is_none_or(|holders| holders.iter().all(|&holder| holder == guest))
    }

    /// When the session of a guest began.
    pub fn since(&self, room: RoomId, guest: GuestId) -> Option<Hlc> {
        Some(self.rooms.get(&room)?.guests.get(&guest)?.present.since)
    }

    pub fn names(&self, room: RoomId) -> Vec<String> {
        let guests = self.rooms.get(&room).into_iter().flat_map(|room| room.guests.values());
        guests.map(|entry| entry.present.name.to_string()).collect()
    }

    pub fn count(&self) -> usize {
        self.rooms.values().map(|room| room.guests.len()).sum()
    }

    /// The sessions of this node.
    pub fn here(&self) -> impl Iterator<Item = &Present> {
        let entries = self.rooms.values().flat_map(|room| room.guests.values());
        entries.filter(|entry| matches!(entry.holder, Holder::Here(_))).map(|entry| &entry.present)
    }

    /// Somebody is present; of two sessions of one guest the later stays.
    pub fn joined(&mut self, present: Present, holder: Holder) -> Vec<(RoomId, Notice)> {
        let (room, name) = (present.room, present.name.clone());
        if self.since(room, present.guest).is_some_and(|since| since > present.since) {
            return Vec::new();
        }
        let old = self.remove(room, present.guest);
        if let Holder::Peer(peer) = holder {
            *self.of_peers.entry(peer).or_default().entry(room).or_default() += 1;
        }
        let entries = self.rooms.entry(room).or_default();
        entries.names.entry(name.folded()).or_default().push(present.guest);
        entries.guests.insert(present.guest, Entry { present, holder });
        let Some(old) = old else { return vec![(room, Notice::Joined(name))] };
        if let Holder::Here(Some(taken_over)) = old.holder {
            let _ = taken_over.send(());
        }
        // A guest who only moves is not announced.
        if old.present.name == name {
            return Vec::new();
        }
        vec![(room, Notice::Left(old.present.name)), (room, Notice::Joined(name))]
    }

    /// A session is over, unless a later one of the same guest goes on.
    pub fn left(&mut self, present: &Present) -> Option<(RoomId, Notice)> {
        let Present { room, guest, since, .. } = *present;
        if self.since(room, guest) != Some(since) {
            return None;
        }
        let entry = self.remove(room, guest)?;
        Some((room, Notice::Left(entry.present.name)))
    }

    /// All sessions of a peer are over.
    pub fn peer_gone(&mut self, peer: NodeId) -> Vec<(RoomId, Notice)> {
        let mut notices = Vec::new();
        for room in self.of_peers.remove(&peer).unwrap_or_default().into_keys() {
            let guests = self.rooms.get(&room).into_iter().flat_map(|room| &room.guests);
            let gone = guests.filter(|(_, entry)| matches!(entry.holder, Holder::Peer(held) if held == peer));
            for guest in gone.map(|(&guest, _)| guest).collect::<Vec<_>>() {
                let entry = self.remove(room, guest);
                notices.extend(entry.map(|entry| (room, Notice::Left(entry.present.name))));
            }
        }
        notices
    }

    /// Takes an entry out of all indices.
    fn remove(&mut self, room_id: RoomId, guest: GuestId) -> Option<Entry> {
        let room = self.rooms.get_mut(&room_id)?;
        let entry = room.guests.remove(&guest)?;
        let folded = entry.present.name.folded();
        if let Some(holders) = room.names.get_mut(&folded) {
            holders.retain(|&holder| holder != guest);
            if holders.is_empty() {
                room.names.remove(&folded);
            }
        }
        if room.guests.is_empty() {
            self.rooms.remove(&room_id);
        }
        if let Holder::Peer(peer) = entry.holder
            && let Some(rooms) = self.of_peers.get_mut(&peer)
            && let Some(entries) = rooms.get_mut(&room_id)
        {
            *entries -= 1;
            if *entries == 0 {
                rooms.remove(&room_id);
            }
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: RoomId = RoomId([1; 10]);
    const PEER: NodeId = NodeId([2; 16]);

    fn present(guest: u8, name: &str, since: u64) -> Present {
        let name = GuestName::parse(name).unwrap();
        Present { room: ROOM, guest: GuestId([guest; 16]), name, since: Hlc(since) }
    }

    fn names(notices: Vec<(RoomId, Notice)>) -> Vec<String> {
        let name = |(_, notice): (RoomId, Notice)| match notice {
            Notice::Joined(name) => format!("+{name}"),
            Notice::Left(name) => format!("-{name}"),
        };
        notices.into_iter().map(name).collect()
    }

    #[test]
    fn nothing_is_left_behind_when_all_are_gone() {
        let mut rooms = Rooms::default();
        assert_eq!(names(rooms.joined(present(1, "Ann", 1), Holder::Here(None))), ["+Ann"]);
        assert_eq!(names(rooms.joined(present(2, "Bob", 1), Holder::Peer(PEER))), ["+Bob"]);
        assert_eq!(names(rooms.joined(present(3, "Cid", 1), Holder::Peer(PEER))), ["+Cid"]);
        assert_eq!(names(rooms.left(&present(3, "Cid", 1)).into_iter().collect()), ["-Cid"]);
        assert_eq!(names(rooms.peer_gone(PEER)), ["-Bob"]);
        assert_eq!(names(rooms.left(&present(1, "Ann", 1)).into_iter().collect()), ["-Ann"]);
        assert!(rooms.rooms.is_empty() && rooms.of_peers.values().all(HashMap::is_empty));
    }

    #[test]
    fn the_later_session_of_a_guest_stays_and_moving_is_not_announced() {
        let mut rooms = Rooms::default();
        let (sender, mut taken_over) = oneshot::channel();
        rooms.joined(present(1, "Ann", 5), Holder::Here(Some(sender)));
        assert!(rooms.joined(present(1, "Ann", 4), Holder::Peer(PEER)).is_empty());
        assert!(taken_over.try_recv().is_err(), "the earlier session does not take over");
        assert!(rooms.joined(present(1, "Ann", 6), Holder::Peer(PEER)).is_empty());
        assert!(taken_over.try_recv().is_ok());
        assert!(
            rooms.left(&present(1, "Ann", 5)).is_none(),
            "the replaced session does not end the later one"
        );
        assert_eq!(names(rooms.joined(present(1, "Anna", 7), Holder::Peer(PEER))), ["-Ann", "+Anna"]);
    }

    #[test]
    fn a_name_is_held_case_folded_by_one_guest() {
        let mut rooms = Rooms::default();
        rooms.joined(present(1, "Ann", 1), Holder::Here(None));
        let name = GuestName::parse("aNN").unwrap();
        assert!(
            rooms.is_free(ROOM, GuestId([1; 16]), &name) && !rooms.is_free(ROOM, GuestId([2; 16]), &name)
        );
        assert!(rooms.is_free(RoomId([9; 10]), GuestId([2; 16]), &name));
    }
}
