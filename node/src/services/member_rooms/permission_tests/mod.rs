//! Tests permissions on contacts, rooms and messages against a model without events. After any sequence of actions, the
//! node allows and refuses what the model does, and both have the same members, bans and contacts.

mod model;

use proptest::prelude::*;
use starling_protocol::{
    InviteId, RoomId, RoomName, UserId,
    event::{InviteMade, Membership, NotifyLevel, Role, Visibility, direct_room},
    merge::contact::Relation,
};
use starling_web::service::{ContactAction, MessageQuery, PageRequest, Refusal, RoomUpdate};

use self::model::{Act, Doing, Handling, Model, Place, Verdict, pair};
use super::{decisions, lists};
use crate::{
    auth::ServiceKey,
    permissions::{
        cannot_see_presence, has_blocked,
        rooms::{Denied, known_room},
    },
    services::{
        contacts::decide as contacts,
        messages::{pages, read},
        test_node::{ANN, BOB, EVE, Node, OTHER_ROOM, ROOM, STRANGER, id, new, refusal_of},
    },
    store::StoreError,
};

const PEOPLE: [UserId; 4] = [ANN, BOB, EVE, STRANGER];
/// Pairs of contacts at the beginning.
const CONTACTS: [(UserId, UserId); 3] = [(ANN, STRANGER), (BOB, STRANGER), (ANN, EVE)];

/// A node and the model, which both take the same actions.
struct TwinRun {
    node: Node,
    model: Model,
    said: u128,
    invites: u8,
    acts: u32,
}

fn room_of(place: Place) -> RoomId {
    match place {
        Place::Named(n) => [ROOM, OTHER_ROOM][n],
        Place::Direct(one, other) => direct_room(one, other),
    }
}

fn all() -> PageRequest {
    PageRequest { from: None, limit: 200 }
}

fn verdict<T>(done: Result<T, Refusal>) -> Verdict {
    done.map(drop).map_err(|refusal| refusal.code)
}

/// The verdict of a read.
fn seen<T>(look: Result<T, Denied>) -> Verdict {
    verdict(refusal_of(look))
}

fn invite(n: usize) -> InviteId {
    InviteId([u8::try_from(n).unwrap(); 10])
}

impl TwinRun {
    /// The first room is public if `public`; both rooms have invites.
    fn new(public: bool) -> Self {
        let mut run = Self { node: Node::with_rooms(), model: Model::new(), said: 0, invites: 0, acts: 0 };
        for (one, other) in CONTACTS {
            for (user, other) in [(one, other), (other, one)] {
                let ask = Act::Contact(user, ContactAction::Request, other);
                run.set_up(ask);
            }
        }
        run.set_up(Act::In(Place::Named(0), ANN, Doing::Invite(Some(1))));
        run.set_up(Act::In(Place::Named(1), ANN, Doing::Invite(None)));
        if public {
            run.set_up(Act::In(Place::Named(0), ANN, Doing::Show(true)));
        }
        run
    }

    fn set_up(&mut self, act: Act) {
        assert_eq!((self.model.act(act), self.act(act)), (Ok(()), Ok(())), "{act:?}");
    }

    fn act(&mut self, act: Act) -> Verdict {
        self.acts += 1;
        match act {
            Act::Contact(user, act, other) => {
                verdict(self.node.decide(move |tables| contacts::act(&tables.records, user, act, other)))
            }
            Act::Direct(user, other) => {
                verdict(self.node.decide(move |tables| contacts::direct(&tables.records, user, other)))
            }
            Act::Follow(user, n) => {
                verdict(self.node.act(move |records| decisions::join_with(records, invite(n), user, 0)))
            }
            Act::To(n, user, handling) => {
                let n = n as u128;
                verdict(match handling {
                    Handling::Edit => self.node.edit(user, n, &format!("edited {}", self.acts)),
                    Handling::Delete => self.node.delete(user, n),
                    Handling::React(on) => self.node.react(user, n, "👍", on),
                })
            }
            Act::In(place, user, doing) => self.act_in(room_of(place), user, doing),
        }
    }

    fn act_in(&mut self, room: RoomId, by: UserId, doing: Doing) -> Verdict {
        let node = &mut self.node;
        let acts = self.acts;
        verdict(match doing {
            Doing::SeeRoom => {
                let records = node.store.records().unwrap();
                return seen(known_room(&records, room, by));
            }
            Doing::SeeMembers => {
                let records = node.store.records().unwrap();
                return seen(lists::members(&records, by, room, &all()));
            }
            Doing::SeeBans => {
                let records = node.store.records().unwrap();
                let invites = seen(lists::invites(&records, by, room, &all(), &ServiceKey::new(&[9; 32])));
                let bans = seen(lists::bans(&records, by, room, &all()));
                assert_eq!(invites, bans);
                return bans;
            }
            Doing::SeeMessages => {
                return seen(pages::page(&node.store, by, room, MessageQuery::Newest, 1));
            }
            Doing::Post => {
                let posted = node.post(by, room, &new(self.said, "x"));
                self.said += u128::from(posted.is_ok());
                return verdict(posted);
            }
            Doing::MarkRead(n) => match refusal_of(read::mark(&node.store, by, room, id(n as u128), None)) {
                Ok(mark) => node.decide(move |tables| read::decide(tables, by, &mark)),
                Err(refusal) => Err(refusal),
            },
            Doing::SetNotify => {
                node.act(move |records| decisions::set_notify_level(records, room, by, NotifyLevel::None))
            }
            Doing::Join => node.act(move |records| decisions::join(records, room, by)),
            Doing::Leave => node.act(move |records| decisions::leave(records, room, by)),
            Doing::Rename | Doing::Show(_) => {
                let visibility = match doing {
                    Doing::Show(true) => Some(Visibility::Public),
                    Doing::Show(false) => Some(Visibility::Private),
                    _ => None,
                };
                let name = visibility.is_none().then(|| RoomName::parse(&format!("room {acts}")).unwrap());
                let change = RoomUpdate { name, visibility, topic: None };
                node.act(move |records| decisions::change(records, room, by, &change))
            }
            Doing::Delete => node.act(move |records| decisions::delete(records, room, by)),
            Doing::Invite(max_uses) => {
                let made = InviteMade { id: invite(self.invites.into()), by, max_uses, expires_ms: None };
                let done = node.act(move |records| decisions::make_invite(records, room, &made, 0));
                self.invites += u8::from(done.is_ok());
                done
            }
            Doing::Withdraw(n) => {
                node.act(move |records| decisions::revoke_invite(records, room, by, Some(invite(n))))
            }
            Doing::Add(user, role) => node.act(move |records| decisions::add(records, room, by, user, role)),
            Doing::SetRole(user, role) => {
                node.act(move |records| decisions::set_role(records, room, by, user, role))
            }
            Doing::Remove(user, ban) => {
                node.act(move |records| decisions::remove(records, room, by, user, ban))
            }
            Doing::LiftBan(user) => node.act(move |records| decisions::lift_ban(records, room, by, user)),
        })
    }

    /// Compares members, roles, bans and contacts with the model.
    fn compare(&self) -> Result<(), TestCaseError> {
        let compared = || -> Result<_, StoreError> {
            let (records, model) = (self.node.store.records()?, &self.model);
            let (mut here, mut there) = (Vec::new(), Vec::new());
            for (place, named) in model.named.iter().enumerate() {
                let room = room_of(Place::Named(place));
                for user in PEOPLE {
                    let standing = records.membership_of(room, user)?.map(|standing| standing.membership);
                    here.push((records.role(room, user)?, standing == Some(Membership::Banned)));
                    there.push((named.role(user), named.banned.contains(&user)));
                }
                let members = u32::try_from(named.members.len()).unwrap();
                let counts = records.room_counts(room)?;
                assert_eq!((counts.members, counts.banned as usize), (members, named.banned.len()));
            }
            let (mut known, mut modelled) = (Vec::new(), Vec::new());
            for (one, other) in PEOPLE.into_iter().flat_map(|one| PEOPLE.map(|other| (one, other))) {
                let (blocks, is_blocked) =
                    (model.blocks.contains(&(one, other)), model.blocks.contains(&(other, one)));
                let accepted = records.relation(one, other)? == Relation::Accepted;
                known.push((
                    accepted,
                    has_blocked(&records, one, other)?,
                    cannot_see_presence(&records, one, other)?,
                ));
                modelled.push((model.are_contacts(one, other), blocks, blocks || is_blocked));
            }
            Ok(((here, known), (there, modelled)))
        };
        let (here, there) = compared().unwrap();
        prop_assert_eq!(here, there);
        Ok(())
    }

    /// Compares the messages that each user sees with the model.
    fn compare_messages(&self) -> Result<(), TestCaseError> {
        let direct = CONTACTS.map(|(one, other)| pair(one, other));
        for place in [Place::Named(0), Place::Named(1)].into_iter().chain(direct) {
            for user in PEOPLE.into_iter().filter(|&user| self.model.is_in(place, user)) {
                let page =
                    pages::page(&self.node.store, user, room_of(place), MessageQuery::Newest, 200).unwrap();
                let listed = page.items.into_iter().rev().map(|message| (message.id, message.deleted));
                let shown = self.model.shown(place, user).into_iter();
                let shown = shown.map(|n| (id(n as u128).to_string(), self.model.said[n].deleted));
                prop_assert_eq!(listed.collect::<Vec<_>>(), shown.collect::<Vec<_>>());
            }
        }
        Ok(())
    }
}

/// A user, by weights. The owner acts most and others are acted on most, so that not everything is refused.
fn weighted_user(ann: u32, bob: u32, eve: u32, stranger: u32) -> impl Strategy<Value = UserId> {
    prop_oneof![ann => Just(ANN), bob => Just(BOB), eve => Just(EVE), stranger => Just(STRANGER)]
}

fn doings() -> impl Strategy<Value = Doing> {
    let who = || weighted_user(1, 4, 2, 3);
    let role = || prop::sample::select(&[Role::Owner, Role::Moderator, Role::Member][..]);
    prop_oneof![
        1 => Just(Doing::SeeRoom),
        1 => Just(Doing::SeeMessages),
        1 => Just(Doing::SeeMembers),
        1 => Just(Doing::SeeBans),
        1 => Just(Doing::SetNotify),
        4 => Just(Doing::Join),
        1 => Just(Doing::Leave),
        4 => Just(Doing::Post),
        1 => (0..8_usize).prop_map(Doing::MarkRead),
        1 => Just(Doing::Rename),
        2 => any::<bool>().prop_map(Doing::Show),
        1 => Just(Doing::Delete),
        3 => prop::option::of(1..3_u32).prop_map(Doing::Invite),
        1 => (0..3_usize).prop_map(Doing::Withdraw),
        3 => (who(), role()).prop_map(|(user, role)| Doing::Add(user, role)),
        5 => (who(), role()).prop_map(|(user, role)| Doing::SetRole(user, role)),
        4 => (who(), any::<bool>()).prop_map(|(user, ban)| Doing::Remove(user, ban)),
        2 => who().prop_map(Doing::LiftBan),
    ]
}

fn acts() -> impl Strategy<Value = Act> {
    let who = || weighted_user(4, 3, 2, 2);
    // Two different users: the routes refuse a contact with oneself.
    let two = || prop::sample::subsequence(&PEOPLE[..], 2).prop_shuffle().prop_map(|two| (two[0], two[1]));
    let contact = prop::sample::select(
        &[
            ContactAction::Request,
            ContactAction::Accept,
            ContactAction::Decline,
            ContactAction::Remove,
            ContactAction::Block,
            ContactAction::Unblock,
        ][..],
    );
    let handling =
        prop_oneof![Just(Handling::Edit), Just(Handling::Delete), any::<bool>().prop_map(Handling::React),];
    let place = prop_oneof![
        5 => Just(Place::Named(0)),
        1 => Just(Place::Named(1)),
        3 => prop::sample::select(&CONTACTS[..]).prop_map(|(one, other)| pair(one, other)),
    ];
    prop_oneof![
        3 => (two(), contact).prop_map(|((user, other), act)| Act::Contact(user, act, other)),
        1 => two().prop_map(|(user, other)| Act::Direct(user, other)),
        2 => prop::sample::select(&CONTACTS[..]).prop_map(|(one, other)| Act::Direct(other, one)),
        12 => (place, who(), doings()).prop_map(|(place, user, doing)| Act::In(place, user, doing)),
        2 => (weighted_user(1, 2, 1, 3), 0..3_usize).prop_map(|(user, n)| Act::Follow(user, n)),
        3 => (0..8_usize, who(), handling).prop_map(|(n, user, handling)| Act::To(n, user, handling)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_node_allows_exactly_what_the_model_allows(public: bool, acts in prop::collection::vec(acts(), 20..100)) {
        let mut run = TwinRun::new(public);
        for act in acts {
            let before = run.model.clone();
            let expected = run.model.act(act);
            prop_assert_eq!(run.act(act), expected, "{:?} with {:?}", act, before);
            run.compare()?;
        }
        run.compare_messages()?;
        run.node.verify();
    }
}
