//! Events of accounts: registration, sessions, contacts, read marks. Their scope is the user.

use serde::{Deserialize, Serialize};

use super::ServiceKeyId;
use crate::{
    DisplayName, FoldedVector, NodeId, OriginId, Pos, RoomId, Seq, SessionId, Settings, UserId, Username,
    VersionVector, limits::READ_MARK_EVENT_ORIGINS_MAX,
};

/// An account was registered. The event also claims its username.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRegistered {
    /// The claimed username.
    pub username: Username,
    /// The display name; without one, the username is shown.
    pub display_name: Option<DisplayName>,
    /// The password's hash (a PHC string); `None` once it is erased.
    pub password: Option<Box<str>>,
    /// Whether the account is an administrator.
    pub admin: bool,
    /// The nodes that have to confirm the claim, listed before any did (see [`ClaimNarrowed`]); `None` in events of
    /// kind 5, from before claims listed them.
    #[serde(with = "always_some")]
    pub waited_for: Option<Vec<NodeId>>,
}

/// An account that lost its username chose a new one. The event claims it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsernameChosen {
    /// The claimed username.
    pub username: Username,
    /// The nodes that have to confirm the claim, listed before any did (see [`ClaimNarrowed`]); `None` in events of
    /// kind 6, from before claims listed them.
    #[serde(with = "always_some")]
    pub waited_for: Option<Vec<NodeId>>,
}

/// A claim was decided without some of the nodes that it had to wait for, because they fell out of sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimNarrowed {
    /// The claimed username.
    pub username: Username,
    /// The position of the event that claims it.
    pub claim: Pos,
    /// The nodes that confirmed the claim. It no longer counts as waiting for the others that its event lists.
    pub confirmed_by: Vec<NodeId>,
}

/// Kind 5: registrations from before claims listed the nodes that they wait for.
#[derive(Serialize, Deserialize)]
pub(super) struct UserRegisteredV1 {
    username: Username,
    display_name: Option<DisplayName>,
    password: Option<Box<str>>,
    admin: bool,
}

impl UserRegisteredV1 {
    pub(super) fn from_event(registered: &UserRegistered) -> Option<Self> {
        let UserRegistered { username, display_name, password, admin, waited_for: None } = registered else {
            return None;
        };
        let (display_name, password) = (display_name.clone(), password.clone());
        Some(Self { username: username.clone(), display_name, password, admin: *admin })
    }
}

impl From<UserRegisteredV1> for UserRegistered {
    fn from(old: UserRegisteredV1) -> Self {
        let UserRegisteredV1 { username, display_name, password, admin } = old;
        Self { username, display_name, password, admin, waited_for: None }
    }
}

/// Kind 6: chosen usernames from before claims listed the nodes that they wait for.
#[derive(Serialize, Deserialize)]
pub(super) struct UsernameChosenV1 {
    username: Username,
}

impl UsernameChosenV1 {
    pub(super) fn from_event(chosen: &UsernameChosen) -> Option<Self> {
        chosen.waited_for.is_none().then(|| Self { username: chosen.username.clone() })
    }
}

impl From<UsernameChosenV1> for UsernameChosen {
    fn from(old: UsernameChosenV1) -> Self {
        Self { username: old.username, waited_for: None }
    }
}

/// Kinds 30 and 31 always list the nodes, so their layout has no `Option`. Events without them have kind 5 or 6.
mod always_some {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::NodeId;

    #[expect(clippy::ref_option, reason = "serde passes a reference")]
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

/// A claim was withdrawn, because another claim won or its node couldn't decide it in time. It never counted. An account
/// with no other claim was never registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimWithdrawn {
    /// The claimed username.
    pub username: Username,
    /// The position of the event that claimed it.
    pub claim: Pos,
}

/// The display name was changed; the last change wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileChanged {
    /// The display name; `None` shows the username. Erasure also leaves `None`.
    pub display_name: Option<DisplayName>,
}

/// The password was changed; the last change wins. It ends all logins made with earlier passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordChanged {
    /// The new password's hash (a PHC string); `None` once it is erased.
    pub password: Option<Box<str>>,
    /// The session in which it was changed: the change doesn't end it.
    pub kept_session: Option<SessionId>,
    /// Whether personal access tokens stay valid (kind 9); otherwise those made with earlier passwords end (kind 42).
    pub keep_tokens: bool,
}

/// The encoding of [`PasswordChanged`], for kinds 9 and 42.
#[derive(Serialize, Deserialize)]
pub(super) struct PasswordChangedPayload {
    password: Option<Box<str>>,
    kept_session: Option<SessionId>,
}

impl PasswordChangedPayload {
    pub(super) fn from_event(PasswordChanged { password, kept_session, .. }: &PasswordChanged) -> Self {
        Self { password: password.clone(), kept_session: *kept_session }
    }

    pub(super) fn into_event(self, keep_tokens: bool) -> PasswordChanged {
        PasswordChanged { password: self.password, kept_session: self.kept_session, keep_tokens }
    }
}

/// A password was hashed again with stronger parameters. The password itself stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordRehashed {
    /// The position of the change or registration that set the password.
    pub change: Pos,
    /// The new hash (a PHC string); `None` once it is erased.
    pub password: Option<Box<str>>,
}

/// A password reset link was made. It is valid until the next change of the password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetLinkMade {
    /// The BLAKE3 hash of the link's code.
    pub code_hash: [u8; 32],
    /// The end of its validity (Unix milliseconds).
    pub expires_ms: u64,
}

/// The kind of credentials of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionKind {
    /// Access and refresh tokens, for programs and apps.
    Tokens,
    /// A cookie, for browsers.
    Cookie,
    /// A personal access token, with its name. A change of the password ends it, unless that keeps tokens.
    Personal(Box<str>),
}

/// A user logged in or made a personal access token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOpened {
    /// The session's id.
    pub session: SessionId,
    /// The kind of its credentials.
    pub kind: SessionKind,
    /// The position of the registration or change that set the password in force when the session was opened.
    pub password_pos: Pos,
    /// For a login: random bytes. The session's family key is derived from them and the service key. For a personal
    /// access token: its hash. Zero once it is erased.
    pub key: [u8; 32],
    /// The client's user agent, cut to 200 characters.
    pub user_agent: Box<str>,
    /// The session's end unless it is renewed (Unix milliseconds); `None` for a personal access token that never expires.
    pub expires_ms: Option<u64>,
    /// The service key of its tokens. `None` for personal access tokens, which stay valid, and for logins from before
    /// service keys. Those logins have ended, because their events held the family key itself.
    pub service_key: Option<ServiceKeyId>,
}

/// Kind 12: a session without a service key.
#[derive(Serialize, Deserialize)]
pub(super) struct UnkeyedSessionOpened {
    session: SessionId,
    kind: SessionKind,
    password_pos: Pos,
    key: [u8; 32],
    user_agent: Box<str>,
    expires_ms: Option<u64>,
}

impl UnkeyedSessionOpened {
    pub(super) fn from_event(opened: &SessionOpened) -> Option<Self> {
        let SessionOpened { session, kind, password_pos, key, user_agent, expires_ms, service_key: None } =
            opened.clone()
        else {
            return None;
        };
        Some(Self { session, kind, password_pos, key, user_agent, expires_ms })
    }
}

impl From<UnkeyedSessionOpened> for SessionOpened {
    fn from(opened: UnkeyedSessionOpened) -> Self {
        let UnkeyedSessionOpened { session, kind, password_pos, key, user_agent, expires_ms } = opened;
        Self { session, kind, password_pos, key, user_agent, expires_ms, service_key: None }
    }
}

/// Sessions were ended permanently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsEnded {
    /// The sessions.
    pub sessions: Vec<SessionId>,
    /// Whether all logins before this event ended, including those that the writing node didn't know of.
    pub all_logins: bool,
}

/// A refresh token was used for the first time, which invalidates earlier ones. Also written while a browser's session
/// is in use; it has no refresh tokens, and its end stays the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshTokenUsed {
    /// The session.
    pub session: SessionId,
    /// The number of the token in its family, from 0; 0 for a browser's session.
    pub n: u64,
    /// The session's end from now on (Unix milliseconds). A browser's session repeats its present end.
    pub expires_ms: u64,
}

/// An account's settings were changed; the last change wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsChanged {
    /// All settings.
    pub settings: Settings,
}

/// An administrator changed an account's flags. Per flag the last change wins; `None` leaves it as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserFlagged {
    /// Whether the account is an administrator.
    pub admin: Option<bool>,
    /// Whether the account is disabled.
    pub disabled: Option<bool>,
}

/// An account was deleted permanently. Its username stays taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDeleted {}

/// One user's stance towards another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stance {
    /// No relation: declined, removed or unblocked.
    None,
    /// Requested or accepted.
    Yes,
    /// They have blocked the other.
    Blocked,
}

/// A user's stance towards another, in a round. The stance of the newest round wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StanceChanged {
    /// The other user.
    pub to: UserId,
    /// The round. Declining, removing, blocking and unblocking begin a new one.
    pub round: u64,
    /// The stance.
    pub stance: Stance,
}

/// A user has read a room up to a position. Marks are merged by maximum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadMarked {
    /// The room.
    pub room: RoomId,
    /// The position of the last message that was read.
    pub pos: Pos,
    /// The events that the reader had been sent. Only origins that have written in the room and that rose since the
    /// last mark are listed. Later events are unread, wherever they sort.
    pub seen: VersionVector,
}

impl ReadMarked {
    /// Splits the mark into events within the size limit. Together they mean the same.
    pub fn split(self) -> Vec<Self> {
        let Self { room, pos, seen } = self;
        let entries: Vec<_> = seen.iter().collect();
        if entries.len() <= READ_MARK_EVENT_ORIGINS_MAX {
            return vec![Self { room, pos, seen }];
        }
        let mark = |entries: &[(OriginId, Seq)]| Self { room, pos, seen: entries.iter().copied().collect() };
        entries.chunks(READ_MARK_EVENT_ORIGINS_MAX).map(mark).collect()
    }
}

/// A user has read a room up to a position, as [`ReadMarked`]; its size does not grow with the number of starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoldedReadMarked {
    /// The room.
    pub room: RoomId,
    /// The position of the last message that was read.
    pub pos: Pos,
    /// The events that the reader had been sent: all that one of the vectors covers.
    pub seen: Vec<FoldedVector>,
}

/// The messages of a room about which a member is notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotifyLevel {
    /// All messages.
    All,
    /// Only messages that mention the member.
    Mentions,
    /// No messages.
    None,
}

/// A member changed the notification level of a room; the last change wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyLevelChanged {
    /// The room.
    pub room: RoomId,
    /// The chosen level.
    pub level: NotifyLevel,
}
