//! The text protocol of NATS as a client needs it: CONNECT, SUB and PUB out; MSG and PING in.

use super::{DialectError, Event, Participant, Post};

/// Longest line that is no message: INFO is below 4 KiB by far.
const LINE_BYTES_MAX: usize = 4 * 1024;

/// See [`super::Dialect::next`].
pub(super) fn next(bytes: &[u8]) -> Result<Option<(Event<'_>, usize)>, DialectError> {
    let Some(end) = bytes.iter().take(LINE_BYTES_MAX).position(|&byte| byte == b'\n') else {
        let too_long = bytes.len() >= LINE_BYTES_MAX;
        return if too_long { Err(unexpected(&bytes[..40])) } else { Ok(None) };
    };
    let (line, start) = (bytes[..end].trim_ascii_end(), end + 1);
    match line {
        // `MSG subject sid length`; we ask for no replies.
        [b'M', b'S', b'G', b' ', rest @ ..] => {
            let length = rest.rsplit(|&byte| byte == b' ').next().and_then(number);
            let length = length.ok_or_else(|| unexpected(line))?;
            let payload = bytes.get(start..start + length);
            let whole = start + length + 2;
            Ok(payload.filter(|_| bytes.len() >= whole).map(|payload| (Event::Payload(payload), whole)))
        }
        b"PING" => Ok(Some((Event::Ping(b""), start))),
        b"PONG" | b"+OK" | [b'I', b'N', b'F', b'O', b' ', ..] => Ok(Some((Event::Other, start))),
        _ => Err(unexpected(line)),
    }
}

/// Appends a message.
pub(super) fn post(post: &Post<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("PUB {} {}\r\n", post.room, post.body.len()).as_bytes());
    out.extend_from_slice(post.body);
    out.extend_from_slice(b"\r\n");
}

/// Introduces the client and subscribes. The answer to the ping says that all before it was done.
pub(super) fn hello(participant: &Participant) -> Vec<u8> {
    let options = r#"{"verbose":false,"pedantic":false,"tls_required":false,"lang":"rust","version":"1"}"#;
    format!("CONNECT {options}\r\nSUB {} 1\r\nPING\r\n", participant.room).into_bytes()
}

/// The length of the answer to [`hello`], up to its PONG.
pub(super) fn is_subscribed(bytes: &[u8]) -> Result<Option<usize>, DialectError> {
    let mut start = 0;
    while let Some((_, length)) = next(&bytes[start..])? {
        let is_pong = bytes[start..].starts_with(b"PONG");
        start += length;
        if is_pong {
            return Ok(Some(start));
        }
    }
    Ok(None)
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn unexpected(line: &[u8]) -> DialectError {
    DialectError::Unexpected(String::from_utf8_lossy(line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_however_they_are_cut() {
        let bytes = b"MSG r.1 1 5\r\nto\r\no\r\nPING\r\n";
        let whole = 20;
        assert_eq!(next(bytes), Ok(Some((Event::Payload(b"to\r\no"), whole))));
        for cut in 0..whole {
            assert_eq!(next(&bytes[..cut]), Ok(None), "cut at {cut}");
        }
        assert_eq!(next(&bytes[whole..]), Ok(Some((Event::Ping(b""), 6))));
        assert!(next(b"-ERR 'Slow Consumer'\r\n").is_err());
        assert!(next(b"MSG r 1 x\r\n").is_err());
        assert!(next(&[b'x'; LINE_BYTES_MAX]).is_err());
    }

    #[test]
    fn the_answer_ends_with_its_pong() {
        assert_eq!(is_subscribed(b"INFO {}\r\nPON"), Ok(None));
        assert_eq!(is_subscribed(b"INFO {}\r\nPONG\r\nMSG"), Ok(Some(15)));
    }
}
