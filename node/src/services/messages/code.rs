//! Removes code from the Markdown of a message, after `CommonMark`: fenced blocks, and spans between equal runs of
//! backticks within a paragraph.

/// Returns a text without its code, so that a name within code is no mention.
pub fn strip_code(text: &str) -> String {
    let (mut kept, mut paragraph) = (String::with_capacity(text.len()), String::new());
    let mut fence: Option<(char, usize)> = None;
    for line in text.split_inclusive('\n') {
        let opened = parse_fence(line);
        match (fence, opened) {
            (Some((sign, length)), Some((other, longer, true))) if other == sign && longer >= length => {
                fence = None;
            }
            (Some(_), _) => {}
            (None, Some((sign, length, _))) => {
                strip_spans(&std::mem::take(&mut paragraph), &mut kept);
                kept.push('\n');
                fence = Some((sign, length));
            }
            (None, None) => {
                paragraph.push_str(line);
                if line.trim().is_empty() {
                    strip_spans(&std::mem::take(&mut paragraph), &mut kept);
                }
            }
        }
    }
    strip_spans(&paragraph, &mut kept);
    kept
}

/// Parses a fence line, also within a quote or a list item: its character, its length, and whether it may end a block.
fn parse_fence(line: &str) -> Option<(char, usize, bool)> {
    let line = line.trim_start_matches([' ', '\t', '>']);
    let sign = line.chars().next().filter(|sign| "`~".contains(*sign))?;
    let info = line.trim_start_matches(sign);
    let length = line.len() - info.len();
    // More backticks on the same line make it a span.
    let is_fence = length >= 3 && !(sign == '`' && info.contains('`'));
    is_fence.then(|| (sign, length, info.trim().is_empty()))
}

/// Appends a paragraph without its code spans; a space stands for each.
fn strip_spans(paragraph: &str, kept: &mut String) {
    let runs = runs(paragraph);
    // The runs of each length, so that the end of a span is found without scanning all runs between.
    let (mut from, mut at) = (0, 0);
    let mut ends = std::collections::HashMap::<usize, Vec<usize>>::new();
    for (index, run) in runs.iter().enumerate().rev() {
        ends.entry(run.1).or_default().push(index);
    }
    while let Some(&(start, length, escaped)) = runs.get(at) {
        let closing = ends.get_mut(&(length - usize::from(escaped))).and_then(|ends| {
            while ends.last().is_some_and(|end| *end <= at) {
                ends.pop();
            }
            ends.last().copied()
        });
        match closing.filter(|_| length > usize::from(escaped)) {
            Some(end) => {
                kept.push_str(&paragraph[from..start + usize::from(escaped)]);
                kept.push(' ');
                from = runs[end].0 + runs[end].1;
                at = end + 1;
            }
            None => at += 1,
        }
    }
    kept.push_str(&paragraph[from..]);
}

/// The runs of backticks: the start and length of each, and whether a backslash escapes its first backtick, which counts
/// only where a span would begin.
fn runs(text: &str) -> Vec<(usize, usize, bool)> {
    let (mut runs, mut at) = (Vec::new(), 0);
    while let Some(found) = text[at..].find('`') {
        let start = at + found;
        let length = text[start..].bytes().take_while(|byte| *byte == b'`').count();
        let backslashes = text[..start].bytes().rev().take_while(|byte| *byte == b'\\').count();
        runs.push((start, length, backslashes % 2 == 1));
        at = start + length;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All code is removed, and nothing else.
    #[test]
    fn code_is_removed_and_text_is_kept() {
        for (text, kept) in [
            ("a `b` c", "a   c"),
            ("a ``b ` c`` d", "a   d"),
            ("a `b", "a `b"),
            ("a ``b` c", "a ``b` c"),
            ("a \\`b` c", "a \\`b` c"),
            ("a \\\\`b` c", "a \\\\  c"),
            ("a `b\\` c", "a   c"),
            ("a `b\n\nc` d", "a `b\n\nc` d"),
            ("a `b\nc` d", "a   d"),
            ("a\n```rust\nb\n```\nc", "a\n\nc"),
            ("a\n~~~\nb\n```\nc\n~~~~\nd", "a\n\nd"),
            ("> ```\n> b\n> ```\nc", "\nc"),
            ("```\nb", "\n"),
            ("``` b ``` c", "  c"),
        ] {
            assert_eq!(strip_code(text), kept, "{text:?}");
        }
    }

    /// A text of nothing but backticks takes linear time.
    #[test]
    fn many_runs_take_linear_time() {
        let text = (1..=120).map(|length| "`".repeat(length)).collect::<Vec<_>>().join(" ");
        assert_eq!(strip_code(&text), text);
        let pairs = "` ".repeat(4_000);
        assert_eq!(strip_code(&pairs).trim(), "");
    }
}
