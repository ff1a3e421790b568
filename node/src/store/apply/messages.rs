//! Applies events of messages to their views: position, edits, reactions, deletion, erasure.

use redb::TableHandle;
use starling_protocol::{
    Event, EventBody, MessageId, OriginId, Pos, Refusal, RoomId, Scope, Sender, Seq, UserId,
    event::{MessageKey, MessagePosted, ReactionChanged, SenderKey},
    frame::client::ListedMessage,
    merge::{
        message::{self, MessageState},
        register,
    },
};

use super::{QuickMessage, Tables};
use crate::store::{
    Change, PostCheck, StoreError,
    messages::key_of,
    post_cache::RoomFacts,
    tables::TIMELINE,
    view_set::ViewSet,
    views::{
        Deleted, Duplicate, Edit, Mention, Reaction, Room, derived_id_index, mention_key, message_pos_key,
        reaction_key,
    },
};

impl Tables<'_> {
    /// Applies an event of a room's scope that is about one of its messages; other kinds change nothing.
    pub(super) fn apply_message(&mut self, room: RoomId, event: &Event) -> Result<(), StoreError> {
        let (pos, scope) = (event.pos(), &event.scope);
        match &event.body {
            EventBody::MessageEdited(edited) => {
                let key = message_pos_key(edited.message, pos);
                self.records.put::<Edit>(&mut self.book, scope, &key, &())?;
                self.changes.push(Change::Updated(room, edited.message));
                Ok(())
            }
            EventBody::MessageDeleted(deleted) => {
                let rule = |state: Option<(Pos, _)>| match state {
                    Some(first) if first.0 <= pos => first,
                    _ => (pos, deleted.by),
                };
                self.records.merge::<Deleted>(&mut self.book, scope, &deleted.message.to_bytes(), rule)?;
                self.changes.push(Change::Deleted(room, deleted.message));
                self.erase_message(scope, deleted.message)
            }
            EventBody::ReactionChanged(ReactionChanged { message, user, emoji, on }) => {
                let rule = |state| register::apply(state, pos, *on);
                // Events of earlier versions have the same emoji with and without U+FE0F.
                let key = reaction_key(*message, *user, &emoji.normal());
                self.records.merge::<Reaction>(&mut self.book, scope, &key, rule)?;
                self.changes.push(Change::Updated(room, *message));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Applies a post; returns the messages of quick rooms that are newly listed, have moved, or have another
    /// listed id.
    pub(super) fn apply_post(
        &mut self,
        room: RoomId,
        pos: Pos,
        posted: &MessagePosted,
    ) -> Result<Vec<QuickMessage>, StoreError> {
        if let Sender::Guest { id, name } = &posted.sender
            && self.views.contains(ViewSet::GUEST_NAMES)
        {
            self.names.claim(&mut self.book, room, name, *id, (pos.hlc, pos.hlc))?;
        }
        if !self.views.contains(ViewSet::MESSAGES) {
            return Ok(Vec::new());
        }
        let key = posted.key();
        let mut listed = Vec::new();
        let mut posts = self.messages.with_id(posted.id)?;
        let holder_before = message::id_holder(&posts);
        let at = posts.iter().position(|(sender, _)| *sender == key.sender);
        let before = at.map(|at| posts[at].1);
        let state = message::apply_post(before, room, pos);
        match at {
            Some(at) => posts[at].1 = state,
            None => posts.push((key.sender, state)),
        }
        let holder = message::id_holder(&posts).unwrap_or(key.sender);
        // The sender that gets the id may have been listed under another one until now.
        if let Some(holder_before) = holder_before
            && holder_before != holder
        {
            let id_before = message::listed_id(holder_before, holder, posted.id);
            self.records.remove_index(&derived_id_index(id_before))?;
        }
        if before != Some(state) {
            self.list_message(before, state, posted)?;
            listed.push((room, self.index_and_list(holder, pos, room, posted.clone())?));
        } else if state.pos() != pos {
            self.put_duplicate(room, pos, key)?;
        }
        // Another sender had this id until now: their message moves to another id.
        let loser = posts.iter().find(|(sender, _)| Some(*sender) == holder_before && *sender != holder);
        if let Some((_, state)) = loser {
            let pos = state.pos();
            let posted = self.posted_at(pos.origin, pos.seq)?;
            listed.push((state.room, self.index_and_list(holder, pos, state.room, posted)?));
        }
        let mut quick = Vec::new();
        for (room, message) in listed {
            if self.room_facts(&Scope::room(room))?.is_member_room {
                self.changes.push(Change::Posted(room, message));
            } else {
                quick.push((room, message));
            }
        }
        Ok(quick)
    }

    /// Lists a message at its position, and removes its earlier one.
    fn list_message(
        &mut self,
        before: Option<MessageState>,
        state: MessageState,
        posted: &MessagePosted,
    ) -> Result<(), StoreError> {
        let (room, pos) = (state.room, state.pos());
        let scope_before = Scope::room(before.map_or(room, |before| before.room));
        let scope = Scope::room(room);
        let key = posted.key();
        self.messages.put(&mut self.book, key, before, state);
        if let Some(before) = before {
            let gone = self.places.unlist(before.room, before.pos())?;
            self.book.removed(&scope_before, TIMELINE.name(), &gone, &[]);
            let mentions = self.posted_at(before.pos().origin, before.pos().seq)?.mentions;
            for user in mentions {
                let key = mention_key(before.room, Some(before.pos()));
                self.records.remove::<Mention>(&mut self.book, &Scope::user(user), &key)?;
            }
            self.put_duplicate(before.room, before.pos(), key)?;
        }
        let listed_at = self.places.list(room, pos);
        self.book.added(&scope, TIMELINE.name(), &listed_at, &[]);
        for &user in &posted.mentions {
            let key = mention_key(room, Some(pos));
            self.records.put::<Mention>(&mut self.book, &Scope::user(user), &key, &())?;
        }
        Ok(())
    }

    /// Remembers a post that is not listed, so that it is erased with the listed one.
    fn put_duplicate(&mut self, room: RoomId, pos: Pos, message: MessageKey) -> Result<(), StoreError> {
        let key = message_pos_key(message, pos);
        self.records.put::<Duplicate>(&mut self.book, &Scope::room(room), &key, &())
    }

    /// Indexes the id under which a message is listed if its sender gave it another; returns the message as listed.
    fn index_and_list(
        &mut self,
        holder: SenderKey,
        pos: Pos,
        room: RoomId,
        posted: MessagePosted,
    ) -> Result<ListedMessage, StoreError> {
        let sender = posted.sender.key();
        let listed_id = message::listed_id(holder, sender, posted.id);
        if listed_id != posted.id {
            self.records.put_index(&derived_id_index(listed_id), &posted.key())?;
        }
        let shown = self.shown(room, &posted.sender)?;
        Ok(ListedMessage { listed_id, pos, shown, posted })
    }

    /// Returns the shown name of a sender in a room.
    pub fn shown(&self, room: RoomId, sender: &Sender) -> Result<String, StoreError> {
        match sender {
            Sender::Guest { id, name } => self.names.shown(room, *id, name),
            Sender::User(user) | Sender::Bot(user) => self.username(*user),
            Sender::Hook { name, .. } => Ok(name.as_ref().map(ToString::to_string).unwrap_or_default()),
        }
    }

    /// Returns the key of the message that is listed under an id.
    pub fn key_of(&self, listed_id: MessageId) -> Result<Option<MessageKey>, StoreError> {
        key_of(&self.messages, &self.records, listed_id)
    }

    /// Reads the state of a message, if it was posted.
    pub fn message(&self, key: MessageKey) -> Result<Option<MessageState>, StoreError> {
        // The post that follows asks for all messages with this id.
        let posts = self.messages.with_id(key.id)?;
        Ok(posts.into_iter().find(|(sender, _)| *sender == key.sender).map(|(_, state)| state))
    }

    /// Reads the message at a position of the log.
    pub fn posted_at(&self, origin: OriginId, seq: Seq) -> Result<MessagePosted, StoreError> {
        super::posted_in(self.log.get(origin, seq)?)
    }

    /// Reads what posts must know about a room.
    pub(super) fn room_facts(&self, room: &Scope) -> Result<RoomFacts, StoreError> {
        if let Some(facts) = self.cache.borrow().rooms.get(room) {
            return Ok(*facts);
        }
        let state = self.records.get::<Room>(room, &[])?;
        let facts = RoomFacts {
            is_member_room: state.is_some(),
            is_deleted: state.is_some_and(|state| state.deleted),
            has_deletions: self.records.scan::<Deleted>(room, &[])?.next().transpose()?.is_some(),
        };
        self.cache.borrow_mut().rooms.insert(room.clone(), facts);
        Ok(facts)
    }

    /// Returns the shown name of a user; empty if they have none.
    pub(super) fn username(&self, user: UserId) -> Result<String, StoreError> {
        if let Some(name) = self.cache.borrow().usernames.get(&user) {
            return Ok(name.clone());
        }
        let name = self.records.username(user)?.unwrap_or_default();
        self.cache.borrow_mut().usernames.insert(user, name.clone());
        Ok(name)
    }

    /// Returns why a sender may not post in a room; `None` if they may.
    pub fn refuse_post(
        &self,
        room: RoomId,
        sender: &Sender,
        check: PostCheck,
    ) -> Result<Option<Refusal>, StoreError> {
        let asked = (room, sender.key(), check as usize);
        if self.cache.borrow().allowed.contains(&asked) {
            return Ok(None);
        }
        let refusal = check(self, room, sender)?;
        if refusal.is_none() {
            self.cache.borrow_mut().allowed.insert(asked);
        }
        Ok(refusal)
    }
}
