//! What matters to security, as log lines of the target `security`: one line an act, with who did it, from which
//! address, in which request. Services record, `request_log` says in which request they do. No line holds a secret: there
//! is no field for one, and names that somebody typed are left out, since passwords are typed there by mistake.
//!
//! A flood of one kind of act fills no disk: beyond [`BURST`] lines they are thinned out, and counted.

use std::{
    borrow::Cow,
    cell::Cell,
    fmt::{self, Display},
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use starling_protocol::{RoomId, SessionId, UserId};
use tokio::{task_local, time::Instant};

/// Lines of one kind that are written at once, at most.
const BURST: u32 = 100;
/// How often one more is written in the long run.
const EVERY: Duration = Duration::from_millis(100);

task_local! {
    static REQUEST: RequestContext;
}

/// The request that is being answered.
#[derive(Debug)]
pub struct RequestContext {
    client: IpAddr,
    request_id: Box<str>,
    user: Cell<Option<UserId>>,
}

impl RequestContext {
    /// A request whose user is not known yet.
    pub fn new(client: IpAddr, request_id: &str) -> Self {
        Self { client, request_id: request_id.into(), user: Cell::new(None) }
    }

    /// Runs what answers the request: what it records bears this context.
    ///
    /// Cancellation safety: that of `answer`.
    pub async fn scope<T>(self, answer: impl Future<Output = T>) -> T {
        REQUEST.scope(self, answer).await
    }

    /// Notes who sent the request that is being answered.
    pub fn set_user(user: UserId) {
        let _ = REQUEST.try_with(|request| request.user.set(Some(user)));
    }

    /// Who sent the request that is being answered, if that was found out.
    pub fn user() -> Option<UserId> {
        REQUEST.try_with(|request| request.user.get()).ok().flatten()
    }
}

macro_rules! events {
    ($($event:ident = $name:literal, $text:literal;)+) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each one's text says what it is")]
        pub enum SecurityEvent {
            $($event,)+
        }

        impl SecurityEvent {
            /// The field `event` of its lines.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$event => $name,)+
                }
            }

            fn text(self) -> &'static str {
                match self {
                    $(Self::$event => $text,)+
                }
            }
        }

        const EVENTS: usize = [$(SecurityEvent::$event),+].len();
    };
}

events! {
    LoginSucceeded = "login_succeeded", "a session was opened";
    LoginFailed = "login_failed", "a login failed";
    LoginLimited = "login_limited", "a login was refused: too many failed before it";
    PasswordCheckFailed = "password_check_failed", "somebody who is logged in gave a wrong password";
    LoggedOut = "logged_out", "a session was ended by its owner";
    SessionEnded = "session_ended", "a session was ended from another one";
    RefreshReused = "refresh_reused", "a spent refresh token was used again: the session was ended";
    TokenMade = "token_made", "a personal access token was made";
    TokenEnded = "token_ended", "a personal access token was revoked";
    PasswordChanged = "password_changed", "a password was changed";
    PasswordReset = "password_reset", "a password was replaced without the old one";
    ResetLinkMade = "reset_link_made", "a link to choose a new password was made";
    AccountRegistered = "account_registered", "an account was registered";
    AccountAdded = "account_added", "an account was added by the operator";
    SetupCompleted = "setup_completed", "the first administrator's account was made";
    AccountDeleted = "account_deleted", "an account was deleted by its owner";
    AccountDisabled = "account_disabled", "an account was disabled";
    AccountEnabled = "account_enabled", "an account was enabled again";
    AdminGranted = "admin_granted", "an account became an administrator";
    AdminRevoked = "admin_revoked", "an account is no administrator any more";
    RoleSet = "role_set", "a member was given a role in a room";
    MemberRemoved = "member_removed", "a member was removed from a room";
    MemberBanned = "member_banned", "somebody was banned from a room";
    BanLifted = "ban_lifted", "a ban from a room was lifted";
    AccessRefused = "access_refused", "somebody asked for what they may not do";
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Actor {
    /// This user; where a login failed, the account that was meant.
    User(UserId),
    /// Whoever runs the node, over its control socket.
    Operator,
    /// A stranger.
    Unknown,
}

impl Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => user.fmt(f),
            Self::Operator => f.write_str("operator"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// A line that is to be written.
#[derive(Debug)]
#[must_use = "nothing is written before `record`"]
pub struct Entry {
    event: SecurityEvent,
    actor: Actor,
    account: Option<UserId>,
    session: Option<SessionId>,
    room: Option<RoomId>,
    detail: Option<Cow<'static, str>>,
}

impl SecurityEvent {
    fn entry(self, actor: Actor) -> Entry {
        Entry { event: self, actor, account: None, session: None, room: None, detail: None }
    }

    /// This user did it; where a login failed, it was meant for this account. `None` is a stranger, or a name that
    /// nobody has.
    pub fn by(self, user: impl Into<Option<UserId>>) -> Entry {
        self.entry(user.into().map_or(Actor::Unknown, Actor::User))
    }

    /// Whoever runs the node did it.
    pub fn by_operator(self) -> Entry {
        self.entry(Actor::Operator)
    }
}

impl Entry {
    /// To which account it was done, if not to one's own.
    pub fn to(self, account: UserId) -> Entry {
        Self { account: Some(account), ..self }
    }

    /// Which session or personal access token it is about.
    pub fn session(self, session: SessionId) -> Entry {
        Self { session: Some(session), ..self }
    }

    /// In which room.
    pub fn room(self, room: RoomId) -> Entry {
        Self { room: Some(room), ..self }
    }

    /// What else is to be known of it. Never what a client has sent.
    pub fn detail(self, detail: impl Into<Cow<'static, str>>) -> Entry {
        Self { detail: Some(detail.into()), ..self }
    }

    /// Writes the line, unless there are too many of its kind.
    pub fn record(self) {
        let bucket = &THINNED[self.event as usize];
        let suppressed = bucket.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        let Some(suppressed) = suppressed else { return };
        let context = REQUEST.try_with(|request| (request.client.to_string(), request.request_id.clone()));
        let elsewhere = if self.actor == Actor::Operator { "control socket" } else { "unknown" };
        let (client, request_id) = context.unwrap_or_else(|_| (elsewhere.to_owned(), "none".into()));
        tracing::info!(
            target: "security",
            event = self.event.name(),
            user = %self.actor,
            account = self.account.map(display),
            session = self.session.map(display),
            room = self.room.map(display),
            detail = self.detail.as_deref(),
            client,
            request_id = &*request_id,
            suppressed = Some(suppressed).filter(|&suppressed| suppressed > 0),
            "{}", self.event.text(),
        );
    }
}

static THINNED: [Mutex<Thinned>; EVENTS] = [const { Mutex::new(Thinned::new()) }; EVENTS];

/// Lines of one kind: [`BURST`] at once, then one each [`EVERY`].
#[derive(Debug)]
pub(crate) struct Thinned {
    /// Until when what was written counts; `None` if nothing was yet.
    counts_until: Option<Instant>,
    /// Lines that were not written since the last that was.
    suppressed: u64,
}

impl Thinned {
    pub(crate) const fn new() -> Self {
        Self { counts_until: None, suppressed: 0 }
    }

    /// Whether one more is written now: with how many that were not before it.
    pub(crate) fn take(&mut self, now: Instant) -> Option<u64> {
        let counts_until = self.counts_until.map_or(now, |until| until.max(now));
        if counts_until.duration_since(now) > EVERY * (BURST - 1) {
            self.suppressed += 1;
            return None;
        }
        self.counts_until = Some(counts_until + EVERY);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: a flood of failed logins fills no disk, and how many there were is said all the same.
    #[test]
    fn a_flood_is_thinned_out_and_counted() {
        let (mut thinned, start) = (Thinned::new(), Instant::now());
        let burst = (0..1_000).filter(|_| thinned.take(start).is_some()).count();
        assert_eq!(burst, 100);
        assert_eq!(thinned.take(start + EVERY), Some(900), "the next says how many it stands for");
        assert_eq!(thinned.take(start + EVERY), None);
        let later = start + Duration::from_mins(1);
        assert_eq!(thinned.take(later), Some(1));
        assert_eq!((0..1_000).filter(|_| thinned.take(later).is_some()).count(), 99);
    }
}
