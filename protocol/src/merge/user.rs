//! Accounts: each attribute is a register. The last change sets the password; a rehash only replaces its hash.
//! Deletion wins and erases everything that the owner wrote.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::register::{self, Register, write};
use crate::{DisplayName, EventBody, Hlc, NodeId, Pos, Settings, Username};

/// The state of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserState {
    /// The position of its registration. Until that arrives, its other events don't count.
    pub registered: Option<Pos>,
    /// Whether it was deleted, which is permanent.
    pub deleted: bool,
    /// Logins before this position have ended.
    logins_ended: Option<Pos>,
    /// The position of the last password change that ended personal access tokens.
    tokens_ended: Option<Pos>,
    /// The position of the last event that disabled or enabled it.
    disabled_changed: Option<Pos>,
    display_name: Option<Register<Option<DisplayName>>>,
    password: Option<Register<Option<Box<str>>>>,
    rehash: Option<Rehash>,
    reset: Option<Register<ResetLink>>,
    admin: Option<Register<bool>>,
    disabled: Option<Register<bool>>,
    settings: Option<Register<Settings>>,
}

/// The positions before which sessions of an account were ended. They are cut-offs, not expiry times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionEnds {
    /// Logins opened before this have ended.
    pub logins: Option<Pos>,
    /// Personal access tokens have ended if their password was set before this. It is compared with the position of
    /// that password, not of the token.
    pub tokens: Option<Pos>,
    /// Logins and tokens opened before this have ended, because the account was disabled or enabled then. (Enabling also
    /// ends sessions that were opened on nodes which didn't know yet that the account was disabled.)
    pub all: Option<Pos>,
}

/// The last rehash of the last rehashed password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Rehash {
    change: Pos,
    pos: Pos,
    password: Option<Box<str>>,
}

/// A password reset link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetLink {
    /// The BLAKE3 hash of its code.
    pub code_hash: [u8; 32],
    /// The end of its validity (Unix milliseconds).
    pub expires_ms: u64,
}

/// The current password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Password<'a> {
    /// The position of the change that set it.
    pub change: Pos,
    /// The hash (a PHC string).
    pub hash: &'a str,
}

impl UserState {
    /// Returns the display name; `None` if the username is shown.
    pub fn display_name(&self) -> Option<&DisplayName> {
        self.display_name.as_ref()?.value.as_ref()
    }

    /// Returns the current password; `None` once it is erased.
    pub fn password(&self) -> Option<Password<'_>> {
        let changed = self.password.as_ref()?;
        let rehash = self.rehash.as_ref().filter(|rehash| rehash.change == changed.pos);
        let hash = rehash.map_or(&changed.value, |rehash| &rehash.password).as_deref()?;
        Some(Password { change: changed.pos, hash })
    }

    /// Returns the last reset link, unless the password was changed since.
    pub fn reset_link(&self) -> Option<&ResetLink> {
        let link = self.reset.as_ref()?;
        let changed = self.password.as_ref().map(|password| password.pos);
        (changed < Some(link.pos) && link.value.code_hash != [0; 32]).then_some(&link.value)
    }

    /// Whether the account is an administrator.
    pub fn is_admin(&self) -> bool {
        self.admin.as_ref().is_some_and(|admin| admin.value)
    }

    /// Whether the account is disabled.
    pub fn is_disabled(&self) -> bool {
        self.disabled.as_ref().is_some_and(|disabled| disabled.value)
    }

    /// Returns the positions before which its sessions were ended.
    pub fn session_ends(&self) -> SessionEnds {
        SessionEnds { logins: self.logins_ended, tokens: self.tokens_ended, all: self.disabled_changed }
    }

    /// Returns the owner's settings.
    pub fn settings(&self) -> Settings {
        register::value(self.settings.as_ref()).unwrap_or_default()
    }

    /// Returns the stamp of the last change to any attribute. A further change must be stamped above it.
    pub fn changed_at(&self) -> Hlc {
        let positions = [
            stamp(self.display_name.as_ref()),
            stamp(self.password.as_ref()),
            stamp(self.reset.as_ref()),
            stamp(self.admin.as_ref()),
            stamp(self.disabled.as_ref()),
            stamp(self.settings.as_ref()),
        ];
        positions.into_iter().flatten().max().unwrap_or_default()
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

fn stamp<T>(register: Option<&Register<T>>) -> Option<Hlc> {
    register.map(|register| register.pos.hlc)
}

/// Applies an event of the account's scope at `pos`. Kinds that don't concern the account itself change nothing.
pub fn apply(state: Option<UserState>, pos: Pos, body: &EventBody) -> UserState {
    let mut state = state.unwrap_or_default();
    match body {
        EventBody::UserRegistered(registered) => {
            state.registered = Some(state.registered.map_or(pos, |first| first.min(pos)));
            // Even without a display name this is a write: only a later profile change replaces it.
            write(&mut state.display_name, pos, registered.display_name.clone());
            write(&mut state.password, pos, registered.password.clone());
            write(&mut state.admin, pos, registered.admin);
        }
        EventBody::ProfileChanged(changed) => {
            write(&mut state.display_name, pos, changed.display_name.clone());
        }
        EventBody::PasswordChanged(changed) => {
            write(&mut state.password, pos, changed.password.clone());
            if !changed.keep_tokens {
                state.tokens_ended = state.tokens_ended.max(Some(pos));
            }
        }
        EventBody::PasswordRehashed(rehashed) => {
            let last = state.rehash.as_ref().map(|rehash| (rehash.change, rehash.pos));
            if last < Some((rehashed.change, pos)) {
                let password = rehashed.password.clone();
                state.rehash = Some(Rehash { change: rehashed.change, pos, password });
            }
        }
        EventBody::ResetLinkMade(made) => {
            let link = ResetLink { code_hash: made.code_hash, expires_ms: made.expires_ms };
            write(&mut state.reset, pos, link);
        }
        EventBody::UserFlagged(flagged) => {
            if let Some(admin) = flagged.admin {
                write(&mut state.admin, pos, admin);
            }
            if let Some(disabled) = flagged.disabled {
                write(&mut state.disabled, pos, disabled);
                state.disabled_changed = state.disabled_changed.max(Some(pos));
            }
        }
        EventBody::SettingsChanged(changed) => write(&mut state.settings, pos, changed.settings.clone()),
        EventBody::SessionsEnded(ended) if ended.all_logins => {
            state.logins_ended = state.logins_ended.max(Some(pos));
        }
        EventBody::UserDeleted(_) => state.deleted = true,
        _ => {}
    }
    if state.deleted {
        state.erase();
    }
    state
}

/// A claim to a username. It counts unless it was withdrawn (whether to withdraw: [`may_grant_claim`]). Of all claims
/// to a username that count, the one with the smallest position gets it. Of a user's claims, the one with the greatest
/// position is their username.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimState {
    /// The username.
    pub username: Username,
    /// Whether the claim was withdrawn: then it never counted.
    pub withdrawn: bool,
}

/// Applies a claim to a username, or its withdrawal.
pub fn apply_claim(state: Option<ClaimState>, username: &Username, withdrawn: bool) -> ClaimState {
    let before = state.is_some_and(|state| state.withdrawn);
    ClaimState { username: username.clone(), withdrawn: before || withdrawn }
}

/// Narrows the nodes that a claim waited for to those that all of its events list. The state is `None` before the first
/// event.
pub fn narrow_waited_for(state: Option<Vec<NodeId>>, listed: &[NodeId]) -> Vec<NodeId> {
    match state {
        Some(mut nodes) => {
            nodes.retain(|node| listed.contains(node));
            nodes
        }
        // Sorted and without duplicates, so that the order of events doesn't matter.
        None => listed.iter().copied().collect::<BTreeSet<_>>().into_iter().collect(),
    }
}

/// Whether `node`, which made `claim`, may grant it; otherwise it withdraws it. `others` are the other claims to the
/// username, each with the nodes that it waits for, if it lists them. Call this only once this node holds everything
/// that the confirming nodes held. A claim loses to an earlier one, and to a later one whose list lacks `node` or is
/// missing, because that one may already have been granted.
pub fn may_grant_claim<'a>(
    claim: Pos,
    node: NodeId,
    others: impl IntoIterator<Item = (Pos, Option<&'a [NodeId]>)>,
) -> bool {
    let yields = |(other, waited_for): (Pos, Option<&[NodeId]>)| {
        claim < other && waited_for.is_some_and(|nodes| nodes.contains(&node))
    };
    others.into_iter().all(yields)
}

/// Returns the name of a user who lost their username to an earlier claim. Nobody can register it, since usernames
/// contain no `~`.
pub fn suffixed_username(username: &Username, user: crate::UserId) -> String {
    let hash = blake3::derive_key("starling 2026 suffix of a renamed user", &user.0);
    let suffix = &crate::RoomId(hash[..10].try_into().expect("a hash has 32 bytes")).to_string()[..4];
    format!("{username}~{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OriginId, Seq};

    /// Promise: of two claims at most one gets the username, unless neither waited for the other. A claim loses to an
    /// earlier one, and to a later one that did not wait for its node, or doesn't list the nodes.
    #[test]
    fn a_claim_loses_to_earlier_ones_and_to_those_that_did_not_wait_for_it() {
        let at = |hlc| Pos {
            hlc: Hlc(hlc),
            origin: OriginId { node: NodeId([2; 16]), incarnation: 1 },
            seq: Seq(1),
        };
        let (own, all) = (NodeId([1; 16]), [NodeId([1; 16]), NodeId([3; 16])]);
        let wins = |other, waited_for| may_grant_claim(at(5), own, [(at(other), waited_for)]);
        assert!(may_grant_claim(at(5), own, []));
        assert!(wins(6, Some(&all[..])));
        assert!(!wins(4, Some(&all[..])), "it was earlier");
        assert!(!wins(6, Some(&all[1..])) && !wins(6, None), "it may have been granted");
        assert!(!may_grant_claim(at(5), own, [(at(6), Some(&all[..])), (at(7), Some(&all[1..]))]));
    }

    /// In any order of its events, a claim waited only for the nodes that all of them list.
    #[test]
    fn the_nodes_that_a_claim_waited_for_only_shrink() {
        let nodes = [1, 2, 3].map(|number| NodeId([number; 16]));
        let listed = [&nodes[..], &nodes[1..], &nodes[1..2]];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 0, 2]] {
            let state = order.into_iter().fold(None, |state, at| Some(narrow_waited_for(state, listed[at])));
            assert_eq!(state.as_deref(), Some(&nodes[1..2]));
        }
    }

    /// Promise: the result doesn't depend on the order of events, even if a peer lists nodes twice or unsorted.
    #[test]
    fn the_nodes_that_a_claim_waited_for_are_a_sorted_set() {
        let [a, b] = [1, 2].map(|n| NodeId([n; 16]));
        let (claimed, narrowed) = ([b, a, a], [a, b]);
        let after = |first: &[NodeId], second: &[NodeId]| {
            narrow_waited_for(Some(narrow_waited_for(None, first)), second)
        };
        assert_eq!(after(&claimed, &narrowed), after(&narrowed, &claimed));
        assert_eq!(after(&claimed, &[a]), [a]);
    }
}
