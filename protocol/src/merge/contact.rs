//! Contacts: two registers, one a side, each a round and a stance. Decline, remove, block and unblock begin a new
//! round; saying yes joins the newest. Two are contacts when both say yes in the same round. To the one who is blocked
//! a block looks like a decline, and the end of it like nothing: he is not to know.

use serde::{Deserialize, Serialize};

use crate::{
    Pos, UserId,
    event::{ContactSet, Stance},
};

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
    /// This one has blocked the other.
    Blocked,
}

/// What the two sides said last of each other: the one from whom it is seen, and the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sides {
    /// What this one said of the other.
    pub mine: Option<Side>,
    /// What the other said of this one.
    pub theirs: Option<Side>,
}

/// Applies what a side says at `place`.
pub fn said(state: Option<Side>, place: Pos, event: &ContactSet) -> Side {
    match state {
        Some(state) if (state.round, state.place) >= (event.round, place) => state,
        _ => Side { round: event.round, place, stance: event.stance },
    }
}

impl Sides {
    /// The newest round.
    pub fn round(self) -> u64 {
        [self.mine, self.theirs].into_iter().flatten().map(|side| side.round).max().unwrap_or(0)
    }

    /// How they stand. A block holds until who blocked says otherwise, whatever the other does meanwhile.
    pub fn relation(self) -> Relation {
        let yes = |side: Option<Side>| {
            side.is_some_and(|side| side.stance == Stance::Yes && side.round == self.round())
        };
        match (yes(self.mine), yes(self.theirs)) {
            _ if has_blocked(self.mine) => Relation::Blocked,
            (true, true) => Relation::Accepted,
            (true, false) => Relation::Outgoing,
            (false, true) => Relation::Incoming,
            (false, false) => Relation::None,
        }
    }

    /// The place of the event that made it so; nothing if neither ever said anything.
    pub fn decided_at(self) -> Option<Pos> {
        let place = |side: Option<Side>| side.map(|side| side.place);
        match self.relation() {
            Relation::Incoming => place(self.theirs),
            // What the other says meanwhile changes nothing, or is not to be known.
            Relation::Outgoing | Relation::Blocked => place(self.mine),
            Relation::Accepted | Relation::None => self.last(),
        }
    }

    /// Whether this one has blocked the other.
    pub fn blocks(self) -> bool {
        has_blocked(self.mine)
    }

    /// Whether the other has blocked this one.
    pub fn is_blocked(self) -> bool {
        has_blocked(self.theirs)
    }

    /// What this one writes to take a stance: a yes joins the newest round, all else begins a new one.
    pub fn saying(self, to: UserId, stance: Stance) -> ContactSet {
        let round = if stance == Stance::Yes { self.round() } else { self.round().saturating_add(1) };
        ContactSet { to, round, stance }
    }

    /// The places of what both said last: what is said now is stamped above them.
    pub fn last(self) -> Option<Pos> {
        [self.mine, self.theirs].into_iter().flatten().map(|side| side.place).max()
    }
}

fn has_blocked(side: Option<Side>) -> bool {
    side.is_some_and(|side| side.stance == Stance::Blocked)
}
