//! Permissions for messages in member rooms.

use starling_protocol::{ErrorCode, Refusal, RoomId, Sender, UserId, event::Role, texts};

use super::{at_least, has_blocked, refuse_post};
use crate::store::{Records, Rows, StoreError};

/// Refuses: no such message, or none that the user may know of.
pub fn no_such_message() -> Refusal {
    Refusal::new(ErrorCode::NotFound, texts::rooms::NO_SUCH_MESSAGE)
}

/// Whether a user may see a message: they are a member of its room and have not blocked its author.
pub fn may_see<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    user: UserId,
    author: &Sender,
) -> Result<bool, StoreError> {
    if records.role(room, user)?.is_none() {
        return Ok(false);
    }
    author.user().map_or(Ok(true), |author| Ok(!has_blocked(records, user, author)?))
}

/// Returns why a user may not edit a message that they see; `None` if they may.
pub fn refuse_edit<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    user: UserId,
    author: &Sender,
) -> Result<Option<Refusal>, StoreError> {
    if author.user() != Some(user) {
        return Ok(Some(Refusal::new(ErrorCode::Forbidden, texts::rooms::EDIT_BY_AUTHOR)));
    }
    refuse_post(records, room, user)
}

/// Returns why a user may not delete a message that they see; `None` if they may.
pub fn refuse_delete<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    user: UserId,
    author: &Sender,
) -> Result<Option<Refusal>, StoreError> {
    let may = author.user() == Some(user) || at_least(records.role(room, user)?, Role::Moderator);
    let refusal = || Refusal::new(ErrorCode::Forbidden, texts::rooms::DELETE_BY_AUTHOR);
    Ok((!may).then(refusal))
}
