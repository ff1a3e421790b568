//! Pages of messages.

use std::ops::Bound::{Excluded, Included, Unbounded};

use starling_protocol::{MessageId, Pos, RoomId, UserId, frame::client::ListedMessage};
use starling_web::service::{MessagePage, MessageQuery, PageCursor};

use crate::{
    permissions::{has_blocked, no_such_message, no_such_room, rooms::Denied},
    services::render,
    store::{Direction, MessagesReader, RecordsReader, Store, StoreError, TimelineSlice},
};

/// A page of at most `limit` messages of a room, the newest first, as one of its members sees them.
pub fn page(
    store: &Store,
    user: UserId,
    room: RoomId,
    query: MessageQuery,
    limit: usize,
) -> Result<MessagePage, Denied> {
    let mut reader = store.messages()?;
    if reader.records.role(room, user)?.is_none() {
        return Err(no_such_room().into());
    }
    let hidden = |records: &RecordsReader, message: &ListedMessage| match message.posted.sender.user() {
        Some(author) => has_blocked(records, user, author),
        None => Ok(false),
    };
    let named = match query {
        MessageQuery::Before(id) | MessageQuery::After(id) | MessageQuery::Around(id) => {
            find_pos(&mut reader, room, id)?.ok_or_else(no_such_message)?
        }
        MessageQuery::Continue(PageCursor::Before(pos) | PageCursor::After(pos)) => pos,
        MessageQuery::Newest => Pos::MIN,
    };
    let (backward, forward) = (Direction::Backward, Direction::Forward);
    let (messages, next) = match query {
        MessageQuery::Newest => {
            older(reader.read_slice(room, (Unbounded, Unbounded), backward, limit, hidden)?)
        }
        MessageQuery::Before(_) | MessageQuery::Continue(PageCursor::Before(_)) => {
            older(reader.read_slice(room, (Unbounded, Excluded(named)), backward, limit, hidden)?)
        }
        MessageQuery::After(_) | MessageQuery::Continue(PageCursor::After(_)) => {
            let slice = reader.read_slice(room, (Excluded(named), Unbounded), forward, limit, hidden)?;
            (slice.messages.into_iter().rev().collect(), slice.next.map(PageCursor::After))
        }
        MessageQuery::Around(_) => {
            let after = (Excluded(named), Unbounded);
            let mut messages = reader.read_slice(room, after, forward, (limit - 1) / 2, hidden)?.messages;
            messages.reverse();
            let left = limit - messages.len();
            let (rest, next) =
                older(reader.read_slice(room, (Unbounded, Included(named)), backward, left, hidden)?);
            messages.extend(rest);
            (messages, next)
        }
    };
    let items = messages.iter().map(|message| render::message_object(&reader, room, message));
    Ok(MessagePage { items: items.collect::<Result<_, _>>()?, next })
}

fn older(slice: TimelineSlice) -> (Vec<ListedMessage>, Option<PageCursor>) {
    (slice.messages, slice.next.map(PageCursor::Before))
}

/// The position of a message, if it is in the room.
fn find_pos(reader: &mut MessagesReader, room: RoomId, id: MessageId) -> Result<Option<Pos>, StoreError> {
    let found = reader.find_by_listed_id(id)?.filter(|(listed_in, _)| *listed_in == room);
    Ok(found.map(|(_, message)| message.pos))
}
