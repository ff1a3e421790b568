//! What a session is kept by: refresh tokens, each good for one step, and the cookie of a browser. Both are MACs under
//! the session's own key (its 'family'), which is derived from the service key and random bytes in its event: any node
//! makes and judges them, and nothing more is stored.
//!
//! `RT(n)` is `HMAC(family key, n)` rather than a chain from `RT(n-1)`. What a chain gives, this gives: the successor is
//! the same wherever it is asked for, and who has one token learns nothing of the next. It takes one step for any n.

use data_encoding::BASE64URL_NOPAD;
use ring::hmac;

const REFRESH: &str = "starling_rt_";
const BROWSER: &str = "starling_bs_";
/// Length of a token's MAC.
const MAC_BYTES: usize = 32;

/// The key of one session.
pub struct FamilyKey(hmac::Key);

impl FamilyKey {
    /// Of 32 secret bytes; see [`super::ServiceKey::family`].
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// The n-th refresh token of a session; the first is 0. Ids must be free of dots.
    pub fn refresh_token(&self, session: &str, user: &str, n: u64) -> String {
        self.seal(format!("{REFRESH}{session}.{user}.{n}"))
    }

    /// The cookie of a browser's session: the same for the whole session. Ids must be free of dots.
    pub fn browser_token(&self, session: &str, user: &str) -> String {
        self.seal(format!("{BROWSER}{session}.{user}"))
    }

    /// The MAC is over the whole text before it, with what kind it is.
    fn seal(&self, text: String) -> String {
        let mac = hmac::sign(&self.0, text.as_bytes());
        text + "." + &BASE64URL_NOPAD.encode(mac.as_ref())
    }
}

/// A text with a MAC that was not checked yet.
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

/// What to do with a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// First use: record `used` as used, then answer the successor.
    Rotate {
        /// The n of the token.
        used: u64,
        /// The next token.
        successor: String,
    },
    /// Used before, its successor never (a lost response, the other side of a split): answer the same successor.
    Repeat {
        /// The next token.
        successor: String,
    },
    /// Its successor was used: one of two holders is a thief. Revoke the session.
    Reuse,
    /// Issued by a node that knows more: 503, not revocation.
    Unknown,
    /// Not made under the session's key.
    Forged,
}

/// A refresh token as a client presents it. Nothing in it is to be believed before it was judged.
#[derive(Clone, Debug)]
pub struct RefreshToken {
    /// The session that it names.
    pub session: String,
    /// The user that it names.
    pub user: String,
    n: u64,
    sealed: Sealed,
}

impl RefreshToken {
    /// Reads one.
    pub fn parse(token: &str) -> Option<Self> {
        let sealed = Sealed::parse(token)?;
        let [session, user, n] = parts(sealed.text.strip_prefix(REFRESH)?)?;
        Some(Self { session, user, n: n.parse().ok()?, sealed })
    }

    /// Judges it by the key of the session that it names, and the greatest n that is known to be used there.
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

/// The cookie of a browser as it comes. Nothing in it is to be believed before it was found authentic.
#[derive(Clone, Debug)]
pub struct BrowserToken {
    /// The session that it names.
    pub session: String,
    /// The user that it names.
    pub user: String,
    sealed: Sealed,
}

impl BrowserToken {
    /// Reads one.
    pub fn parse(token: &str) -> Option<Self> {
        let sealed = Sealed::parse(token)?;
        let [session, user] = parts(sealed.text.strip_prefix(BROWSER)?)?;
        Some(Self { session, user, sealed })
    }

    /// Whether it was made under the key of the session that it names. How old the session is, is for the caller.
    pub fn is_authentic(&self, family: &FamilyKey) -> bool {
        self.sealed.is_authentic(family)
    }
}

/// The parts of a text between dots, if there are as many.
pub(super) fn parts<const N: usize>(text: &str) -> Option<[String; N]> {
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
    fn each_token_is_good_for_one_step_and_once_more_until_its_successor_is_used() {
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
    fn a_cookie_is_no_refresh_token_and_neither_fits_another_session() {
        let (cookie, token) = (family().browser_token("s1", "ada"), family().refresh_token("s1", "ada", 0));
        assert!(BrowserToken::parse(&cookie).unwrap().is_authentic(&family()));
        assert!(BrowserToken::parse(&token).is_none() && RefreshToken::parse(&cookie).is_none());
        let other = FamilyKey::new(&[8; 32]);
        assert!(!BrowserToken::parse(&cookie).unwrap().is_authentic(&other));
        assert_eq!(RefreshToken::parse(&token).unwrap().judge(&other, None), Verdict::Forged);
        // A cookie's MAC under a token's prefix.
        let dressed = cookie.replace(BROWSER, REFRESH).replace("ada", "ada.0");
        assert_eq!(RefreshToken::parse(&dressed).unwrap().judge(&family(), None), Verdict::Forged);
        // What a Set-Cookie header and a bearer token may hold.
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

        /// However often and wherever two holders of one session's tokens refresh, as long as the node knows all uses:
        /// a thief's and the owner's steps end in a revocation once both have gone on, and never before.
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
