//! Refuses weak new passwords: too short or too long, among the most common, or made of names that attackers try first.
//! Existing passwords are not checked again.

use std::{collections::HashSet, sync::LazyLock};

use thiserror::Error;
use unicode_normalization::UnicodeNormalization as _;

/// Characters in a password, at least.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// Bytes in a password, at most: more than people remember or password managers make.
pub const PASSWORD_BYTES_MAX: usize = 256;
/// The name of this service.
const SERVICE: &str = "starling";
/// The least number of letters that a password must have in addition to names.
const OWN_LETTERS_MIN: usize = 4;

/// The most common passwords; the file says where they come from.
static COMMON: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let file = include_str!("common_passwords.txt");
    file.lines().filter(|line| !line.starts_with('#')).collect()
});

/// The reason why a new password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WeakPassword {
    /// Fewer than 8 characters.
    #[error("must have at least {PASSWORD_CHARS_MIN} characters")]
    TooShort,
    /// More than 256 bytes.
    #[error("must have at most {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// Among the most common, in any case.
    #[error("is one of the most common passwords; choose another")]
    TooCommon,
    /// Little more than the username or the name of the service.
    #[error("is made of the username or the name of this service; choose another")]
    MadeOfNames,
}

impl WeakPassword {
    /// Checks a new password of a user, in NFC.
    pub fn check(password: &str, username: &str) -> Result<(), Self> {
        let password = password.nfc().collect::<String>();
        if password.chars().count() < PASSWORD_CHARS_MIN {
            Err(Self::TooShort)
        } else if password.len() > PASSWORD_BYTES_MAX {
            Err(Self::TooLong)
        } else if COMMON.contains(password.to_lowercase().as_str()) {
            Err(Self::TooCommon)
        } else if is_made_of_names(&password, username) {
            Err(Self::MadeOfNames)
        } else {
            Ok(())
        }
    }
}

/// Whether a password without the names, forwards and backwards, is only a few digits, signs and letters. A longer phrase
/// may contain a name.
fn is_made_of_names(password: &str, username: &str) -> bool {
    // Full-width letters count as plain ones.
    let folded = |text: &str| text.nfkc().collect::<String>().to_lowercase();
    // Attackers guess only the name of `name~xxxx`.
    let username = folded(username.split('~').next().unwrap_or_default());
    let letters_of_name = username.chars().filter(|c| c.is_alphabetic()).collect::<String>();
    let mut names = vec![SERVICE.to_owned(), username, letters_of_name];
    names.retain(|name| name.chars().count() >= 3);
    names.extend(names.clone().into_iter().map(|name| name.chars().rev().collect()));
    // The longest first, so that `anna` is removed as a whole, and not only `ann`.
    names.sort_unstable_by_key(|name| std::cmp::Reverse(name.len()));
    let password = folded(password);
    let mut rest = password.clone();
    for name in &names {
        // A space, so that the text around a name does not form another name.
        rest = rest.replace(name.as_str(), " ");
    }
    let own_letters = rest.chars().filter(|c| c.is_alphabetic()).count();
    let own = rest.chars().filter(|c| !c.is_whitespace()).count();
    rest != password && own_letters < OWN_LETTERS_MIN && own < PASSWORD_CHARS_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_8_characters_to_256_bytes_and_is_not_a_common_one() {
        let check = |password: &str| WeakPassword::check(password, "ann");
        let longest = "x".repeat(PASSWORD_BYTES_MAX);
        for fine in ["xkcd 936", "ääääüüüü", longest.as_str()] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
        assert_eq!(check("ääääüüü"), Err(WeakPassword::TooShort));
        assert_eq!(check("a\u{308}a\u{308}a\u{308}a\u{308}"), Err(WeakPassword::TooShort), "four characters");
        assert_eq!(check(&"x".repeat(257)), Err(WeakPassword::TooLong));
        for common in ["password", "PASSWORD1", "12345678", "iLoveYou"] {
            assert_eq!(check(common), Err(WeakPassword::TooCommon), "{common}");
        }
        assert_eq!(COMMON.len(), 5_000);
        assert!(COMMON.iter().all(|common| common.chars().count() >= PASSWORD_CHARS_MIN));
    }

    /// Promise: no password can be guessed from the username and the name of the service.
    #[test]
    fn a_password_is_not_made_of_known_names() {
        for (username, password) in [
            ("ann", "starling"),
            ("ann", "Starling1!"),
            ("ann", "starling2026"),
            ("ann", "gnilrats"),
            ("ann", "annannann"),
            ("ann", "Ann_Starling"),
            ("ann", "ann-2026!"),
            ("christopher", "christopher"),
            ("christopher", "Christopher99"),
            ("christopher", "rehpotsirhc1"),
            ("christopher", "ＣＨＲＩＳＴＯＰＨＥＲ"),
            ("christopher~ab3d", "christopher1"),
            ("chris2000", "chris2000"),
            ("chris2000", "Chris1999"),
        ] {
            // Some are common passwords as well.
            assert!(WeakPassword::check(password, username).is_err(), "{username}: {password}");
            assert!(is_made_of_names(password, username), "{username}: {password}");
        }
        let made = WeakPassword::check("annannann", "ann");
        assert_eq!(made, Err(WeakPassword::MadeOfNames));
        for (username, password) in [
            ("ann", "a murmuration of starlings"),
            ("ann", "correct horse"),
            ("ann", "planned savannah"),
            ("ann", "ann8492750183"),
            ("christopher", "christopher robin"),
            ("a.b", "xa.bx-1234-yz"),
        ] {
            assert_eq!(WeakPassword::check(password, username), Ok(()), "{username}: {password}");
        }
    }
}
