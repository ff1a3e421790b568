//! Events of people: accounts, their sessions, contacts and marks. Their scope is the user whom they are about.

use serde::{Deserialize, Serialize};

use super::ServiceKeyId;
use crate::{
    DisplayName, NodeId, OriginId, Pos, RoomId, SessionId, Settings, UserId, Username, VersionVector,
    limits::READ_MARK_EVENT_ORIGINS_MAX,
};

/// An account was registered under a name, to which this is its claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRegistered {
    /// The name that it claims.
    pub username: Username,
    /// What it is shown as; its name, if nothing else.
    pub display_name: Option<DisplayName>,
    /// The password's hash (a PHC string); nothing once it is erased.
    pub password: Option<Box<str>>,
    /// Whether it administers the service.
    pub admin: bool,
    /// The nodes for which the claim waits; nothing in events of kind 5, which are from before claims named them.
    #[serde(with = "named")]
    pub waited_for: Option<Vec<NodeId>>,
}

/// A renamed account chose a new name, to which this is its claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsernameChosen {
    /// The name that it claims.
    pub username: Username,
    /// The nodes for which the claim waits; nothing in events of kind 6, which are from before claims named them.
    #[serde(with = "named")]
    pub waited_for: Option<Vec<NodeId>>,
}

/// A claim was decided without some nodes for which it was to wait, because they fell out of sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimNarrowed {
    /// The name that is claimed.
    pub username: Username,
    /// The event that claims it.
    pub claim: Pos,
    /// The nodes that confirmed it.
    pub waited_for: Vec<NodeId>,
}

/// Kind 5: registrations from before claims named those they wait for.
#[derive(Serialize, Deserialize)]
pub(super) struct UserRegisteredAlone {
    username: Username,
    display_name: Option<DisplayName>,
    password: Option<Box<str>>,
    admin: bool,
}

impl UserRegisteredAlone {
    pub(super) fn of(registered: &UserRegistered) -> Option<Self> {
        let UserRegistered { username, display_name, password, admin, waited_for: None } = registered else {
            return None;
        };
        let (display_name, password) = (display_name.clone(), password.clone());
        Some(Self { username: username.clone(), display_name, password, admin: *admin })
    }
}

impl From<UserRegisteredAlone> for UserRegistered {
    fn from(old: UserRegisteredAlone) -> Self {
        let UserRegisteredAlone { username, display_name, password, admin } = old;
        Self { username, display_name, password, admin, waited_for: None }
    }
}

/// Kind 6: choices of a name from before claims named those they wait for.
#[derive(Serialize, Deserialize)]
pub(super) struct UsernameChosenAlone {
    username: Username,
}

impl UsernameChosenAlone {
    pub(super) fn of(chosen: &UsernameChosen) -> Option<Self> {
        chosen.waited_for.is_none().then(|| Self { username: chosen.username.clone() })
    }
}

impl From<UsernameChosenAlone> for UsernameChosen {
    fn from(old: UsernameChosenAlone) -> Self {
        Self { username: old.username, waited_for: None }
    }
}

/// Kinds 30 and 31 always name the nodes; without them it is kind 5 or 6.
mod named {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::NodeId;

    #[expect(clippy::ref_option, reason = "serde gives the field")]
    pub(super) fn serialize<S: Serializer>(
        nodes: &Option<Vec<NodeId>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        nodes.as_deref().unwrap_or_default().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<NodeId>>, D::Error> {
        Vec::deserialize(deserializer).map(Some)
    }
}

/// A claim was too late, or nobody knows whether it was: it never counted. An account without any other claim never
/// existed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimWithdrawn {
    /// The name that was claimed.
    pub username: Username,
    /// The event that claimed it.
    pub claim: Pos,
}

/// An account is shown otherwise; the last change holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileChanged {
    /// What it is shown as; nothing once it is erased, or to be shown by its name.
    pub display_name: Option<DisplayName>,
}

/// The password was changed; the last change holds, and sessions checked against another end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordChanged {
    /// Its hash (a PHC string); nothing once it is erased.
    pub password: Option<Box<str>>,
    /// The session in which it was changed: it goes on as one of this change.
    pub keeps: Option<SessionId>,
    /// Whether personal access tokens stay good (kind 9); otherwise those made under earlier passwords end (kind 42).
    pub keep_tokens: bool,
}

/// How [`PasswordChanged`] is encoded, under kind 9 as under kind 42.
#[derive(Serialize, Deserialize)]
pub(super) struct PasswordChange {
    password: Option<Box<str>>,
    keeps: Option<SessionId>,
}

impl PasswordChange {
    pub(super) fn of(PasswordChanged { password, keeps, .. }: &PasswordChanged) -> Self {
        Self { password: password.clone(), keeps: *keeps }
    }

    pub(super) fn into_event(self, keep_tokens: bool) -> PasswordChanged {
        PasswordChanged { password: self.password, keeps: self.keeps, keep_tokens }
    }
}

/// A password was hashed again with stronger parameters: no change of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordRehashed {
    /// The change (or registration) whose password it is.
    pub change: Pos,
    /// Its hash (a PHC string); nothing once it is erased.
    pub password: Option<Box<str>>,
}

/// A link with which a password can be chosen was made. It ends with the next change of the password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetLinkMade {
    /// BLAKE3 of its code.
    pub code_hash: [u8; 32],
    /// Until when (Unix milliseconds).
    pub expires_ms: u64,
}

/// How a session's holder proves that it is his.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionKind {
    /// A program or an app: access and refresh tokens.
    Tokens,
    /// A browser: a cookie.
    Cookie,
    /// A personal access token, with its name. It ends with a change of the password, unless that keeps tokens.
    Personal(Box<str>),
}

/// Somebody logged in, or made a personal access token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOpened {
    /// Names the session.
    pub session: SessionId,
    /// How its holder proves himself.
    pub kind: SessionKind,
    /// The password change that was checked.
    pub password: Pos,
    /// The random bytes from which, with the service key, the session's family key is derived; or a personal token's
    /// hash. Zero once it is erased.
    pub key: [u8; 32],
    /// What the client says that it is, cut to 200 characters.
    pub user_agent: Box<str>,
    /// When it ends unless it is renewed (Unix milliseconds); `None` for a personal token without an end.
    pub expires_ms: Option<u64>,
    /// The service key under which its tokens are made. `None` for a personal token, and for sessions of kind 12, which
    /// were opened when the event held the family key itself: these have ended.
    pub service_key: Option<ServiceKeyId>,
}

/// Kind 12: a session without a service key.
#[derive(Serialize, Deserialize)]
pub(super) struct UnkeyedSessionOpened {
    session: SessionId,
    kind: SessionKind,
    password: Pos,
    key: [u8; 32],
    user_agent: Box<str>,
    expires_ms: Option<u64>,
}

impl UnkeyedSessionOpened {
    pub(super) fn of(opened: &SessionOpened) -> Option<Self> {
        let SessionOpened { session, kind, password, key, user_agent, expires_ms, service_key: None } =
            opened.clone()
        else {
            return None;
        };
        Some(Self { session, kind, password, key, user_agent, expires_ms })
    }
}

impl From<UnkeyedSessionOpened> for SessionOpened {
    fn from(opened: UnkeyedSessionOpened) -> Self {
        let UnkeyedSessionOpened { session, kind, password, key, user_agent, expires_ms } = opened;
        Self { session, kind, password, key, user_agent, expires_ms, service_key: None }
    }
}

/// Sessions ended, for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsEnded {
    /// Which.
    pub sessions: Vec<SessionId>,
    /// Whether all for which its user logged in before this event did: also those that nobody knew of here.
    pub all_logins: bool,
}

/// A refresh token was used for the first time: earlier ones are spent. Also that a browser's session is in use, which
/// has none and ends when it would have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshUsed {
    /// Whose.
    pub session: SessionId,
    /// Its number in its family, from 0.
    pub n: u64,
    /// When the session ends now unless it is renewed again (Unix milliseconds).
    pub expires_ms: u64,
}

/// An account's settings are these; the last change holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsChanged {
    /// All of them.
    pub settings: Settings,
}

/// An administrator changed what an account may; of each flag the last change holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserFlagged {
    /// Whether it administers the service.
    pub admin: Option<bool>,
    /// Whether it is shut out.
    pub disabled: Option<bool>,
}

/// An account was deleted, for good. Its name is not given away again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDeleted {}

/// How one side stands to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stance {
    /// Not at all: declined, removed, unblocked.
    None,
    /// He asks, or agrees.
    Yes,
    /// He wants nothing of the other.
    Blocked,
}

/// One side's word on a contact, in a round. The word of the newest round holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactSet {
    /// The other side.
    pub to: UserId,
    /// The round: decline, remove, block and unblock begin a new one.
    pub round: u64,
    /// How this side stands.
    pub stance: Stance,
}

/// Somebody has read a room up to a place. Marks are merged by maximum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadMarked {
    /// Which room.
    pub room: RoomId,
    /// The greatest message that was read.
    pub pos: Pos,
    /// What the reader had been sent, of the origins that have written in the room and of which earlier marks said less:
    /// what lies beyond is unread wherever it sorts.
    pub seen: VersionVector,
}

impl ReadMarked {
    /// The mark as events that are no longer than an event may be; together they say the same.
    pub fn split(self) -> Vec<Self> {
        let Self { room, pos, seen } = self;
        let entries: Vec<_> = seen.iter().collect();
        if entries.len() <= READ_MARK_EVENT_ORIGINS_MAX {
            return vec![Self { room, pos, seen }];
        }
        let part = |entries: &[(OriginId, u64)]| Self { room, pos, seen: entries.iter().copied().collect() };
        entries.chunks(READ_MARK_EVENT_ORIGINS_MAX).map(part).collect()
    }
}

/// Of what in a room its member wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotifyLevel {
    /// Everything.
    All,
    /// Where he is named.
    Mentions,
    /// Nothing.
    None,
}

/// A member chose of what he wants to be told in a room; the last choice holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifySet {
    /// In which room.
    pub room: RoomId,
    /// What he chose.
    pub level: NotifyLevel,
}
