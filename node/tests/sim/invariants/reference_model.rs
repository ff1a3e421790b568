//! Every node shows the users, members and messages that follow from the events: a second implementation derives them
//! from the set of events alone, in any order. Deleted text is nowhere.

use std::collections::{BTreeMap, BTreeSet};

use starling_node::store::Store;
use starling_protocol::{
    Emoji, Event, EventBody, FoldedVector, Pos, RoomId, UserId, VersionVector,
    event::{Membership, MessageKey, Stance},
    merge::contact::Side,
};

use super::sequence;
use crate::{mutants::Mutant, world::World};

/// The state that follows from the events. Of several writes to one key the greatest counts.
#[derive(Default)]
struct Meaning {
    stances: BTreeMap<(UserId, UserId), ((u64, Pos), Stance)>,
    members: BTreeMap<(RoomId, UserId), (Pos, Membership)>,
    edits: BTreeMap<(RoomId, MessageKey), BTreeMap<Pos, Option<String>>>,
    reactions: BTreeMap<(RoomId, MessageKey, UserId, Emoji), (Pos, bool)>,
    marks: BTreeMap<(UserId, RoomId), (Pos, VersionVector)>,
    /// Everything that marks over folds ever covered.
    folded_marks: Vec<(UserId, RoomId, FoldedVector)>,
    deleted_users: BTreeSet<UserId>,
    deleted_rooms: BTreeSet<RoomId>,
    deleted_messages: BTreeSet<(RoomId, MessageKey)>,
}

pub fn check(world: &World) -> Result<(), String> {
    let runs = world.nodes.iter().enumerate();
    let runs = runs.filter_map(|(node, machine)| Some((node, machine.run.as_ref()?)));
    let (_, first) = runs.clone().next().expect("somebody runs");
    let log = sequence::log(&first.store, first.committer.vector());
    let log: Vec<_> = log.into_values().map(|event| Event::decode(event).expect("the log decodes")).collect();
    let mut meaning = Meaning::default();
    for event in &log {
        meaning.take(event);
    }
    // All nodes hold the same log.
    meaning.nothing_remains(&log)?;
    for (node, run) in runs {
        if let Some(what) = meaning.differs(world, node, &run.store) {
            return Err(format!("node {node} shows something else than was said: {what}"));
        }
    }
    Ok(())
}

/// Keeps the latest of several writes to a key.
fn last<K: Ord, P: Ord, V>(map: &mut BTreeMap<K, (P, V)>, key: K, place: P, value: V) {
    if map.get(&key).is_none_or(|(known, _)| *known < place) {
        map.insert(key, (place, value));
    }
}

impl Meaning {
    fn take(&mut self, event: &Event) {
        let pos = event.pos();
        if let Some(user) = event.scope.as_user() {
            match &event.body {
                EventBody::StanceChanged(set) => {
                    last(&mut self.stances, (user, set.to), (set.round, pos), set.stance);
                }
                EventBody::ReadMarked(mark) => {
                    let known = self.marks.entry((user, mark.room)).or_insert((mark.pos, mark.seen.clone()));
                    known.0 = known.0.max(mark.pos);
                    known.1.merge(&mark.seen);
                }
                EventBody::FoldedReadMarked(mark) => {
                    let place =
                        self.marks.entry((user, mark.room)).or_insert((mark.pos, VersionVector::default()));
                    place.0 = place.0.max(mark.pos);
                    let seen = mark.seen.iter().cloned();
                    self.folded_marks.extend(seen.map(|seen| (user, mark.room, seen)));
                }
                EventBody::UserDeleted(_) => {
                    self.deleted_users.insert(user);
                }
                _ => {}
            }
        }
        let Some(room) = event.scope.as_room() else { return };
        match &event.body {
            EventBody::MembershipChanged(set) => {
                last(&mut self.members, (room, set.user), pos, set.membership);
            }
            EventBody::MessageEdited(edited) => {
                let text = edited.text.as_ref().map(|text| text.as_str().to_owned());
                self.edits.entry((room, edited.message)).or_default().insert(pos, text);
            }
            EventBody::MessageDeleted(deleted) => {
                self.deleted_messages.insert((room, deleted.message));
            }
            EventBody::ReactionChanged(set) => {
                let key = (room, set.message, set.user, set.emoji.clone());
                last(&mut self.reactions, key, pos, set.on);
            }
            EventBody::MemberRoomDeleted(_) => {
                self.deleted_rooms.insert(room);
            }
            _ => {}
        }
    }

    /// Returns the first difference in what a node shows.
    fn differs(&self, world: &World, node: usize, store: &Store) -> Option<String> {
        let reader = store.messages().unwrap();
        let records = &reader.records;
        for (&(user, to), &((round, place), stance)) in &self.stances {
            let both = [records.sides(user, to).unwrap().mine, records.sides(to, user).unwrap().theirs];
            if both != [Some(Side { round, pos: place, stance }); 2] {
                return Some(format!("{user} said {stance:?} of {to}"));
            }
        }
        for (&(room, user), &(_, membership)) in &self.members {
            let shown = records.membership_of(room, user).unwrap().map(|member| member.membership);
            if shown != Some(membership) {
                return Some(format!("{user} is {membership:?} in {room}, and not {shown:?}"));
            }
        }
        for (&(room, message), edits) in &self.edits {
            let came = |pos: &Pos| world.arrivals.iter().rposition(|come| *come == (node, *pos));
            let wanted = match world.mutant {
                Some(Mutant::EditsAsTheyCame) => edits.iter().max_by_key(|(pos, _)| came(pos)),
                _ => edits.last_key_value(),
            };
            let shown = reader.edited(room, message).unwrap().map(|(text, _)| text);
            if wanted.is_some_and(|(_, text)| *text != shown) {
                return Some(format!("{message:?} was edited last to {wanted:?}, and not to {shown:?}"));
            }
        }
        for ((room, message, user, emoji), &(_, on)) in &self.reactions {
            let shown = records.reaction(*room, *message, *user, emoji).unwrap();
            if shown.is_none_or(|shown| shown.value != on) {
                return Some(format!("the reaction of {user} to {message:?} is {on}"));
            }
        }
        let rooms = store.room_reader().unwrap();
        for (&(user, room), (pos, seen)) in &self.marks {
            let shown = rooms.read_mark(user, room).unwrap();
            if shown.is_none_or(|shown| shown.pos != *pos || !shown.seen.covers(seen)) {
                return Some(format!("{user} has read {room} up to {pos}"));
            }
        }
        for (user, room, seen) in &self.folded_marks {
            // A fold whose base was lost with a disk is known to nobody.
            let seen = store.fold(seen.fold).unwrap().map(|fold| seen.over(fold));
            let shown = rooms.read_mark(*user, *room).unwrap();
            if seen.is_some_and(|seen| shown.is_none_or(|shown| !shown.seen.covers(&seen))) {
                return Some(format!("what {user} has read of {room} is unread again"));
            }
        }
        let is_there = |user: &&UserId| records.existing_account(**user).unwrap().is_some();
        let exists = |room: &&RoomId| records.member_room(**room).unwrap().is_some();
        let user = self.deleted_users.iter().find(is_there).map(|user| format!("{user} was deleted"));
        user.or_else(|| self.deleted_rooms.iter().find(exists).map(|room| format!("{room} was deleted")))
    }

    /// Checks that deleted events are stubs, also if they arrived later.
    fn nothing_remains(&self, log: &[Event]) -> Result<(), String> {
        let is_gone = |event: &Event| {
            if let Some(user) = event.scope.as_user() {
                return self.deleted_users.contains(&user);
            }
            let Some(room) = event.scope.as_room() else { return false };
            let message = match &event.body {
                EventBody::MessagePosted(posted) => posted.key(),
                EventBody::MessageEdited(edited) => edited.message,
                _ => return false,
            };
            self.deleted_rooms.contains(&room) || self.deleted_messages.contains(&(room, message))
        };
        match log.iter().find(|event| is_gone(event) && event.erased().encoded() != event.encoded()) {
            Some(event) => Err(format!("{:?} was deleted, and is still in the log", event.body)),
            None => Ok(()),
        }
    }
}
