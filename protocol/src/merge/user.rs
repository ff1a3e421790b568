//! Accounts: each attribute is a register. A password is of the last change; a rehash only encodes it otherwise.
//! Deletion wins and leaves nothing that its owner wrote.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::register::{self, Register, write};
use crate::{DisplayName, EventBody, Hlc, NodeId, Pos, Settings, Username};

/// What is known of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserState {
    /// When it was registered; events that were held before this one say nothing yet.
    pub registered: Option<Pos>,
    /// Whether it was deleted, for good.
    pub deleted: bool,
    /// Up to where all sessions for which its user logged in have ended.
    logins_ended: Option<Pos>,
    /// The last change of the password that ended personal access tokens.
    tokens_ended: Option<Pos>,
    /// When it was last disabled, or enabled again.
    shut_out: Option<Pos>,
    display_name: Option<Register<Option<DisplayName>>>,
    password: Option<Register<Option<Box<str>>>>,
    rehash: Option<Rehash>,
    reset: Option<Register<ResetLink>>,
    admin: Option<Register<bool>>,
    disabled: Option<Register<bool>>,
    settings: Option<Register<Settings>>,
}

/// Up to where an account's sessions have ended, whatever each of them says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionEnds {
    /// Logins that were opened before it have ended.
    pub logins: Option<Pos>,
    /// Personal access tokens that were made under an earlier password than this one have ended.
    pub tokens: Option<Pos>,
    /// Logins and tokens alike that were opened before it have ended: the account was disabled then, or enabled again,
    /// which ends what was opened where the disabling was not known yet.
    pub all: Option<Pos>,
}

/// Of the last change that was rehashed, the last rehash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Rehash {
    change: Pos,
    place: Pos,
    password: Option<Box<str>>,
}

/// A link with which a password can be chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetLink {
    /// BLAKE3 of its code.
    pub code_hash: [u8; 32],
    /// Until when (Unix milliseconds).
    pub expires_ms: u64,
}

/// A password as it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Password<'a> {
    /// The change that set it.
    pub change: Pos,
    /// Its hash, a PHC string.
    pub hash: &'a str,
}

impl UserState {
    /// What it is to be shown as, if not by its name.
    pub fn display_name(&self) -> Option<&DisplayName> {
        self.display_name.as_ref()?.value.as_ref()
    }

    /// The password that holds.
    pub fn password(&self) -> Option<Password<'_>> {
        let changed = self.password.as_ref()?;
        let rehash = self.rehash.as_ref().filter(|rehash| rehash.change == changed.place);
        let hash = rehash.map_or(&changed.value, |rehash| &rehash.password).as_deref()?;
        Some(Password { change: changed.place, hash })
    }

    /// The link that can be used: the last one, unless the password was changed since.
    pub fn reset_link(&self) -> Option<&ResetLink> {
        let link = self.reset.as_ref()?;
        let changed = self.password.as_ref().map(|password| password.place);
        (changed < Some(link.place) && link.value.code_hash != [0; 32]).then_some(&link.value)
    }

    /// Whether it administers the service.
    pub fn is_admin(&self) -> bool {
        self.admin.as_ref().is_some_and(|admin| admin.value)
    }

    /// Whether it is shut out.
    pub fn is_disabled(&self) -> bool {
        self.disabled.as_ref().is_some_and(|disabled| disabled.value)
    }

    /// Up to where its sessions have ended.
    pub fn session_ends(&self) -> SessionEnds {
        SessionEnds { logins: self.logins_ended, tokens: self.tokens_ended, all: self.shut_out }
    }

    /// What its owner has set.
    pub fn settings(&self) -> Settings {
        register::value(self.settings.as_ref()).unwrap_or_default()
    }

    /// The stamp of the last change to any attribute: a change that replaces one is stamped above it.
    pub fn changed_at(&self) -> Hlc {
        let places = [
            place(self.display_name.as_ref()),
            place(self.password.as_ref()),
            place(self.reset.as_ref()),
            place(self.admin.as_ref()),
            place(self.disabled.as_ref()),
            place(self.settings.as_ref()),
        ];
        places.into_iter().flatten().max().unwrap_or_default()
    }

    fn erase(&mut self) {
        if let Some(display_name) = &mut self.display_name {
            display_name.value = None;
        }
        if let Some(password) = &mut self.password {
            password.value = None;
        }
        if let Some(rehash) = &mut self.rehash {
            rehash.password = None;
        }
        if let Some(reset) = &mut self.reset {
            reset.value.code_hash = [0; 32];
        }
        if let Some(settings) = &mut self.settings {
            settings.value = Settings::default();
        }
    }
}

fn place<T>(register: Option<&Register<T>>) -> Option<Hlc> {
    register.map(|register| register.place.hlc)
}

/// Applies an event of the account's scope at `place`; kinds that are no matter of the account itself change nothing.
pub fn applied(state: Option<UserState>, place: Pos, body: &EventBody) -> UserState {
    let mut state = state.unwrap_or_default();
    match body {
        EventBody::UserRegistered(registered) => {
            state.registered = Some(state.registered.map_or(place, |first| first.min(place)));
            // Without a name of its own, a later profile change decides all the same.
            write(&mut state.display_name, place, registered.display_name.clone());
            write(&mut state.password, place, registered.password.clone());
            write(&mut state.admin, place, registered.admin);
        }
        EventBody::ProfileChanged(changed) => {
            write(&mut state.display_name, place, changed.display_name.clone());
        }
        EventBody::PasswordChanged(changed) => {
            write(&mut state.password, place, changed.password.clone());
            if !changed.keep_tokens {
                state.tokens_ended = state.tokens_ended.max(Some(place));
            }
        }
        EventBody::PasswordRehashed(rehashed) => {
            let last = state.rehash.as_ref().map(|rehash| (rehash.change, rehash.place));
            if last < Some((rehashed.change, place)) {
                let password = rehashed.password.clone();
                state.rehash = Some(Rehash { change: rehashed.change, place, password });
            }
        }
        EventBody::ResetLinkMade(made) => {
            let link = ResetLink { code_hash: made.code_hash, expires_ms: made.expires_ms };
            write(&mut state.reset, place, link);
        }
        EventBody::UserFlagged(flagged) => {
            if let Some(admin) = flagged.admin {
                write(&mut state.admin, place, admin);
            }
            if let Some(disabled) = flagged.disabled {
                write(&mut state.disabled, place, disabled);
                state.shut_out = state.shut_out.max(Some(place));
            }
        }
        EventBody::SettingsChanged(changed) => write(&mut state.settings, place, changed.settings.clone()),
        EventBody::SessionsEnded(ended) if ended.all_logins => {
            state.logins_ended = state.logins_ended.max(Some(place));
        }
        EventBody::UserDeleted(_) => state.deleted = true,
        _ => {}
    }
    if state.deleted {
        state.erase();
    }
    state
}

/// A claim to a name; it counts unless it was withdrawn. Of those that count, the one with the smallest place holds
/// the name, and of a user's claims the one with the greatest place is his.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimState {
    /// The name.
    pub username: Username,
    /// Whether it never counted.
    pub withdrawn: bool,
}

/// Applies a claim, or its withdrawal.
pub fn claimed(state: Option<ClaimState>, username: &Username, withdrawn: bool) -> ClaimState {
    let before = state.is_some_and(|state| state.withdrawn);
    ClaimState { username: username.clone(), withdrawn: before || withdrawn }
}

/// Keeps for whom a claim waited to its end: those whom all its events name. (`None` as a state: no event yet.)
pub fn waited(state: Option<Vec<NodeId>>, named: &[NodeId]) -> Vec<NodeId> {
    match state {
        Some(mut nodes) => {
            nodes.retain(|node| named.contains(node));
            nodes
        }
        // In one order and each once, whichever event comes first.
        None => named.iter().copied().collect::<BTreeSet<_>>().into_iter().collect(),
    }
}

/// Whether a node's claim gets the name, once all that the nodes it waited for knew of is here; `others` are the other
/// claims that count, each with those it waits for, as far as it names them. An earlier claim wins; and so does a later
/// one whose maker did not wait for this node: it may have been given the name already.
pub fn claim_wins<'a>(
    claim: Pos,
    node: NodeId,
    others: impl IntoIterator<Item = (Pos, Option<&'a [NodeId]>)>,
) -> bool {
    let yields = |(other, waited_for): (Pos, Option<&[NodeId]>)| {
        claim < other && waited_for.is_some_and(|nodes| nodes.contains(&node))
    };
    others.into_iter().all(yields)
}

/// The name of a user whose claim to it came later than another's: nobody can register it, since `~` is in no name.
pub fn renamed(username: &Username, user: crate::UserId) -> String {
    let hash = blake3::derive_key("starling 2026 suffix of a renamed user", &user.0);
    let suffix = &crate::RoomId(hash[..10].try_into().expect("a hash has 32 bytes")).to_string()[..4];
    format!("{username}~{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OriginId;

    /// Promise: of two claims at most one gets the name unless neither waited for the other: an earlier one wins, and
    /// a later one whose maker did not wait, or does not say so.
    #[test]
    fn a_claim_yields_to_earlier_ones_and_to_those_that_did_not_wait_for_it() {
        let at =
            |hlc| Pos { hlc: Hlc(hlc), origin: OriginId { node: NodeId([2; 16]), incarnation: 1 }, seq: 1 };
        let (own, all) = (NodeId([1; 16]), [NodeId([1; 16]), NodeId([3; 16])]);
        let wins = |other, waited_for| claim_wins(at(5), own, [(at(other), waited_for)]);
        assert!(claim_wins(at(5), own, []));
        assert!(wins(6, Some(&all[..])));
        assert!(!wins(4, Some(&all[..])), "it was earlier");
        assert!(!wins(6, Some(&all[1..])) && !wins(6, None), "it may have been given the name");
        assert!(!claim_wins(at(5), own, [(at(6), Some(&all[..])), (at(7), Some(&all[1..]))]));
    }

    /// Whatever order its events come in: a claim waited only for those whom all of them name.
    #[test]
    fn what_a_claim_waited_for_only_shrinks() {
        let nodes = [1, 2, 3].map(|number| NodeId([number; 16]));
        let named = [&nodes[..], &nodes[1..], &nodes[1..2]];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 0, 2]] {
            let state = order.into_iter().fold(None, |state, at| Some(waited(state, named[at])));
            assert_eq!(state.as_deref(), Some(&nodes[1..2]));
        }
    }

    /// Promise: any order gives the same, whatever a peer has written into its events.
    #[test]
    fn whom_a_claim_waited_for_is_a_set() {
        let [a, b] = [1, 2].map(|n| NodeId([n; 16]));
        let (claimed, narrowed) = ([b, a, a], [a, b]);
        let after = |first: &[NodeId], second: &[NodeId]| waited(Some(waited(None, first)), second);
        assert_eq!(after(&claimed, &narrowed), after(&narrowed, &claimed));
        assert_eq!(after(&claimed, &[a]), [a]);
    }
}
