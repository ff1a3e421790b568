//! Normalizes emoji: keyboards send `❤️` with or without U+FE0F, which asks for the colored picture.

use unicode_properties::{EmojiStatus, UnicodeEmoji};

/// Variation selectors: the first asks for the plain sign, the second for the picture.
const VARIATION_SELECTORS: [char; 2] = ['\u{FE0E}', '\u{FE0F}'];
const EMOJI_PRESENTATION: char = '\u{FE0F}';
/// Shows the character before it as a key of a keyboard.
const KEYCAP: char = '\u{20E3}';

/// Returns the text in fully qualified form (UTS 51): with U+FE0F after each character that would be shown as a plain
/// sign without it, and nowhere else.
pub(super) fn normal(text: &str) -> Box<str> {
    let chars: Vec<char> = text.chars().filter(|c| !VARIATION_SELECTORS.contains(c)).collect();
    let mut kept = String::with_capacity(text.len() + EMOJI_PRESENTATION.len_utf8());
    for (at, &c) in chars.iter().enumerate() {
        kept.push(c);
        let next = chars.get(at + 1);
        let has_skin_tone = next.is_some_and(|next| matches!(next, '\u{1F3FB}'..='\u{1F3FF}'));
        let is_sign = if c.is_ascii() { c.is_emoji_char() && next == Some(&KEYCAP) } else { is_plain(c) };
        if is_sign && !has_skin_tone {
            kept.push(EMOJI_PRESENTATION);
        }
    }
    kept.into()
}

/// Whether a character is an emoji that is shown as a plain sign by default.
fn is_plain(c: char) -> bool {
    let shown_as_picture = matches!(
        c.emoji_status(),
        EmojiStatus::EmojiPresentation
            | EmojiStatus::EmojiPresentationAndModifierBase
            | EmojiStatus::EmojiPresentationAndEmojiComponent
            | EmojiStatus::EmojiPresentationAndModifierAndEmojiComponent
    );
    c.is_emoji_char() && !shown_as_picture
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same emoji has the same text from every keyboard, and is shown as a picture.
    #[test]
    fn an_emoji_has_one_form() {
        for (given, normalized) in [
            ("❤", "❤\u{FE0F}"),
            ("❤\u{FE0F}", "❤\u{FE0F}"),
            ("❤\u{FE0E}", "❤\u{FE0F}"),
            ("👍", "👍"),
            ("👍\u{FE0F}", "👍"),
            ("☝🏽", "☝🏽"),
            ("☝", "☝\u{FE0F}"),
            ("❤‍🔥", "❤\u{FE0F}‍🔥"),
            ("1\u{20E3}", "1\u{FE0F}\u{20E3}"),
            ("1", "1"),
            ("+", "+"),
            ("🇩🇪", "🇩🇪"),
            ("👩‍💻", "👩‍💻"),
            ("ok", "ok"),
        ] {
            assert_eq!(&*normal(given), normalized, "{given:?}");
            assert_eq!(&*normal(normalized), normalized);
        }
    }
}
