//! Names that people type: their characters, their normal form, and names that look alike.
//! Usernames have a smaller alphabet of their own.

use unicode_joining_type::{JoiningType, get_joining_type};
use unicode_normalization::{UnicodeNormalization, char::canonical_combining_class, is_nfkc};
use unicode_properties::UnicodeEmoji;

use super::{TextError, check_length, folded};

const ZWNJ: char = '\u{200C}';
const ZWJ: char = '\u{200D}';
/// Asks for the emoji form of the character before it (a variation selector).
const EMOJI_PRESENTATION: char = '\u{FE0F}';
/// Shows a digit, `#` or `*` as a key: 1️⃣.
const KEYCAP: char = '\u{20E3}';
/// The canonical combining class of a virama, which joins consonants in Indic scripts.
const VIRAMA: u8 = 9;

/// Parses a name and returns its normal form: NFKC, trimmed, each run of whitespace as one space.
pub(super) fn parse(text: &str, chars_max: usize) -> Result<Box<str>, TextError> {
    let text = normalized(text.trim());
    check_length(&text, chars_max)?;
    if text.contains('~') {
        return Err(TextError::Tilde);
    }
    check_visible(&text).map(|()| text)
}

/// Refuses controls, and invisible characters where they have no meaning.
pub(super) fn check_visible(text: &str) -> Result<(), TextError> {
    let chars: Vec<char> = text.chars().collect();
    chars.iter().enumerate().try_for_each(|(at, &c)| check_char(&chars, at, c))
}

/// Returns the NFKC form.
pub(super) fn composed(text: &str) -> String {
    text.nfkc().collect()
}

/// Returns the NFKC form, with each run of whitespace as one space and none at the ends.
fn normalized(text: &str) -> Box<str> {
    let mut kept = String::with_capacity(text.len());
    let mut before = None;
    let chars = text.chars().filter(|&c| {
        // NFKC converts some emoji (™, ㊙) to letters. Then their variation selector must go, too.
        let becomes_letters =
            |before: char| before.is_emoji_char() && !is_nfkc(before.encode_utf8(&mut [0; 4]));
        let dropped = c == EMOJI_PRESENTATION && before.is_some_and(becomes_letters);
        before = Some(c);
        !dropped
    });
    for c in chars.nfkc() {
        if !c.is_whitespace() || c.is_control() {
            kept.push(c);
        } else if !kept.is_empty() && !kept.ends_with(' ') {
            kept.push(' ');
        }
    }
    kept.trim_end_matches(' ').into()
}

fn check_char(chars: &[char], at: usize, c: char) -> Result<(), TextError> {
    match c {
        _ if is_control(c) => Err(TextError::Control),
        ZWJ if follows_virama(chars, at) || joins_emoji(chars, at) => Ok(()),
        ZWNJ if follows_virama(chars, at) || separates_joined_letters(chars, at) => Ok(()),
        EMOJI_PRESENTATION if follows_emoji(chars, at) => Ok(()),
        _ if is_default_ignorable(c) || is_blank(c) => Err(TextError::Invisible),
        _ => Ok(()),
    }
}

/// Whether a character is a control, including those of lines, paragraphs and annotations.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FFF9}'..='\u{FFFB}')
}

/// Whether a character has the property `Default_Ignorable_Code_Point`. Later versions of Unicode stay within these
/// ranges.
fn is_default_ignorable(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}'
        | '\u{FFF0}'..='\u{FFF8}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}')
}

/// Whether a character is a letter or sign that shows nothing: Braille without dots, an empty notehead, blanks of
/// ancient scripts, the object replacement character.
fn is_blank(c: char) -> bool {
    matches!(c, '\u{2800}' | '\u{FFFC}' | '\u{13441}'..='\u{13442}' | '\u{16FE4}' | '\u{1D159}')
}

/// Whether the character follows a virama (RFC 5892, appendices A.1 and A.2).
fn follows_virama(chars: &[char], at: usize) -> bool {
    at > 0 && canonical_combining_class(chars[at - 1]) == VIRAMA
}

/// Whether the character separates letters that would join, like the half-space of Persian (RFC 5892, appendix A.1).
fn separates_joined_letters(chars: &[char], at: usize) -> bool {
    let joining = |c: &&char| get_joining_type(**c) != JoiningType::Transparent;
    let before = chars[..at].iter().rev().find(joining).map(|&c| get_joining_type(c));
    let after = chars[at + 1..].iter().find(joining).map(|&c| get_joining_type(c));
    matches!(before, Some(JoiningType::LeftJoining | JoiningType::DualJoining))
        && matches!(after, Some(JoiningType::RightJoining | JoiningType::DualJoining))
}

/// Whether the character joins two emoji (UTS 51). The first may have a variation selector or a skin tone.
fn joins_emoji(chars: &[char], at: usize) -> bool {
    let is_picture = |c: &char| c.is_emoji_char() && !c.is_ascii();
    let before = chars[..at].iter().rev().find(|&&c| c != EMOJI_PRESENTATION);
    before.is_some_and(is_picture) && chars.get(at + 1).is_some_and(is_picture)
}

/// Whether the character follows an emoji (UTS 51), or a digit that becomes a key.
fn follows_emoji(chars: &[char], at: usize) -> bool {
    match at.checked_sub(1).map(|before| chars[before]) {
        Some(before) if before.is_ascii() => before.is_emoji_char() && chars.get(at + 1) == Some(&KEYCAP),
        Some(before) => before.is_emoji_char(),
        None => false,
    }
}

/// Returns the two forms by which names collide: two names look alike if their first or their second forms are equal. Both combine case
/// folding with the skeleton of UTS 39. They differ in the order, since the two operations don't commute (`I` looks like
/// `l`, but `i` does not).
pub fn lookalike_forms(name: &str) -> [Box<str>; 2] {
    let skeleton = |text: &str| unicode_security::skeleton(text).collect::<String>();
    [skeleton(&folded(name)).into(), folded(&skeleton(name))]
}

/// Whether two names look too similar for two people in one room.
pub fn collide(one: &str, other: &str) -> bool {
    let (one, other) = (lookalike_forms(one), lookalike_forms(other));
    one[0] == other[0] || one[1] == other[1]
}

#[cfg(test)]
mod tests;
