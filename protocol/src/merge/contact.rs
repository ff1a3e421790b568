//! Contacts: two registers, one a side, each a round and a stance. Decline, remove, block and unblock begin a new
//! round; saying yes joins the newest. Two are contacts when both say yes in the same round.

use serde::{Deserialize, Serialize};

use crate::{Pos, event::ContactSet, event::Stance};

/// What one side said last: of the greatest round, the last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// The round.
    pub round: u64,
    /// The place of the event that said it.
    pub place: Pos,
    /// What it said.
    pub stance: Stance,
}

/// How two people stand, seen from one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Strangers.
    None,
    /// The other asks.
    Incoming,
    /// This one asks.
    Outgoing,
    /// Contacts.
    Accepted,
    /// This one has blocked the other (who may have blocked this one, too).
    Blocked,
    /// The other has blocked this one, who is not to know.
    BlockedByOther,
}

/// Applies what a side says at `place`.
pub fn said(state: Option<Side>, place: Pos, event: &ContactSet) -> Side {
    match state {
        Some(state) if (state.round, state.place) >= (event.round, place) => state,
        _ => Side { round: event.round, place, stance: event.stance },
    }
}

/// The newest round of two sides.
pub fn newest_round(mine: Option<Side>, theirs: Option<Side>) -> u64 {
    mine.map_or(0, |side| side.round).max(theirs.map_or(0, |side| side.round))
}

/// How the sides stand. A block holds until who blocked says otherwise, whatever the other side does.
pub fn relation(mine: Option<Side>, theirs: Option<Side>) -> Relation {
    let newest = newest_round(mine, theirs);
    let stance = |side: Option<Side>| side.map_or(Stance::None, |side| side.stance);
    let yes =
        |side: Option<Side>| side.is_some_and(|side| side.stance == Stance::Yes && side.round == newest);
    if stance(mine) == Stance::Blocked {
        return Relation::Blocked;
    }
    if stance(theirs) == Stance::Blocked {
        return Relation::BlockedByOther;
    }
    match (yes(mine), yes(theirs)) {
        (true, true) => Relation::Accepted,
        (true, false) => Relation::Outgoing,
        (false, true) => Relation::Incoming,
        (false, false) => Relation::None,
    }
}
