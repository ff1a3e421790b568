//! Leaves at whose end the other members change, which chance brings about too rarely.

use starling_protocol::NodeId;

use super::{Stage, op};
use crate::{invariants, world::World, writer::Request};

/// The longest virtual time for a step.
const STEP_MS_MAX: u64 = 30_000;

/// The node that leaves, and the others.
const LEAVER: usize = 2;
const RENEWED: usize = 0;
const OTHER: usize = 1;

/// Lets things happen until something is so.
fn wait_until(world: &mut World, what: &str, mut is_so: impl FnMut(&mut World) -> bool) {
    let until = world.now + STEP_MS_MAX;
    while !is_so(world) {
        world.step().expect("no promise is broken");
        assert!(world.now < until, "not in {STEP_MS_MAX} ms: {what}");
    }
}

/// Three nodes, of which one has handed its log over and asked its writer to end its membership.
fn with_leaver(seed: u64) -> World {
    let mut world = World::quiet(seed, 3);
    wait_until(&mut world, "the leave begins", |world| world.begin_leave(LEAVER));
    wait_until(&mut world, "the log is handed over", |world| stage(world) == Some(Stage::Writes));
    world
}

fn stage(world: &World) -> Option<Stage> {
    let membership = &world.nodes[LEAVER].run.as_ref()?.membership;
    membership.leave.as_ref().map(|leave| leave.stage)
}

fn refused_by(world: &World, peer: NodeId) -> bool {
    let run = world.nodes[LEAVER].run.as_ref();
    run.is_some_and(|run| run.membership.forgotten_by.contains(&peer))
}

/// Promise 11: a node counts a peer that holds its log although that peer was forgotten since, which the node cannot know. The
/// peer comes back under a new id, with its disk: no event is on fewer disks than before.
#[test]
fn a_holder_that_comes_back_under_a_new_id_still_holds() {
    let mut world = with_leaver(1);
    let [renewed, other] = [RENEWED, OTHER].map(|node| world.nodes[node].id);
    wait_until(&mut world, "both refuse the leaver", |world| {
        [renewed, other].into_iter().all(|peer| refused_by(world, peer))
    });
    world.request(OTHER, Request::Forget(op(renewed)));
    wait_until(&mut world, "the holder draws a new id", |world| world.nodes[RENEWED].id != renewed);
    assert!(!world.nodes[LEAVER].gone, "it left before the other was forgotten: take another seed");
    wait_until(&mut world, "the leaver goes", |world| world.nodes[LEAVER].gone);
}

/// Membership (design, section 3): a node that has written the end of its membership is refused by all, so it learns of no
/// newcomer. If those that it knows are lost, it waits until it is started again: then it is a member again, under a new id and
/// with all its data, and can leave.
#[test]
fn a_leaver_whose_peers_are_lost_leaves_under_a_new_id() {
    let mut world = with_leaver(2);
    world.go_for_ever(RENEWED);
    let newcomer = world.nodes.len();
    world.join(0);
    world.network.cut_both_ways((LEAVER, newcomer));
    let other = world.nodes[OTHER].id;
    wait_until(&mut world, "the other refuses the leaver", |world| refused_by(world, other));
    let joined = world.nodes[newcomer].id;
    wait_until(&mut world, "the newcomer has all", |world| {
        let held = |node: usize| world.nodes[node].run.as_ref().map(|run| run.replica().held());
        held(newcomer) == held(OTHER)
    });
    world.network.mend((LEAVER, newcomer));
    wait_until(&mut world, "the newcomer refuses the leaver, too", |world| refused_by(world, joined));
    assert_eq!(stage(&world), Some(Stage::Forgotten), "it knows of one holder only");
    let id = world.nodes[LEAVER].id;
    world.healed_at = Some(world.now);
    wait_until(&mut world, "all list it under a new id", |world| {
        world.nodes[LEAVER].id != id
            && world.nodes[LEAVER].run.is_some()
            && invariants::membership::differs(world).is_none()
    });
    wait_until(&mut world, "it leaves again", |world| world.begin_leave(LEAVER));
    wait_until(&mut world, "it goes", |world| world.nodes[LEAVER].gone);
}

/// Membership (design, section 3): a node that has written the end of its membership goes only once enough others hold an end of
/// it, which may be one that an operator wrote elsewhere.
#[test]
fn a_leaver_that_is_cut_off_waits_until_its_end_is_known() {
    for seed in 3..13 {
        let mut world = with_leaver(seed);
        let id = world.nodes[LEAVER].id;
        for other in [RENEWED, OTHER] {
            world.network.cut_both_ways((other, LEAVER));
        }
        wait_until(&mut world, "its end is durable", |world| stage(world) == Some(Stage::Forgotten));
        world.request(OTHER, Request::Forget(op(id)));
        let others_know = |world: &World| {
            let membership = |node: usize| &world.nodes[node].run.as_ref().expect("it runs").membership;
            [RENEWED, OTHER].into_iter().all(|node| membership(node).members.is_forgotten(id))
        };
        wait_until(&mut world, "the others know that an operator has ended it", |world| others_know(world));
        let until = world.now + 1_000;
        wait_until(&mut world, "a second is over", |world| world.now >= until);
        assert!(!world.nodes[LEAVER].gone, "nobody can have told it");
        for other in [RENEWED, OTHER] {
            world.network.mend((other, LEAVER));
        }
        wait_until(&mut world, "it goes", |world| world.nodes[LEAVER].gone);
    }
}
