//! Service keys: each is as old as its first event. Per secret the first seal is kept, so that all nodes keep the same
//! one. All seals of a key hold the same key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Pos,
    event::{SecretId, ServiceKeySealed},
};

/// A service key, sealed with one secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// The position of the event that holds it.
    pub pos: Pos,
    /// The nonce of the cipher.
    pub nonce: [u8; 12],
    /// The key, encrypted and authenticated.
    pub sealed: Box<[u8]>,
}

/// The state of a service key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceKeyState {
    /// The position of its first event. New sessions use the key with the smallest.
    pub first: Pos,
    /// The seals, by the secrets that unseal them.
    pub seals: BTreeMap<SecretId, Seal>,
}

/// Applies a seal at `pos`.
pub fn apply(state: Option<ServiceKeyState>, pos: Pos, event: &ServiceKeySealed) -> ServiceKeyState {
    let ServiceKeySealed { secret, nonce, sealed, .. } = event;
    let mut state = state.unwrap_or_else(|| ServiceKeyState { first: pos, seals: BTreeMap::new() });
    state.first = state.first.min(pos);
    if state.seals.get(secret).is_none_or(|seal| pos < seal.pos) {
        state.seals.insert(*secret, Seal { pos, nonce: *nonce, sealed: sealed.clone() });
    }
    state
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Hlc, NodeId, OriginId, Seq, event::ServiceKeyId};

    fn at(ms: u64) -> Pos {
        Pos { hlc: Hlc(ms << 16), origin: OriginId { node: NodeId([1; 16]), incarnation: 1 }, seq: Seq(ms) }
    }

    fn event(secret: u8, text: u8) -> ServiceKeySealed {
        let (key, secret) = (ServiceKeyId([1; 16]), SecretId([secret; 16]));
        ServiceKeySealed { key, secret, nonce: [text; 12], sealed: [text; 48].into() }
    }

    fn state_after(events: &[(Pos, ServiceKeySealed)]) -> ServiceKeyState {
        events.iter().fold(None, |state, (pos, event)| Some(apply(state, *pos, event))).unwrap()
    }

    #[test]
    fn a_key_is_as_old_as_its_first_seal_and_keeps_one_seal_per_secret() {
        let state = state_after(&[(at(3), event(2, 3)), (at(1), event(1, 1)), (at(2), event(1, 2))]);
        assert_eq!(state.first, at(1));
        let seals: Vec<_> = state.seals.values().map(|seal| (seal.pos, seal.nonce[0])).collect();
        assert_eq!(seals, [(at(1), 1), (at(3), 3)]);
    }

    proptest! {
        #[test]
        fn the_order_of_events_and_their_repetition_do_not_matter(
            order in Just((0..4).chain(0..4).collect::<Vec<usize>>()).prop_shuffle(),
        ) {
            let events = [(at(1), event(1, 1)), (at(2), event(1, 2)), (at(3), event(2, 3)), (at(4), event(3, 4))];
            let ordered: Vec<_> = order.iter().map(|&at| events[at].clone()).collect();
            prop_assert_eq!(state_after(&ordered), state_after(&events));
        }
    }
}
