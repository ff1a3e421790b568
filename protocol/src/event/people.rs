//! Events of people: accounts, their sessions, contacts and marks. Their scope is the user whom they are about.

use serde::{Deserialize, Serialize};

use crate::{DisplayName, NodeId, Pos, RoomId, SessionId, Settings, UserId, Username, VersionVector};

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordChanged {
    /// Its hash (a PHC string); nothing once it is erased.
    pub password: Option<Box<str>>,
    /// The session in which it was changed: it goes on as one of this change.
    pub keeps: Option<SessionId>,
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
    /// A personal access token, with its name. A change of the password does not end it.
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
    /// The family key from which its tokens are derived, or a personal token's hash; zero once it is erased.
    pub key: [u8; 32],
    /// What the client says that it is, cut to 200 characters.
    pub user_agent: Box<str>,
    /// When it ends unless it is renewed (Unix milliseconds); `None` for a personal token without an end.
    pub expires_ms: Option<u64>,
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
    /// What the reader had been sent, of the origins that have written in the room: what lies beyond is unread
    /// wherever it sorts.
    pub seen: VersionVector,
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
