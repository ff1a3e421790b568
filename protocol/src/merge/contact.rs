//! Contacts: each of two users has a register with a round and a stance. Declining, removing, blocking and unblocking
//! begin a new round; requesting and accepting join the newest. Two users are contacts if both say yes in the same
//! round. Blocked users must not find out: they see a block as a decline. They don't see an unblock, except that it
//! declines a request that they sent meanwhile.

use serde::{Deserialize, Serialize};

use crate::{
    Pos, UserId,
    event::{Stance, StanceChanged},
};

/// One user's stance: the last one of the greatest round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// The round.
    pub round: u64,
    /// The position of the event.
    pub pos: Pos,
    /// The stance.
    pub stance: Stance,
}

/// The relation between two users, from the viewpoint of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// No relation.
    None,
    /// The other user sent a request.
    Incoming,
    /// This user sent a request.
    Outgoing,
    /// The two are contacts.
    Accepted,
    /// This user has blocked the other.
    Blocked,
}

/// The stances of two users, from the viewpoint of one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sides {
    /// This user's stance towards the other.
    pub mine: Option<Side>,
    /// The other user's stance towards this one.
    pub theirs: Option<Side>,
}

/// Applies a stance at `pos`.
pub fn apply(state: Option<Side>, pos: Pos, event: &StanceChanged) -> Side {
    match state {
        Some(state) if (state.round, state.pos) >= (event.round, pos) => state,
        _ => Side { round: event.round, pos, stance: event.stance },
    }
}

impl Sides {
    /// Returns the newest round; 0 before the first.
    pub fn round(self) -> u64 {
        [self.mine, self.theirs].into_iter().flatten().map(|side| side.round).max().unwrap_or(0)
    }

    /// Returns the relation. A block lasts until the blocking user ends it, whatever the other does meanwhile.
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

    /// Returns the position of the event that led to the relation; `None` if there never was one.
    pub fn decided_at(self) -> Option<Pos> {
        let pos = |side: Option<Side>| side.map(|side| side.pos);
        match self.relation() {
            Relation::Incoming => pos(self.theirs),
            // The other user's later stances change nothing, or must stay hidden.
            Relation::Outgoing | Relation::Blocked => pos(self.mine),
            Relation::Accepted | Relation::None => self.last_pos(),
        }
    }

    /// Whether this user has blocked the other.
    pub fn blocks(self) -> bool {
        has_blocked(self.mine)
    }

    /// Whether the other user has blocked this one.
    pub fn is_blocked(self) -> bool {
        has_blocked(self.theirs)
    }

    /// Returns the event by which this user takes a stance: `Yes` joins the newest round, all others begin a new one.
    pub fn saying(self, to: UserId, stance: Stance) -> StanceChanged {
        let round = if stance == Stance::Yes { self.round() } else { self.round().saturating_add(1) };
        StanceChanged { to, round, stance }
    }

    /// Returns the position of the last event of both users. A new event must be stamped above it.
    pub fn last_pos(self) -> Option<Pos> {
        [self.mine, self.theirs].into_iter().flatten().map(|side| side.pos).max()
    }
}

fn has_blocked(side: Option<Side>) -> bool {
    side.is_some_and(|side| side.stance == Stance::Blocked)
}
