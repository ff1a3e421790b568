//! The security log: one line under the target `security` for each event, with the user, the address and the request.
//! Services record events, `request_log` provides the request. Lines hold no secrets: there is no field for one, and names
//! as typed by users are left out, because people type passwords there by mistake.
//!
//! A flood of one event does not fill the disk: beyond [`BURST`] lines most are suppressed, and counted.

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

/// The most lines of one event that are written at once.
const BURST: u32 = 100;
/// The average time between lines of one event in a flood.
const EVERY: Duration = Duration::from_millis(100);

task_local! {
    static REQUEST: RequestContext;
}

/// The request that is being handled.
#[derive(Debug)]
pub struct RequestContext {
    client: IpAddr,
    request_id: Box<str>,
    user: Cell<Option<UserId>>,
}

impl RequestContext {
    /// Returns the context of a request whose user is not known yet.
    pub fn new(client: IpAddr, request_id: &str) -> Self {
        Self { client, request_id: request_id.into(), user: Cell::new(None) }
    }

    /// Runs the handler of the request in this context. As cancellation safe as `answer`.
    pub async fn scope<T>(self, answer: impl Future<Output = T>) -> T {
        REQUEST.scope(self, answer).await
    }

    /// Notes the user who sent the request that is being handled.
    pub fn set_user(user: UserId) {
        let _ = REQUEST.try_with(|request| request.user.set(Some(user)));
    }

    /// Returns the user who sent the request that is being handled, if known.
    pub fn user() -> Option<UserId> {
        REQUEST.try_with(|request| request.user.get()).ok().flatten()
    }
}

macro_rules! events {
    ($($event:ident = $name:literal, $text:literal;)+) => {
        /// A security event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the text of each event describes it")]
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
    LoginLimited = "login_limited", "a login was refused by a rate limit";
    PasswordCheckFailed = "password_check_failed", "a logged-in user gave a wrong password";
    LoggedOut = "logged_out", "a session was ended by its owner";
    SessionEnded = "session_ended", "a session was ended from another one";
    RefreshReused = "refresh_reused", "an old refresh token was used again, so the session was ended";
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
    AdminRevoked = "admin_revoked", "an account is no longer an administrator";
    RoleSet = "role_set", "a member was given a role in a room";
    MemberRemoved = "member_removed", "a member was removed from a room";
    MemberBanned = "member_banned", "somebody was banned from a room";
    BanLifted = "ban_lifted", "a ban from a room was lifted";
    AccessRefused = "access_refused", "a request was forbidden";
}

/// The person who caused an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Actor {
    /// A user. For a failed login, the owner of the account.
    User(UserId),
    /// The operator, over the control socket.
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

/// A line to write.
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

    /// Starts a line about something that a user did. For a failed login, `user` is the owner of the account. `None` is a
    /// stranger, or a name without an account.
    pub fn by(self, user: impl Into<Option<UserId>>) -> Entry {
        self.entry(user.into().map_or(Actor::Unknown, Actor::User))
    }

    /// Starts a line about something that the operator did.
    pub fn by_operator(self) -> Entry {
        self.entry(Actor::Operator)
    }
}

impl Entry {
    /// Sets the account that was changed, if it is not the user's own.
    pub fn to(self, account: UserId) -> Entry {
        Self { account: Some(account), ..self }
    }

    /// Sets the session or personal access token that the event is about.
    pub fn session(self, session: SessionId) -> Entry {
        Self { session: Some(session), ..self }
    }

    /// Sets the room.
    pub fn room(self, room: RoomId) -> Entry {
        Self { room: Some(room), ..self }
    }

    /// Adds a detail. It must not contain input of a client.
    pub fn detail(self, detail: impl Into<Cow<'static, str>>) -> Entry {
        Self { detail: Some(detail.into()), ..self }
    }

    /// Writes the line, unless there are too many of this event.
    pub fn record(self) {
        let bucket = &THROTTLES[self.event as usize];
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

static THROTTLES: [Mutex<LogThrottle>; EVENTS] = [const { Mutex::new(LogThrottle::new()) }; EVENTS];

/// Limits the lines of one event: [`BURST`] at once, then one each [`EVERY`].
#[derive(Debug)]
pub(crate) struct LogThrottle {
    /// The time at which the lines written so far stop counting; `None` if there are none.
    counts_until: Option<Instant>,
    /// Lines suppressed since the last that was written.
    suppressed: u64,
}

impl LogThrottle {
    pub(crate) const fn new() -> Self {
        Self { counts_until: None, suppressed: 0 }
    }

    /// Returns the number of lines suppressed before this one if it may be written, or else `None`.
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

    /// Promise: a flood of failed logins does not fill the disk, and the log still says how many there were.
    #[test]
    fn a_flood_is_suppressed_and_counted() {
        let (mut throttle, start) = (LogThrottle::new(), Instant::now());
        let burst = (0..1_000).filter(|_| throttle.take(start).is_some()).count();
        assert_eq!(burst, 100);
        assert_eq!(throttle.take(start + EVERY), Some(900), "the next says how many it stands for");
        assert_eq!(throttle.take(start + EVERY), None);
        let later = start + Duration::from_mins(1);
        assert_eq!(throttle.take(later), Some(1));
        assert_eq!((0..1_000).filter(|_| throttle.take(later).is_some()).count(), 99);
    }
}
