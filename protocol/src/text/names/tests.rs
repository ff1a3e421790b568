//! Tests of valid names and of names that collide.

use proptest::prelude::*;

use super::*;
use crate::limits::GUEST_NAME_CHARS_MAX;

fn name(text: &str) -> Result<String, TextError> {
    parse(text, GUEST_NAME_CHARS_MAX).map(Into::into)
}

/// No name is invisible, and no two names differ only by invisible characters.
#[test]
fn invisible_characters_are_refused_alone_and_beside_letters() {
    let invisible = [
        '\u{3164}',
        '\u{2800}',
        '\u{AD}',
        '\u{34F}',
        '\u{180E}',
        '\u{FE0F}',
        '\u{E0020}',
        '\u{115F}',
        '\u{1160}',
        '\u{FFA0}',
        '\u{200B}',
        '\u{200C}',
        '\u{200D}',
        '\u{200E}',
        '\u{202E}',
        '\u{2060}',
        '\u{2066}',
        '\u{FEFF}',
        '\u{17B4}',
        '\u{180B}',
        '\u{61C}',
        '\u{1D173}',
        '\u{1BCA0}',
        '\u{E01EF}',
        '\u{FE00}',
        '\u{1D159}',
        '\u{FFFC}',
    ];
    for c in invisible {
        for text in
            [c.to_string(), format!("Ann{c}"), format!("{c}Ann"), format!("An{c}n"), format!("{c}{c}")]
        {
            assert_eq!(name(&text), Err(TextError::Invisible), "{text:?}");
        }
    }
    for c in ['\0', '\u{7}', '\u{7F}', '\u{9F}', '\u{FFF9}'] {
        assert_eq!(name(&format!("An{c}n")), Err(TextError::Control), "{c:?}");
    }
}

/// Only Starling itself makes names such as `name~xx`.
#[test]
fn names_with_a_tilde_are_refused() {
    for text in ["Ann~x1", "~", "Ann\u{FF5E}x1y2", "a~"] {
        assert_eq!(name(text), Err(TextError::Tilde), "{text}");
    }
}

/// All spellings of a name have one normal form.
#[test]
fn composed_and_decomposed_forms_and_runs_of_whitespace_are_one_name() {
    for (text, normalized) in [
        ("Ze\u{301}lie", "Zélie"),
        ("Zélie", "Zélie"),
        ("Ａｎｎ", "Ann"),
        ("Ann \u{A0}\u{3000} Lee", "Ann Lee"),
        (" \u{2003}Ann\t", "Ann"),
        ("ﬁn", "fin"),
        ("Trade™\u{FE0F}", "TradeTM"),
    ] {
        assert_eq!(name(text), Ok(normalized.to_owned()), "{text:?}");
    }
    assert_eq!(name(" \u{2003} "), Err(TextError::Empty));
    // The limit applies to the normal form.
    assert!(name(&format!("a{}b", " ".repeat(100))).is_ok());
    assert_eq!(name(&"\u{FDFA}".repeat(2)), Err(TextError::TooLong(GUEST_NAME_CHARS_MAX)));
}

/// Joiners are part of correct spelling: emoji of several parts, the Persian half-space, Indic conjuncts.
#[test]
fn joiners_are_accepted_where_they_have_a_meaning() {
    for text in ["👩‍💻", "👩🏽‍🚀 Ann", "👨‍👩‍👧‍👦", "❤️‍🔥", "❤️ Ben", "🏳️‍🌈", "1️⃣ Uno", "می‌خواهم", "नमस्‍ते", "क्‌ष", "Ann 🐦"]
    {
        assert_eq!(name(text), Ok(text.to_owned()), "{text:?}");
    }
    for text in ["👩‍", "‍👩", "a‍b", "👩‍x", "Ann1\u{FE0F}", "می‌", "a‌b", "س‌a"] {
        assert_eq!(name(text), Err(TextError::Invisible), "{text:?}");
    }
}

/// People mistake a name for another that looks the same.
#[test]
fn names_that_look_alike_collide() {
    for (one, other) in [
        ("Ann", "aNN"),
        ("Ann1", "Annl"),
        ("Ann", "Аnn"), // A Cyrillic capital.
        ("ann", "аnn"), // A Cyrillic letter.
        ("paypal", "раураl"),
        ("Ian", "lan"),
        ("modern", "modem"),
        ("O0", "00"),
        ("STRASSE", "straße"),
        ("❤", "❤️"),
        ("می‌خواهم", "میخواهم"),
    ] {
        assert!(collide(one, other) && collide(other, one), "{one} and {other}");
    }
    for (one, other) in [("Ann", "Anna"), ("Ann", "Ana"), ("Ben", "Ken"), ("李", "王")] {
        assert!(!collide(one, other), "{one} and {other}");
    }
}

proptest! {
    /// Parsing a normal form changes nothing.
    #[test]
    fn parsing_is_idempotent(text in "\\PC{0,40}") {
        if let Ok(normalized) = name(&text) {
            prop_assert_eq!(name(&normalized), Ok(normalized.clone()));
            prop_assert!(collide(&normalized, &normalized));
        }
    }

    /// Names that fold to the same text collide: merging never unites two names that were accepted as different.
    #[test]
    fn names_that_fold_alike_collide(text in "[a-zA-ZäÄßéÉıIiİſsKkσςΣ]{1,6}") {
        let (one, other) = (text.to_lowercase(), text);
        if folded(&one) == folded(&other) {
            prop_assert!(collide(&one, &other));
        }
    }
}
