//! Secrets that are shown once and kept as hashes: personal access tokens of scripts, the codes of reset links and of
//! `/setup`. A hash without salt is enough, for nobody guesses 128 random bits.

use data_encoding::BASE64URL_NOPAD;

use super::refresh::parts;

const PERSONAL: &str = "starling_pat_";
const CODE_BYTES: usize = 16;

/// A random code; written without padding in 22 URL-safe characters.
#[derive(Clone, Debug)]
pub struct Code([u8; CODE_BYTES]);

impl Code {
    /// Of random bytes.
    pub fn new(random: [u8; CODE_BYTES]) -> Self {
        Self(random)
    }

    /// Reads one.
    pub fn parse(text: &str) -> Option<Self> {
        BASE64URL_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)
    }

    /// What its owner is shown.
    pub fn text(&self) -> String {
        BASE64URL_NOPAD.encode(&self.0)
    }

    /// What is stored, and looked up.
    pub fn hash(&self) -> [u8; 32] {
        *blake3::hash(&self.0).as_bytes()
    }

    /// Whether it is the code of a stored hash, in constant time.
    pub fn is(&self, stored: &[u8; 32]) -> bool {
        blake3::hash(&self.0) == *stored
    }
}

/// A personal access token as its owner holds it. Nothing in it is to be believed before its code was compared.
#[derive(Clone, Debug)]
pub struct PersonalToken {
    /// The user that it names.
    pub user: String,
    /// The token's own id.
    pub id: String,
    /// The secret.
    pub code: Code,
}

impl PersonalToken {
    /// Reads one.
    pub fn parse(token: &str) -> Option<Self> {
        let [user, id, code] = parts(token.strip_prefix(PERSONAL)?)?;
        Some(Self { user, id, code: Code::parse(&code)? })
    }

    /// What its owner is shown, once. The prefix lets scanners of leaked secrets know it. Ids must be free of dots.
    pub fn text(&self) -> String {
        format!("{PERSONAL}{}.{}.{}", self.user, self.id, self.code.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_and_a_token_survive_their_text_and_nothing_else_is_one() {
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
