//! Finds the mentions in a message: `@name` of members of its room, by their names at that time. Code has no mentions.

use std::borrow::Cow;

use starling_protocol::{
    RoomId, UserId,
    limits::{MENTIONS_MAX, USERNAME_CHARS},
};

use super::code::strip_code;
use crate::store::{Records, Rows, StoreError};

/// Characters that may be part of a name, or punctuation after it.
const SEPARATORS: [char; 4] = ['.', '-', '_', '~'];
/// Characters in the longest name, which has the suffix `~xxxx` of a renamed account.
const NAME_CHARS_MAX: usize = *USERNAME_CHARS.end() + 5;

/// The members mentioned in a text, except its author.
pub fn mentioned_members<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    author: UserId,
    text: &str,
) -> Result<Vec<UserId>, StoreError> {
    let mut users = Vec::new();
    for written in names(&strip_code(text)) {
        // The longest name of a member wins: 'Ask @ann.' mentions ann, unless a member is called 'ann.'.
        for name in candidates(&written) {
            if let Some(user) = records.find_by_shown_name(name)?
                && records.role(room, user)?.is_some()
            {
                if user != author && !users.contains(&user) {
                    users.push(user);
                }
                break;
            }
        }
    }
    Ok(users)
}

/// The names that the text after an `@` may mean, the longest first: each has one separator less at its end.
fn candidates(written: &str) -> impl Iterator<Item = &str> {
    let shortest = written.trim_end_matches(SEPARATORS).len().max(1);
    (shortest..=written.len().min(NAME_CHARS_MAX)).rev().map(|length| &written[..length])
}

/// The text after each `@` that begins a word, without repetitions, up to the limit of mentions in a message.
fn names(text: &str) -> Vec<Cow<'_, str>> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || SEPARATORS.contains(&c);
    let continues_a_word = |c: char| c.is_alphanumeric() && !is_written_without_spaces(c);
    let mut names: Vec<Cow<'_, str>> = Vec::new();
    for (at, sign) in text.match_indices(['@', '＠', '﹫']) {
        let (before, after) = (&text[..at], &text[at + sign.len()..]);
        let (name, rest) = after.split_at(after.find(|c| !is_part(c)).unwrap_or(after.len()));
        // me@example.org is no mention, nor is a name that runs into another word.
        let is_inside = before.chars().next_back().is_some_and(continues_a_word)
            || !name.ends_with(SEPARATORS) && rest.starts_with(continues_a_word);
        if !is_inside && !name.is_empty() && !names.iter().any(|known| known == name) {
            names.push(name.into());
            if names.len() == MENTIONS_MAX {
                break;
            }
        }
    }
    names
}

/// Whether the script of a character writes words without spaces, or particles directly after a name, so that a name may
/// begin or end anywhere: Chinese, Japanese, Korean, Thai, Lao, Khmer, Burmese.
fn is_written_without_spaces(c: char) -> bool {
    matches!(c,
        '\u{E00}'..='\u{EFF}' | '\u{1000}'..='\u{109F}' | '\u{1100}'..='\u{11FF}' | '\u{1780}'..='\u{17FF}'
        | '\u{2E80}'..='\u{2FDF}' | '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{303C}' | '\u{3041}'..='\u{31FF}'
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{A960}'..='\u{A97F}'
        | '\u{AC00}'..='\u{D7FF}' | '\u{F900}'..='\u{FAFF}' | '\u{FF66}'..='\u{FFDC}'
        | '\u{1B000}'..='\u{1B16F}' | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mention begins a word: an email address is none.
    #[test]
    fn names_begin_words_and_are_counted_once() {
        assert_eq!(names("@ann, (@bob~x1y2) and @ann: mail me@example.org. ä@no @"), ["ann", "bob~x1y2"]);
        assert_eq!(names("@a.b-c. @@twice"), ["a.b-c.", "twice"]);
        let many = (0..2 * MENTIONS_MAX).map(|n| format!("@user{n}")).collect::<Vec<_>>().join(" ");
        assert_eq!(names(&many).len(), MENTIONS_MAX);
    }

    /// Mentions are found beside punctuation, in scripts without spaces, and after a full-width `＠`.
    #[test]
    fn names_stand_beside_any_script_and_punctuation() {
        for text in [
            "谢谢@ann",
            "谢谢@ann你好",
            "@annさん",
            "고마워@ann님",
            "ขอบคุณ@annครับ",
            "＠ann",
            "﹫ann",
            "*@ann*",
            "-@ann",
            ".@ann",
            "(@ann)",
            "**@ann**",
            "「@ann」",
        ] {
            assert_eq!(names(text), ["ann"], "{text}");
        }
        for (text, name) in [("_@ann_", "ann_"), ("~@ann~", "ann~"), ("~~@ann~~", "ann~~"), ("@ann-", "ann-")]
        {
            assert_eq!(names(text), [name], "{text}");
        }
        for text in ["x@ann", "é@ann", "7@ann", "@annä", "@annя"] {
            assert_eq!(names(text), [""; 0], "{text}");
        }
    }

    /// A name is found however much punctuation follows it, and the longest is tried first.
    #[test]
    fn the_longest_name_is_tried_first() {
        assert_eq!(candidates("ann._").collect::<Vec<_>>(), ["ann._", "ann.", "ann"]);
        assert_eq!(candidates("a.b").collect::<Vec<_>>(), ["a.b"]);
        let dots = format!("ann{}", ".".repeat(5_000));
        assert_eq!(candidates(&dots).last(), Some("ann"));
        assert!(candidates(&dots).count() <= NAME_CHARS_MAX);
        assert_eq!(candidates(&"x".repeat(NAME_CHARS_MAX + 1)).count(), 0);
    }
}
