//! One form for each emoji: keyboards send `❤️` with and without U+FE0F, which asks for its colours.

use unicode_properties::{EmojiStatus, UnicodeEmoji};

/// Asks for the picture, or for the plain sign, where a character may be either.
const FORMS: [char; 2] = ['\u{FE0E}', '\u{FE0F}'];
const PICTURE: char = '\u{FE0F}';
/// Makes a key of what stands before it.
const KEYCAP: char = '\u{20E3}';

/// A text with U+FE0F behind each character that would be shown as a plain sign without it, as UTS 51 calls fully
/// qualified, and nowhere else.
pub(super) fn normal(text: &str) -> Box<str> {
    let chars: Vec<char> = text.chars().filter(|c| !FORMS.contains(c)).collect();
    let mut kept = String::with_capacity(text.len() + PICTURE.len_utf8());
    for (at, &c) in chars.iter().enumerate() {
        kept.push(c);
        let next = chars.get(at + 1);
        let is_coloured = next.is_some_and(|next| matches!(next, '\u{1F3FB}'..='\u{1F3FF}'));
        let is_sign = if c.is_ascii() { c.is_emoji_char() && next == Some(&KEYCAP) } else { is_plain(c) };
        if is_sign && !is_coloured {
            kept.push(PICTURE);
        }
    }
    kept.into()
}

/// Whether a character is an emoji that is shown as a plain sign unless asked otherwise.
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

    /// The same emoji is the same text, whichever keyboard sent it; it is shown in its colours.
    #[test]
    fn an_emoji_has_one_form() {
        for (given, kept) in [
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
            assert_eq!(&*normal(given), kept, "{given:?}");
            assert_eq!(&*normal(kept), kept);
        }
    }
}
