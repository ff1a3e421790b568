//! Services for tests without accounts: all calls that need one are refused.

use std::net::IpAddr;

use async_trait::async_trait;
use starling_protocol::{
    DisplayName, Emoji, ErrorCode, Hlc, InviteCode, MessageId, MessageText, Pos, RoomId, SessionId, UserId,
    VersionVector,
    event::{NotifyLevel, Role},
};

use super::{
    Accounts, Administration, Authentication, BrowserSession, Client, ContactAction, Contacts,
    CountAgainstRoom, Credentials, Identity, Listed, LiveChange, LiveEvents, MemberRooms, MessagePage,
    MessageQuery, Messages, NewInvite, NewMessage, NewRoom, Online, Page, PageRequest, Post, ProfileChange,
    Refusal, Registration, ResetLink, RoomUpdate, Secret, SettingsChange, UserContext, UserFlags,
};
use crate::{
    lane::CommitPoint,
    objects::{
        Ban, Contact, ContactState, Invite, LoggedIn, ManagedUser, Me, Member, Message, NewPersonalToken,
        PersonalToken, Room, Session, Settings, User,
    },
};

/// An implementation of all services that need an account.
pub struct StubServices;

fn unauthenticated<T>() -> Result<T, Refusal> {
    Err(Refusal::new(ErrorCode::Unauthenticated, "there are no accounts"))
}

#[async_trait]
impl Authentication for StubServices {
    async fn identify(&self, _: Credentials<'_>) -> Result<Identity, Refusal> {
        unauthenticated()
    }

    async fn is_alive(&self, _: Identity) -> Result<bool, Refusal> {
        Ok(false)
    }
}

#[async_trait]
impl Accounts for StubServices {
    fn validate_new_password(&self, _: &str, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn is_known(&self, _: IpAddr, _: &str) -> bool {
        false
    }

    async fn register(&self, _: Client<'_>, _: Registration) -> Result<LoggedIn, Refusal> {
        unauthenticated()
    }

    async fn register_browser(&self, _: Client<'_>, _: Registration) -> Result<BrowserSession, Refusal> {
        unauthenticated()
    }

    async fn login(&self, _: Client<'_>, _: &str, _: Secret) -> Result<LoggedIn, Refusal> {
        unauthenticated()
    }

    async fn login_browser(&self, _: Client<'_>, _: &str, _: Secret) -> Result<BrowserSession, Refusal> {
        unauthenticated()
    }

    async fn refresh(&self, _: &str) -> Result<LoggedIn, Refusal> {
        unauthenticated()
    }

    async fn logout(&self, _: Identity, _: bool) -> Result<(), Refusal> {
        unauthenticated()
    }

    async fn me(&self, _: Identity) -> Result<Me, Refusal> {
        unauthenticated()
    }

    async fn change_profile(&self, _: Identity, _: ProfileChange) -> Result<Me, Refusal> {
        unauthenticated()
    }

    async fn delete(&self, _: Identity, _: Secret) -> Result<(), Refusal> {
        unauthenticated()
    }

    async fn change_password(&self, _: Identity, _: Secret, _: Secret, _: bool) -> Result<(), Refusal> {
        unauthenticated()
    }

    async fn settings(&self, _: Identity) -> Result<Settings, Refusal> {
        unauthenticated()
    }

    async fn change_settings(&self, _: Identity, _: SettingsChange) -> Result<Settings, Refusal> {
        unauthenticated()
    }

    async fn sessions(&self, _: Identity) -> Result<Vec<Listed<Session>>, Refusal> {
        unauthenticated()
    }

    async fn end_session(&self, _: Identity, _: SessionId) -> Result<(), Refusal> {
        unauthenticated()
    }

    async fn personal_tokens(&self, _: Identity) -> Result<Vec<Listed<PersonalToken>>, Refusal> {
        unauthenticated()
    }

    async fn make_personal_token(
        &self,
        _: Identity,
        _: DisplayName,
        _: Secret,
        _: u64,
    ) -> Result<NewPersonalToken, Refusal> {
        unauthenticated()
    }

    async fn revoke_personal_token(&self, _: Identity, _: SessionId) -> Result<(), Refusal> {
        unauthenticated()
    }
}

#[async_trait]
impl Administration for StubServices {
    async fn users(
        &self,
        _: UserId,
        _: String,
        _: Option<UserId>,
        _: usize,
    ) -> Result<Vec<ManagedUser>, Refusal> {
        unauthenticated()
    }

    async fn change(&self, _: Identity, _: UserId, _: UserFlags) -> Result<ManagedUser, Refusal> {
        unauthenticated()
    }

    async fn make_reset_link(&self, _: Identity, _: UserId) -> Result<ResetLink, Refusal> {
        unauthenticated()
    }

    async fn add_owner(&self, _: Identity, _: RoomId, _: UserId) -> Result<(), Refusal> {
        unauthenticated()
    }

    async fn is_setup_code(&self, _: &str) -> Result<bool, Refusal> {
        Ok(false)
    }

    async fn reset_link_username(&self, _: &str) -> Result<String, Refusal> {
        unauthenticated()
    }

    async fn reset_password(&self, _: Client<'_>, _: &str, _: Secret) -> Result<String, Refusal> {
        unauthenticated()
    }
}

#[async_trait]
impl MemberRooms for StubServices {
    async fn create(&self, _: UserId, _: NewRoom) -> Result<Room, Refusal> {
        unauthenticated()
    }

    async fn rooms_of(&self, _: UserId, _: PageRequest) -> Result<Page<Room>, Refusal> {
        unauthenticated()
    }

    async fn search_public(&self, _: UserId, _: String, _: PageRequest) -> Result<Page<Room>, Refusal> {
        unauthenticated()
    }

    async fn room(&self, _: UserId, _: RoomId) -> Result<Room, Refusal> {
        unauthenticated()
    }

    async fn change(&self, _: UserId, _: RoomId, _: RoomUpdate) -> Result<Room, Refusal> {
        unauthenticated()
    }

    async fn delete(&self, _: UserId, _: RoomId) -> Result<(), Refusal> {
        unauthenticated()
    }

    async fn join(&self, _: UserId, _: RoomId) -> Result<Room, Refusal> {
        unauthenticated()
    }

    async fn join_with(&self, _: UserId, _: InviteCode) -> Result<Room, Refusal> {
        unauthenticated()
    }

    async fn leave(&self, _: UserId, _: RoomId) -> Result<(), Refusal> {
        unauthenticated()
    }

    async fn notify_level(&self, _: UserId, _: RoomId) -> Result<NotifyLevel, Refusal> {
        unauthenticated()
    }

    async fn set_notify_level(&self, _: UserId, _: RoomId, _: NotifyLevel) -> Result<(), Refusal> {
        unauthenticated()
    }

    async fn members(&self, _: UserId, _: RoomId, _: PageRequest) -> Result<Page<Member>, Refusal> {
        unauthenticated()
    }

    async fn add_member(&self, _: UserId, _: RoomId, _: UserId, _: Role) -> Result<Member, Refusal> {
        unauthenticated()
    }

    async fn set_role(&self, _: UserId, _: RoomId, _: UserId, _: Role) -> Result<Member, Refusal> {
        unauthenticated()
    }

    async fn remove_member(&self, _: UserId, _: RoomId, _: UserId, _: bool) -> Result<(), Refusal> {
        unauthenticated()
    }

    async fn bans(&self, _: UserId, _: RoomId, _: PageRequest) -> Result<Page<Ban>, Refusal> {
        unauthenticated()
    }

    async fn lift_ban(&self, _: UserId, _: RoomId, _: UserId) -> Result<(), Refusal> {
        unauthenticated()
    }

    async fn invites(&self, _: UserId, _: RoomId, _: PageRequest) -> Result<Page<Invite>, Refusal> {
        unauthenticated()
    }

    async fn make_invite(&self, _: UserId, _: RoomId, _: NewInvite) -> Result<Invite, Refusal> {
        unauthenticated()
    }

    async fn revoke_invite(&self, _: UserId, _: RoomId, _: InviteCode) -> Result<(), Refusal> {
        unauthenticated()
    }
}

#[async_trait]
impl LiveEvents for StubServices {
    async fn user_context(&self, _: UserId) -> Result<UserContext, Refusal> {
        unauthenticated()
    }

    async fn online(&self, _: UserId) -> Result<Vec<UserId>, Refusal> {
        unauthenticated()
    }

    async fn online_among(&self, _: UserId, _: Vec<UserId>) -> Result<Vec<UserId>, Refusal> {
        unauthenticated()
    }

    async fn known(&self, _: UserId, _: Vec<UserId>) -> Result<Vec<UserId>, Refusal> {
        unauthenticated()
    }

    async fn changes_between(
        &self,
        _: UserId,
        _: VersionVector,
        _: CommitPoint,
    ) -> Result<Option<Vec<LiveChange>>, Refusal> {
        unauthenticated()
    }

    async fn render(&self, _: UserId, _: Vec<LiveChange>) -> Result<Vec<String>, Refusal> {
        unauthenticated()
    }

    async fn room(&self, _: UserId, _: RoomId) -> Result<(String, bool), Refusal> {
        unauthenticated()
    }

    async fn above_hlc_unless_held(&self, _: Pos) -> Result<Hlc, Refusal> {
        unauthenticated()
    }

    fn mark_online(&self, _: UserId) -> Online {
        Online(None)
    }

    fn broadcast(&self, _: RoomId, _: UserId, _: String) {}
}

#[async_trait]
impl Contacts for StubServices {
    async fn list(
        &self,
        _: UserId,
        _: Vec<ContactState>,
        _: Option<UserId>,
        _: usize,
    ) -> Result<Vec<Contact>, Refusal> {
        Ok(Vec::new())
    }

    async fn find_by_username(&self, _: String) -> Result<UserId, Refusal> {
        unauthenticated()
    }

    async fn act(&self, _: UserId, _: ContactAction, _: UserId) -> Result<Contact, Refusal> {
        unauthenticated()
    }

    async fn search(&self, _: UserId, _: String, _: usize) -> Result<Vec<User>, Refusal> {
        Ok(Vec::new())
    }

    async fn open_direct_room(&self, _: UserId, _: UserId) -> Result<(Room, bool), Refusal> {
        unauthenticated()
    }
}

#[async_trait]
impl Messages for StubServices {
    async fn prepare(&self, _: UserId, _: RoomId, _: NewMessage) -> Result<Post, Refusal> {
        unauthenticated()
    }

    async fn post(
        &self,
        _: UserId,
        _: RoomId,
        _: NewMessage,
        _: CountAgainstRoom<'_>,
    ) -> Result<(Message, bool), Refusal> {
        unauthenticated()
    }

    async fn page(&self, _: UserId, _: RoomId, _: MessageQuery, _: usize) -> Result<MessagePage, Refusal> {
        unauthenticated()
    }

    async fn message(&self, _: UserId, _: MessageId) -> Result<Message, Refusal> {
        unauthenticated()
    }

    async fn edit(&self, _: UserId, _: MessageId, _: MessageText) -> Result<Message, Refusal> {
        unauthenticated()
    }

    async fn delete(&self, _: UserId, _: MessageId) -> Result<(), Refusal> {
        unauthenticated()
    }

    async fn react(&self, _: UserId, _: MessageId, _: Emoji, _: bool) -> Result<(), Refusal> {
        unauthenticated()
    }

    async fn mark_read(
        &self,
        _: UserId,
        _: RoomId,
        _: MessageId,
        _: Option<VersionVector>,
    ) -> Result<(), Refusal> {
        unauthenticated()
    }
}
