//! Who may have an account. Asked within the commit that registers it, so that no two come through a door for one.

use starling_protocol::{ErrorCode, InviteCode};
use starling_web::service::{Door, Refusal, RegistrationMode};

use crate::store::{Records, Rows, StoreError};

/// Whether somebody who comes through a door at `now_ms` (Unix milliseconds) may register, and if he does, whether he
/// administers the service.
pub fn admit<T: Rows>(
    mode: RegistrationMode,
    records: &Records<T>,
    door: Door,
    now_ms: u64,
) -> Result<Result<bool, Refusal>, StoreError> {
    let refuse = |code, detail| Ok(Err(Refusal::new(code, detail)));
    match (door, mode) {
        (Door::Operator { admin }, _) => Ok(Ok(admin)),
        (Door::Setup, _) if records.administrators()?.next().transpose()?.is_none() => Ok(Ok(true)),
        (Door::Setup, _) => refuse(
            ErrorCode::NotFound,
            "there is an administrator already, and this address was for the first; log in instead",
        ),
        (Door::Public(_), RegistrationMode::Open) => Ok(Ok(false)),
        (Door::Public(_), RegistrationMode::Closed) => {
            refuse(ErrorCode::RegistrationClosed, "accounts are made by the operators of this server")
        }
        (Door::Public(None), RegistrationMode::Invite) => refuse(
            ErrorCode::RegistrationClosed,
            "accounts are made with an invite here; ask a member for one",
        ),
        (Door::Public(Some(code)), RegistrationMode::Invite) if is_valid(records, code, now_ms)? => {
            Ok(Ok(false))
        }
        (Door::Public(Some(_)), RegistrationMode::Invite) => {
            refuse(ErrorCode::RegistrationClosed, "this invite is not good, or not any more; ask for another")
        }
    }
}

/// Whether an invite to a room lets somebody in.
fn is_valid<T: Rows>(records: &Records<T>, code: InviteCode, now_ms: u64) -> Result<bool, StoreError> {
    let Some((room, invite)) = records.invite(code)? else { return Ok(false) };
    let Some(made) = invite.made.filter(|_| !invite.revoked) else { return Ok(false) };
    let uses = records.invite_uses(room, code)?;
    Ok(made.expires_ms.is_none_or(|end| now_ms < end)
        && made.max_uses.is_none_or(|most| uses < most)
        && records.member_room(room)?.is_some())
}
