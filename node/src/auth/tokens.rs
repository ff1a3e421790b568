//! Access tokens: JWTs of 15 minutes that every node verifies on its own. Keys are derived from the token secret and the week
//! in which a token was issued, so they rotate without communication and without logging anybody out.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::jwt_provider;
use crate::key_derivation::{Replaceable, RootKey};

/// The lifetime of a token in seconds (`expires_in`).
pub const ACCESS_S: u64 = 15 * 60;
/// Seconds for which a token is accepted after that, as the clocks of nodes differ.
const LEEWAY_S: u64 = 30;
/// Seconds for which a key signs.
const EPOCH_S: u64 = 7 * 24 * 3600;
/// Characters in a token, at most: enough for ids of 64 characters and a long issuer.
const TOKEN_CHARS_MAX: usize = 1_024;
/// The audience of tokens, so that no token of another kind is accepted.
const AUDIENCE: &str = "starling-api";

/// The reason why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// It has expired, or is not valid yet: refresh (`token_expired`).
    #[error("the access token has expired")]
    Expired,
    /// It is not a token of this service (`unauthenticated`).
    #[error("not an access token of this service")]
    Invalid,
}

/// The holder of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The id of the user.
    pub user: String,
    /// The id of the session. The caller checks that it is alive.
    pub session: String,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    sid: String,
    iat: u64,
    exp: u64,
}

/// Issues and verifies access tokens.
pub struct AccessTokens {
    issuer: String,
    /// The first one signs; all of them verify.
    secrets: Replaceable<Vec<RootKey>>,
    validation: Validation,
}

impl AccessTokens {
    /// All nodes of a cluster have the same issuer and token secret. `also` are secrets under which other nodes may sign while
    /// the secret of the cluster is being rotated.
    pub fn new(issuer: &str, secret: &[u8; 32], also: &[[u8; 32]]) -> Self {
        jwt_provider::install();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // `verify` checks it, by the clock of the environment.
        validation.validate_exp = false;
        Self { issuer: issuer.to_owned(), secrets: Replaceable::new(roots(secret, also)), validation }
    }

    /// Replaces the secrets, as [`AccessTokens::new`] takes them.
    pub fn replace_secrets(&self, secret: &[u8; 32], also: &[[u8; 32]]) {
        self.secrets.replace(roots(secret, also));
    }

    /// Issues a token that is valid for [`ACCESS_S`] from `now_ms`, in Unix milliseconds.
    pub fn issue(&self, holder: &Holder, now_ms: u64) -> String {
        let iat = now_ms / 1_000;
        let Holder { user, session } = holder.clone();
        let (iss, aud) = (self.issuer.clone(), AUDIENCE.to_owned());
        let claims = Claims { iss, aud, sub: user, sid: session, iat, exp: iat + ACCESS_S };
        let epoch = iat / EPOCH_S;
        let header = Header { kid: Some(epoch.to_string()), ..Header::new(Algorithm::HS256) };
        let key = EncodingKey::from_secret(&key(&self.secrets.get()[0], epoch));
        encode(&header, &claims, &key).expect("texts and numbers are JSON, and HS256 signs anything")
    }

    /// The holder of a token that is valid at `now_ms`, in Unix milliseconds.
    pub fn verify(&self, token: &str, now_ms: u64) -> Result<Holder, TokenError> {
        let (claims, epoch) = self.authentic(token).ok_or(TokenError::Invalid)?;
        let now = now_ms / 1_000;
        let Claims { sub: user, sid: session, iat, exp, .. } = claims;
        // A leaked key must not sign for another week.
        if iat / EPOCH_S != epoch || exp != iat.saturating_add(ACCESS_S) {
            Err(TokenError::Invalid)
        } else if now >= exp.saturating_add(LEEWAY_S) || iat > now.saturating_add(ACCESS_S) {
            // A token from the future was issued before a clock was set back: a refresh gives another.
            Err(TokenError::Expired)
        } else {
            Ok(Holder { user, session })
        }
    }

    fn authentic(&self, token: &str) -> Option<(Claims, u64)> {
        if token.len() > TOKEN_CHARS_MAX {
            return None;
        }
        let epoch = decode_header(token).ok()?.kid?.parse().ok()?;
        self.secrets.get().iter().find_map(|secret| {
            let key = DecodingKey::from_secret(&key(secret, epoch));
            Some((decode::<Claims>(token, &key, &self.validation).ok()?.claims, epoch))
        })
    }
}

fn roots(secret: &[u8; 32], also: &[[u8; 32]]) -> Vec<RootKey> {
    let root = |secret: &[u8; 32]| RootKey::new("starling access tokens 1", secret);
    std::iter::once(secret).chain(also).map(root).collect()
}

/// The key of a week. Deriving it for each token takes microseconds.
fn key(secret: &RootKey, epoch: u64) -> [u8; 32] {
    secret.expand(&[&b"epoch "[..], &epoch.to_be_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64URL_NOPAD;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// In the middle of a week of the keys.
    const NOW: u64 = (2_900 * EPOCH_S + EPOCH_S / 2) * 1_000;
    const SECRET: [u8; 32] = [7; 32];

    fn tokens() -> AccessTokens {
        AccessTokens::new("starling", &SECRET, &[])
    }

    fn holder() -> Holder {
        Holder { user: "ada".into(), session: "s1".into() }
    }

    fn claims() -> Value {
        let iat = NOW / 1_000;
        json!({"iss": "starling", "aud": AUDIENCE, "sub": "ada", "sid": "s1", "iat": iat, "exp": iat + ACCESS_S})
    }

    /// A token with any content, under the right key.
    fn signed(header: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let text = format!("{}.{}", part(header), part(claims));
        let epoch = header["kid"].as_str().and_then(|kid| kid.parse().ok()).unwrap_or_default();
        let key = key(&RootKey::new("starling access tokens 1", &SECRET), epoch);
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
        format!("{text}.{}", BASE64URL_NOPAD.encode(ring::hmac::sign(&key, text.as_bytes()).as_ref()))
    }

    fn header() -> Value {
        json!({"alg": "HS256", "typ": "JWT", "kid": "2900"})
    }

    #[test]
    fn a_token_is_good_for_15_minutes_and_the_leeway_then_expired() {
        let token = tokens().issue(&holder(), NOW);
        let end = NOW + (ACCESS_S + LEEWAY_S) * 1_000;
        // Nodes with a clock behind the issuer's accept it, too.
        for now in [NOW, NOW - 60_000, end - 1] {
            assert_eq!(tokens().verify(&token, now), Ok(holder()));
        }
        for now in [end, end + 365 * 24 * 3_600_000] {
            assert_eq!(tokens().verify(&token, now), Err(TokenError::Expired));
        }
        let set_back = NOW - 24 * 3_600_000;
        assert_eq!(tokens().verify(&token, set_back), Err(TokenError::Expired), "its holder refreshes");
    }

    /// Promise: keys rotate without logging anybody out.
    #[test]
    fn a_token_outlives_the_key_that_signed_it() {
        let turn = 2_901 * EPOCH_S * 1_000;
        let last = tokens().issue(&holder(), turn - 1);
        let first = tokens().issue(&holder(), turn);
        let kid = |token: &str| decode_header(token).unwrap().kid.unwrap();
        assert_eq!((kid(&last).as_str(), kid(&first).as_str()), ("2900", "2901"));
        assert_eq!(tokens().verify(&last, turn + (ACCESS_S - 1) * 1_000), Ok(holder()));
        assert_eq!(tokens().verify(&first, turn - 20_000), Ok(holder()), "on a node that is behind");
    }

    #[test]
    fn tokens_under_two_secrets_are_valid_while_one_is_replaced() {
        let new = AccessTokens::new("starling", &[8; 32], &[SECRET]);
        assert_eq!(new.verify(&tokens().issue(&holder(), NOW), NOW), Ok(holder()));
        assert_eq!(tokens().verify(&new.issue(&holder(), NOW), NOW), Err(TokenError::Invalid));
        let other_issuer = AccessTokens::new("another", &SECRET, &[]);
        assert_eq!(other_issuer.verify(&tokens().issue(&holder(), NOW), NOW), Err(TokenError::Invalid));
    }

    #[test]
    fn only_entirely_valid_tokens_are_accepted() {
        let refused = |header: &Value, claims: &Value| {
            assert_eq!(
                tokens().verify(&signed(header, claims), NOW),
                Err(TokenError::Invalid),
                "{header} {claims}"
            );
        };
        assert_eq!(
            tokens().verify(&signed(&header(), &claims()), NOW),
            Ok(holder()),
            "the test signs rightly"
        );
        for alg in ["none", "None", "HS384", "HS512", "RS256", "EdDSA"] {
            refused(&json!({"alg": alg, "kid": "2900"}), &claims());
        }
        for kid in [
            json!({"alg": "HS256"}),
            json!({"alg": "HS256", "kid": "x"}),
            json!({"alg": "HS256", "kid": 2900}),
        ] {
            refused(&kid, &claims());
        }
        for claim in ["iss", "aud", "sub", "sid", "iat", "exp"] {
            let mut without = claims();
            without.as_object_mut().unwrap().remove(claim);
            refused(&header(), &without);
        }
        let iat = NOW / 1_000;
        for (claim, value) in [
            ("iss", json!("another")),
            ("aud", json!("another")),
            ("sub", json!(7)),
            ("exp", json!(iat + 2 * ACCESS_S)),
            ("exp", json!(u64::MAX)),
            ("exp", json!("soon")),
            ("iat", json!(u64::MAX)),
            ("iat", json!(-1)),
            // As an attacker would with a leaked key of an earlier week.
            ("iat", json!(iat + EPOCH_S)),
        ] {
            let mut altered = claims();
            altered[claim] = value;
            refused(&header(), &altered);
        }
        refused(&json!({"alg": "HS256", "kid": "2899"}), &claims());
        let (unsigned, _) =
            signed(&header(), &claims()).rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        for text in ["", ".", "..", "a.b.c", &format!("{unsigned}."), &unsigned, &"a".repeat(100_000)] {
            assert_eq!(tokens().verify(text, NOW), Err(TokenError::Invalid));
        }
    }

    proptest! {
        #[test]
        fn an_altered_token_never_verifies(at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_.-]{0,2}") {
            let token = tokens().issue(&holder(), NOW);
            let at = at.index(token.len());
            let altered = format!("{}{with}{}", &token[..at], &token[at + 1..]);
            prop_assume!(altered != token);
            prop_assert_eq!(tokens().verify(&altered, NOW), Err(TokenError::Invalid));
        }

        #[test]
        fn no_text_provokes_a_panic(text in ".{0,200}", now in any::<u64>()) {
            prop_assert!(tokens().verify(&text, now).is_err());
            let token = tokens().issue(&holder(), NOW);
            let _ = tokens().verify(&token, now);
        }
    }
}
