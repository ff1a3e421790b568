//! Makes the message object of `/api/v1` and of the live socket.

use starling_protocol::{RoomId, frame::client::ListedMessage};
use starling_web::objects::Message;

use super::{reactions, sender, time};
use crate::store::{MessagesReader, StoreError};

/// A message with its edits and reactions. A deleted one is a stub.
pub fn message_object(
    reader: &MessagesReader,
    room: RoomId,
    message: &ListedMessage,
) -> Result<Message, StoreError> {
    let (posted, records) = (&message.posted, &reader.records);
    let deleted = posted.is_erased();
    let mut object = Message {
        id: message.listed_id.to_string(),
        room_id: room.to_string(),
        sender: sender(records, message)?,
        body: posted.body().to_owned(),
        at: time(message.sent_at()),
        pos: message.pos.to_string(),
        edited_at: None,
        deleted,
        reply_to: posted.reply_to.map(|id| id.to_string()),
        files: Vec::new(),
        reactions: std::collections::BTreeMap::new(),
    };
    if !deleted {
        if let Some((body, at)) = reader.edited(room, posted.key())? {
            (object.body, object.edited_at) = (body, Some(time(at)));
        }
        object.reactions = reactions(records, room, posted.key())?;
    }
    Ok(object)
}
