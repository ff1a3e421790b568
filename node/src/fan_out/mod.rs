//! Fans commits out to live sessions: encodes each change once and pushes the frame into every lane that has a session
//! on this node. A change that no session here follows costs one look-up of its lane.

mod listener;
mod old_frames;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use starling_protocol::{
    GuestId, Hlc, MessageKey, RoomId, Sender, UserId,
    event::sender_user,
    frame::{
        client::{ListedMessage, MessageObject},
        live::RoomChange,
    },
    merge::contact::Relation,
};
use starling_web::{
    lane::{Frame, Lane, LaneKey, Lanes},
    live_frame::LiveFrame,
};

pub use self::{listener::FanOut, old_frames::OldFrames};
use crate::{
    permissions,
    services::render,
    store::{Change, Commit, MessagesReader, Records, RoomReader, Rows, Store, StoreError},
};

/// After guests were renamed, this many of a room's newest messages are searched for theirs, which are sent again: more
/// than the first page shows.
const RENAME_SEARCH_MESSAGES: usize = 200;
/// The most bytes of frames that are sent again in a room: a part of its lane's capacity.
const RESENT_BYTES: usize = 256 * 1024;

/// The most acquaintances that are notified of a changed profile, since the writer waits; the others see it at their
/// next look.
const ACQUAINTANCES_MAX: usize = 2_000;

/// Pushes a commit's frames. Runs inside [`Lanes::publish_commit`], which sets the commit point afterwards.
pub(crate) fn fan_out(lanes: &Lanes, store: &Store, commit: &Commit) {
    let (frames, notified) = (HashMap::new(), BTreeSet::new());
    let mut commit_frames = CommitFrames { lanes, store, number: commit.number, frames, notified };
    for (room, message) in &commit.quick_messages {
        commit_frames.push(*room, |number| quick_frame(number, *room, message));
    }
    if !commit.renamed.is_empty() {
        commit_frames.resend_renamed(&commit.renamed);
    }
    if let Err(error) = store.guarded(|_| commit_frames.push_changes(&commit.changes)) {
        tracing::error!(%error, "cannot read a commit: sessions on this node do not receive it");
    }
    // Users first: a session that sees a room's frame then knows whether its user is still a member.
    let is_user = |(key, _): &(LaneKey, _)| matches!(key, LaneKey::User(_));
    let (users, rooms): (Vec<_>, Vec<_>) = commit_frames.frames.into_iter().partition(is_user);
    for (lane, frames) in users.into_iter().chain(rooms).filter_map(|(_, pushed)| pushed) {
        lane.push(frames);
    }
}

/// A lane and the frames to push into it.
type Pushed = (Arc<Lane>, Vec<Frame>);

/// The frames of a commit, by lane. Each lane is looked up once; `None` if it has no session here.
struct CommitFrames<'a> {
    lanes: &'a Lanes,
    store: &'a Store,
    number: u64,
    frames: HashMap<LaneKey, Option<Pushed>>,
    /// Memberships that were notified already.
    notified: BTreeSet<(RoomId, UserId)>,
}

impl CommitFrames<'_> {
    fn lane(&mut self, key: impl Into<LaneKey>) -> Option<&mut Vec<Frame>> {
        let key = key.into();
        let lane = || Some((self.lanes.get(key)?, Vec::new()));
        self.frames.entry(key).or_insert_with(lane).as_mut().map(|(_, frames)| frames)
    }

    fn push(&mut self, key: impl Into<LaneKey>, frame: impl FnOnce(u64) -> Frame) {
        let number = self.number;
        if let Some(frames) = self.lane(key) {
            frames.push(frame(number));
        }
    }

    fn invalidate(&mut self, key: impl Into<LaneKey>) {
        let number = self.number;
        if let Some(frames) = self.lane(key)
            && !frames.iter().any(Frame::is_invalidation)
        {
            frames.push(Frame::invalidate(number));
        }
    }

    /// Sends the newest messages of renamed guests again; clients replace them by id. Older messages show the new name
    /// once they are loaded again.
    fn resend_renamed(&mut self, renamed: &BTreeSet<(RoomId, GuestId)>) {
        let (store, number) = (self.store, self.number);
        let rooms: BTreeSet<_> = renamed.iter().map(|&(room, _)| room).collect();
        for room in rooms {
            let Some(lane) = self.lane(room) else { continue };
            let page = match store.guarded(|store| store.page(room, None, RENAME_SEARCH_MESSAGES, None)) {
                Ok(page) => page,
                Err(error) => {
                    tracing::error!(%error, "cannot read the messages of renamed guests");
                    continue;
                }
            };
            let is_renamed = |message: &&ListedMessage| matches!(&message.posted.sender, Sender::Guest { id, .. } if renamed.contains(&(room, *id)));
            let mut bytes = 0;
            let frames =
                page.messages.iter().filter(is_renamed).map(|message| quick_frame(number, room, message));
            lane.extend(frames.take_while(|frame| {
                bytes += frame.wire.len();
                bytes <= RESENT_BYTES
            }));
        }
    }

    fn push_changes(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if !changes.iter().any(|change| self.concerns_anybody(change)) {
            return Ok(());
        }
        let mut reader = self.store.room_reader()?;
        for change in changes {
            match change {
                Change::Posted(room, message) => self.push_posted(&reader.messages, *room, message)?,
                Change::Updated(room, key) => self.push_updated(&mut reader.messages, *room, *key)?,
                Change::Deleted(room, key) => self.push_deleted(&reader.messages, *room, *key)?,
                Change::Read(room, user) => self.push_read_mark(&mut reader.messages, *room, *user)?,
                Change::Room(room, RoomChange::Joined) => self.push_room_created(&mut reader, *room)?,
                Change::Room(room, RoomChange::Updated | RoomChange::Removed) => self.invalidate(*room),
                Change::Member(room, user, change) => {
                    self.push_membership(&mut reader, *room, *user, *change)?;
                }
                Change::Contact(user, other) => self.push_contact(reader.records(), *user, *other)?,
                Change::Account(user) => self.invalidate(*user),
                Change::Profile(user) => self.push_profile(reader.records(), *user)?,
                Change::NodeForgotten(_) => {}
            }
        }
        Ok(())
    }

    /// Whether a change may concern a session here, as far as the lanes alone show.
    fn concerns_anybody(&mut self, change: &Change) -> bool {
        match change {
            Change::Posted(room, _) | Change::Updated(room, _) | Change::Deleted(room, _) => {
                self.lane(*room).is_some()
            }
            Change::Read(room, user) => self.lane(*room).is_some() || self.lane(*user).is_some(),
            // It concerns all members of the room, or all acquaintances of the user.
            Change::Room(_, RoomChange::Joined) | Change::Profile(_) => true,
            Change::Room(room, RoomChange::Updated | RoomChange::Removed) => self.lane(*room).is_some(),
            Change::Contact(user, other) => self.lane(*user).is_some() || self.lane(*other).is_some(),
            Change::Member(_, user, _) | Change::Account(user) => self.lane(*user).is_some(),
            Change::NodeForgotten(_) => false,
        }
    }

    fn push_frame(&mut self, key: impl Into<LaneKey>, from: Option<UserId>, hlc: Hlc, frame: &LiveFrame<'_>) {
        self.push(key, |number| Frame { from, ..Frame::new(number, hlc, frame.to_json()) });
    }

    fn push_posted(
        &mut self,
        reader: &MessagesReader,
        room: RoomId,
        message: &ListedMessage,
    ) -> Result<(), StoreError> {
        if self.lane(room).is_some() {
            let object = render::message_object(reader, room, message)?;
            let frame = LiveFrame::Message { message: &object };
            self.push_frame(room, message.posted.sender.user(), message.pos.hlc, &frame);
        }
        Ok(())
    }

    fn push_updated(
        &mut self,
        reader: &mut MessagesReader,
        room: RoomId,
        key: MessageKey,
    ) -> Result<(), StoreError> {
        if self.lane(room).is_none() {
            return Ok(());
        }
        // A message that isn't here yet, or is erased, needs no frame.
        let listed = reader.message(key)?.filter(|(listed_in, _)| *listed_in == room);
        if let Some((_, message)) = listed.filter(|(_, message)| message.posted.text.is_some()) {
            let object = render::message_object(reader, room, &message)?;
            let frame = LiveFrame::MessageUpdated { message: &object };
            self.push_frame(room, sender_user(key.sender), message.pos.hlc, &frame);
        }
        Ok(())
    }

    fn push_deleted(
        &mut self,
        reader: &MessagesReader,
        room: RoomId,
        key: MessageKey,
    ) -> Result<(), StoreError> {
        if self.lane(room).is_some()
            && let Some(state) = reader.state(key)?.filter(|state| state.room == room)
        {
            let id = reader.listed_id(key)?.to_string();
            let frame = LiveFrame::MessageDeleted { room_id: room.to_string(), id };
            self.push_frame(room, sender_user(key.sender), state.pos().hlc, &frame);
        }
        Ok(())
    }

    /// In a direct room, the other member sees a read mark; in other rooms, only the user's own sessions do.
    fn push_read_mark(
        &mut self,
        reader: &mut MessagesReader,
        room: RoomId,
        user: UserId,
    ) -> Result<(), StoreError> {
        let records = &reader.records;
        let other = permissions::other_direct_member(records, room, user)?;
        let shown = match other {
            Some(other) => records.relation(user, other)? == Relation::Accepted,
            None => false,
        };
        let lane = if shown { LaneKey::Room(room) } else { LaneKey::User(user) };
        let Some(mark) = records.read_mark_pos(user, room)?.filter(|_| self.lane(lane).is_some()) else {
            return Ok(());
        };
        if let Some(message) = reader.find_at(mark)? {
            let message_id = message.listed_id.to_string();
            let (room_id, user_id) = (room.to_string(), user.to_string());
            let frame = LiveFrame::Read { room_id, user_id, message_id };
            self.push_frame(lane, Some(user), message.pos.hlc, &frame);
        }
        Ok(())
    }

    /// Users who were added to a room before the event of its creation arrived are members now.
    fn push_room_created(&mut self, reader: &mut RoomReader, room: RoomId) -> Result<(), StoreError> {
        let members = reader.records().members(room, &[])?.collect::<Result<Vec<_>, _>>()?;
        for (user, _) in members {
            self.push_membership(reader, room, user, RoomChange::Joined)?;
        }
        Ok(())
    }

    fn push_membership(
        &mut self,
        reader: &mut RoomReader,
        room: RoomId,
        user: UserId,
        change: RoomChange,
    ) -> Result<(), StoreError> {
        if self.lane(user).is_none() || !self.notified.insert((room, user)) {
            return Ok(());
        }
        let object = render::room_object(reader, room, user)?;
        // Invitations and bans don't show in the list of rooms.
        if let Some(room) = object.filter(|room| room.role.is_some() || change == RoomChange::Removed) {
            self.push_frame(user, None, Hlc::default(), &LiveFrame::Room { room: &room, change });
        }
        self.invalidate(user);
        Ok(())
    }

    fn push_contact<T: Rows>(
        &mut self,
        records: &Records<T>,
        user: UserId,
        other: UserId,
    ) -> Result<(), StoreError> {
        if self.lane(user).is_some() {
            let contact = render::contact(records, user, other)?;
            self.push_frame(user, None, Hlc::default(), &LiveFrame::Contact { contact: &contact });
            self.invalidate(user);
        }
        // The other must not see a stranger's block, but their sessions must apply it: it hides presence from both.
        self.invalidate(other);
        Ok(())
    }

    /// Notifies acquaintances of a changed profile.
    fn push_profile<T: Rows>(&mut self, records: &Records<T>, user: UserId) -> Result<(), StoreError> {
        self.invalidate(user);
        for acquaintance in records.acquaintances(user, UserId([0; 16]))?.take(ACQUAINTANCES_MAX) {
            let (other, _) = acquaintance?;
            if self.lane(other).is_some() && records.relation(other, user)? != Relation::None {
                self.push_contact(records, other, user)?;
            }
        }
        Ok(())
    }
}

/// Renders a message for the sessions of a quick room.
fn quick_frame(commit: u64, room: RoomId, message: &ListedMessage) -> Frame {
    let text = MessageObject::new(room, message, false).to_json();
    Frame { from: message.posted.sender.user(), ..Frame::new(commit, message.pos.hlc, text) }
}
