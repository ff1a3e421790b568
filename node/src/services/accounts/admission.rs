//! Who may have an account. Asked within the commit that registers it, so that no two come through a door for one.

use starling_protocol::{ErrorCode, EventDraft, UserId};
use starling_web::service::{Refusal, RegistrationMode, RegistrationSource};

use crate::{
    services::member_rooms::decisions::{answer, join_with},
    store::{Records, Rows, StoreError},
};

/// Whether somebody who comes through a door at `now_ms` (Unix milliseconds) may register, and if he does, whether he
/// administers the service.
pub fn admit<T: Rows>(
    mode: RegistrationMode,
    records: &Records<T>,
    door: RegistrationSource,
    now_ms: u64,
) -> Result<Result<bool, Refusal>, StoreError> {
    let refuse = |code, detail| Ok(Err(Refusal::new(code, detail)));
    match (door, mode) {
        (RegistrationSource::Operator { admin }, _) => Ok(Ok(admin)),
        (RegistrationSource::Setup, _) if records.administrators()?.next().transpose()?.is_none() => {
            Ok(Ok(true))
        }
        (RegistrationSource::Setup, _) => refuse(
            ErrorCode::NotFound,
            "there is an administrator already, and this address was for the first; log in instead",
        ),
        (RegistrationSource::Public(_), RegistrationMode::Open) => Ok(Ok(false)),
        (RegistrationSource::Public(_), RegistrationMode::Closed) => {
            refuse(ErrorCode::RegistrationClosed, "accounts are made by the operators of this server")
        }
        (RegistrationSource::Public(None), RegistrationMode::Invite) => refuse(
            ErrorCode::RegistrationClosed,
            "accounts are made with an invite here; ask a member for one",
        ),
        (RegistrationSource::Public(Some(code)), RegistrationMode::Invite)
            if records.open_invite(code, now_ms)?.is_some() =>
        {
            Ok(Ok(false))
        }
        (RegistrationSource::Public(Some(_)), RegistrationMode::Invite) => {
            refuse(ErrorCode::RegistrationClosed, "this invite is not good, or not any more; ask for another")
        }
    }
}

/// What makes somebody who registers with an invite a member of its room, which counts as a use of it.
pub fn invited<T: Rows>(
    mode: RegistrationMode,
    records: &Records<T>,
    door: RegistrationSource,
    user: UserId,
    now_ms: u64,
) -> Result<Result<Vec<EventDraft>, Refusal>, StoreError> {
    match (door, mode) {
        (RegistrationSource::Public(Some(code)), RegistrationMode::Invite) => {
            // The room may be full.
            let closed = |refusal: Refusal| Refusal::new(ErrorCode::RegistrationClosed, refusal.detail);
            Ok(answer(join_with(records, code, user, now_ms))?.map_err(closed))
        }
        _ => Ok(Ok(Vec::new())),
    }
}
