//! The profile of a user, and the deletion of their account.

use starling_protocol::{
    DisplayName, ErrorCode, EventDraft, NodeId, Scope, UserId, Username,
    event::{ProfileChanged, UserDeleted, UsernameChosen},
    texts,
};
use starling_web::{
    objects::Me,
    security_log::SecurityEvent,
    service::{Identity, ProfileChange, Refusal, Secret},
};

use super::{AccountsService, claim, password_of, require_login, unauthenticated, wrong_password};
use crate::{
    permissions,
    services::{
        member_rooms::decisions::{decision, leave_drafts},
        render,
    },
    store::{Decide, Decision, Person, Records, Rows, StoreError, Tables},
};

/// Rooms that a deleted account leaves in one commit, at most: bounds how long posts wait behind the commit.
const LEAVE_ROOMS: usize = 200;

impl AccountsService {
    /// The account of the user who asks.
    pub(super) async fn load_me(&self, user: UserId) -> Result<Me, Refusal> {
        self.context.read_records(move |records| me(records, user)).await?.ok_or_else(unauthenticated)
    }

    pub(super) async fn change_me(&self, who: Identity, change: ProfileChange) -> Result<Me, Refusal> {
        if let Some(username) = change.username {
            self.choose_name(who.user, username).await?;
        }
        if let Some(display_name) = change.display_name {
            self.context
                .commit_and_replicate(move |tables| set_display_name(tables, who.user, display_name.as_ref()))
                .await?;
        }
        self.load_me(who.user).await
    }

    /// Gives a renamed account a name of its choice, once.
    async fn choose_name(&self, user: UserId, username: Username) -> Result<(), Refusal> {
        let (name, wanted) = (username.clone(), username.clone());
        self.context.driver.barrier().await;
        let present = self.context.read_records(move |records| records.username(user)).await?;
        if present.as_deref() == Some(wanted.as_str()) {
            return Ok(());
        }
        let decide = move |waited_for: Vec<NodeId>| {
            Decide::new(move |tables: &Tables<'_>| {
                let records = &tables.records;
                let Some((before, _)) = records.claim_of(user)? else {
                    return Ok(Decision::Refuse(unauthenticated()));
                };
                if !records.is_renamed(user)? {
                    return Ok(Decision::refuse(ErrorCode::Forbidden, texts::accounts::RENAMED_ONLY));
                }
                let free = claim::check_free(records, &username);
                let chosen =
                    UsernameChosen { username: username.clone(), waited_for: Some(waited_for.clone()) };
                let draft = EventDraft::new(Scope::user(user), chosen).above(before.hlc);
                decision(free.map(|()| vec![draft]))
            })
        };
        let claimant = claim::Claimant { user, name, is_setup: false };
        claim::claim(&self.context, claimant, decide).await.map(|_| ())
    }

    /// Deletes an account, after it has left its rooms, a few in each commit.
    pub(super) async fn delete_me(&self, who: Identity, password: Secret) -> Result<(), Refusal> {
        require_login(who, "delete the account")?;
        let checked = self.confirm(who, password).await?;
        let deleting = self.clone();
        let deleted = tokio::spawn(async move {
            loop {
                let decide = move |tables: &Tables<'_>| {
                    let records = &tables.records;
                    if password_of(records, checked.user, |password| password.change)?
                        != Some(checked.password_change)
                    {
                        return Ok(Decision::Refuse(wrong_password()));
                    }
                    match permissions::refuse_demotion(records, checked.user)? {
                        Some(refusal) => Ok(Decision::Refuse(refusal)),
                        None => leave_or_delete(records, checked.user),
                    }
                };
                deleting.context.commit_and_replicate_from_reserve(decide).await?;
                let gone = move |records: &crate::store::RecordsReader| {
                    Ok(records.existing_account(checked.user)?.is_none())
                };
                if deleting.context.read_records(gone).await? {
                    return Ok(());
                }
            }
        });
        deleted.await.unwrap_or_else(|_| {
            Err(Refusal::new(ErrorCode::Unavailable, texts::accounts::DELETION_UNCONFIRMED))
        })?;
        SecurityEvent::AccountDeleted.by(who.user).session(who.session).record();
        Ok(())
    }
}

/// The account of the user who asks; `None` if it was deleted.
fn me<T: Rows>(records: &Records<T>, user: UserId) -> Result<Option<Me>, StoreError> {
    let Some(account) = records.existing_account(user)? else { return Ok(None) };
    let Person { username, display_name, .. } = records.person(user)?;
    Ok(Some(Me {
        id: user.to_string(),
        username,
        display_name,
        admin: account.is_admin(),
        renamed: records.is_renamed(user)?,
        created_at: account.registered.map_or_else(String::new, |pos| render::time(pos.hlc)),
    }))
}

fn set_display_name(
    tables: &Tables<'_>,
    user: UserId,
    display_name: Option<&DisplayName>,
) -> Result<Decision, StoreError> {
    let Some(account) = tables.records.existing_account(user)? else {
        return Ok(Decision::Refuse(unauthenticated()));
    };
    if account.display_name() == display_name {
        return Ok(Decision::Nothing);
    }
    let changed = ProfileChanged { display_name: display_name.cloned() };
    Ok(Decision::Write(vec![EventDraft::new(Scope::user(user), changed).above(account.changed_at())]))
}

/// The next events of a deletion: departures from rooms, then the deletion itself.
fn leave_or_delete<T: Rows>(records: &Records<T>, user: UserId) -> Result<Decision, StoreError> {
    let mut drafts = Vec::new();
    let mut left = 0;
    for (room, _) in records.rooms_of(user)? {
        // A direct room keeps its two members forever.
        if records.member_room(room)?.is_none_or(|room| room.name().is_none()) {
            continue;
        }
        drafts.extend(leave_drafts(records, room, user)?);
        left += 1;
        if left == LEAVE_ROOMS {
            return Ok(Decision::Write(drafts));
        }
    }
    drafts.push(EventDraft::new(Scope::user(user), UserDeleted {}));
    Ok(Decision::Write(drafts))
}
