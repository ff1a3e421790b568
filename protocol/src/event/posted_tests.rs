//! Tests of the layouts of posted messages: kinds 2, 4 and 43.

use bytes::Bytes;

use super::*;
use crate::{
    DisplayName, FileId, GuestId, GuestName, HookId, MessageId, MessageText, NodeId, RoomId, UserId,
    limits::{
        FILES_PER_MESSAGE_MAX, IMPORTED_MS_MAX, MENTIONS_MAX, MESSAGE_CHARS_MAX,
        MESSAGE_EXTENSIONS_BYTES_MAX, MESSAGE_EXTENSIONS_MAX,
    },
};

const USER: UserId = UserId([2; 16]);
const OTHER: UserId = UserId([3; 16]);

fn text() -> MessageText {
    MessageText::parse("hi").unwrap()
}

fn guest() -> Sender {
    Sender::Guest { id: GuestId([1; 16]), name: GuestName::parse("Ann").unwrap() }
}

fn hook() -> Sender {
    Sender::Hook { id: HookId([4; 16]), name: Some(DisplayName::parse("CI").unwrap()) }
}

fn posted(sender: Sender) -> MessagePosted {
    MessagePosted::new(MessageId::from_u128(1), sender, text())
}

fn with(details: PostDetails) -> MessagePosted {
    MessagePosted { details: Some(Box::new(details)), ..posted(Sender::User(USER)) }
}

/// A message that uses all fields.
fn full() -> MessagePosted {
    let details = PostDetails {
        is_erased: false,
        everyone: true,
        reply_author: Some(USER),
        direct_peer: Some(OTHER),
        files: vec![FileId([5; 32])],
        thread: Some(MessageKey { sender: Sender::User(USER).key(), id: MessageId::from_u128(8) }),
        imported_ms: Some(6),
        extensions: PostExtensions::new(vec![(7, Bytes::from_static(b"later")), (300, Bytes::new())])
            .unwrap(),
    };
    MessagePosted {
        sender: hook(),
        reply_to: Some(MessageId::from_u128(9)),
        mentions: vec![USER, OTHER],
        ..with(details)
    }
}

fn event(posted: MessagePosted) -> Event {
    let origin = OriginId { node: NodeId([3; 16]), incarnation: 9 };
    Event::new(origin, Seq(4), Hlc(5), EventDraft::new(Scope::room(RoomId([7; 10])), posted))
}

fn decoded(posted: MessagePosted) -> Result<EventBody, EventError> {
    Event::decode(event(posted).encoded().clone()).map(|event| event.body)
}

/// The bytes that the log and peers hold, kind by kind. They are for ever: never change this test, but add to it.
#[test]
fn the_layouts_never_change() {
    let id = || [&[16][..], &[0; 15], &[1]].concat();
    let ann = || [&[0][..], &[1; 16], b"\x03Ann"].concat();
    let user = || [&[1][..], &[2; 16]].concat();
    let kind = |posted: &MessagePosted| posted.encode();
    let bytes = |parts: &[&[u8]]| Bytes::from(parts.concat());
    assert_eq!(kind(&posted(guest())), (2, bytes(&[&[1], &id(), &ann(), b"\x02hi"])));
    let empty = [0; 2];
    assert_eq!(kind(&posted(Sender::User(USER))), (4, bytes(&[&[1], &id(), &user(), b"\x01\x02hi", &empty])));
    let none = [0; 8];
    let plain = posted(Sender::User(USER)).with_details();
    assert_eq!(kind(&plain), (43, bytes(&[&[1], &id(), &user(), b"\x01\x02hi", &empty, &none])));
    let all: [&[u8]; 17] = [
        &[1],
        &id(),
        b"\x03",
        &[4; 16],
        b"\x01\x02CI",
        b"\x01\x02hi",
        &[&[1, 16][..], &[0; 15], &[9]].concat(),
        &[&[2][..], &[2; 16], &[3; 16]].concat(),
        // Not erased; everyone; the author; the direct peer.
        &[0, 1],
        &[&[1][..], &[2; 16]].concat(),
        &[&[1][..], &[3; 16]].concat(),
        &[&[1][..], &[5; 32]].concat(),
        &[&[1][..], &[2; 17], &[16], &[0; 15], &[8]].concat(),
        &[1, 6],
        &[2],
        b"\x07\x05later",
        b"\xfb\x2c\x01\x00",
    ];
    assert_eq!(kind(&full()), (43, bytes(&all)));
    let bot = posted(Sender::Bot(USER));
    let sender = [&[2][..], &[2; 16]].concat();
    assert_eq!(kind(&bot), (43, bytes(&[&[1], &id(), &sender, b"\x01\x02hi", &empty, &none])));
}

#[test]
fn messages_of_each_layout_round_trip_and_keep_it() {
    for posted in [
        posted(guest()),
        posted(Sender::User(USER)),
        posted(guest()).with_details(),
        posted(Sender::Bot(USER)).with_details(),
        MessagePosted {
            text: None,
            ..with(PostDetails { files: vec![FileId([1; 32])], ..PostDetails::default() })
        },
        full(),
    ] {
        let event = event(posted.clone());
        let read = Event::decode(event.encoded().clone()).unwrap();
        assert_eq!((&read.body, read.encoded()), (&posted.clone().into(), event.encoded()));
        let EventBody::MessagePosted(again) = read.body else { unreachable!() };
        assert_eq!(again.encode(), posted.encode());
        assert!(!again.is_erased());
    }
}

/// Section 4: a stub is the same on every node, and holds nothing that its sender wrote.
#[test]
fn a_stub_keeps_the_id_the_sender_and_the_time_alone() {
    for message in [
        posted(guest()),
        posted(guest()).with_details(),
        posted(Sender::Bot(USER)),
        full(),
        MessagePosted { details: None, ..full() },
    ] {
        let (kind, _) = message.encode();
        let stub = event(message.clone()).erased();
        let EventBody::MessagePosted(kept) = &stub.body else { unreachable!() };
        assert!(kept.is_erased() && stub.body.is_message_stub());
        assert_eq!((kept.key(), kept.imported_ms()), (message.key(), message.imported_ms()));
        assert_eq!(kept.encode().0, if kind == 2 { 4 } else { kind });
        let expected =
            MessagePosted { text: None, ..MessagePosted::new(kept.id, kept.sender.clone(), text()) };
        let details =
            PostDetails { is_erased: true, imported_ms: kept.imported_ms(), ..PostDetails::default() };
        let details = (kind == 43).then(|| Box::new(details));
        assert_eq!(kept, &MessagePosted { details, ..expected });
        assert!(!matches!(kept.sender, Sender::Hook { name: Some(_), .. }), "a webhook chose its name");
        assert_eq!(stub.erased().encoded(), stub.encoded());
        assert_eq!(Event::decode(stub.encoded().clone()).unwrap().body, stub.body);
    }
}

/// Promise 12: what the old kinds can say is written as these for older nodes, and nothing else.
#[test]
fn a_message_for_older_nodes_loses_only_whom_it_addresses() {
    let addressed =
        PostDetails { reply_author: Some(USER), direct_peer: Some(OTHER), ..PostDetails::default() };
    let mentions = vec![USER];
    let message = MessagePosted { mentions, reply_to: Some(MessageId::from_u128(2)), ..with(addressed) };
    let old = message.clone().without_details();
    assert_eq!(old, MessagePosted { details: None, ..message });
    assert_eq!(old.encode().0, 4);
    assert_eq!(posted(guest()).with_details().without_details().encode().0, 2);
    let none = PostDetails::default;
    let thread = full().details.unwrap().thread;
    let extensions = full().details.unwrap().extensions;
    for unsayable in [
        with(PostDetails { everyone: true, ..none() }),
        with(PostDetails { files: vec![FileId([1; 32])], ..none() }),
        with(PostDetails { thread, ..none() }),
        with(PostDetails { imported_ms: Some(1), ..none() }),
        with(PostDetails { extensions, ..none() }),
        with(PostDetails { is_erased: true, ..none() }),
        MessagePosted { text: None, ..with(none()) },
        posted(Sender::Bot(USER)).with_details(),
        posted(hook()).with_details(),
    ] {
        assert_eq!(unsayable.clone().without_details(), unsayable);
        assert_eq!(unsayable.encode().0, 43);
    }
}

/// Older builds could not decode a bot's message of the kinds that they know.
#[test]
fn the_old_kinds_have_no_bots() {
    for sender in [Sender::Bot(USER), hook()] {
        let old =
            codec::encode(&(MessageId::from_u128(1), &sender, Some(text()), None::<MessageId>, [0_u8; 0]));
        // An array of no elements is nothing: the count of mentions is missing.
        let old = Bytes::from([&old[..], &[0]].concat());
        let broken = EventBody::Unknown { kind: 4, payload: old };
        let origin = OriginId { node: NodeId([3; 16]), incarnation: 9 };
        let broken =
            Event::new(origin, Seq(1), Hlc(5), EventDraft::new(Scope::room(RoomId([7; 10])), broken));
        assert!(matches!(Event::decode(broken.encoded().clone()), Err(EventError::Decode(_))), "{sender:?}");
    }
    let user = Sender::User(USER);
    let old = codec::encode(&(MessageId::from_u128(1), &user, Some(text()), None::<MessageId>, [0_u8; 0]));
    let old = Bytes::from([&old[..], &[0]].concat());
    assert_eq!(posted(user).encode(), (4, old), "the test writes the layout");
}

/// Each limit, at, below and above: a message over one neither decodes nor is written.
#[test]
fn lists_and_times_keep_their_limits() {
    let check = |posted: MessagePosted, fits: bool, what: &str| {
        assert_eq!(event(posted.clone()).is_within_limits(), fits, "{what}");
        assert_eq!(decoded(posted).is_ok(), fits, "{what}");
    };
    for (more, fits) in [(-1_i64, true), (0, true), (1, false)] {
        let near = |max: usize| max.checked_add_signed(more.try_into().unwrap()).unwrap();
        let files = vec![FileId([1; 32]); near(FILES_PER_MESSAGE_MAX)];
        check(with(PostDetails { files, ..PostDetails::default() }), fits, "files");
        let mentions = vec![USER; near(MENTIONS_MAX)];
        check(MessagePosted { mentions, ..with(PostDetails::default()) }, fits, "mentions");
        let imported_ms = Some(IMPORTED_MS_MAX.checked_add_signed(more).unwrap());
        check(with(PostDetails { imported_ms, ..PostDetails::default() }), fits, "time");
        let tags = (0..near(MESSAGE_EXTENSIONS_MAX)).map(|tag| (u16::try_from(tag).unwrap(), Bytes::new()));
        assert_eq!(PostExtensions::new(tags.collect()).is_some(), fits, "extensions");
        let one = |bytes| vec![(1, Bytes::from(vec![0; bytes]))];
        assert_eq!(PostExtensions::new(one(near(MESSAGE_EXTENSIONS_BYTES_MAX))).is_some(), fits, "bytes");
    }
}

/// The order of the tags makes the encoding unique.
#[test]
fn extensions_of_a_peer_are_checked_too() {
    for (tags, fits) in [(&[1_u16, 2][..], true), (&[2, 1], false), (&[1, 1], false)] {
        let extensions: Vec<_> = tags.iter().map(|&tag| (tag, Bytes::from_static(b"x"))).collect();
        let encoded = codec::encode(&extensions);
        assert_eq!(codec::decode::<PostExtensions>(&encoded, 1_000).is_ok(), fits, "{tags:?}");
    }
}

/// The longest message of all fits into an event.
#[test]
fn the_longest_message_is_an_event() {
    let longest = MessageText::parse(&"🐦".repeat(MESSAGE_CHARS_MAX)).unwrap();
    let bytes = Bytes::from(vec![0; MESSAGE_EXTENSIONS_BYTES_MAX]);
    let details = PostDetails {
        files: vec![FileId([1; 32]); FILES_PER_MESSAGE_MAX],
        extensions: PostExtensions::new(vec![(1, bytes)]).unwrap(),
        ..*full().details.unwrap()
    };
    let message = MessagePosted {
        text: Some(longest),
        mentions: vec![USER; MENTIONS_MAX],
        sender: hook(),
        ..with(details)
    };
    assert!(event(message.clone()).is_within_limits());
    assert_eq!(decoded(message.clone()).unwrap(), message.into());
}

/// Sent again, a message is the same if its content is, whichever kind it has; whom it addresses may have changed.
#[test]
fn the_content_is_text_reply_thread_and_files() {
    let message = posted(Sender::User(USER));
    let addressed = PostDetails { reply_author: Some(OTHER), everyone: true, ..PostDetails::default() };
    assert!(message.has_same_content(&MessagePosted { mentions: vec![OTHER], ..with(addressed) }));
    let other_text = MessageText::parse("ho").unwrap();
    let files = vec![FileId([1; 32])];
    for other in [
        MessagePosted { text: Some(other_text), ..message.clone() },
        MessagePosted { reply_to: Some(MessageId::from_u128(2)), ..message.clone() },
        with(PostDetails { files, ..PostDetails::default() }),
        with(PostDetails { thread: full().details.unwrap().thread, ..PostDetails::default() }),
    ] {
        assert!(!message.has_same_content(&other) && !other.has_same_content(&message), "{other:?}");
    }
}

/// A bot has the key of its account, so that a change of its kind makes no second message; a webhook has its own.
#[test]
fn senders_have_distinct_keys() {
    assert_eq!(Sender::Bot(USER).key(), Sender::User(USER).key());
    let id = USER.0;
    let keys = [
        Sender::User(USER).key(),
        Sender::Guest { id: GuestId(id), name: GuestName::parse("x").unwrap() }.key(),
        Sender::Hook { id: HookId(id), name: None }.key(),
    ];
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
    assert_eq!(keys.map(sender_user), [Some(USER), None, None]);
}
