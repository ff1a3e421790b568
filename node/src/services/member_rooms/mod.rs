//! Member rooms: membership, roles, invites and bans.

pub mod decisions;
mod lists;
#[cfg(test)]
mod permission_tests;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use starling_protocol::{
    ErrorCode, InviteCode, InviteId, RoomId, UserId,
    event::{InviteMade, NotifyLevel, Role},
    texts,
};
use starling_web::{
    objects::{Ban, Invite, Member, Room},
    security_log::SecurityEvent,
    service::{MemberRooms, NewInvite, NewRoom, Page, PageRequest, Refusal, RoomUpdate},
};

use self::decisions::{Drafts, decision, no_such_invite};
use super::{
    context::ServiceContext,
    render,
    service_keys::{ServiceKeyring, verify_invite},
};
use crate::{
    permissions::{
        no_such_room,
        rooms::{Denied, known_room, role_of_member},
    },
    store::{RecordsReader, RecordsWriter, RoomReader, Store},
};

/// Implements [`MemberRooms`].
pub struct MemberRoomsService {
    context: ServiceContext,
    service_keys: ServiceKeyring,
}

impl MemberRoomsService {
    /// `service_keys` creates and verifies the codes of invites.
    pub fn new(context: ServiceContext, service_keys: ServiceKeyring) -> Self {
        Self { context, service_keys }
    }

    async fn query<T: Send + 'static>(
        &self,
        query: impl Fn(&mut RoomReader) -> Result<T, Denied> + Send + Sync + 'static,
    ) -> Result<T, Refusal> {
        self.context.query(move |store: &Store| query(&mut store.room_reader()?)).await
    }

    async fn query_records<T: Send + 'static>(
        &self,
        query: impl Fn(&RecordsReader) -> Result<T, Denied> + Send + Sync + 'static,
    ) -> Result<T, Refusal> {
        self.context.query(move |store: &Store| query(&store.records()?)).await
    }

    async fn commit_and_replicate(
        &self,
        decide: impl Fn(&RecordsWriter<'_>) -> Drafts + Send + Sync + 'static,
    ) -> Result<(), Refusal> {
        self.context.commit_and_replicate(move |tables| decision(decide(&tables.records))).await.map(drop)
    }

    /// As [`Self::commit_and_replicate`], for decisions that remove something: they may use the reserve of a full disk.
    async fn commit_and_replicate_from_reserve(
        &self,
        decide: impl Fn(&RecordsWriter<'_>) -> Drafts + Send + Sync + 'static,
    ) -> Result<(), Refusal> {
        self.context
            .commit_and_replicate_from_reserve(move |tables| decision(decide(&tables.records)))
            .await
            .map(drop)
    }

    async fn member(&self, room: RoomId, user: UserId) -> Result<Member, Refusal> {
        let gone = || Refusal::new(ErrorCode::NotFound, texts::rooms::NO_SUCH_MEMBER);
        self.query_records(move |records| lists::member(records, room, user)?.ok_or_else(|| gone().into()))
            .await
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Moderator => "moderator",
        Role::Owner => "owner",
    }
}

#[async_trait]
impl MemberRooms for MemberRoomsService {
    async fn create(&self, by: UserId, new: NewRoom) -> Result<Room, Refusal> {
        let room = RoomId(self.context.environment.random());
        self.commit_and_replicate(move |records| decisions::create(records, room, by, &new)).await?;
        self.room(by, room).await
    }

    async fn rooms_of(&self, user: UserId, request: PageRequest) -> Result<Page<Room>, Refusal> {
        self.query(move |reader| lists::my_rooms(reader, user, &request)).await
    }

    async fn search_public(
        &self,
        user: UserId,
        beginning: String,
        request: PageRequest,
    ) -> Result<Page<Room>, Refusal> {
        self.query(move |reader| Ok(lists::public_rooms(reader, user, &beginning, &request)?)).await
    }

    async fn room(&self, user: UserId, room: RoomId) -> Result<Room, Refusal> {
        self.query(move |reader| {
            if reader.quick_room(room)?.is_none() {
                known_room(reader.records(), room, user)?;
            }
            render::room_object(reader, room, user)?.ok_or_else(|| no_such_room().into())
        })
        .await
    }

    async fn change(&self, by: UserId, room: RoomId, change: RoomUpdate) -> Result<Room, Refusal> {
        self.commit_and_replicate(move |records| decisions::change(records, room, by, &change)).await?;
        self.room(by, room).await
    }

    async fn delete(&self, by: UserId, room: RoomId) -> Result<(), Refusal> {
        self.commit_and_replicate_from_reserve(move |records| decisions::delete(records, room, by)).await
    }

    async fn join(&self, user: UserId, room: RoomId) -> Result<Room, Refusal> {
        self.commit_and_replicate(move |records| decisions::join(records, room, user)).await?;
        self.room(user, room).await
    }

    async fn join_with(&self, user: UserId, code: InviteCode) -> Result<Room, Refusal> {
        let now_ms = self.context.environment.now_ms();
        let keys = self.service_keys.sealer().clone();
        let join = move |records: &RecordsWriter<'_>| {
            let invite = verify_invite(&keys, records, code)?.ok_or_else(no_such_invite)?;
            decisions::join_with(records, invite, user, now_ms)
        };
        self.commit_and_replicate(join).await?;
        // The decision has verified it.
        let (invite, _) = code.unverified();
        let room = self
            .query_records(move |records| Ok(records.invite(invite)?.ok_or_else(no_such_invite)?.0))
            .await?;
        self.room(user, room).await
    }

    async fn leave(&self, user: UserId, room: RoomId) -> Result<(), Refusal> {
        self.commit_and_replicate_from_reserve(move |records| decisions::leave(records, room, user)).await
    }

    async fn notify_level(&self, user: UserId, room: RoomId) -> Result<NotifyLevel, Refusal> {
        self.query_records(move |records| {
            role_of_member(records, room, user)?;
            if let Some(level) = records.notify_register(user, room)? {
                return Ok(level.value);
            }
            Ok(records.account_state(user)?.map_or(NotifyLevel::All, |account| account.settings().notify))
        })
        .await
    }

    async fn set_notify_level(&self, user: UserId, room: RoomId, level: NotifyLevel) -> Result<(), Refusal> {
        self.commit_and_replicate(move |records| decisions::set_notify_level(records, room, user, level))
            .await
    }

    async fn members(&self, by: UserId, room: RoomId, request: PageRequest) -> Result<Page<Member>, Refusal> {
        self.query_records(move |records| lists::members(records, by, room, &request)).await
    }

    async fn add_member(
        &self,
        by: UserId,
        room: RoomId,
        user: UserId,
        role: Role,
    ) -> Result<Member, Refusal> {
        self.commit_and_replicate(move |records| decisions::add(records, room, by, user, role)).await?;
        SecurityEvent::RoleSet.by(by).to(user).room(room).detail(role_name(role)).record();
        self.member(room, user).await
    }

    async fn set_role(&self, by: UserId, room: RoomId, user: UserId, role: Role) -> Result<Member, Refusal> {
        self.commit_and_replicate(move |records| decisions::set_role(records, room, by, user, role)).await?;
        SecurityEvent::RoleSet.by(by).to(user).room(room).detail(role_name(role)).record();
        self.member(room, user).await
    }

    async fn remove_member(&self, by: UserId, room: RoomId, user: UserId, ban: bool) -> Result<(), Refusal> {
        self.commit_and_replicate_from_reserve(move |records| {
            decisions::remove(records, room, by, user, ban)
        })
        .await?;
        let removed = if ban { SecurityEvent::MemberBanned } else { SecurityEvent::MemberRemoved };
        if by != user {
            removed.by(by).to(user).room(room).record();
        }
        Ok(())
    }

    async fn bans(&self, by: UserId, room: RoomId, request: PageRequest) -> Result<Page<Ban>, Refusal> {
        self.query_records(move |records| lists::bans(records, by, room, &request)).await
    }

    async fn lift_ban(&self, by: UserId, room: RoomId, user: UserId) -> Result<(), Refusal> {
        self.commit_and_replicate(move |records| decisions::lift_ban(records, room, by, user)).await?;
        SecurityEvent::BanLifted.by(by).to(user).room(room).record();
        Ok(())
    }

    async fn invites(&self, by: UserId, room: RoomId, request: PageRequest) -> Result<Page<Invite>, Refusal> {
        let key = self.service_keys.oldest_openable().await?;
        self.query_records(move |records| lists::invites(records, by, room, &request, &key)).await
    }

    async fn make_invite(&self, by: UserId, room: RoomId, new: NewInvite) -> Result<Invite, Refusal> {
        let key = self.service_keys.oldest_openable().await?;
        let id = InviteId(self.context.environment.random());
        let now_ms = self.context.environment.now_ms();
        let expires_ms = new.expires_in_s.map(|s| now_ms.saturating_add(s.saturating_mul(1_000)));
        let made = InviteMade { id, by, max_uses: new.max_uses, expires_ms };
        let invite = lists::invite(&made, 0, &key);
        self.commit_and_replicate(move |records| decisions::make_invite(records, room, &made, now_ms))
            .await?;
        Ok(invite)
    }

    async fn revoke_invite(&self, by: UserId, room: RoomId, code: InviteCode) -> Result<(), Refusal> {
        let keys = self.service_keys.sealer().clone();
        let revoke = move |records: &RecordsWriter<'_>| {
            decisions::revoke_invite(records, room, by, verify_invite(&keys, records, code)?)
        };
        self.commit_and_replicate_from_reserve(revoke).await
    }
}
