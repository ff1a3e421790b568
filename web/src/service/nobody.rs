//! Services for tests in which nobody has an account.

use std::net::IpAddr;

use async_trait::async_trait;
use axum::extract::ws::Utf8Bytes;
use starling_protocol::{
    DisplayName, ErrorCode, Hlc, InviteCode, Pos, RoomId, SessionId, UserId, VersionVector,
    event::{NotifyLevel, Role},
};

use super::{
    Accounts, Administration, Authentication, BrowserSession, Change, Client, ContactAct, Contacts,
    Credentials, Identity, Listed, LiveEvents, MemberRooms, NewInvite, NewRoom, Online, Page, PageRequest,
    ProfileChange, Refusal, Registration, ResetLink, RoomChange, Secret, SettingsChange, UserContext,
    UserFlags,
};
use crate::{
    lane::CommitPoint,
    objects::{
        Ban, Contact, ContactState, Invite, LoggedIn, ManagedUser, Me, Member, NewPersonalToken,
        PersonalToken, Room, Session, Settings, User,
    },
};

/// Knows nobody.
pub struct Nobody;

fn nobody<T>() -> Result<T, Refusal> {
    Err(Refusal::new(ErrorCode::Unauthenticated, "nobody"))
}

#[async_trait]
impl Authentication for Nobody {
    async fn identify(&self, _: Credentials<'_>) -> Result<Identity, Refusal> {
        nobody()
    }

    async fn is_alive(&self, _: Identity) -> Result<bool, Refusal> {
        Ok(false)
    }
}

#[async_trait]
impl Accounts for Nobody {
    fn judge_password(&self, _: &str, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn is_known(&self, _: IpAddr, _: &str) -> bool {
        false
    }

    async fn register(&self, _: Client<'_>, _: Registration) -> Result<LoggedIn, Refusal> {
        nobody()
    }

    async fn register_browser(&self, _: Client<'_>, _: Registration) -> Result<BrowserSession, Refusal> {
        nobody()
    }

    async fn login(&self, _: Client<'_>, _: &str, _: Secret) -> Result<LoggedIn, Refusal> {
        nobody()
    }

    async fn login_browser(&self, _: Client<'_>, _: &str, _: Secret) -> Result<BrowserSession, Refusal> {
        nobody()
    }

    async fn refresh(&self, _: &str) -> Result<LoggedIn, Refusal> {
        nobody()
    }

    async fn logout(&self, _: Identity, _: bool) -> Result<(), Refusal> {
        nobody()
    }

    async fn me(&self, _: Identity) -> Result<Me, Refusal> {
        nobody()
    }

    async fn change_profile(&self, _: Identity, _: ProfileChange) -> Result<Me, Refusal> {
        nobody()
    }

    async fn delete(&self, _: Identity, _: Secret) -> Result<(), Refusal> {
        nobody()
    }

    async fn change_password(&self, _: Identity, _: Secret, _: Secret, _: bool) -> Result<(), Refusal> {
        nobody()
    }

    async fn settings(&self, _: Identity) -> Result<Settings, Refusal> {
        nobody()
    }

    async fn change_settings(&self, _: Identity, _: SettingsChange) -> Result<Settings, Refusal> {
        nobody()
    }

    async fn sessions(&self, _: Identity) -> Result<Vec<Listed<Session>>, Refusal> {
        nobody()
    }

    async fn end_session(&self, _: Identity, _: SessionId) -> Result<(), Refusal> {
        nobody()
    }

    async fn personal_tokens(&self, _: Identity) -> Result<Vec<Listed<PersonalToken>>, Refusal> {
        nobody()
    }

    async fn make_personal_token(
        &self,
        _: Identity,
        _: DisplayName,
        _: Secret,
        _: u64,
    ) -> Result<NewPersonalToken, Refusal> {
        nobody()
    }

    async fn revoke_personal_token(&self, _: Identity, _: SessionId) -> Result<(), Refusal> {
        nobody()
    }
}

#[async_trait]
impl Administration for Nobody {
    async fn users(
        &self,
        _: UserId,
        _: String,
        _: Option<UserId>,
        _: usize,
    ) -> Result<Vec<ManagedUser>, Refusal> {
        nobody()
    }

    async fn change(&self, _: Identity, _: UserId, _: UserFlags) -> Result<ManagedUser, Refusal> {
        nobody()
    }

    async fn make_reset_link(&self, _: Identity, _: UserId) -> Result<ResetLink, Refusal> {
        nobody()
    }

    async fn make_owner(&self, _: Identity, _: RoomId, _: UserId) -> Result<(), Refusal> {
        nobody()
    }

    async fn is_setup_code(&self, _: &str) -> Result<bool, Refusal> {
        Ok(false)
    }

    async fn reset_for(&self, _: &str) -> Result<String, Refusal> {
        nobody()
    }

    async fn reset_password(&self, _: Client<'_>, _: &str, _: Secret) -> Result<String, Refusal> {
        nobody()
    }
}

#[async_trait]
impl MemberRooms for Nobody {
    async fn open(&self, _: UserId, _: NewRoom) -> Result<Room, Refusal> {
        nobody()
    }

    async fn mine(&self, _: UserId, _: PageRequest) -> Result<Page<Room>, Refusal> {
        nobody()
    }

    async fn public(&self, _: UserId, _: String, _: PageRequest) -> Result<Page<Room>, Refusal> {
        nobody()
    }

    async fn room(&self, _: UserId, _: RoomId) -> Result<Room, Refusal> {
        nobody()
    }

    async fn change(&self, _: UserId, _: RoomId, _: RoomChange) -> Result<Room, Refusal> {
        nobody()
    }

    async fn delete(&self, _: UserId, _: RoomId) -> Result<(), Refusal> {
        nobody()
    }

    async fn join(&self, _: UserId, _: RoomId) -> Result<Room, Refusal> {
        nobody()
    }

    async fn join_with(&self, _: UserId, _: InviteCode) -> Result<Room, Refusal> {
        nobody()
    }

    async fn leave(&self, _: UserId, _: RoomId) -> Result<(), Refusal> {
        nobody()
    }

    async fn notify_level(&self, _: UserId, _: RoomId) -> Result<NotifyLevel, Refusal> {
        nobody()
    }

    async fn set_notify_level(&self, _: UserId, _: RoomId, _: NotifyLevel) -> Result<(), Refusal> {
        nobody()
    }

    async fn members(&self, _: UserId, _: RoomId, _: PageRequest) -> Result<Page<Member>, Refusal> {
        nobody()
    }

    async fn add_member(&self, _: UserId, _: RoomId, _: UserId, _: Role) -> Result<Member, Refusal> {
        nobody()
    }

    async fn set_role(&self, _: UserId, _: RoomId, _: UserId, _: Role) -> Result<Member, Refusal> {
        nobody()
    }

    async fn remove_member(&self, _: UserId, _: RoomId, _: UserId, _: bool) -> Result<(), Refusal> {
        nobody()
    }

    async fn bans(&self, _: UserId, _: RoomId, _: PageRequest) -> Result<Page<Ban>, Refusal> {
        nobody()
    }

    async fn lift_ban(&self, _: UserId, _: RoomId, _: UserId) -> Result<(), Refusal> {
        nobody()
    }

    async fn invites(&self, _: UserId, _: RoomId, _: PageRequest) -> Result<Page<Invite>, Refusal> {
        nobody()
    }

    async fn make_invite(&self, _: UserId, _: RoomId, _: NewInvite) -> Result<Invite, Refusal> {
        nobody()
    }

    async fn revoke_invite(&self, _: UserId, _: RoomId, _: InviteCode) -> Result<(), Refusal> {
        nobody()
    }
}

#[async_trait]
impl LiveEvents for Nobody {
    async fn user_context(&self, _: UserId) -> Result<UserContext, Refusal> {
        nobody()
    }

    async fn online(&self, _: UserId) -> Result<Vec<UserId>, Refusal> {
        nobody()
    }

    async fn online_among(&self, _: UserId, _: Vec<UserId>) -> Result<Vec<UserId>, Refusal> {
        nobody()
    }

    async fn known(&self, _: UserId, _: Vec<UserId>) -> Result<Vec<UserId>, Refusal> {
        nobody()
    }

    async fn beyond(
        &self,
        _: UserId,
        _: VersionVector,
        _: CommitPoint,
    ) -> Result<Option<Vec<Change>>, Refusal> {
        nobody()
    }

    async fn render(&self, _: UserId, _: Vec<Change>) -> Result<Vec<String>, Refusal> {
        nobody()
    }

    async fn room(&self, _: UserId, _: RoomId) -> Result<(String, bool), Refusal> {
        nobody()
    }

    async fn min_hlc(&self, _: Pos) -> Result<Hlc, Refusal> {
        nobody()
    }

    fn mark_online(&self, _: UserId) -> Online {
        Online(None)
    }

    fn broadcast(&self, _: RoomId, _: UserId, _: Utf8Bytes) {}
}

#[async_trait]
impl Contacts for Nobody {
    async fn list(
        &self,
        _: UserId,
        _: Vec<ContactState>,
        _: Option<UserId>,
        _: usize,
    ) -> Result<Vec<Contact>, Refusal> {
        Ok(Vec::new())
    }

    async fn named(&self, _: String) -> Result<UserId, Refusal> {
        nobody()
    }

    async fn act(&self, _: UserId, _: ContactAct, _: UserId) -> Result<Contact, Refusal> {
        nobody()
    }

    async fn search(&self, _: UserId, _: String, _: usize) -> Result<Vec<User>, Refusal> {
        Ok(Vec::new())
    }

    async fn direct(&self, _: UserId, _: UserId) -> Result<(Room, bool), Refusal> {
        nobody()
    }
}
