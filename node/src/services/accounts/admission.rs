//! Decides who may register. The commit that registers an account asks again, so that two applicants can't both use the
//! last use of an invite or both become the first administrator.

use starling_protocol::{ErrorCode, InviteCode, InviteId, UserId, texts};
use starling_web::service::{Refusal, RegistrationMode, RegistrationSource};

use crate::{
    auth::ServiceKeySealer,
    permissions::rooms::Denied,
    services::{
        member_rooms::decisions::{Drafts, join_with},
        service_keys::verify_invite,
    },
    store::{Records, Rows, StoreError},
};

/// A person who wants an account.
#[derive(Clone)]
pub struct Applicant {
    /// How they register.
    pub source: RegistrationSource,
    /// The people who may register on this server.
    pub mode: RegistrationMode,
    /// Verifies the codes of invites.
    pub service_keys: ServiceKeySealer,
    /// The time of the registration, in Unix milliseconds.
    pub now_ms: u64,
}

impl Applicant {
    /// The invite of a code; `None` if the code is wrong, or the invite is used up or expired.
    fn invite<T: Rows>(
        &self,
        records: &Records<T>,
        code: InviteCode,
    ) -> Result<Option<InviteId>, StoreError> {
        let Some(invite) = verify_invite(&self.service_keys, records, code)? else { return Ok(None) };
        Ok(records.open_invite(invite, self.now_ms)?.map(|_| invite))
    }
}

/// Refuses an applicant who may not register; returns whether the new account becomes an administrator.
pub fn check_registration<T: Rows>(records: &Records<T>, applicant: &Applicant) -> Result<bool, Denied> {
    let closed = |detail| Err(Refusal::new(ErrorCode::RegistrationClosed, detail).into());
    match (applicant.source, applicant.mode) {
        (RegistrationSource::Operator { admin }, _) => Ok(admin),
        (RegistrationSource::Setup, _) if records.administrators()?.next().transpose()?.is_none() => Ok(true),
        (RegistrationSource::Setup, _) => Err(not_the_first().into()),
        (RegistrationSource::Public(_), RegistrationMode::Open) => Ok(false),
        (RegistrationSource::Public(_), RegistrationMode::Closed) => {
            closed(texts::accounts::OPERATORS_REGISTER)
        }
        (RegistrationSource::Public(None), RegistrationMode::Invite) => {
            closed(texts::accounts::INVITE_NEEDED)
        }
        (RegistrationSource::Public(Some(code)), RegistrationMode::Invite)
            if applicant.invite(records, code)?.is_some() =>
        {
            Ok(false)
        }
        (RegistrationSource::Public(Some(_)), RegistrationMode::Invite) => Err(invalid_invite().into()),
    }
}

/// The refusal of a setup after somebody else became the first administrator.
pub fn not_the_first() -> Refusal {
    Refusal::new(ErrorCode::NotFound, texts::accounts::ADMINISTRATOR_EXISTS)
}

fn invalid_invite() -> Refusal {
    Refusal::new(ErrorCode::RegistrationClosed, texts::accounts::INVITE_UNUSABLE)
}

/// The events that make an applicant with an invite a member of its room, which count as a use of the invite.
pub fn membership_drafts<T: Rows>(records: &Records<T>, applicant: &Applicant, user: UserId) -> Drafts {
    let (RegistrationSource::Public(Some(code)), RegistrationMode::Invite) =
        (applicant.source, applicant.mode)
    else {
        return Ok(Vec::new());
    };
    let invite = applicant.invite(records, code)?.ok_or_else(invalid_invite)?;
    join_with(records, invite, user, applicant.now_ms).map_err(|denied| match denied {
        // The room may be full.
        Denied::Refused(refusal) => Refusal::new(ErrorCode::RegistrationClosed, refusal.detail).into(),
        Denied::Failed(_) => denied,
    })
}
