//! Claims on names: each name has one holder, the same everywhere, and was given to one, unless neither of two claims
//! waited for the other. A user whose claim was answered with 201 has an account under the name, or as `name~xxxx`. If
//! nothing was broken from before the claim until the answer, the name is theirs alone, with one exception: a node that
//! lost its disk, is cut off and has a slow clock may write an earlier claim later.

use starling_node::store::RecordsReader;

use crate::{
    people::{Answer, Attempt},
    world::World,
};

pub fn check(world: &World) -> Result<(), String> {
    let runs = world.nodes.iter().filter_map(|node| node.run.as_ref());
    let nodes: Vec<_> = runs.map(|run| run.store.records().expect("the store reads")).collect();
    let held = world.nodes.iter().find_map(|node| node.run.as_ref()).expect("somebody runs");
    let held = held.committer.vector();
    let attempts = &world.people.attempts;
    let mut sure = Vec::new();
    for attempt in attempts {
        let holders: Vec<_> = nodes.iter().map(|node| node.holder(&attempt.name).unwrap()).collect();
        if holders.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(format!("{} belongs to different people: {holders:?}", attempt.name));
        }
        // The account may be lost with its only disk.
        let is_held = attempt.claim.is_some_and(|claim| held.contains(claim.origin, claim.seq));
        if let (Some(Answer::Made { well }), true) = (attempt.answer, is_held) {
            let by_slow_clock = |later: &Attempt| !later.was_well && later.since > attempt.since;
            let well =
                well && !attempts.iter().any(|other| holders[0] == Some(other.user) && by_slow_clock(other));
            nodes.iter().try_for_each(|node| has_account(node, attempt, well))?;
            if well && sure.contains(&&attempt.name) {
                return Err(format!("two people were told that {} is theirs", attempt.name));
            }
            sure.extend(Some(&attempt.name).filter(|_| well));
        }
    }
    let gone_back = world.people.disk_went_back;
    attempts
        .iter()
        .enumerate()
        .filter(|_| !gone_back)
        .try_for_each(|(at, one)| alone(one, &attempts[at + 1..]))?;
    rivals(&attempts[world.people.early.expect("all was well")..], &nodes)
}

/// Checks that a name has one owner, unless two sides of a split gave it away: neither claim waited for the other.
fn alone(one: &Attempt, others: &[Attempt]) -> Result<(), String> {
    let is_made = |attempt: &Attempt| matches!(attempt.answer, Some(Answer::Made { .. }));
    let waited = |other: &Attempt| {
        one.node == other.node || one.waited_for.contains(&other.node) || other.waited_for.contains(&one.node)
    };
    let same = |other: &&Attempt| is_made(other) && one.name == other.name && waited(other);
    match others.iter().filter(|_| is_made(one)).find(same) {
        Some(other) => Err(format!("both got the name: {one:?} and {other:?}")),
        None => Ok(()),
    }
}

fn has_account(node: &RecordsReader, attempt: &Attempt, well: bool) -> Result<(), String> {
    let Attempt { user, name, .. } = attempt;
    let is_holder = node.holder(name).unwrap() == Some(*user);
    if well && !is_holder {
        return Err(format!("{user} has lost the name {name}, which they got while nothing was broken"));
    }
    let account = node.account_state(*user).unwrap();
    if account.is_some_and(|account| account.deleted) {
        return Ok(());
    }
    let shown = node.username(*user).unwrap().filter(|_| node.existing_account(*user).unwrap().is_some());
    let is_right = shown.as_ref().is_some_and(|shown| match shown.split_once('~') {
        None => is_holder && *shown == name.as_str(),
        Some((bare, _)) => !is_holder && bare == name.as_str(),
    });
    if is_right { Ok(()) } else { Err(format!("{user}, who was given {name}, is {shown:?}")) }
}

/// Checks that of several claims on one name at once, while nothing was broken, one succeeded, unless a node had just
/// stalled; the other users have no account.
fn rivals(rivals: &[Attempt], nodes: &[RecordsReader]) -> Result<(), String> {
    let count = |is: fn(Answer) -> bool| rivals.iter().filter(|rival| rival.answer.is_some_and(is)).count();
    let made = count(|answer| matches!(answer, Answer::Made { .. }));
    let unknown = count(|answer| answer == Answer::Unknown);
    if made > 1 || made + unknown == 0 {
        return Err(format!("of {} who asked for one name at once, {made} got it", rivals.len()));
    }
    let refused = rivals.iter().filter(|rival| !matches!(rival.answer, Some(Answer::Made { .. })));
    for rival in refused {
        if nodes.iter().any(|node| node.existing_account(rival.user).unwrap().is_some()) {
            return Err(format!("{} was refused, and has an account all the same", rival.user));
        }
    }
    Ok(())
}
