//! Applies events of messages to their views: position, edits, reactions, deletion, erasure.

use redb::ReadableTable;
use starling_protocol::{
    Event, EventBody, MessageId, OriginId, Pos, RoomId, Scope, Sender, Seq,
    event::{MessageKey, MessagePosted, ReactionChanged, SenderKey, message_id_scope},
    frame::client::ListedMessage,
    merge::{
        message::{self, IdHolder, MessageState},
        register,
    },
};

use super::{QuickMessage, Tables, get, put};
use crate::store::{
    Change, StoreError,
    messages::key_of,
    tables,
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
        let sender = posted.sender.key();
        let mut listed = Vec::new();

        let holder_before: Option<IdHolder> = get(&self.message_ids, posted.id.as_bytes())?;
        let holder = message::apply_id_use(holder_before, &posted.sender, pos);
        if holder_before != Some(holder) {
            let bucket = message_id_scope(posted.id);
            put(&mut self.message_ids, &mut self.book, [&bucket; 2], posted.id.as_bytes(), &holder)?;
            if let Some(before) = holder_before {
                // The sender that gets the id may have been listed under another one until now.
                let id_before = message::listed_id(&before, sender, posted.id);
                self.records.remove_index(&derived_id_index(id_before))?;
            }
        }

        let before = self.message(sender, posted.id)?;
        let state = message::apply_post(before, room, pos);
        if before != Some(state) {
            self.list_message(before, state, posted)?;
            listed.push((room, self.index_and_list(&holder, pos, room, posted.clone())?));
        } else if state.pos() != pos {
            self.put_duplicate(room, pos, posted.key())?;
        }

        // Another sender had this id until now: their message moves to another id.
        if let Some(loser) = holder_before.filter(|before| before.sender != holder.sender)
            && let Some(state) = self.message(loser.sender, posted.id)?
        {
            let pos = state.pos();
            let posted = self.posted_at(pos.origin, pos.seq)?;
            listed.push((state.room, self.index_and_list(&holder, pos, state.room, posted)?));
        }
        let mut quick = Vec::new();
        for (room, message) in listed {
            if self.is_member_room(room)? {
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
        put(&mut self.messages, &mut self.book, [&scope_before, &scope], &key.to_bytes(), &state)?;
        if let Some(before) = before {
            let gone = tables::timeline_key(before.room, before.pos());
            self.timeline.remove(&gone)?;
            self.book.removed(&scope_before, "timeline", &gone, &[]);
            let mentions = self.posted_at(before.pos().origin, before.pos().seq)?.mentions;
            for user in mentions {
                let key = mention_key(before.room, Some(before.pos()));
                self.records.remove::<Mention>(&mut self.book, &Scope::user(user), &key)?;
            }
            self.put_duplicate(before.room, before.pos(), key)?;
        }
        let listed_at = tables::timeline_key(room, pos);
        self.timeline.insert(&listed_at, ())?;
        self.book.added(&scope, "timeline", &listed_at, &[]);
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
        holder: &IdHolder,
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
            Sender::User(user) | Sender::Bot(user) => Ok(self.records.username(*user)?.unwrap_or_default()),
            Sender::Hook { name, .. } => Ok(name.as_ref().map(ToString::to_string).unwrap_or_default()),
        }
    }

    /// Whether a room is a member room.
    fn is_member_room(&self, room: RoomId) -> Result<bool, StoreError> {
        self.records.has::<Room>(&Scope::room(room), &[])
    }

    /// Returns the key of the message that is listed under an id.
    pub fn key_of(&self, listed_id: MessageId) -> Result<Option<MessageKey>, StoreError> {
        key_of(&self.message_ids, &self.records, listed_id)
    }

    /// Reads the state of a message, if it was posted.
    pub fn message(&self, sender: SenderKey, id: MessageId) -> Result<Option<MessageState>, StoreError> {
        get(&self.messages, &tables::message_key(sender, id))
    }

    /// Reads the message at a position of the log.
    pub fn posted_at(&self, origin: OriginId, seq: Seq) -> Result<MessagePosted, StoreError> {
        let bytes = self.log.get(&tables::log_key(origin, seq))?;
        super::posted_in(bytes.as_ref().map(redb::AccessGuard::value))
    }
}
