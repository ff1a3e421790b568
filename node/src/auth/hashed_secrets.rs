//! Secrets stored as hashes, and shown once: personal access tokens, and the codes of reset links and of `/setup`.
//! An unsalted hash is enough for 128 random bits.

use data_encoding::BASE64URL_NOPAD;

use super::session_tokens::split_dots;

const PERSONAL: &str = "starling_pat_";
const CODE_BYTES: usize = 16;

/// A random code, written in 22 URL-safe characters.
#[derive(Clone, Debug)]
pub struct Code([u8; CODE_BYTES]);

impl Code {
    /// Makes a code of random bytes.
    pub fn new(random: [u8; CODE_BYTES]) -> Self {
        Self(random)
    }

    /// Parses a code.
    pub fn parse(text: &str) -> Option<Self> {
        BASE64URL_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)
    }

    /// The text for its owner.
    pub fn text(&self) -> String {
        BASE64URL_NOPAD.encode(&self.0)
    }

    /// The hash that is stored.
    pub fn hash(&self) -> [u8; 32] {
        *blake3::hash(&self.0).as_bytes()
    }

    /// Whether this is the code of a stored hash, compared in constant time.
    pub fn is(&self, stored: &[u8; 32]) -> bool {
        blake3::hash(&self.0) == *stored
    }
}

/// A personal access token as a client presents it. Its contents are untrusted until its code was compared.
#[derive(Clone, Debug)]
pub struct PersonalToken {
    /// The id of the user.
    pub user: String,
    /// The id of the token.
    pub id: String,
    /// The secret.
    pub code: Code,
}

impl PersonalToken {
    /// Parses a token.
    pub fn parse(token: &str) -> Option<Self> {
        let [user, id, code] = split_dots(token.strip_prefix(PERSONAL)?)?;
        Some(Self { user, id, code: Code::parse(&code)? })
    }

    /// The text for its owner. Scanners for leaked secrets recognise the prefix. Ids must not contain dots.
    pub fn text(&self) -> String {
        format!("{PERSONAL}{}.{}.{}", self.user, self.id, self.code.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_tokens_survive_their_text_and_other_texts_are_refused() {
        let code = Code::new([250; 16]);
        assert_eq!(code.text().len(), 22);
        assert!(Code::parse(&code.text()).unwrap().is(&code.hash()));
        assert!(!Code::new([251; 16]).is(&code.hash()));
        let token = PersonalToken { user: "ada".into(), id: "t1".into(), code };
        let read = PersonalToken::parse(&token.text()).unwrap();
        assert_eq!((read.user.as_str(), read.id.as_str()), ("ada", "t1"));
        assert!(read.code.is(&token.code.hash()));
        let text = token.text();
        for malformed in ["", "starling_pat_", "starling_pat_a.b", &text[1..], &text[..text.len() - 1]] {
            assert!(PersonalToken::parse(malformed).is_none(), "{malformed}");
        }
        for more in [format!("{text}.x"), format!("{text}="), text.replace("ada", "a.da")] {
            assert!(PersonalToken::parse(&more).is_none(), "{more}");
        }
    }
}
