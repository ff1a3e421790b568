//! Promise: in a quick room a user has their own name, on as many devices as they like; and who cannot be
//! is told why.

use harness::account::{CHEAP_HASHES, call};
use harness::frames::Frame;
use harness::http::{create_room, request};
use harness::{Account, Client, Cluster, Node};

#[tokio::test]
async fn a_user_on_two_devices_is_there_once_until_the_last_goes() {
    let cluster = Cluster::start_with(2, &CHEAP_HASHES).await;
    let [a, b] = [0, 1].map(|node| cluster[node].http);
    let room = create_room(a).await;
    let ann = Account::register(a, "ann").await;
    let mut guest = Client::join(a, &room, "Gus").await;
    let mut devices = Vec::new();
    for node in [a, a, b] {
        let mut device = Client::connect_as(node, &room, &ann.access).await.expect("sthey are let in");
        assert_eq!(device.users.iter().filter(|&name| name == "ann").count(), 1, "she is there once");
        device.opening().await;
        devices.push(device);
    }
    for (nth, device) in devices.iter_mut().enumerate() {
        let body = format!("from device {nth}");
        device.post(&body).await;
        guest.until_message(&body).await;
    }
    // The latest goes first, then the earliest: nobody hears of it, for what each of the others says comes before any
    // `left` that would follow.
    for gone in [2, 0] {
        devices.remove(gone);
        let body = format!("{} devices are left", devices.len());
        devices[0].post(&body).await;
        let heard = guest.until("what a device that is left says", |frame| match frame {
            Frame::Message(posted) if posted.body == body => Some(true),
            Frame::Left { .. } => Some(false),
            _ => None,
        });
        assert!(heard.await, "she has left while {} devices are there", devices.len());
    }
    devices.clear();
    guest
        .until("that she has left", |frame| match frame {
            Frame::Left { username, .. } if username == "ann" => Some(()),
            _ => None,
        })
        .await;
}

#[tokio::test]
async fn who_brings_credentials_that_are_no_good_is_told_what_is_wrong_with_them() {
    let node = Node::lone(&CHEAP_HASHES).await;
    let room = create_room(node.http).await;
    let ann = Account::register(node.http, "ann").await;
    assert_eq!(call(node.http, "POST", "/logout", Some(&ann.access), None).await.status, 204);
    let ended = Client::connect_as(node.http, &room, &ann.access).await.err().expect("her session has ended");
    assert_eq!((ended.status, &*ended.code), (401, "unauthenticated"));
    let target = format!("/ws?roomID={room}");
    let asked = async |headers: &[(&str, &str)], target: &str| {
        let answer = request(node.http, "GET", target, headers, b"").await.expect("it is answered");
        (answer.status, answer.code())
    };
    let cookie = ("cookie", "starling_session=nonsense");
    assert_eq!(asked(&[cookie], &target).await, (401, "unauthenticated".to_owned()));
    assert_eq!(asked(&[], &target).await, (400, "bad_request".to_owned()));
    // A name in the request makes them a guest, whatever cookie the browser sends.
    let mut guest = Client::join(node.http, &room, "Gus").await;
    guest.post("hello").await;
    let with_a_name = format!("{target}&username=Gus");
    assert_eq!(asked(&[cookie], &with_a_name).await, (409, "name_in_use".to_owned()));
}

/// Nobody in a quick room looks like somebody with an account, or like another who is there.
#[tokio::test]
async fn a_guest_has_no_name_that_looks_like_another() {
    let node = Node::lone(&CHEAP_HASHES).await;
    let room = create_room(node.http).await;
    Account::register(node.http, "ann1").await;
    Account::register(node.http, "modern").await;
    let _guest = Client::join(node.http, &room, "Zoë Lee").await;
    for name in
        ["ann1", "ANN1", "Annl", "annI", "\u{430}nn1", "modem", "Zoe\u{308}  Lee", "zoë lee", "Zoë L\u{435}e"]
    {
        let refused = Client::connect(node.http, &room, name, None, None).await.err();
        let refused = refused.unwrap_or_else(|| panic!("{name:?} is let in"));
        assert_eq!((refused.status, refused.code.as_str()), (409, "name_in_use"), "{name:?}");
    }
    // An account comes in whoever looks like it.
    Client::join(node.http, &room, "Bi11").await.post("hello").await;
    let bill = Account::register(node.http, "bill").await;
    Client::connect_as(node.http, &room, &bill.access).await.expect("sthey are let in");
    Client::join(node.http, &room, "Anna").await;
}
