//! The entries of presence and their indices: by room and guest, by name within a room, by the peer that holds them.
//! Pure bookkeeping; each change returns notices for the people in the room.
//!
//! Guests share a name only after both sides of a split admitted one. The log shows some as `name~xx`; of the others, the
//! guest with the earliest claim or session has no suffix. The nodes that hold the sessions write to the log that the
//! name is shared: so when the unsuffixed guest leaves, no other guest is renamed.

mod looks;
mod types;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use starling_protocol::{
    GuestId, GuestName, Hlc, NameShared, NodeId, RoomId,
    frame::peer::Present,
    merge::guest_name::{self, NameClaim},
};

use self::looks::Looks;
pub use self::types::{ClaimLookup, NameShareRecord, Notice, SessionAt};

#[derive(Debug)]
struct Entry {
    present: Present,
    at: SessionAt,
    /// The name that the room sees; `None` before [`Rooms::settle`] ran.
    shown: Option<String>,
    /// Whether a record that the guest shares their name was put into `unwritten_shares`.
    share_queued: bool,
}

#[derive(Debug, Default)]
struct Room {
    /// Everybody in a quick room, also people with an account.
    guests: BTreeMap<GuestId, Entry>,
    /// The guests by folded name; several under one name only after both sides of a split admitted a guest.
    names: HashMap<Box<str>, Vec<GuestId>>,
    /// Their names by look.
    looks: Looks,
}

/// All entries by room.
#[derive(Debug, Default)]
pub struct Rooms {
    by_id: HashMap<RoomId, Room>,
    /// The number of entries of each peer by room: they end with its link without a search.
    by_peer: HashMap<NodeId, HashMap<RoomId, usize>>,
    /// Sessions that are not shown because their guest has a later one, the latest last: those of peers, and those of
    /// this node whose user is on several devices.
    superseded: BTreeMap<(RoomId, GuestId), Vec<(Present, SessionAt)>>,
    /// Records that the log has not taken yet.
    pub unwritten_shares: Vec<NameShareRecord>,
}

impl Rooms {
    /// Whether a guest may have the name: no other guest has it, or the log knows that they share it with all who do.
    pub fn is_free(
        &self,
        room_id: RoomId,
        guest: GuestId,
        name: &GuestName,
        claims: ClaimLookup<'_>,
    ) -> bool {
        let Some(room) = self.by_id.get(&room_id) else { return true };
        let holders = room.names.get(&name.folded()).into_iter().flatten();
        let mut others = holders.filter(|&&holder| holder != guest).peekable();
        if others.peek().is_none() {
            return true;
        }
        let own = claims(room_id, name, guest);
        others.all(|&other| share_a_name(own, claims(room_id, name, other)))
    }

    /// Whether another guest in the room has a different name that looks like this one; never for a guest who returns to
    /// a name that they have in a session or in the log.
    pub fn is_lookalike(
        &self,
        room_id: RoomId,
        guest: GuestId,
        name: &GuestName,
        claims: ClaimLookup<'_>,
    ) -> bool {
        let Some(room) = self.by_id.get(&room_id) else { return false };
        let is_same =
            |of: GuestId| room.guests.get(&of).is_none_or(|of| of.present.name.folded() == name.folded());
        let mut others = room.looks.alike(name).filter(|&other| other != guest);
        let returns =
            room.guests.contains_key(&guest) && is_same(guest) || claims(room_id, name, guest).is_some();
        !returns && others.any(|other| !is_same(other))
    }

    /// When the session of a guest began.
    pub fn since(&self, room: RoomId, guest: GuestId) -> Option<Hlc> {
        Some(self.entry(room, guest)?.present.since)
    }

    /// Returns the session on this node that a later one of the same guest takes over.
    pub fn taken_over_here(&self, room: RoomId, guest: GuestId) -> Option<Present> {
        let entry = self.entry(room, guest)?;
        let taken_over = matches!(entry.at, SessionAt::Here(_)) && !entry.present.account;
        taken_over.then(|| entry.present.clone())
    }

    /// The name under which a guest is shown, if they are present.
    pub fn shown(&self, room: RoomId, guest: GuestId) -> Option<&str> {
        self.entry(room, guest)?.shown.as_deref()
    }

    pub fn names(&self, room: RoomId) -> Vec<String> {
        let guests = self.by_id.get(&room).into_iter().flat_map(|room| room.guests.values());
        guests.filter_map(|entry| entry.shown.clone()).collect()
    }

    pub fn entry_count(&self) -> usize {
        self.by_id.values().map(|room| room.guests.len()).sum()
    }

    /// All guests, with their rooms.
    pub fn all(&self) -> impl Iterator<Item = (RoomId, GuestId)> {
        self.by_id.iter().flat_map(|(&id, room)| room.guests.keys().map(move |&guest| (id, guest)))
    }

    /// The sessions of this node.
    pub fn here(&self) -> impl Iterator<Item = &Present> {
        let entries = self.by_id.values().flat_map(|room| room.guests.values());
        let shown = entries.map(|entry| (&entry.present, &entry.at));
        let others = self.superseded.values().flatten().map(|(present, at)| (present, at));
        shown.chain(others).filter(|(_, at)| matches!(at, SessionAt::Here(_))).map(|(present, _)| present)
    }

    /// Adds a session; of two sessions of one guest the later is shown. It takes over the earlier one, unless the guest has
    /// an account: a user may be on several devices.
    pub fn joined(
        &mut self,
        present: Present,
        at: SessionAt,
        claims: ClaimLookup<'_>,
    ) -> Vec<(RoomId, Notice)> {
        let (room, guest, folded) = (present.room, present.guest, present.name.folded());
        if self.since(room, guest).is_some_and(|since| since > present.since) {
            if present.account || matches!(at, SessionAt::Peer(_)) {
                self.supersede(present, at);
            }
            return Vec::new();
        }
        let new = Entry { present, at, shown: None, share_queued: false };
        let (mut notices, mut names) = (Vec::new(), BTreeSet::from([folded]));
        let old = self.remove(room, guest);
        if let Some(old) = &old {
            names.insert(old.present.name.folded());
        }
        self.put(old.as_ref(), new, &mut notices);
        match old.map(|old| (old.at, old.present)) {
            Some((SessionAt::Here(taken_over), Present { account: false, .. })) => {
                let _ = taken_over.map(|taken_over| taken_over.send(()));
            }
            Some((at, present)) => self.supersede(present, at),
            None => {}
        }
        for name in names {
            self.settle(room, &name, claims, &mut notices);
        }
        notices
    }

    /// Ends a session; a later one of the same guest stays.
    pub fn end_session(&mut self, present: &Present, claims: ClaimLookup<'_>) -> Vec<(RoomId, Notice)> {
        let Present { room, guest, since, .. } = *present;
        if self.since(room, guest) == Some(since) {
            return self.remove_guests(room, [guest], claims);
        }
        self.drop_superseded(room, guest, |entry, _| entry.since == since);
        Vec::new()
    }

    /// Forgets all presence on a peer.
    pub fn clear_peer(&mut self, peer: NodeId, claims: ClaimLookup<'_>) -> Vec<(RoomId, Notice)> {
        let mut notices = Vec::new();
        let rooms: Vec<_> = self.by_peer.get(&peer).into_iter().flat_map(HashMap::keys).copied().collect();
        for room in rooms {
            let guests = self.by_id.get(&room).into_iter().flat_map(|room| &room.guests);
            let gone = guests.filter(|(_, entry)| matches!(entry.at, SessionAt::Peer(held) if held == peer));
            let gone: Vec<_> = gone.map(|(&guest, _)| guest).collect();
            let superseded = self.superseded.range((room, GuestId([0; 16]))..=(room, GuestId([u8::MAX; 16])));
            for guest in superseded.map(|(&(_, guest), _)| guest).collect::<Vec<_>>() {
                self.drop_superseded(room, guest, |_, held| held == Some(peer));
            }
            notices.extend(self.remove_guests(room, gone, claims));
        }
        self.by_peer.remove(&peer);
        notices
    }

    /// Settles a guest's name after the log has changed it.
    pub fn settle_renamed(
        &mut self,
        room: RoomId,
        guest: GuestId,
        claims: ClaimLookup<'_>,
    ) -> Vec<(RoomId, Notice)> {
        let mut notices = Vec::new();
        if let Some(folded) = self.entry(room, guest).map(|entry| entry.present.name.folded()) {
            self.settle(room, &folded, claims, &mut notices);
        }
        notices
    }

    fn entry(&self, room: RoomId, guest: GuestId) -> Option<&Entry> {
        self.by_id.get(&room)?.guests.get(&guest)
    }

    /// Removes guests from a room.
    fn remove_guests(
        &mut self,
        room: RoomId,
        guests: impl IntoIterator<Item = GuestId>,
        claims: ClaimLookup<'_>,
    ) -> Vec<(RoomId, Notice)> {
        let (mut notices, mut names) = (Vec::new(), BTreeSet::new());
        let entries: Vec<_> = guests.into_iter().filter_map(|guest| self.remove(room, guest)).collect();
        for old in entries {
            names.insert(old.present.name.folded());
            if let Some(earlier) = self.next_session(room, old.present.guest) {
                names.insert(earlier.present.name.folded());
                self.put(Some(&old), earlier, &mut notices);
            } else {
                let is_guest = !old.present.account;
                notices.extend(old.shown.map(|shown| (room, Notice::Left { username: shown, is_guest })));
            }
        }
        for name in names {
            self.settle(room, &name, claims, &mut notices);
        }
        notices
    }

    /// Shows a session in place of another one of the same guest. A guest who only moves causes no notice.
    fn put(&mut self, old: Option<&Entry>, mut new: Entry, notices: &mut Vec<(RoomId, Notice)>) {
        let Present { room, guest, ref name, .. } = new.present;
        let folded = name.folded();
        let shown = old.and_then(|old| Some((old.present.name.folded(), old.shown.clone()?)));
        match shown {
            Some((name, shown)) if name == folded => new.shown = Some(shown),
            Some((_, shown)) => {
                notices.push((room, Notice::Left { username: shown, is_guest: !new.present.account }));
            }
            None => {}
        }
        if let SessionAt::Peer(peer) = new.at {
            self.count(peer, room, true);
        }
        let entries = self.by_id.entry(room).or_default();
        entries.looks.add(guest, name);
        entries.names.entry(folded).or_default().push(guest);
        entries.guests.insert(guest, new);
    }

    /// Keeps a session of a guest who has a later one: clocks differ, so the later one may end first.
    fn supersede(&mut self, present: Present, at: SessionAt) {
        let (room, guest, peer) = (present.room, present.guest, at.peer());
        self.drop_superseded(room, guest, |entry, held| (entry.since, held) == (present.since, peer));
        let sessions = self.superseded.entry((room, guest)).or_default();
        let index = sessions.partition_point(|(entry, _)| entry.since < present.since);
        sessions.insert(index, (present, at));
        if let Some(peer) = peer {
            self.count(peer, room, true);
        }
    }

    /// Removes and returns the latest session of a guest that was not shown.
    fn next_session(&mut self, room: RoomId, guest: GuestId) -> Option<Entry> {
        let sessions = self.superseded.get_mut(&(room, guest))?;
        let (present, at) = sessions.pop()?;
        if sessions.is_empty() {
            self.superseded.remove(&(room, guest));
        }
        if let Some(peer) = at.peer() {
            self.count(peer, room, false);
        }
        Some(Entry { present, at, shown: None, share_queued: false })
    }

    fn drop_superseded(
        &mut self,
        room: RoomId,
        guest: GuestId,
        is_over: impl Fn(&Present, Option<NodeId>) -> bool,
    ) {
        let Some(mut sessions) = self.superseded.remove(&(room, guest)) else { return };
        for (_, at) in sessions.extract_if(.., |(present, at)| is_over(present, at.peer())) {
            if let Some(peer) = at.peer() {
                self.count(peer, room, false);
            }
        }
        if !sessions.is_empty() {
            self.superseded.insert((room, guest), sessions);
        }
    }

    /// Adds one entry of a peer in a room to the count, or subtracts one.
    fn count(&mut self, peer: NodeId, room: RoomId, more: bool) {
        let rooms = self.by_peer.entry(peer).or_default();
        let entries = rooms.entry(room).or_default();
        *entries = if more { *entries + 1 } else { entries.saturating_sub(1) };
        if *entries == 0 {
            rooms.remove(&room);
        }
    }

    /// Decides again which guest with a name is shown without a suffix.
    fn settle(
        &mut self,
        id: RoomId,
        folded: &str,
        claims: ClaimLookup<'_>,
        notices: &mut Vec<(RoomId, Notice)>,
    ) {
        let Some(room) = self.by_id.get_mut(&id) else { return };
        let Some(guests) = room.names.get(folded) else { return };
        let claim = |guest: &GuestId| match &room.guests[guest].present {
            // An account keeps its name, even if the other side of a split admitted a guest under it.
            Present { account: true, .. } => (*guest, Hlc::default(), None),
            Present { name, since, .. } => (*guest, *since, claims(id, name, *guest)),
        };
        let holders: Vec<_> = guests.iter().map(claim).collect();
        let begun = |&(guest, since, claim): &(GuestId, Hlc, Option<NameClaim>)| match claim {
            None => Some((since, guest)),
            Some(NameClaim { first, group }) => (group.holder == guest).then_some((first.min(since), guest)),
        };
        let unsuffixed = holders.iter().filter_map(begun).min().map(|(_, guest)| guest);
        let above_hlc = holders.iter().map(|&(_, since, _)| since).max().unwrap_or_default();
        let mut changes = Vec::new();
        for &(guest, since, claim) in &holders {
            let Some(entry) = room.guests.get_mut(&guest) else { continue };
            let name = &entry.present.name;
            let unknown = || holders.iter().any(|other| other.0 != guest && !share_a_name(claim, other.2));
            let guest_here = matches!(entry.at, SessionAt::Here(_)) && !entry.present.account;
            if guest_here && !entry.share_queued && unknown() {
                entry.share_queued = true;
                let shared = NameShared { guest, name: name.clone(), since };
                self.unwritten_shares.push(NameShareRecord { room: id, shared, above_hlc });
            }
            let is_unsuffixed = unsuffixed == Some(guest);
            let shown = guest_name::shown_name(name, guest, is_unsuffixed);
            if entry.shown.as_ref() != Some(&shown) {
                changes.push((
                    is_unsuffixed,
                    entry.shown.replace(shown.clone()),
                    shown,
                    !entry.present.account,
                ));
            }
        }
        // A guest gives up the unsuffixed name before another is shown under it.
        changes.sort_by_key(|&(is_unsuffixed, ..)| is_unsuffixed);
        for (_, before, now, is_guest) in changes {
            notices.extend(before.map(|before| (id, Notice::Left { username: before, is_guest })));
            notices.push((id, Notice::Joined { username: now, is_guest }));
        }
    }

    /// Removes an entry from all indices.
    fn remove(&mut self, room_id: RoomId, guest: GuestId) -> Option<Entry> {
        let room = self.by_id.get_mut(&room_id)?;
        let entry = room.guests.remove(&guest)?;
        let folded = entry.present.name.folded();
        if let Some(holders) = room.names.get_mut(&folded) {
            holders.retain(|&holder| holder != guest);
            if holders.is_empty() {
                room.names.remove(&folded);
            }
        }
        room.looks.remove(guest, &entry.present.name);
        if room.guests.is_empty() {
            self.by_id.remove(&room_id);
        }
        if let SessionAt::Peer(peer) = entry.at {
            self.count(peer, room_id, false);
        }
        Some(entry)
    }
}

/// Whether the log knows that two guests share a name.
fn share_a_name(one: Option<NameClaim>, other: Option<NameClaim>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one.group == other.group)
}

#[cfg(test)]
mod tests;
