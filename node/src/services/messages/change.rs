//! Decides edits, deletions and reactions, within the commit.

use std::collections::BTreeSet;

use starling_protocol::{
    Emoji, EventDraft, Hlc, MessageId, MessageText, Pos, RoomId, Scope, UserId,
    event::{MessageDeleted, MessageEdited, MessageKey, MessagePosted, ReactionChanged, Role},
    limits::{EDITS_PER_MESSAGE_MAX, EMOJI_PER_MESSAGE_MAX, EMOJI_PER_USER_MAX, REACTIONS_PER_MESSAGE_MAX},
    texts,
};
use starling_web::service::Refusal;

use super::mentions;
use crate::{
    permissions::{at_least, may_see, no_such_message, refuse_delete, refuse_edit, refuse_post},
    store::{Decision, StoreError, Tables},
};

/// A message to be changed.
struct Target {
    room: RoomId,
    key: MessageKey,
    pos: Pos,
    posted: MessagePosted,
}

impl Target {
    fn find(tables: &Tables<'_>, id: MessageId) -> Result<Option<Self>, StoreError> {
        let Some(key) = tables.key_of(id)? else { return Ok(None) };
        let Some(state) = tables.message(key)? else { return Ok(None) };
        let (room, pos) = (state.room, state.pos());
        let posted = tables.posted_at(pos.origin, pos.seq)?;
        Ok(Some(Self { room, key, pos, posted }))
    }

    /// The message, if it is not deleted and the user sees it.
    fn find_visible(tables: &Tables<'_>, user: UserId, id: MessageId) -> Result<Option<Self>, StoreError> {
        let Some(target) = Self::find(tables, id)?.filter(|target| !target.posted.is_erased()) else {
            return Ok(None);
        };
        let sees = may_see(&tables.records, target.room, user, &target.posted.sender)?;
        Ok(sees.then_some(target))
    }

    /// The message, if the user sees it or moderates its room: moderators can also delete messages of users they have
    /// blocked.
    fn find_to_delete(tables: &Tables<'_>, user: UserId, id: MessageId) -> Result<Option<Self>, StoreError> {
        let Some(target) = Self::find(tables, id)? else { return Ok(None) };
        let moderates = at_least(tables.records.role(target.room, user)?, Role::Moderator);
        let knows = moderates || may_see(&tables.records, target.room, user, &target.posted.sender)?;
        Ok(knows.then_some(target))
    }

    /// The stamp of the last edit, or of the message if it was never edited.
    fn stamp(&self, tables: &Tables<'_>) -> Result<Hlc, StoreError> {
        let edit = tables.records.last_edit(self.room, self.key)?;
        Ok(edit.map_or(self.pos.hlc, |edit| edit.hlc.max(self.pos.hlc)))
    }
}

/// Edits a message. Only its author can, while they may post in its room.
pub fn edit(
    tables: &Tables<'_>,
    user: UserId,
    id: MessageId,
    text: &MessageText,
) -> Result<Decision, StoreError> {
    let Some(target) = Target::find_visible(tables, user, id)? else {
        return Ok(Decision::Refuse(no_such_message()));
    };
    if let Some(refusal) = refuse_edit(&tables.records, target.room, user, &target.posted.sender)? {
        return Ok(Decision::Refuse(refusal));
    }
    if tables.records.edits(target.room, target.key)? >= EDITS_PER_MESSAGE_MAX {
        return Ok(Decision::Refuse(Refusal::invalid(
            "body",
            texts::rooms::too_many_edits(EDITS_PER_MESSAGE_MAX),
        )));
    }
    let mentions = mentions::mentioned_members(&tables.records, target.room, user, text.as_str())?;
    let body = MessageEdited { message: target.key, text: Some(text.clone()), mentions: Some(mentions) };
    let draft = EventDraft::new(Scope::room(target.room), body).above(target.stamp(tables)?);
    Ok(Decision::Write(vec![draft]))
}

/// Deletes a message, by its author or a moderator.
pub fn delete(tables: &Tables<'_>, user: UserId, id: MessageId) -> Result<Decision, StoreError> {
    let Some(target) = Target::find_to_delete(tables, user, id)? else {
        return Ok(Decision::Refuse(no_such_message()));
    };
    if let Some(refusal) = refuse_delete(&tables.records, target.room, user, &target.posted.sender)? {
        return Ok(Decision::Refuse(refusal));
    }
    if tables.records.is_deleted(target.room, target.key)? {
        return Ok(Decision::Nothing);
    }
    let body = MessageDeleted { message: target.key, by: user };
    let draft = EventDraft::new(Scope::room(target.room), body).above(target.stamp(tables)?);
    Ok(Decision::Write(vec![draft]))
}

/// Adds a reaction to a message, or removes it.
pub fn react(
    tables: &Tables<'_>,
    user: UserId,
    id: MessageId,
    emoji: &Emoji,
    on: bool,
) -> Result<Decision, StoreError> {
    let Some(Target { room, key, pos, .. }) = Target::find_visible(tables, user, id)? else {
        return Ok(Decision::Refuse(no_such_message()));
    };
    let last = tables.records.reaction(room, key, user, emoji)?;
    if last.as_ref().is_some_and(|last| last.value) == on {
        return Ok(Decision::Nothing);
    }
    // A user who may no longer post can still remove their reactions.
    if on && let Some(refusal) = refuse_post(&tables.records, room, user)? {
        return Ok(Decision::Refuse(refusal));
    }
    if on && let Some(detail) = reaction_limit_reached(tables, room, key, (user, emoji, last.is_none()))? {
        return Ok(Decision::Refuse(Refusal::invalid("emoji", detail)));
    }
    let above_hlc = last.map_or(pos.hlc, |last| last.pos.hlc.max(pos.hlc));
    let body = ReactionChanged { message: key, user, emoji: emoji.clone(), on };
    Ok(Decision::Write(vec![EventDraft::new(Scope::room(room), body).above(above_hlc)]))
}

/// The reason if a message can't take another reaction. Removed reactions count too, as their records stay: otherwise the
/// records would grow with every emoji that is added and removed.
fn reaction_limit_reached(
    tables: &Tables<'_>,
    room: RoomId,
    message: MessageKey,
    (user, emoji, is_new): (UserId, &Emoji, bool),
) -> Result<Option<String>, StoreError> {
    let (mut recorded, mut own, mut shown) = (0, 0, BTreeSet::new());
    for reaction in tables.records.reactions(room, message)? {
        let (who, emoji, on) = reaction?;
        recorded += 1;
        own += usize::from(who == user);
        if on {
            shown.insert(emoji);
        }
    }
    Ok(if shown.len() >= EMOJI_PER_MESSAGE_MAX && !shown.contains(emoji.as_str()) {
        Some(texts::rooms::too_many_emoji(EMOJI_PER_MESSAGE_MAX))
    } else if is_new && own >= EMOJI_PER_USER_MAX {
        Some(texts::rooms::too_many_own_emoji(EMOJI_PER_USER_MAX))
    } else if is_new && recorded >= REACTIONS_PER_MESSAGE_MAX {
        Some(texts::rooms::too_many_reactions(REACTIONS_PER_MESSAGE_MAX))
    } else {
        None
    })
}
