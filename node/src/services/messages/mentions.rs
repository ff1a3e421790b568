//! Whom a message names: `@name` of members of its room, as they are shown when it is written.

use starling_protocol::{RoomId, UserId, limits::MENTIONS_MAX};

use crate::store::{Records, Rows, StoreError};

/// The members whom a text names, besides its author.
pub fn named<T: Rows>(
    records: &Records<T>,
    room: RoomId,
    author: UserId,
    text: &str,
) -> Result<Vec<UserId>, StoreError> {
    let mut users = Vec::new();
    for name in names(text) {
        // 'Ask @ann.' names ann, unless there is an 'ann.'.
        let mut shown = Some(name);
        while let Some(name) = shown {
            if let Some(user) = records.user_called(name)? {
                let is_another = user != author && !users.contains(&user);
                if is_another && records.role(room, user)?.is_some() {
                    users.push(user);
                }
                break;
            }
            shown = name.strip_suffix(['.', '-', '_', '~']);
        }
    }
    Ok(users)
}

/// What stands behind an `@` that begins a word; each once, so many at most as one message may name.
fn names(text: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_.-~".contains(c);
    let mut names = Vec::new();
    for (at, _) in text.match_indices('@') {
        let (before, behind) = (&text[..at], &text[at + 1..]);
        let name = &behind[..behind.find(|c| !is_part(c)).unwrap_or(behind.len())];
        let begins_a_word = before.chars().next_back().is_none_or(|c| !c.is_alphanumeric() && !is_part(c));
        // No name is longer than that, with what may stand behind it.
        if begins_a_word && (1..=64).contains(&name.len()) && !names.contains(&name) {
            names.push(name);
            if names.len() == MENTIONS_MAX {
                break;
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_begin_words_and_are_counted_once() {
        assert_eq!(names("@ann, (@bob~x1y2) and @ann: mail me@example.org. ä@no @"), ["ann", "bob~x1y2"]);
        assert_eq!(names("@a.b-c. @@twice"), ["a.b-c.", "twice"]);
        let many = (0..2 * MENTIONS_MAX).map(|n| format!("@user{n}")).collect::<Vec<_>>().join(" ");
        assert_eq!(names(&many).len(), MENTIONS_MAX);
        assert_eq!(names(&format!("@{}", "x".repeat(65))), [""; 0]);
    }
}
