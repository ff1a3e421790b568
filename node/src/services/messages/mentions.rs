//! Whom a message names: `@name` of members of its room, as they are shown when it is written. Names within code are
//! none.

use std::borrow::Cow;

use starling_protocol::{
    RoomId, UserId,
    limits::{MENTIONS_MAX, USERNAME_CHARS},
};

use super::code::strip_code;
use crate::store::{Records, Rows, StoreError};

/// What may belong to a name, or stand behind it as punctuation.
const SEPARATORS: [char; 4] = ['.', '-', '_', '~'];
/// Characters of the longest name: of one that another had first, with its suffix `~xxxx`.
const NAME_CHARS_MAX: usize = *USERNAME_CHARS.end() + 5;

/// The members whom a text names, besides its author.
pub fn mentioned_members<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    author: UserId,
    text: &str,
) -> Result<Vec<UserId>, StoreError> {
    let mut users = Vec::new();
    for written in names(&strip_code(text)) {
        // 'Ask @ann.' names the member ann, whoever else is called 'ann.' elsewhere: the longest name of a member.
        for name in candidates(&written) {
            if let Some(user) = records.user_called(name)?
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

/// The names that may be meant by what stands behind an `@`, the longest first: with fewer and fewer of the separators
/// at its end.
fn candidates(written: &str) -> impl Iterator<Item = &str> {
    let shortest = written.trim_end_matches(SEPARATORS).len().max(1);
    (shortest..=written.len().min(NAME_CHARS_MAX)).rev().map(|length| &written[..length])
}

/// What stands behind each `@` that begins a word; each once, so many at most as one message may name.
fn names(text: &str) -> Vec<Cow<'_, str>> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || SEPARATORS.contains(&c);
    let continues_a_word = |c: char| c.is_alphanumeric() && !is_written_without_spaces(c);
    let mut names: Vec<Cow<'_, str>> = Vec::new();
    for (at, sign) in text.match_indices(['@', '＠', '﹫']) {
        let (before, behind) = (&text[..at], &text[at + sign.len()..]);
        let (name, rest) = behind.split_at(behind.find(|c| !is_part(c)).unwrap_or(behind.len()));
        // me@example.org names nobody, and neither does what goes on as another word.
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

/// Whether words of a character's script stand side by side without spaces, or take particles directly behind a name: a
/// name may begin or end anywhere. Chinese, Japanese, Korean; Thai, Lao, Khmer, Burmese.
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

    /// A name is what stands behind an `@`, where that begins a word: not in an address.
    #[test]
    fn names_begin_words_and_are_counted_once() {
        assert_eq!(names("@ann, (@bob~x1y2) and @ann: mail me@example.org. ä@no @"), ["ann", "bob~x1y2"]);
        assert_eq!(names("@a.b-c. @@twice"), ["a.b-c.", "twice"]);
        let many = (0..2 * MENTIONS_MAX).map(|n| format!("@user{n}")).collect::<Vec<_>>().join(" ");
        assert_eq!(names(&many).len(), MENTIONS_MAX);
    }

    /// Neither punctuation, nor a script without spaces, nor a wide `＠` keeps a name from being one.
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

    /// However much punctuation stands behind a name, it is found, and the longest is tried first.
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
