//! The list of members converges, whatever the order of news, and stays within its limit.

use super::*;
use crate::environment::ThisMachine;

fn member(node: u8, number: u64, address: &str) -> Member {
    let addresses = vec![address.to_owned()];
    Member { node: NodeId([node; 16]), number, addresses, public_url: None, observed_addresses: Vec::new() }
}

/// Learns of descriptions while no other node is heard.
fn learn(members: &Members, told: &[Member]) -> bool {
    members.learn(told, BTreeSet::new)
}

fn members(known: Vec<Member>) -> Members {
    Members::new(Arc::new(ThisMachine), member(0, 0, "me:1"), known)
}

/// Membership (design, section 3): the greatest number wins, from any source.
#[test]
fn the_newest_description_holds_whoever_tells_it_and_in_any_order() {
    let told = [member(1, 5, "old:1"), member(1, 7, "new:1"), member(1, 6, "between:1")];
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]] {
        let members = members(Vec::new());
        for at in order {
            learn(&members, &[told[at].clone()]);
        }
        assert_eq!(members.all(), [told[1].clone()]);
        assert!(!learn(&members, &[told[0].clone()]), "an older one is no news");
    }
}

/// A file from before descriptions had numbers is older than any description of a node.
#[test]
fn what_was_kept_without_a_number_gives_way() {
    let members = members(vec![member(1, 0, "old:1")]);
    learn(&members, &[member(1, 1, "new:1")]);
    assert_eq!(members.all()[0].addresses, ["new:1"]);
}

/// The number of a node's own description rises above the last one used and above any that a peer sent, even if the
/// clock was set back.
#[test]
fn ones_own_number_rises_above_all_that_are_known() {
    let far = u64::MAX / 2;
    let members = members(vec![member(0, far, "before:1")]);
    assert_eq!((members.own().number, members.count()), (far + 1, 0));
    learn(&members, &[member(0, far + 1, "me:1")]);
    assert_eq!(members.own().number, far + 1, "that is what it says itself");
    learn(&members, &[member(0, far + 1, "elsewhere:1")]);
    assert_eq!(members.own().number, far + 2);
    learn(&members, &[member(0, far + 9, "elsewhere:1")]);
    assert_eq!((members.own().number, members.own().addresses), (far + 10, vec!["me:1".to_owned()]));
    members.set_addresses(vec!["moved:1".into()]);
    assert_eq!(members.own().number, far + 11);
}

/// Descriptions converge: a bounded set that does not depend on the order of news, so that sending ends.
#[test]
fn the_newest_addresses_from_which_a_node_was_heard_stay() {
    let heard = |at_ms, address: &str| ObservedAddress { at_ms, address: address.into() };
    let all = [heard(1, "a:1"), heard(2, "b:1"), heard(3, "c:1"), heard(4, "d:1"), heard(5, "a:1")];
    let of = |order: &[usize]| {
        let mut kept = Vec::new();
        for &at in order {
            merge_observed(&mut kept, &all[at..=at]);
        }
        kept
    };
    let kept = of(&[0, 1, 2, 3, 4]);
    assert_eq!(kept, [heard(5, "a:1"), heard(4, "d:1"), heard(3, "c:1")]);
    assert_eq!(of(&[4, 3, 2, 1, 0]), kept);
    assert!(!merge_observed(&mut kept.clone(), &all), "nothing is new");
}

/// Membership (design, section 3): a forgotten node stays forgotten, whoever tells of it and with whatever number.
#[test]
fn a_forgotten_node_is_listed_no_more() {
    let members = members(vec![member(1, 5, "gone:1"), member(2, 5, "here:1")]);
    assert!(members.forget(NodeId([1; 16])) && !members.forget(NodeId([1; 16])));
    assert!(!learn(&members, &[member(1, u64::MAX, "gone:1")]));
    members.record_observed(NodeId([1; 16]), ([127, 0, 0, 1], 1).into());
    assert_eq!(members.all(), [member(2, 5, "here:1")]);
    assert!(members.is_forgotten(NodeId([1; 16])) && !members.is_forgotten(NodeId([2; 16])));
}

fn numbered(node: u32, number: u64) -> Member {
    let mut id = [0xff; 16];
    id[..4].copy_from_slice(&node.to_be_bytes());
    Member { node: NodeId(id), ..member(1, number, "x:1") }
}

/// Issue 11: a full list takes new nodes. The silent give way, the longest silent first; nodes that are heard stay.
#[test]
fn a_full_list_takes_newcomers_in_place_of_the_longest_silent() {
    let max = u32::try_from(CLUSTER_MEMBERS_MAX).unwrap();
    // The first two are the oldest, and the very first is heard.
    let members = members((0..max).map(|node| numbered(node, 10 + u64::from(node))).collect());
    let live = || BTreeSet::from([numbered(0, 0).node]);
    let knows = |node| members.all().iter().any(|member| member.node == numbered(node, 0).node);
    assert!(members.learn(&[numbered(max, 5_000)], live));
    assert_eq!(members.count(), CLUSTER_MEMBERS_MAX);
    assert!(knows(max) && knows(0) && !knows(1) && knows(2));
    // One that was dropped and is told again does not push out one that lived longer.
    assert!(!members.learn(&[numbered(1, 11)], live));
    assert!(!knows(1) && knows(2));
    // It comes back once it lives again.
    assert!(members.learn(&[numbered(1, 6_000)], live));
    assert!(knows(1) && !knows(2));
    // Forgetting makes room without a loss.
    members.forget(numbered(3, 0).node);
    assert!(members.learn(&[numbered(2, 12)], live));
    assert!(knows(2) && knows(4));
}

/// A list of nodes that are all heard is not changed by strangers' descriptions.
#[test]
fn no_node_that_is_heard_gives_way() {
    let max = u32::try_from(CLUSTER_MEMBERS_MAX).unwrap();
    let all: Vec<_> = (0..max).map(|node| numbered(node, 1)).collect();
    let members = members(all.clone());
    let live = || all.iter().map(|member| member.node).collect();
    assert!(!members.learn(&[numbered(max, u64::MAX)], live));
    assert_eq!(members.all(), all);
}
