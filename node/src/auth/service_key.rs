//! Service keys, from which the family keys of sessions and the codes of invites are derived. The log holds them only
//! sealed: encrypted under a secret that is not in the log (the cluster's, or a lone node's own).

use std::sync::Arc;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use starling_protocol::{
    InviteCode, InviteId,
    event::{SecretId, ServiceKeyId, ServiceKeySealed},
    merge::service_key::ServiceKeyState,
};
use tokio::sync::watch;

use super::{Code, FamilyKey};
use crate::key_derivation::{Replaceable, RootKey};

/// Binds a seal to this use and format.
const ASSOCIATED_DATA: &[u8] = b"starling service key 1";

/// An opened service key.
pub struct ServiceKey {
    root: RootKey,
    /// The id of the key.
    pub id: ServiceKeyId,
}

impl ServiceKey {
    /// Makes a key of 32 random bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        let root = RootKey::new("starling service key 1", bytes);
        let id = ServiceKeyId(first_half(&root.expand(b"id")));
        Self { root, id }
    }

    /// The family key of a session, derived from the random bytes in its event.
    pub fn family(&self, session_bytes: &[u8; 32]) -> FamilyKey {
        FamilyKey::new(&self.root.expand(&[&b"session family "[..], session_bytes].concat()))
    }

    /// The code of an invite.
    pub fn invite_code(&self, id: InviteId) -> InviteCode {
        InviteCode::new(id, self.invite_mac(id))
    }

    /// The id of an invite, if its code was made under this key; compared in constant time.
    pub fn verify_invite(&self, code: InviteCode) -> Option<InviteId> {
        let (id, mac) = code.unverified();
        Code::new(mac).is(&Code::new(self.invite_mac(id)).hash()).then_some(id)
    }

    fn invite_mac(&self, id: InviteId) -> [u8; 16] {
        first_half(&self.root.expand(&[&b"invite "[..], &id.0].concat()))
    }
}

/// A secret that seals and opens service keys.
struct SealingSecret {
    id: SecretId,
    key: LessSafeKey,
}

/// Seals and opens service keys with the secrets of this node.
#[derive(Clone)]
pub struct ServiceKeySealer {
    /// The first one seals; all of them open.
    secrets: Replaceable<Vec<SealingSecret>>,
}

impl ServiceKeySealer {
    /// `sealing` is the key under which new seals are made; `others` open what was sealed before.
    pub fn new(sealing: [u8; 32], others: &[[u8; 32]]) -> Self {
        Self { secrets: Replaceable::new(sealing_secrets(sealing, others)) }
    }

    /// Replaces the secrets, in all clones, as [`ServiceKeySealer::new`] takes them.
    pub fn replace(&self, sealing: [u8; 32], others: &[[u8; 32]]) {
        self.secrets.replace(sealing_secrets(sealing, others));
    }

    /// Watches for a replacement of the secrets.
    pub fn watch(&self) -> SealerWatch {
        SealerWatch(self.secrets.watch())
    }

    /// Seals a key under the first secret; `nonce` is random.
    pub fn seal(&self, key: &[u8; 32], nonce: [u8; 12]) -> ServiceKeySealed {
        let id = ServiceKey::new(key).id;
        let secrets = self.secrets.get();
        let SealingSecret { id: secret, key: sealing } = &secrets[0];
        let mut sealed = key.to_vec();
        sealing
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound_to(id, *secret), &mut sealed)
            .expect("32 bytes are within what the cipher takes");
        ServiceKeySealed { key: id, secret: *secret, nonce, sealed: sealed.into() }
    }

    /// Whether a key is sealed under a secret that this node has.
    pub fn has_seal(&self, state: &ServiceKeyState) -> bool {
        self.secrets.get().iter().any(|secret| state.seals.contains_key(&secret.id))
    }

    /// Opens a key; `None` if it is sealed under none of the secrets.
    pub fn open(&self, id: ServiceKeyId, state: &ServiceKeyState) -> Option<ServiceKey> {
        self.open_bytes(id, state).map(|bytes| ServiceKey::new(&bytes))
    }

    /// Seals a key under the first secret; `None` if it is already, or if no secret opens it.
    pub fn reseal(
        &self,
        id: ServiceKeyId,
        state: &ServiceKeyState,
        nonce: [u8; 12],
    ) -> Option<ServiceKeySealed> {
        if state.seals.contains_key(&self.secrets.get()[0].id) {
            return None;
        }
        self.open_bytes(id, state).map(|bytes| self.seal(&bytes, nonce))
    }

    fn open_bytes(&self, id: ServiceKeyId, state: &ServiceKeyState) -> Option<[u8; 32]> {
        self.secrets.get().iter().find_map(|secret| {
            let seal = state.seals.get(&secret.id)?;
            let nonce = Nonce::assume_unique_for_key(seal.nonce);
            let mut sealed = seal.sealed.to_vec();
            let opened = secret.key.open_in_place(nonce, bound_to(id, secret.id), &mut sealed).ok()?;
            let bytes = <[u8; 32]>::try_from(&*opened).ok()?;
            (ServiceKey::new(&bytes).id == id).then_some(bytes)
        })
    }
}

/// Waits until the secrets of a sealer are replaced.
pub struct SealerWatch(watch::Receiver<Arc<Vec<SealingSecret>>>);

impl SealerWatch {
    /// Waits until they were replaced since the last call.
    pub async fn replaced(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn sealing_secrets(sealing: [u8; 32], others: &[[u8; 32]]) -> Vec<SealingSecret> {
    let secret = |bytes: &[u8; 32]| {
        let root = RootKey::new("starling seal of service keys 1", bytes);
        let key = UnboundKey::new(&CHACHA20_POLY1305, &root.expand(b"key"));
        let key = LessSafeKey::new(key.expect("the cipher takes keys of 32 bytes"));
        SealingSecret { id: SecretId(first_half(&root.expand(b"id"))), key }
    };
    std::iter::once(&sealing).chain(others).map(secret).collect()
}

fn bound_to(key: ServiceKeyId, secret: SecretId) -> Aad<Vec<u8>> {
    Aad::from([ASSOCIATED_DATA, &key.0, &secret.0].concat())
}

fn first_half(bytes: &[u8; 32]) -> [u8; 16] {
    *bytes.first_chunk().expect("16 of 32")
}

#[cfg(test)]
mod tests {
    use starling_protocol::{Pos, merge::service_key};

    use super::*;
    use crate::auth::BrowserToken;

    const KEY: [u8; 32] = [7; 32];

    fn id() -> ServiceKeyId {
        ServiceKey::new(&KEY).id
    }

    /// Promise: a session survives that a lone node joins a cluster, on all of its nodes.
    #[test]
    fn a_key_of_a_lone_node_opens_in_the_cluster_once_it_is_resealed() {
        let (lone, elsewhere) =
            (ServiceKeySealer::new([1; 32], &[]), ServiceKeySealer::new([2; 32], &[[3; 32]]));
        let joined = ServiceKeySealer::new([2; 32], &[[1; 32]]);
        let cookie = ServiceKey::new(&KEY).family(&[5; 32]).browser_token("s1", "ada");
        let opens = |keys: &ServiceKeySealer, state: &ServiceKeyState| {
            let key = keys.open(id(), state)?;
            assert!(BrowserToken::parse(&cookie).unwrap().is_authentic(&key.family(&[5; 32])));
            assert!(!BrowserToken::parse(&cookie).unwrap().is_authentic(&key.family(&[6; 32])));
            Some(())
        };
        let state = service_key::apply(None, Pos::MIN, &lone.seal(&KEY, [9; 12]));
        assert_eq!(lone.reseal(id(), &state, [8; 12]), None);
        assert_eq!(elsewhere.reseal(id(), &state, [8; 12]), None, "it cannot open it");
        assert_eq!(
            (opens(&lone, &state), opens(&joined, &state), opens(&elsewhere, &state)),
            (Some(()), Some(()), None)
        );
        let anew = joined.reseal(id(), &state, [8; 12]).unwrap();
        let state = service_key::apply(Some(state), Pos::MIN, &anew);
        assert_eq!(joined.reseal(id(), &state, [7; 12]), None, "that is done");
        assert_eq!((opens(&joined, &state), opens(&elsewhere, &state)), (Some(()), Some(())));
    }

    /// Promise: nobody without the service key can make invite codes.
    #[test]
    fn an_invite_code_is_valid_only_under_its_key_and_unaltered() {
        let (key, id) = (ServiceKey::new(&KEY), InviteId([3; 10]));
        let code = key.invite_code(id);
        assert_eq!(key.verify_invite(code), Some(id));
        assert_eq!(ServiceKey::new(&[8; 32]).verify_invite(code), None);
        let (_, mac) = code.unverified();
        assert_eq!(key.verify_invite(InviteCode::new(InviteId([4; 10]), mac)), None);
        for at in 0..mac.len() {
            let mut altered = mac;
            altered[at] ^= 1;
            assert_eq!(key.verify_invite(InviteCode::new(id, altered)), None);
        }
    }

    #[test]
    fn an_altered_seal_or_one_of_another_key_does_not_open() {
        let keys = ServiceKeySealer::new([1; 32], &[]);
        let right = keys.seal(&KEY, [9; 12]);
        let opens = |id, event: &ServiceKeySealed| {
            keys.open(id, &service_key::apply(None, Pos::MIN, event)).is_some()
        };
        assert!(opens(id(), &right));
        assert!(!opens(ServiceKeyId([0; 16]), &right));
        assert!(!opens(id(), &ServiceKeySealed { nonce: [8; 12], ..right.clone() }));
        for at in 0..right.sealed.len() {
            let mut altered = right.clone();
            altered.sealed[at] ^= 1;
            assert!(!opens(id(), &altered));
        }
        for short in [0, 16, 47] {
            assert!(!opens(
                id(),
                &ServiceKeySealed { sealed: right.sealed[..short].into(), ..right.clone() }
            ));
        }
    }
}
