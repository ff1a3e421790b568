//! The tokens of sessions: refresh tokens, each good for one step, and the cookie of a browser. Both are MACs under the
//! session's own key (the family key), which is derived from the service key and random bytes in the session's event. Any
//! node can make and verify them, and nothing more is stored.
//!
//! `RT(n)` is `HMAC(family key, n)` rather than a chain from `RT(n-1)`, with the same properties: the successor is the same
//! on every node, and a token tells nothing about the next. It takes one step for any n.

use data_encoding::BASE64URL_NOPAD;
use ring::hmac;

const REFRESH: &str = "starling_rt_";
const BROWSER: &str = "starling_bs_";
/// Bytes in the MAC of a token.
const MAC_BYTES: usize = 32;

/// The key of one session.
pub struct FamilyKey(hmac::Key);

impl FamilyKey {
    /// Makes a key of 32 secret bytes; see [`super::ServiceKey::family`].
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// The n-th refresh token of a session; the first is 0. Ids must not contain dots.
    pub fn refresh_token(&self, session: &str, user: &str, n: u64) -> String {
        self.seal(format!("{REFRESH}{session}.{user}.{n}"))
    }

    /// The cookie of a browser, the same for the whole session. Ids must not contain dots.
    pub fn browser_token(&self, session: &str, user: &str) -> String {
        self.seal(format!("{BROWSER}{session}.{user}"))
    }

    /// Appends a MAC over the whole text, which begins with the kind of token.
    fn seal(&self, text: String) -> String {
        let mac = hmac::sign(&self.0, text.as_bytes());
        text + "." + &BASE64URL_NOPAD.encode(mac.as_ref())
    }
}

/// A text with a MAC that is not verified yet.
#[derive(Clone, Debug)]
struct Sealed {
    text: String,
    mac: [u8; MAC_BYTES],
}

impl Sealed {
    fn parse(token: &str) -> Option<Self> {
        let (text, mac) = token.rsplit_once('.')?;
        let mac = BASE64URL_NOPAD.decode(mac.as_bytes()).ok()?.try_into().ok()?;
        Some(Self { text: text.to_owned(), mac })
    }

    fn is_authentic(&self, family: &FamilyKey) -> bool {
        hmac::verify(&family.0, self.text.as_bytes(), &self.mac).is_ok()
    }
}

/// The verdict on a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// First use: record `used`, then answer with the successor.
    Rotate {
        /// The number of the token.
        used: u64,
        /// The next token.
        successor: String,
    },
    /// Used before, but its successor was not (a lost response, or a split): answer with the same successor.
    Repeat {
        /// The next token.
        successor: String,
    },
    /// Its successor was used, so one of two holders is a thief: revoke the session.
    Reuse,
    /// Issued by a node that knows more: answer 503, don't revoke.
    Unknown,
    /// Not made under the session's key.
    Forged,
}

/// A refresh token as a client presents it. Its contents are untrusted until it was judged.
#[derive(Clone, Debug)]
pub struct RefreshToken {
    /// The id of the session.
    pub session: String,
    /// The id of the user.
    pub user: String,
    n: u64,
    sealed: Sealed,
}

impl RefreshToken {
    /// Parses a token.
    pub fn parse(token: &str) -> Option<Self> {
        let sealed = Sealed::parse(token)?;
        let [session, user, n] = split_dots(sealed.text.strip_prefix(REFRESH)?)?;
        Some(Self { session, user, n: n.parse().ok()?, sealed })
    }

    /// Judges the token by the key of its session, and the greatest number known to be used there.
    pub fn judge(&self, family: &FamilyKey, greatest_used: Option<u64>) -> Verdict {
        if !self.sealed.is_authentic(family) {
            return Verdict::Forged;
        }
        let unused = greatest_used.map_or(0, |used| used.saturating_add(1));
        let next = self.n.saturating_add(1);
        let successor = || family.refresh_token(&self.session, &self.user, next);
        if self.n > unused {
            Verdict::Unknown
        } else if self.n == unused {
            Verdict::Rotate { used: self.n, successor: successor() }
        } else if next == unused {
            Verdict::Repeat { successor: successor() }
        } else {
            Verdict::Reuse
        }
    }
}

/// The cookie that a browser presents. Its contents are untrusted until it is verified.
#[derive(Clone, Debug)]
pub struct BrowserToken {
    /// The id of the session.
    pub session: String,
    /// The id of the user.
    pub user: String,
    sealed: Sealed,
}

impl BrowserToken {
    /// Parses a token.
    pub fn parse(token: &str) -> Option<Self> {
        let sealed = Sealed::parse(token)?;
        let [session, user] = split_dots(sealed.text.strip_prefix(BROWSER)?)?;
        Some(Self { session, user, sealed })
    }

    /// Whether the cookie was made under the key of its session. The caller checks that the session is alive.
    pub fn is_authentic(&self, family: &FamilyKey) -> bool {
        self.sealed.is_authentic(family)
    }
}

/// Splits a text at its dots, if it has exactly N parts.
pub(super) fn split_dots<const N: usize>(text: &str) -> Option<[String; N]> {
    let parts: Vec<_> = text.split('.').take(N + 1).map(str::to_owned).collect();
    parts.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn family() -> FamilyKey {
        FamilyKey::new(&[9; 32])
    }

    fn judge(n: u64, greatest_used: Option<u64>) -> Verdict {
        let token = RefreshToken::parse(&family().refresh_token("s1", "ada", n)).unwrap();
        assert_eq!((token.session.as_str(), token.user.as_str()), ("s1", "ada"));
        token.judge(&family(), greatest_used)
    }

    #[test]
    fn each_token_works_for_one_step_and_repeats_until_its_successor_is_used() {
        let successor = |n| family().refresh_token("s1", "ada", n);
        assert_eq!(judge(0, None), Verdict::Rotate { used: 0, successor: successor(1) });
        assert_eq!(judge(1, None), Verdict::Unknown, "another node knows more");
        assert_eq!(judge(0, Some(0)), Verdict::Repeat { successor: successor(1) });
        assert_eq!(judge(1, Some(0)), Verdict::Rotate { used: 1, successor: successor(2) });
        assert_eq!(judge(0, Some(1)), Verdict::Reuse);
        assert_eq!(judge(2, Some(4)), Verdict::Reuse);
        assert_eq!(judge(6, Some(4)), Verdict::Unknown);
        assert_eq!(
            judge(u64::MAX, Some(u64::MAX)),
            Verdict::Rotate { used: u64::MAX, successor: successor(u64::MAX) }
        );
    }

    #[test]
    fn a_cookie_is_no_refresh_token_and_neither_works_for_another_session() {
        let (cookie, token) = (family().browser_token("s1", "ada"), family().refresh_token("s1", "ada", 0));
        assert!(BrowserToken::parse(&cookie).unwrap().is_authentic(&family()));
        assert!(BrowserToken::parse(&token).is_none() && RefreshToken::parse(&cookie).is_none());
        let other = FamilyKey::new(&[8; 32]);
        assert!(!BrowserToken::parse(&cookie).unwrap().is_authentic(&other));
        assert_eq!(RefreshToken::parse(&token).unwrap().judge(&other, None), Verdict::Forged);
        // A cookie's MAC under a token's prefix.
        let disguised = cookie.replace(BROWSER, REFRESH).replace("ada", "ada.0");
        assert_eq!(RefreshToken::parse(&disguised).unwrap().judge(&family(), None), Verdict::Forged);
        // The characters allowed in a Set-Cookie header and a bearer token.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        assert!(cookie.chars().chain(token.chars()).all(plain));
    }

    proptest! {
        #[test]
        fn an_altered_token_is_forged_or_unreadable(
            n in any::<u64>(), at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_.-]{0,2}",
        ) {
            let token = family().refresh_token("s1", "ada", n);
            let at = at.index(token.len());
            let altered = format!("{}{with}{}", &token[..at], &token[at + 1..]);
            prop_assume!(altered != token);
            if let Some(altered) = RefreshToken::parse(&altered) {
                prop_assert_eq!(altered.judge(&family(), Some(n)), Verdict::Forged);
            }
        }

        /// If a node knows all uses, two holders of a session's tokens end in a revocation once both have refreshed, and
        /// never before.
        #[test]
        fn reuse_is_found_when_a_used_token_returns_after_its_successor(steps in prop::collection::vec(0u64..6, 1..30)) {
            let mut used = None;
            for n in steps {
                match judge(n, used) {
                    Verdict::Rotate { used: now, .. } => {
                        prop_assert_eq!(now, used.map_or(0, |used| used + 1));
                        used = Some(now);
                    }
                    Verdict::Repeat { .. } => prop_assert_eq!(Some(n), used),
                    Verdict::Reuse => prop_assert!(used.is_some_and(|used| n < used)),
                    Verdict::Unknown => prop_assert!(n > used.map_or(0, |used| used + 1)),
                    Verdict::Forged => prop_assert!(false, "it is authentic"),
                }
            }
        }

        #[test]
        fn no_text_provokes_a_panic(text in ".{0,200}") {
            let _ = (RefreshToken::parse(&text), BrowserToken::parse(&text));
        }
    }
}
