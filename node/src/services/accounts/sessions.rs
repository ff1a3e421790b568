//! Opens, lists and ends sessions. Opening one may end others.

use starling_protocol::{
    ErrorCode, EventDraft, Scope, SessionId, UserId,
    event::{ServiceKeyId, SessionKind, SessionOpened, SessionsEnded},
    limits::{PERSONAL_TOKENS_MAX, SESSIONS_MAX, USER_AGENT_CHARS_MAX},
    merge::{session::SessionState, user::SessionEnds},
    texts,
};
use starling_web::{
    objects::{LoggedIn, Session, TokenType},
    security_log::SecurityEvent,
    service::{BrowserSession, Identity, Listed, Refusal, Secret},
};

use super::{AccountsService, Checked, bad_credentials, password_of, require_login};
use crate::{
    auth::{ACCESS_S, FamilyKey, Holder},
    services::render,
    store::{Decide, Decision, Records, Rows, StoreError, Tables},
};

/// How long a session lives after its last refresh; a browser's, after it was opened.
pub const SESSION_MS: u64 = 30 * 24 * 3_600 * 1_000;

/// A session that was just opened.
pub struct Opened {
    pub id: SessionId,
    /// The key of its tokens.
    pub family: FamilyKey,
}

impl AccountsService {
    /// Opens a session for a program.
    pub(super) async fn open_program_session(
        &self,
        checked: Checked,
        user_agent: &str,
    ) -> Result<LoggedIn, Refusal> {
        let Opened { id, family } = self.open_login(checked, SessionKind::Tokens, user_agent).await?;
        let refresh_token = family.refresh_token(&id.to_string(), &checked.user.to_string(), 0);
        self.logged_in(checked.user, id, refresh_token).await
    }

    /// Opens a session for a browser.
    pub(super) async fn open_browser(
        &self,
        checked: Checked,
        user_agent: &str,
    ) -> Result<BrowserSession, Refusal> {
        let Opened { id, family } = self.open_login(checked, SessionKind::Cookie, user_agent).await?;
        let cookie = Secret(family.browser_token(&id.to_string(), &checked.user.to_string()));
        Ok(BrowserSession { me: self.load_me(checked.user).await?, cookie })
    }

    async fn open_login(
        &self,
        checked: Checked,
        kind: SessionKind,
        user_agent: &str,
    ) -> Result<Opened, Refusal> {
        let service_key = self.service_keys.oldest_openable().await?;
        let key = self.context.environment.random();
        let expires_ms = Some(self.context.environment.now_ms() + SESSION_MS);
        let id = self.open(checked, kind, (key, Some(service_key.id)), user_agent, expires_ms).await?;
        SecurityEvent::LoginSucceeded.by(checked.user).session(id).record();
        Ok(Opened { id, family: service_key.family(&key) })
    }

    /// Opens a session, if the password that was checked is still the current one. Ends expired sessions, and the least
    /// recently used login if there are too many.
    pub(super) async fn open(
        &self,
        Checked { user, password_change }: Checked,
        kind: SessionKind,
        (key, service_key): ([u8; 32], Option<ServiceKeyId>),
        user_agent: &str,
        expires_ms: Option<u64>,
    ) -> Result<SessionId, Refusal> {
        let session = SessionId(self.context.environment.random());
        let now_ms = self.context.environment.now_ms();
        let user_agent = user_agent.chars().take(USER_AGENT_CHARS_MAX).collect::<String>().into();
        let opened = SessionOpened {
            session,
            kind,
            password_pos: password_change,
            key,
            user_agent,
            expires_ms,
            service_key,
        };
        let decide = move |tables: &Tables<'_>| {
            let records = &tables.records;
            if password_of(records, user, |password| password.change)? != Some(password_change) {
                return Ok(Decision::Refuse(bad_credentials()));
            }
            let ends = session_ends(records, user)?;
            let (personal, mut logins, mut ended) = (is_personal(&opened.kind), Vec::new(), Vec::new());
            let mut tokens = 0;
            for (id, state) in records.open_sessions(user)? {
                match &state.opened {
                    Some((_, opened)) if state.is_alive(now_ms, password_change, ends) => {
                        if is_personal(&opened.kind) {
                            tokens += 1;
                        } else {
                            logins.push((state.seen_at(), id));
                        }
                    }
                    _ => ended.push(id),
                }
            }
            if personal && tokens >= PERSONAL_TOKENS_MAX {
                return Ok(Decision::refuse(
                    ErrorCode::Forbidden,
                    texts::accounts::too_many_tokens(PERSONAL_TOKENS_MAX),
                ));
            }
            if !personal && logins.len() >= SESSIONS_MAX {
                logins.sort_unstable();
                ended.extend(logins.drain(..=logins.len() - SESSIONS_MAX).map(|(_, id)| id));
            }
            let draft = EventDraft::new(Scope::user(user), opened.clone())
                .above(password_change.hlc)
                .above(ends.logins.max(ends.all).map(|pos| pos.hlc));
            Ok(Decision::Write(end_events(user, ended).into_iter().chain([draft]).collect()))
        };
        self.context.commit_and_replicate(decide).await?;
        Ok(session)
    }

    /// The answer to the login or refresh of a program.
    pub(super) async fn logged_in(
        &self,
        user: UserId,
        session: SessionId,
        refresh_token: String,
    ) -> Result<LoggedIn, Refusal> {
        let holder = Holder { user: user.to_string(), session: session.to_string() };
        Ok(LoggedIn {
            user: self.load_me(user).await?,
            access_token: self.tokens.issue(&holder, self.context.environment.now_ms()),
            token_type: TokenType::Bearer,
            expires_in: ACCESS_S,
            refresh_token,
        })
    }

    pub(super) async fn end_logins(&self, who: Identity, all: bool) -> Result<(), Refusal> {
        if all {
            require_login(who, "end your logins")?;
        }
        let decide = Decide::new(move |tables: &Tables<'_>| {
            let mut sessions = vec![who.session];
            if all {
                let logins = tables.records.open_sessions(who.user)?.into_iter();
                sessions.extend(logins.filter(|(_, state)| is_login(state)).map(|(id, _)| id));
                sessions.sort_unstable();
                sessions.dedup();
            }
            // `all_logins` also ends those that were opened on the other side of a split, which are unknown here.
            Ok(Decision::one(Scope::user(who.user), SessionsEnded { sessions, all_logins: all }))
        });
        self.context.commit_and_replicate_from_reserve_without_catch_up(decide).await?;
        let logged_out = SecurityEvent::LoggedOut.by(who.user).session(who.session);
        if all { logged_out.detail("all logins") } else { logged_out }.record();
        Ok(())
    }

    pub(super) async fn list_sessions(&self, who: Identity) -> Result<Vec<Listed<Session>>, Refusal> {
        let now_ms = self.context.environment.now_ms();
        let listed = move |(id, state): (SessionId, SessionState)| {
            let seen_at = state.seen_at();
            let (pos, opened) = state.opened.filter(|(_, opened)| !is_personal(&opened.kind))?;
            Some(Listed {
                sort_key: pos.to_string(),
                item: Session {
                    id: id.to_string(),
                    created_at: render::time(pos.hlc),
                    last_seen_at: render::time(seen_at),
                    user_agent: opened.user_agent.into(),
                    current: id == who.session,
                },
            })
        };
        let live_sessions =
            self.context.read_records(move |records| live_sessions(records, who.user, now_ms)).await?;
        Ok(live_sessions.into_iter().filter_map(listed).collect())
    }

    /// Ends one session, if it is alive and of the kind.
    pub(super) async fn end_one(
        &self,
        user: UserId,
        session: SessionId,
        is_of_kind: fn(&SessionState) -> bool,
        not_found: fn() -> Refusal,
    ) -> Result<(), Refusal> {
        let now_ms = self.context.environment.now_ms();
        let is_there = move |records: &crate::store::RecordsReader| {
            let live_sessions = live_sessions(records, user, now_ms)?.into_iter();
            Ok(live_sessions.filter(|(id, state)| *id == session && is_of_kind(state)).map(|_| ()).next())
        };
        self.context.find_or_catch_up(is_there).await?.ok_or_else(not_found)?;
        self.context
            .commit_and_replicate_from_reserve_without_catch_up(Decide::new(move |_| {
                Ok(Decision::Write(end_events(user, vec![session])))
            }))
            .await
    }
}

/// The sessions of a user that are alive.
pub fn live_sessions<T: Rows>(
    records: &Records<T>,
    user: UserId,
    now_ms: u64,
) -> Result<Vec<(SessionId, SessionState)>, StoreError> {
    let Some(password) = password_of(records, user, |password| password.change)? else {
        return Ok(Vec::new());
    };
    let mut sessions = records.open_sessions(user)?;
    let ends = session_ends(records, user)?;
    sessions.retain(|(_, state)| state.is_alive(now_ms, password, ends));
    Ok(sessions)
}

/// The event that ends these sessions; empty if there are none.
pub fn end_events(user: UserId, sessions: Vec<SessionId>) -> Vec<EventDraft> {
    let some = !sessions.is_empty();
    some.then(|| EventDraft::new(Scope::user(user), SessionsEnded { sessions, all_logins: false }))
        .into_iter()
        .collect()
}

/// The points up to which all sessions of a user have ended.
fn session_ends<T: Rows>(records: &Records<T>, user: UserId) -> Result<SessionEnds, StoreError> {
    Ok(records.account_state(user)?.map(|account| account.session_ends()).unwrap_or_default())
}

/// Whether the session comes from a login.
pub fn is_login(state: &SessionState) -> bool {
    state.opened.as_ref().is_some_and(|(_, opened)| !is_personal(&opened.kind))
}

/// Whether the kind is a personal access token.
pub fn is_personal(kind: &SessionKind) -> bool {
    matches!(kind, SessionKind::Personal(_))
}

/// The refusal of an unknown session.
pub fn no_such_session() -> Refusal {
    Refusal::new(ErrorCode::NotFound, texts::accounts::NO_SUCH_SESSION)
}
