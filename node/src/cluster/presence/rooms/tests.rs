//! Sessions begin and end, names are shared and given up: a client that keeps a set of names ends with the right set.

use starling_protocol::merge::guest_name::OverlapGroup;
use tokio::sync::oneshot;

use super::*;

const ROOM: RoomId = RoomId([1; 10]);
const PEER: NodeId = NodeId([2; 16]);

fn present(guest: u8, name: &str, since: u64) -> Present {
    let name = GuestName::parse(name).unwrap();
    Present { room: ROOM, guest: GuestId([guest; 16]), name, account: false, since: Hlc(since) }
}

fn names(notices: Vec<(RoomId, Notice)>) -> Vec<String> {
    let name = |(_, notice): (RoomId, Notice)| match notice {
        Notice::Joined { username, is_guest } => {
            format!("{}{username}", if is_guest { "+" } else { "+account " })
        }
        Notice::Left { username, is_guest } => {
            format!("{}{username}", if is_guest { "-" } else { "-account " })
        }
    };
    notices.into_iter().map(name).collect()
}

/// `Ann~xx`, as this guest is shown while another Ann is unsuffixed.
fn suffixed(guest: u8) -> String {
    guest_name::shown_name(&GuestName::parse("Ann").unwrap(), GuestId([guest; 16]), false)
}

fn nothing(_: RoomId, _: &GuestName, _: GuestId) -> Option<NameClaim> {
    None
}

/// A log in which these guests share their name, whatever it is; the first guest has the earliest claim.
fn sharing<const N: usize>(guests: [u8; N]) -> impl Fn(RoomId, &GuestName, GuestId) -> Option<NameClaim> {
    let run = OverlapGroup { start: Hlc(1), holder: GuestId([guests[0]; 16]), end: Hlc(9) };
    let position = move |guest: GuestId| guests.iter().position(|&of| GuestId([of; 16]) == guest);
    move |_, _, guest| position(guest).map(|at| NameClaim { first: Hlc(1 + at as u64), group: run })
}

#[test]
fn nothing_is_left_behind_when_all_are_gone() {
    let mut rooms = Rooms::default();
    assert_eq!(names(rooms.joined(present(1, "Ann", 1), SessionAt::Here(None), &nothing)), ["+Ann"]);
    assert_eq!(names(rooms.joined(present(2, "Bob", 1), SessionAt::Peer(PEER), &nothing)), ["+Bob"]);
    assert_eq!(names(rooms.joined(present(3, "Cid", 1), SessionAt::Peer(PEER), &nothing)), ["+Cid"]);
    assert_eq!(names(rooms.end_session(&present(3, "Cid", 1), &nothing)), ["-Cid"]);
    assert_eq!(names(rooms.clear_peer(PEER, &nothing)), ["-Bob"]);
    assert_eq!(names(rooms.end_session(&present(1, "Ann", 1), &nothing)), ["-Ann"]);
    assert!(rooms.by_id.is_empty() && rooms.by_peer.values().all(HashMap::is_empty));
    assert!(rooms.unwritten_shares.is_empty());
}

#[test]
fn the_later_session_of_a_guest_stays_and_moving_is_not_announced() {
    let mut rooms = Rooms::default();
    let (sender, mut taken_over) = oneshot::channel();
    rooms.joined(present(1, "Ann", 5), SessionAt::Here(Some(sender)), &nothing);
    assert!(rooms.joined(present(1, "Ann", 4), SessionAt::Peer(PEER), &nothing).is_empty());
    assert!(taken_over.try_recv().is_err(), "the earlier session does not take over");
    assert!(rooms.joined(present(1, "Ann", 6), SessionAt::Peer(PEER), &nothing).is_empty());
    assert!(taken_over.try_recv().is_ok());
    let replaced = rooms.end_session(&present(1, "Ann", 5), &nothing);
    assert!(replaced.is_empty(), "the replaced session does not end the later one");
    let renamed = rooms.joined(present(1, "Anna", 7), SessionAt::Peer(PEER), &nothing);
    assert_eq!(names(renamed), ["-Ann", "+Anna"]);
}

#[test]
fn a_user_on_two_devices_is_there_once_and_until_the_last_goes() {
    let user = |since| Present { account: true, ..present(1, "ann", since) };
    let devices = |rooms: &Rooms| rooms.here().map(|present| present.since).collect::<Vec<_>>();
    let mut rooms = Rooms::default();
    let (laptop, mut laptop_told) = oneshot::channel();
    let (phone, mut phone_told) = oneshot::channel();
    assert_eq!(names(rooms.joined(user(1), SessionAt::Here(Some(laptop)), &nothing)), ["+account ann"]);
    assert!(rooms.joined(user(2), SessionAt::Here(Some(phone)), &nothing).is_empty());
    assert!(rooms.joined(user(3), SessionAt::Peer(PEER), &nothing).is_empty());
    assert!(laptop_told.try_recv().is_err() && phone_told.try_recv().is_err(), "none is taken over");
    assert_eq!(rooms.names(ROOM), ["ann"]);
    assert_eq!(devices(&rooms), [Hlc(1), Hlc(2)], "peers are told of both");
    assert!(rooms.end_session(&user(2), &nothing).is_empty());
    assert!(rooms.clear_peer(PEER, &nothing).is_empty());
    assert_eq!((rooms.names(ROOM), devices(&rooms)), (vec!["ann".to_owned()], vec![Hlc(1)]));
    assert!(rooms.taken_over_here(ROOM, GuestId([1; 16])).is_none());
    assert_eq!(names(rooms.end_session(&user(1), &nothing)), ["-account ann"]);
    assert!(rooms.by_id.is_empty() && rooms.superseded.is_empty());
    assert!(rooms.by_peer.values().all(HashMap::is_empty));
}

#[test]
fn a_name_is_held_case_folded_by_one_guest() {
    let mut rooms = Rooms::default();
    rooms.joined(present(1, "Ann", 1), SessionAt::Here(None), &nothing);
    let is_free = |room, guest: u8| {
        rooms.is_free(room, GuestId([guest; 16]), &GuestName::parse("aNN").unwrap(), &nothing)
    };
    assert!(is_free(ROOM, 1) && !is_free(ROOM, 2) && is_free(RoomId([9; 10]), 2));
}

#[test]
fn after_a_split_the_earlier_of_two_guests_is_unsuffixed() {
    let mut rooms = Rooms::default();
    rooms.joined(present(1, "Ann", 5), SessionAt::Here(None), &nothing);
    let met = rooms.joined(present(2, "aNN", 4), SessionAt::Peer(PEER), &nothing);
    assert_eq!(names(met), ["-Ann", &format!("+{}", suffixed(1)), "+aNN"]);
    assert_eq!(rooms.shown(ROOM, GuestId([1; 16])), Some(&*suffixed(1)));
    // The node that holds the session records the share once, above the start of the other session.
    let [NameShareRecord { shared, above_hlc, .. }] = &rooms.unwritten_shares[..] else {
        panic!("{:?}", rooms.unwritten_shares)
    };
    assert_eq!((shared.guest, shared.since, *above_hlc), (GuestId([1; 16]), Hlc(5), Hlc(5)));
    rooms.joined(present(3, "Ann", 6), SessionAt::Peer(PEER), &nothing);
    assert_eq!(rooms.unwritten_shares.len(), 1);
    let mut other_direct_member = Rooms::default();
    other_direct_member.joined(present(2, "aNN", 4), SessionAt::Here(None), &nothing);
    let met = other_direct_member.joined(present(1, "Ann", 5), SessionAt::Peer(PEER), &nothing);
    assert_eq!(names(met), [format!("+{}", suffixed(1))]);
}

#[test]
fn the_name_of_an_account_is_its_own_whoever_came_first() {
    let mut rooms = Rooms::default();
    rooms.joined(present(1, "Ann", 4), SessionAt::Here(None), &nothing);
    let account = Present { account: true, ..present(2, "ann", 5) };
    let met = rooms.joined(account.clone(), SessionAt::Peer(PEER), &nothing);
    assert_eq!(names(met), ["-Ann", &format!("+{}", suffixed(1)), "+account ann"]);
    assert_eq!(
        names(rooms.end_session(&account, &sharing([1]))),
        ["-account ann", &format!("-{}", suffixed(1)), "+Ann"]
    );
    let mut its_node = Rooms::default();
    its_node.joined(account, SessionAt::Here(None), &nothing);
    its_node.joined(present(1, "Ann", 4), SessionAt::Peer(PEER), &nothing);
    assert!(its_node.unwritten_shares.is_empty(), "an account's name needs no entry in the log");
}

#[test]
fn once_the_log_knows_who_shares_a_name_nobody_is_renamed_when_another_leaves() {
    let mut rooms = Rooms::default();
    let claims = sharing([2, 1]);
    rooms.joined(present(1, "Ann", 5), SessionAt::Here(None), &nothing);
    rooms.joined(present(2, "Ann", 4), SessionAt::Peer(PEER), &nothing);
    assert!(rooms.settle_renamed(ROOM, GuestId([1; 16]), &claims).is_empty(), "the log says the same");
    assert_eq!(names(rooms.clear_peer(PEER, &claims)), ["-Ann"]);
    assert_eq!(names(rooms.joined(present(2, "Ann", 7), SessionAt::Peer(PEER), &claims)), ["+Ann"]);
    assert_eq!(names(rooms.end_session(&present(1, "Ann", 5), &claims)), [format!("-{}", suffixed(1))]);
    assert_eq!(
        names(rooms.joined(present(1, "Ann", 8), SessionAt::Here(None), &claims)),
        [format!("+{}", suffixed(1))]
    );
}

#[test]
fn the_log_can_turn_two_names_round() {
    let mut rooms = Rooms::default();
    rooms.joined(present(1, "Ann", 4), SessionAt::Here(None), &nothing);
    rooms.joined(present(2, "Ann", 5), SessionAt::Peer(PEER), &nothing);
    let turned = names(rooms.settle_renamed(ROOM, GuestId([2; 16]), &sharing([2, 1])));
    let (first, second) = (suffixed(1), suffixed(2));
    assert_eq!(turned, ["-Ann", &format!("+{first}"), &format!("-{second}"), "+Ann"]);
}

#[test]
fn who_shares_a_name_may_return_under_it_and_nobody_else_may_come_under_any() {
    let mut rooms = Rooms::default();
    let claims = sharing([2, 1]);
    rooms.joined(present(1, "Ann", 5), SessionAt::Here(None), &claims);
    let is_free = |guest: u8, name: &str| {
        rooms.is_free(ROOM, GuestId([guest; 16]), &GuestName::parse(name).unwrap(), &claims)
    };
    assert!(is_free(2, "Ann"), "they return to the name that they share");
    assert!(!is_free(3, "Ann") && is_free(3, "Bob"));
}

/// Nobody can join under a name that looks like another present guest's; a guest who has such a name keeps it.
#[test]
fn a_name_that_looks_like_another_is_not_given_but_kept() {
    let mut rooms = Rooms::default();
    rooms.joined(present(1, "Ann1", 5), SessionAt::Here(None), &nothing);
    let is_lookalike = |rooms: &Rooms, guest: u8, name: &str, claims: ClaimLookup<'_>| {
        rooms.is_lookalike(ROOM, GuestId([guest; 16]), &GuestName::parse(name).unwrap(), claims)
    };
    for name in ["Annl", "annI", "\u{410}nn1", "Ann\u{217C}"] {
        assert!(is_lookalike(&rooms, 2, name, &nothing), "{name}");
        assert!(!is_lookalike(&rooms, 2, name, &sharing([2])), "{name}: it is in the log");
    }
    assert!(!is_lookalike(&rooms, 2, "Anna", &nothing));
    // The other side of a split admitted the guest.
    rooms.joined(present(2, "Annl", 6), SessionAt::Here(None), &nothing);
    assert!(!is_lookalike(&rooms, 2, "Annl", &nothing) && !is_lookalike(&rooms, 1, "Ann1", &nothing));
    rooms.end_session(&present(1, "Ann1", 5), &nothing);
    assert!(is_lookalike(&rooms, 1, "Ann1", &nothing));
    rooms.end_session(&present(2, "Annl", 6), &nothing);
    assert!(rooms.by_id.is_empty() && !is_lookalike(&rooms, 1, "Ann1", &nothing));
}

/// Found by `quic_sim`: the clock of the node that held the earlier session was ahead.
#[test]
fn a_session_that_seemed_earlier_is_shown_when_the_later_one_ends() {
    let mut rooms = Rooms::default();
    let other = NodeId([3; 16]);
    rooms.joined(present(1, "Ann", 9), SessionAt::Peer(PEER), &nothing);
    assert!(rooms.joined(present(1, "Ann", 4), SessionAt::Peer(other), &nothing).is_empty());
    assert!(rooms.clear_peer(PEER, &nothing).is_empty(), "she only moved");
    assert_eq!(rooms.names(ROOM), ["Ann"]);
    rooms.joined(present(1, "Anna", 5), SessionAt::Peer(PEER), &nothing);
    assert_eq!(names(rooms.end_session(&present(1, "Anna", 5), &nothing)), ["-Anna", "+Ann"]);
    assert_eq!(names(rooms.clear_peer(other, &nothing)), ["-Ann"]);
    assert!(rooms.by_id.is_empty() && rooms.superseded.is_empty());
    assert!(rooms.by_peer.values().all(HashMap::is_empty));
}
