//! `Thief`: somebody with a copy of a node's store and the source, who looks in it for keys.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ring::hmac;
use starling_node::auth::{BrowserToken, RefreshToken, ServiceKey, ServiceKeySealer, Verdict};
use starling_node::key_derivation::RootKey;
use starling_protocol::InviteCode;
use starling_protocol::event::ServiceKeyId;
use starling_protocol::merge::service_key::ServiceKeyState;

/// Length of every key of the service.
const KEY_BYTES: usize = 32;
/// Different bytes that a random key has at least: fewer have one in a billion.
const DIFFERENT_BYTES_MIN: usize = 19;

/// Something that may be a key.
pub(crate) type Key = [u8; KEY_BYTES];

/// A thief who has a copy of a store.
pub(crate) struct Thief {
    raw: Vec<u8>,
    /// Every string in it that may be a key, as bytes or as text.
    keys: HashSet<Key>,
}

impl Thief {
    /// Reads the raw bytes of a store, free pages and all.
    pub(crate) fn of(store: &Path) -> Self {
        let raw = fs::read(store).expect("the store can be copied");
        let mut keys: HashSet<Key> = HashSet::new();
        keys.extend(raw.windows(KEY_BYTES).filter_map(|window| random(window.try_into().ok()?)));
        let hex = raw.windows(2 * KEY_BYTES).filter(|text| text.iter().all(u8::is_ascii_hexdigit));
        keys.extend(hex.filter_map(|text| random(HEXLOWER.decode(text).ok()?.try_into().ok()?)));
        let text = raw
            .windows(43)
            .filter(|text| text.iter().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(c)));
        keys.extend(text.filter_map(|text| random(BASE64URL_NOPAD.decode(text).ok()?.try_into().ok()?)));
        Self { raw, keys }
    }

    /// Whether a text, or bytes, stand in the store as they are.
    pub(crate) fn holds(&self, bytes: &[u8]) -> bool {
        let first = bytes.first().copied();
        let at = |(at, byte): (usize, &u8)| (Some(*byte) == first).then_some(at);
        let mut places = self.raw.iter().enumerate().filter_map(at);
        places.any(|at| self.raw[at..].starts_with(bytes))
    }

    /// A key out of the store under which a session's cookie or refresh token (`TEXT.MAC`) can be made: its own, or the
    /// service key, of which that is derived with the random bytes of the session's event.
    pub(crate) fn finds_family(&self, token: &str, session: &Key) -> Option<Key> {
        let (text, mac) = token.rsplit_once('.')?;
        let mac = BASE64URL_NOPAD.decode(mac.as_bytes()).ok()?;
        let cookie = BrowserToken::parse(token);
        let refresh = RefreshToken::parse(token);
        let is_made_by = |service_key: &Key| {
            let family = ServiceKey::new(service_key).family(session);
            cookie.as_ref().is_some_and(|cookie| cookie.is_authentic(&family))
                || refresh.as_ref().is_some_and(|token| token.judge(&family, None) != Verdict::Forged)
        };
        self.finds(|key| Some(*key).filter(|key| signs(key, text, &mac) || is_made_by(key)))
    }

    /// A key out of the store that opens a service key, as it is or as one from which the sealing key is derived.
    pub(crate) fn opens(&self, id: ServiceKeyId, sealed: &ServiceKeyState) -> Option<Key> {
        self.finds(|key| {
            let derived = ["starling node 1", "starling cluster 1"]
                .map(|salt| RootKey::new(salt, key).expand(b"service keys"));
            Some(*key).filter(|key| ServiceKeySealer::new(*key, &derived).open(id, sealed).is_some())
        })
    }

    /// A key out of the store under which an access token can be made: its own, a secret of tokens, or a secret of which
    /// that is derived.
    pub(crate) fn finds_access(&self, token: &str) -> Option<Key> {
        let (text, mac) = token.rsplit_once('.')?;
        let mac = BASE64URL_NOPAD.decode(mac.as_bytes()).ok()?;
        let header = BASE64URL_NOPAD.decode(token.split('.').next()?.as_bytes()).ok()?;
        let header: serde_json::Value = serde_json::from_slice(&header).ok()?;
        let epoch: u64 = header["kid"].as_str()?.parse().ok()?;
        let purpose = [&b"epoch "[..], &epoch.to_be_bytes()].concat();
        let of_secret = |secret: &Key| RootKey::new("starling access tokens 1", secret).expand(&purpose);
        self.finds(|key| {
            let mut keys = std::iter::once(*key).chain(token_secrets(key).map(|secret| of_secret(&secret)));
            keys.find(|key| signs(key, text, &mac))
        })
    }

    /// A key out of the store of which the code of `/setup/…` is derived.
    pub(crate) fn finds_setup(&self, code: &str) -> Option<Key> {
        let code = BASE64URL_NOPAD.decode(code.as_bytes()).ok()?;
        let of_secret =
            |secret: &Key| RootKey::new("starling setup 1", secret).expand(b"the first administrator");
        self.finds(|key| token_secrets(key).find(|secret| of_secret(secret).starts_with(&code)))
    }

    /// A key out of the store under which the code of an invite is made.
    pub(crate) fn finds_invite(&self, code: InviteCode) -> Option<Key> {
        self.finds(|key| ServiceKey::new(key).verify_invite(code).map(|_| *key))
    }

    fn finds(&self, is_right: impl Fn(&Key) -> Option<Key>) -> Option<Key> {
        self.keys.iter().find_map(is_right)
    }
}

/// The secrets of access tokens that may be derived from a key.
fn token_secrets(key: &Key) -> impl Iterator<Item = Key> {
    let salts = ["starling node 1", "starling cluster 1"];
    let derived = salts.map(|salt| RootKey::new(salt, key).expand(b"access tokens"));
    std::iter::once(*key).chain(derived)
}

fn signs(key: &Key, text: &str, mac: &[u8]) -> bool {
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes(), mac).is_ok()
}

/// A text with its MAC under a key, as cookies and refresh tokens are made.
pub(crate) fn sealed(text: &str, key: &Key) -> String {
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
    format!("{text}.{}", BASE64URL_NOPAD.encode(mac.as_ref()))
}

/// A string, if it may be drawn at random: counters, text and free space are not.
fn random(key: Key) -> Option<Key> {
    let mut seen = [0_u64; 4];
    for byte in key {
        seen[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }
    let different = seen.iter().map(|bits| bits.count_ones()).sum::<u32>();
    (different as usize >= DIFFERENT_BYTES_MIN).then_some(key)
}
