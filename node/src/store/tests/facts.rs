//! Random sets of events of every kind, as a few nodes might have written them, with users, rooms and messages that
//! often meet. All content that erasure must remove contains 'secret'.

use std::collections::BTreeSet;

use proptest::{collection::vec, option, prelude::*, sample::select};
use starling_protocol::{
    DisplayName, Emoji, Event, EventBody, EventDraft, FileId, GuestId, GuestName, Hlc, HookId, InviteId,
    MessageId, MessagePosted, MessageText, NameShared, NodeId, OriginId, Pos, QuickRoomCreated, RoomId,
    RoomName, Scope, Sender, Seq, SessionId, Settings, Topic, UserId, Username, VersionVector, event::*,
};

/// The number of nodes.
pub const ORIGINS: u8 = 3;
/// The users; the first two have a direct room.
const USERS: u8 = 3;

type Fact = (Scope, EventBody);

/// The log of each node, by its index.
pub fn logs() -> impl Strategy<Value = Vec<Vec<Event>>> {
    let fact = prop_oneof![4 => of_people(), 3 => of_rooms(), 5 => of_messages(), 1 => of_the_cluster()];
    vec((0..ORIGINS, 1_u64..16, fact), 1..48).prop_map(written)
}

pub fn origin(n: u8) -> OriginId {
    OriginId { node: NodeId([n + 2; 16]), incarnation: 1 }
}

/// Gives each fact its position, and makes references to other positions valid.
fn written(facts: Vec<(u8, u64, Fact)>) -> Vec<Vec<Event>> {
    let mut heads = [0; ORIGINS as usize];
    let place = |(by, hlc, fact): (u8, u64, Fact)| {
        let seq = &mut heads[usize::from(by)];
        *seq += 1;
        (Pos { hlc: Hlc(hlc), origin: origin(by), seq: Seq(*seq) }, fact)
    };
    let facts: Vec<(Pos, Fact)> = facts.into_iter().map(place).collect();
    let mut logs = vec![Vec::new(); usize::from(ORIGINS)];
    for (pos, (mut scope, mut body)) in facts.clone() {
        match &mut body {
            EventBody::ClaimWithdrawn(ClaimWithdrawn { username: name, claim: of_claim })
            | EventBody::ClaimNarrowed(ClaimNarrowed { username: name, claim: of_claim, .. }) => {
                let claims = facts.iter().filter_map(|(pos, (scope, body))| match body {
                    EventBody::UserRegistered(UserRegistered { username, .. })
                    | EventBody::UsernameChosen(UsernameChosen { username, .. }) => {
                        Some((pos, scope, username))
                    }
                    _ => None,
                });
                let claims: Vec<_> = claims.collect();
                match claims.get(usize::try_from(of_claim.hlc.0).unwrap() % claims.len().max(1)) {
                    Some(&(claim, of, username)) => {
                        (*name, *of_claim) = (username.clone(), *claim);
                        scope = of.clone();
                    }
                    None => body = EventBody::Unknown { kind: 999, payload: b"of the future"[..].into() },
                }
            }
            EventBody::PasswordRehashed(PasswordRehashed { change, .. })
            | EventBody::SessionOpened(SessionOpened { password_pos: change, .. }) => {
                let changes = facts.iter().filter(|(_, (of, body))| {
                    *of == scope
                        && matches!(body, EventBody::UserRegistered(_) | EventBody::PasswordChanged(_))
                });
                let changes: Vec<_> = changes.map(|(pos, _)| *pos).collect();
                if let Some(pos) = changes.get(usize::try_from(change.hlc.0).unwrap() % changes.len().max(1))
                {
                    *change = *pos;
                }
            }
            _ => {}
        }
        let event = Event::new(pos.origin, pos.seq, pos.hlc, EventDraft { scope, body, above_hlc: None });
        logs[usize::from(pos.origin.node.0[0] - 2)].push(event);
    }
    logs
}

/// The events that must end as stubs, whatever came first: derived again from the events alone.
pub fn erased(logs: &[Vec<Event>]) -> BTreeSet<(OriginId, Seq)> {
    let all = || logs.iter().flatten();
    let is_gone = |event: &&Event| {
        let message = match &event.body {
            EventBody::MessagePosted(posted) => Some(posted.key()),
            EventBody::MessageEdited(edited) => Some(edited.message),
            _ => None,
        };
        all().filter(|other| other.scope == event.scope).any(|other| match &other.body {
            EventBody::UserDeleted(_) | EventBody::MemberRoomDeleted(_) => true,
            EventBody::MessageDeleted(deleted) => Some(deleted.message) == message,
            _ => false,
        })
    };
    all().filter(is_gone).map(|event| (event.origin, event.seq)).collect()
}

pub fn user() -> impl Strategy<Value = UserId> {
    (0..USERS).prop_map(|n| UserId([n; 16]))
}

fn direct() -> RoomId {
    direct_room(UserId([0; 16]), UserId([1; 16]))
}

/// Two named rooms, a direct one, a quick one.
fn room() -> impl Strategy<Value = RoomId> {
    select(vec![RoomId([1; 10]), RoomId([2; 10]), direct(), RoomId([4; 10])])
}

/// A position that [`written`] makes valid, or one without an event.
fn place() -> impl Strategy<Value = Pos> {
    (0_u64..16, 0..ORIGINS, 0_u64..9).prop_map(|(hlc, by, seq)| Pos {
        hlc: Hlc(hlc),
        origin: origin(by),
        seq: Seq(seq),
    })
}

fn secret() -> impl Strategy<Value = Option<Box<str>>> {
    (0_u8..3).prop_map(|n| Some(format!("secret {n}").into()))
}

fn display_name() -> impl Strategy<Value = Option<DisplayName>> {
    // A search finds two of them by the same text.
    option::of(
        select(vec!["secret Ann", "Secret ann", "secret Bo"]).prop_map(|n| DisplayName::parse(n).unwrap()),
    )
}

fn username() -> impl Strategy<Value = Username> {
    select(vec!["ann", "anna", "bob"]).prop_map(|name| Username::parse(name).unwrap())
}

fn session() -> impl Strategy<Value = SessionId> {
    (0_u8..3).prop_map(|n| SessionId([n; 16]))
}

fn service_key() -> impl Strategy<Value = ServiceKeyId> {
    (0_u8..2).prop_map(|n| ServiceKeyId([n; 16]))
}

/// Seals of two keys under two secrets, forgotten nodes, ids of the cluster, switches between three secrets, and reports.
fn of_the_cluster() -> impl Strategy<Value = Fact> {
    let sealed = (service_key(), 0_u8..2, 0_u8..9).prop_map(|(key, secret, n)| {
        let secret = SecretId([secret; 16]);
        ServiceKeySealed { key, secret, nonce: [n; 12], sealed: [n; 48].into() }.into()
    });
    let secret = || (0_u8..3).prop_map(|n| SecretFingerprint([n; 16]));
    let body = prop_oneof![
        sealed,
        (0..ORIGINS).prop_map(|n| NodeForgotten { node: origin(n).node }.into()),
        (0_u8..3).prop_map(|n| ClusterIdDrawn { id: ClusterId([n; 16]) }.into()),
        (secret(), secret()).prop_map(|(from, to)| SecretSwitched { from, to }.into()),
        (secret(), option::of(secret()), secret()).prop_map(|(newest, older, uses)| SecretsReported {
            newest,
            older,
            uses
        }
        .into()),
    ];
    body.prop_map(|body: EventBody| (Scope::cluster(), body))
}

fn of_people() -> impl Strategy<Value = Fact> {
    let kind = select(vec![SessionKind::Tokens, SessionKind::Cookie, SessionKind::Personal("secret".into())]);
    let opened = (session(), kind, place(), option::of(0_u64..9), option::of(service_key())).prop_map(
        |(session, kind, password_pos, expires_ms, service_key)| SessionOpened {
            session,
            kind,
            password_pos,
            key: *b"secret secret secret secret secr",
            user_agent: "secret".into(),
            expires_ms,
            service_key,
        },
    );
    let stance = select(vec![Stance::None, Stance::Yes, Stance::Blocked]);
    let waited_for = || option::of(vec((0..ORIGINS).prop_map(|n| origin(n).node), 0..3));
    let seen = vec((0..ORIGINS, 0_u64..9), 0..3)
        .prop_map(|seen| seen.into_iter().map(|(n, seq)| (origin(n), Seq(seq))).collect::<VersionVector>());
    let level = select(vec![NotifyLevel::All, NotifyLevel::Mentions, NotifyLevel::None]);
    let language =
        (0_u8..3).prop_map(|n| Settings { language: format!("secret-{n}").into(), ..Settings::default() });
    let body = prop_oneof![
        3 => (username(), display_name(), secret(), any::<bool>(), waited_for()).prop_map(
            |(username, display_name, password, admin, waited_for)| {
                UserRegistered { username, display_name, password, admin, waited_for }.into()
            }
        ),
        2 => (username(), waited_for())
            .prop_map(|(username, waited_for)| UsernameChosen { username, waited_for }.into()),
        2 => (username(), place(), waited_for()).prop_map(|(username, claim, waited_for)| {
            let confirmed_by = waited_for.unwrap_or_default();
            ClaimNarrowed { username, claim, confirmed_by }.into()
        }),
        2 => (username(), place()).prop_map(|(username, claim)| ClaimWithdrawn { username, claim }.into()),
        2 => display_name().prop_map(|display_name| ProfileChanged { display_name }.into()),
        1 => (secret(), option::of(session()), any::<bool>()).prop_map(|(password, kept_session, keep_tokens)| {
            PasswordChanged { password, kept_session, keep_tokens }.into()
        }),
        1 => (place(), secret()).prop_map(|(change, password)| PasswordRehashed { change, password }.into()),
        1 => (0_u64..9).prop_map(|expires_ms| ResetLinkMade { code_hash: *b"secret secret secret secret secr", expires_ms }.into()),
        3 => opened.prop_map(EventBody::from),
        1 => (vec(session(), 0..3), any::<bool>()).prop_map(|(sessions, all_logins)| SessionsEnded { sessions, all_logins }.into()),
        1 => (session(), 0_u64..4, 0_u64..9).prop_map(|(session, n, expires_ms)| RefreshTokenUsed { session, n, expires_ms }.into()),
        1 => language.prop_map(|settings| SettingsChanged { settings }.into()),
        1 => any::<(Option<bool>, Option<bool>)>().prop_map(|(admin, disabled)| UserFlagged { admin, disabled }.into()),
        1 => Just(UserDeleted {}.into()),
        3 => (user(), 0_u64..4, stance).prop_map(|(to, round, stance)| StanceChanged { to, round, stance }.into()),
        2 => (room(), place(), seen).prop_map(|(room, pos, seen)| ReadMarked { room, pos, seen }.into()),
        1 => (room(), level).prop_map(|(room, level)| NotifyLevelChanged { room, level }.into()),
    ];
    (user(), body).prop_map(|(user, body)| (Scope::user(user), body))
}

fn of_rooms() -> impl Strategy<Value = Fact> {
    let name = || select(vec!["den", "DEN", "hall"]).prop_map(|name| RoomName::parse(name).unwrap());
    let topic = || select(vec!["", "tea"]).prop_map(|topic| Topic::parse(topic).unwrap());
    let visibility = || select(vec![Visibility::Public, Visibility::Private]);
    let named = || (1_u8..3).prop_map(|n| RoomId([n; 10]));
    let membership = select(vec![
        Membership::None,
        Membership::Invited,
        Membership::Banned,
        Membership::Member(Role::Owner),
        Membership::Member(Role::Moderator),
        Membership::Member(Role::Member),
    ]);
    // An id belongs to one room and is used once.
    let id = |room: RoomId, n: u8| InviteId([room.0[0] * 4 + n; 10]);
    let invite = move || option::of(0_u8..2);
    let set = (named(), user(), membership, option::of(0_u64..9), invite(), user());
    prop_oneof![
        3 => (named(), name(), topic(), visibility()).prop_map(|(room, name, topic, visibility)| {
            (Scope::room(room), MemberRoomCreated::Named { name, topic, visibility }.into())
        }),
        2 => Just((Scope::room(direct()), MemberRoomCreated::Direct { one: UserId([0; 16]), other: UserId([1; 16]) }.into())),
        1 => option::of(name()).prop_map(|name| (Scope::room(RoomId([4; 10])), QuickRoomCreated { name }.into())),
        2 => (named(), option::of(name()), option::of(topic()), option::of(visibility())).prop_map(
            |(room, name, topic, visibility)| (Scope::room(room), MemberRoomChanged { name, topic, visibility }.into())
        ),
        1 => (named(), user()).prop_map(|(room, by)| (Scope::room(room), MemberRoomDeleted { by }.into())),
        6 => set.prop_map(move |(room, user, membership, since, invite, by)| {
            let (since, invite) = (since.map(Hlc), invite.map(|n| id(room, n)));
            (Scope::room(room), MembershipChanged { user, membership, since, invite, by }.into())
        }),
        1 => (named(), 0_u8..2).prop_map(move |(room, n)| {
            let made = InviteMade { id: id(room, n), by: UserId([n; 16]), max_uses: Some(1), expires_ms: None };
            (Scope::room(room), made.into())
        }),
        1 => (named(), 0_u8..2).prop_map(move |(room, n)| {
            (Scope::room(room), InviteRevoked { id: id(room, n) }.into())
        }),
        1 => (1_u8..3, 1_u64..16).prop_map(|(guest, since)| {
            let name = GuestName::parse("Al").unwrap();
            (Scope::room(RoomId([4; 10])), NameShared { guest: GuestId([guest; 16]), name, since: Hlc(since) }.into())
        }),
    ]
}

fn sender() -> impl Strategy<Value = Sender> {
    let guest = |n| Sender::Guest { id: GuestId([n; 16]), name: GuestName::parse("al").unwrap() };
    let hook = |n| Sender::Hook { id: HookId([n; 16]), name: Some(DisplayName::parse("secret CI").unwrap()) };
    prop_oneof![
        6 => user().prop_map(Sender::User),
        1 => user().prop_map(Sender::Bot),
        2 => (1_u8..3).prop_map(guest),
        1 => (1_u8..3).prop_map(hook),
    ]
}

/// The fields that only messages of kind 43 have.
fn details() -> impl Strategy<Value = Option<Box<PostDetails>>> {
    let later = || PostExtensions::new(vec![(1, b"secret"[..].into())]).unwrap();
    let details = (any::<bool>(), option::of(user()), 0_usize..3, option::of(0_u64..9)).prop_map(
        move |(everyone, reply_author, files, imported_ms)| PostDetails {
            everyone,
            reply_author,
            files: vec![FileId(*b"secret secret secret secret secr"); files],
            imported_ms,
            extensions: later(),
            ..PostDetails::default()
        },
    );
    option::of(details.prop_map(Box::new))
}

/// An emoji of an earlier version's log, not in its normal form.
fn stored_emoji(emoji: &str) -> Emoji {
    let bytes = starling_protocol::codec::encode(&emoji);
    starling_protocol::codec::decode(&bytes, bytes.len()).unwrap()
}

fn of_messages() -> impl Strategy<Value = Fact> {
    let id = || (0_u128..3).prop_map(MessageId::from_u128);
    let key = move || (sender(), id()).prop_map(|(sender, id)| MessageKey { sender: sender.key(), id });
    let text = || (0_u8..3).prop_map(|n| Some(MessageText::parse(&format!("secret {n}")).unwrap()));
    let emoji = select(vec!["+", "🐦", "❤", "❤\u{FE0F}"]).prop_map(stored_emoji);
    let body = prop_oneof![
        6 => (id(), sender(), text(), option::of(id()), vec(user(), 0..3), details()).prop_map(
            |(id, sender, text, reply_to, mentions, details)| {
                MessagePosted { id, sender, text, reply_to, mentions, details }.into()
            }
        ),
        2 => (key(), text(), option::of(vec(user(), 0..3))).prop_map(|(message, text, mentions)| {
            MessageEdited { message, text, mentions }.into()
        }),
        2 => (key(), user()).prop_map(|(message, by)| MessageDeleted { message, by }.into()),
        2 => (key(), user(), emoji, any::<bool>()).prop_map(|(message, user, emoji, on)| {
            ReactionChanged { message, user, emoji, on }.into()
        }),
    ];
    (room(), body).prop_map(|(room, body)| (Scope::room(room), body))
}
