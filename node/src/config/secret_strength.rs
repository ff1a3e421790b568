//! Estimates whether a secret can be guessed. It finds what people type when they are asked for many characters; it can't
//! prove that a secret is random.

use std::collections::BTreeSet;

/// Estimated bits of a secret, at least. A random one has 128 or more; characters that happen to repeat lower the estimate,
/// below this for one in a million.
const BITS_MIN: f64 = 100.0;
/// Bits of a piece that is guessed as a whole: a repetition of an earlier piece, or a part of [`KNOWN`].
const PIECE_BITS: f64 = 12.0;
/// Characters in such a piece, at least.
const PIECE_CHARS_MIN: usize = 4;
/// Up to this many different characters, the alphabet is these characters; beyond, it is all characters of their kinds.
const FEW: usize = 10;
/// Texts that people type.
const KNOWN: &str = "0123456789012345678909876543210 abcdefghijklmnopqrstuvwxyz 1234567890qwertyuiop asdfghjkl zxcvbnm \
                     1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/ password passwort secret geheim changeme change-me starling \
                     cluster example letmein welcome admin default correct horse battery staple deadbeef cafebabe";

/// Whether a secret seems to have fewer than [`BITS_MIN`] bits.
pub fn is_guessable(secret: &str) -> bool {
    bits(secret) < BITS_MIN
}

fn bits(secret: &str) -> f64 {
    let typed: Vec<char> = secret.to_lowercase().chars().collect();
    let seen: Vec<char> = KNOWN.chars().chain(['\0']).chain(typed.iter().copied()).collect();
    let each = bits_of_a_character(secret);
    let begin = seen.len() - typed.len();
    let (mut at, mut bits) = (begin, 0.0);
    while at < seen.len() {
        let piece = longest_piece(&seen, at);
        if piece >= PIECE_CHARS_MIN {
            bits += PIECE_BITS.min(each * f64::from(u32::try_from(piece).unwrap_or(u32::MAX)));
            at += piece;
        } else {
            bits += each;
            at += 1;
        }
    }
    bits
}

/// The length of the longest piece at `at` that also occurs before.
fn longest_piece(seen: &[char], at: usize) -> usize {
    let length = |from: usize| seen[at..].iter().zip(&seen[from..]).take_while(|(a, b)| a == b).count();
    (0..at).map(length).max().unwrap_or_default()
}

/// The bits of one character, if characters are random within their kinds.
fn bits_of_a_character(secret: &str) -> f64 {
    let different = secret.chars().collect::<BTreeSet<_>>().len();
    let has = |is: fn(&char) -> bool| secret.chars().any(|c| is(&c));
    let kinds = [
        (has(char::is_ascii_digit), 10),
        (has(|c| matches!(c, 'a'..='f' | 'A'..='F')), 6),
        (has(|c| matches!(c, 'g'..='z')), 20),
        (has(|c| matches!(c, 'G'..='Z')), 20),
        (has(|c| !c.is_ascii_alphanumeric()), 32),
    ];
    let kinds: u32 = kinds.iter().filter(|(has, _)| *has).map(|(_, count)| count).sum();
    let different = u32::try_from(different).unwrap_or(u32::MAX);
    let alphabet = if different as usize <= FEW { different } else { kinds };
    f64::from(alphabet.max(1)).log2()
}

#[cfg(test)]
mod tests {
    use data_encoding::{BASE32_NOPAD, BASE64, HEXLOWER};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn typed_secrets_are_refused() {
        for typed in [
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "0123456789abcdef0123456789abcdef",
            "abababababababababababababababababababab",
            "changemechangemechangemechangeme",
            "Change-Me-Change-Me-Change-Me-Change-Me!",
            "qwertyuiopasdfghjklzxcvbnm1234567890",
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "my starling cluster secret password 123456",
            "11111111111111112222222222222222",
            "00000000-0000-0000-0000-000000000000",
            "deadbeefdeadbeefdeadbeefdeadbeef",
            "éééééééééééééééééééééééééééééééé",
        ] {
            assert!(is_guessable(typed), "{typed}: {}", bits(typed));
        }
    }

    #[test]
    fn random_secrets_are_accepted() {
        for drawn in [
            "92f1c07ae86b435dd9a01e6f72c4b853",
            // 50 dice, and a UUID 4.
            "52341662315546231125364415236641352261435241632514",
            "c6a3f1de-90b7-4f52-8a1c-7e35d20b94f8",
        ] {
            assert!(!is_guessable(drawn), "{drawn}: {}", bits(drawn));
        }
    }

    proptest! {
        #[test]
        fn random_bytes_are_accepted_in_every_encoding(bytes: [u8; 16], more: [u8; 32]) {
            // Other random bytes than proptest likes to shrink to.
            let (bytes, more) = (blake3::hash(&bytes), blake3::hash(&more));
            let bytes = &bytes.as_bytes()[..16];
            for drawn in [HEXLOWER.encode(bytes), HEXLOWER.encode(more.as_bytes()), BASE64.encode(more.as_bytes()),
                BASE32_NOPAD.encode(more.as_bytes())]
            {
                prop_assert!(!is_guessable(&drawn), "{}: {}", drawn, bits(&drawn));
            }
        }

        #[test]
        fn no_text_provokes_a_panic(text in ".{0,200}") {
            is_guessable(&text);
        }
    }
}
