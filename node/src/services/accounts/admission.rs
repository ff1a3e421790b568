//! Who may have an account. Asked within the commit that registers it, so that no two come through a door for one.

use starling_protocol::{ErrorCode, EventDraft, InviteCode, InviteId, UserId};
use starling_web::service::{Refusal, RegistrationMode, RegistrationSource};

use crate::{
    auth::ServiceKeys,
    services::{
        member_rooms::decisions::{answer, join_with},
        service_keys::verify_invite,
    },
    store::{Records, Rows, StoreError},
};

/// Somebody who wants an account.
#[derive(Clone)]
pub struct Applicant {
    /// How they come.
    pub door: RegistrationSource,
    /// Who may make an account here.
    pub mode: RegistrationMode,
    /// Verify the code of an invite.
    pub service_keys: ServiceKeys,
    /// Unix milliseconds.
    pub now_ms: u64,
}

impl Applicant {
    /// The invite with which they come; nothing if its code is not good.
    fn invite<T: Rows>(
        &self,
        records: &Records<T>,
        code: InviteCode,
    ) -> Result<Option<InviteId>, StoreError> {
        let Some(invite) = verify_invite(&self.service_keys, records, code)? else { return Ok(None) };
        Ok(records.open_invite(invite, self.now_ms)?.map(|_| invite))
    }
}

/// Whether somebody may register, and if they do, whether they administer the service.
pub fn admit<T: Rows>(
    records: &Records<T>,
    applicant: &Applicant,
) -> Result<Result<bool, Refusal>, StoreError> {
    let refuse = |code, detail| Ok(Err(Refusal::new(code, detail)));
    match (applicant.door, applicant.mode) {
        (RegistrationSource::Operator { admin }, _) => Ok(Ok(admin)),
        (RegistrationSource::Setup, _) if records.administrators()?.next().transpose()?.is_none() => {
            Ok(Ok(true))
        }
        (RegistrationSource::Setup, _) => Ok(Err(not_the_first())),
        (RegistrationSource::Public(_), RegistrationMode::Open) => Ok(Ok(false)),
        (RegistrationSource::Public(_), RegistrationMode::Closed) => {
            refuse(ErrorCode::RegistrationClosed, "accounts are made by the operators of this server")
        }
        (RegistrationSource::Public(None), RegistrationMode::Invite) => refuse(
            ErrorCode::RegistrationClosed,
            "accounts are made with an invite here; ask a member for one",
        ),
        (RegistrationSource::Public(Some(code)), RegistrationMode::Invite)
            if applicant.invite(records, code)?.is_some() =>
        {
            Ok(Ok(false))
        }
        (RegistrationSource::Public(Some(_)), RegistrationMode::Invite) => Ok(Err(invite_not_good())),
    }
}

/// Somebody else became the first administrator.
pub fn not_the_first() -> Refusal {
    let detail = "there is an administrator already, and this address was for the first; log in instead";
    Refusal::new(ErrorCode::NotFound, detail)
}

fn invite_not_good() -> Refusal {
    let detail = "this invite is not good, or not any more; ask for another";
    Refusal::new(ErrorCode::RegistrationClosed, detail)
}

/// What makes somebody who registers with an invite a member of its room, which counts as a use of it.
pub fn invited<T: Rows>(
    records: &Records<T>,
    applicant: &Applicant,
    user: UserId,
) -> Result<Result<Vec<EventDraft>, Refusal>, StoreError> {
    match (applicant.door, applicant.mode) {
        (RegistrationSource::Public(Some(code)), RegistrationMode::Invite) => {
            let Some(invite) = applicant.invite(records, code)? else { return Ok(Err(invite_not_good())) };
            // The room may be full.
            let closed = |refusal: Refusal| Refusal::new(ErrorCode::RegistrationClosed, refusal.detail);
            Ok(answer(join_with(records, invite, user, applicant.now_ms))?.map_err(closed))
        }
        _ => Ok(Ok(Vec::new())),
    }
}
