//! Service keys: each is as old as its first event; under each secret the first seal counts, so that it is the same on
//! every node. All of them open to the same key.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Pos,
    event::{SecretId, ServiceKeySealed},
};

/// A service key as it is sealed under one secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// The place of the event that holds it.
    pub place: Pos,
    /// The nonce of the cipher.
    pub nonce: [u8; 12],
    /// The key, encrypted and authenticated.
    pub sealed: Box<[u8]>,
}

/// What is known of a service key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceKeyState {
    /// The place of its first event: the key with the smallest serves new sessions.
    pub first: Pos,
    /// Its seals, by the secrets that open them.
    pub seals: BTreeMap<SecretId, Seal>,
}

/// Applies a seal at `place`.
pub fn sealed(state: Option<ServiceKeyState>, place: Pos, event: &ServiceKeySealed) -> ServiceKeyState {
    let ServiceKeySealed { secret, nonce, sealed, .. } = event;
    let mut state = state.unwrap_or_else(|| ServiceKeyState { first: place, seals: BTreeMap::new() });
    state.first = state.first.min(place);
    if state.seals.get(secret).is_none_or(|seal| place < seal.place) {
        state.seals.insert(*secret, Seal { place, nonce: *nonce, sealed: sealed.clone() });
    }
    state
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Hlc, NodeId, OriginId, event::ServiceKeyId};

    fn at(ms: u64) -> Pos {
        Pos { hlc: Hlc(ms << 16), origin: OriginId { node: NodeId([1; 16]), incarnation: 1 }, seq: ms }
    }

    fn event(secret: u8, text: u8) -> ServiceKeySealed {
        let (key, secret) = (ServiceKeyId([1; 16]), SecretId([secret; 16]));
        ServiceKeySealed { key, secret, nonce: [text; 12], sealed: [text; 48].into() }
    }

    fn after(events: &[(Pos, ServiceKeySealed)]) -> ServiceKeyState {
        events.iter().fold(None, |state, (place, event)| Some(sealed(state, *place, event))).unwrap()
    }

    #[test]
    fn a_key_is_as_old_as_its_first_seal_and_opens_under_each_secret() {
        let state = after(&[(at(3), event(2, 3)), (at(1), event(1, 1)), (at(2), event(1, 2))]);
        assert_eq!(state.first, at(1));
        let seals: Vec<_> = state.seals.values().map(|seal| (seal.place, seal.nonce[0])).collect();
        assert_eq!(seals, [(at(1), 1), (at(3), 3)]);
    }

    proptest! {
        #[test]
        fn the_order_of_events_and_their_repetition_do_not_matter(
            order in Just((0..4).chain(0..4).collect::<Vec<usize>>()).prop_shuffle(),
        ) {
            let events = [(at(1), event(1, 1)), (at(2), event(1, 2)), (at(3), event(2, 3)), (at(4), event(3, 4))];
            let ordered: Vec<_> = order.iter().map(|&at| events[at].clone()).collect();
            prop_assert_eq!(after(&ordered), after(&events));
        }
    }
}
