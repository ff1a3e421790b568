//! MQTT 3.1.1 with `QoS` 0 as a client needs it: CONNECT, SUBSCRIBE and PUBLISH.

use super::{DialectError, Event, Participant, Post};

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
/// With the reserved bits that the standard demands.
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
/// Length and code of a CONNACK, then of a SUBACK for one topic.
const ANSWERS: [u8; 9] = [CONNACK, 2, 0, 0, SUBACK, 3, 0, 1, 0];

/// See [`super::Dialect::next`].
pub(super) fn next(bytes: &[u8]) -> Result<Option<(Event<'_>, usize)>, DialectError> {
    let Some(&kind) = bytes.first() else { return Ok(None) };
    let Some((length, start)) = remaining_length(&bytes[1..])? else { return Ok(None) };
    let start = 1 + start;
    let Some(content) = bytes.get(start..start + length) else { return Ok(None) };
    let event = match kind & 0xf0 {
        PUBLISH if kind & 0x06 == 0 => {
            // With QoS 0, a topic and the payload.
            let topic = content.first_chunk().map(|&length| usize::from(u16::from_be_bytes(length)));
            let payload = topic.and_then(|topic| content.get(2 + topic..));
            Event::Payload(payload.ok_or_else(|| unexpected(kind))?)
        }
        CONNACK | SUBACK => Event::Other,
        _ => return Err(unexpected(kind)),
    };
    Ok(Some((event, start + length)))
}

/// Appends a message.
pub(super) fn post(post: &Post<'_>, out: &mut Vec<u8>) {
    packet(out, PUBLISH, &[&string(post.room), post.body]);
}

/// Introduces the client, without a keep-alive, and subscribes.
pub(super) fn hello(participant: &Participant) -> Vec<u8> {
    let mut out = Vec::new();
    let clean_session = 2;
    packet(&mut out, CONNECT, &[&string("MQTT"), &[4, clean_session, 0, 0], &string(&participant.name)]);
    packet(&mut out, SUBSCRIBE, &[&[0, 1], &string(&participant.room), &[0]]);
    out
}

/// The length of the answers to [`hello`].
pub(super) fn is_subscribed(bytes: &[u8]) -> Result<Option<usize>, DialectError> {
    let known = bytes.len().min(ANSWERS.len());
    if bytes[..known] != ANSWERS[..known] {
        return Err(DialectError::Unexpected(format!("{:?}", &bytes[..known])));
    }
    Ok((known == ANSWERS.len()).then_some(known))
}

fn packet(out: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    out.push(kind);
    let mut length: usize = parts.iter().map(|part| part.len()).sum();
    loop {
        let more = length > 127;
        out.push(u8::try_from(length & 127).expect("seven bits") | if more { 128 } else { 0 });
        length >>= 7;
        if !more {
            break;
        }
    }
    out.extend(parts.iter().copied().flatten());
}

/// A text with its length before it.
fn string(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("our names and topics are short");
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

/// The length of a packet's content, and of its own encoding; `None` until it is whole.
fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, DialectError> {
    let mut length = 0;
    for (place, &byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 127) << (7 * place);
        if byte & 128 == 0 {
            return Ok(Some((length, place + 1)));
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err(DialectError::Unexpected("a length of five bytes".into())) }
}

fn unexpected(kind: u8) -> DialectError {
    DialectError::Unexpected(format!("a packet of kind {kind:#x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_however_they_are_cut() {
        for length in [0, 1, 100, 128, 20_000] {
            let body = vec![b'x'; length];
            let mut bytes = Vec::new();
            post(&Post { room: "r/1", id: &[0; 36], body: &body, mask: [0; 4] }, &mut bytes);
            let whole = bytes.len();
            bytes.push(PUBLISH);
            assert_eq!(next(&bytes), Ok(Some((Event::Payload(&body), whole))));
            for cut in [0, 1, 2, whole / 2, whole - 1] {
                assert_eq!(next(&bytes[..cut]), Ok(None), "{length} cut at {cut}");
            }
        }
        assert!(next(&[0xe0, 0]).is_err());
        assert!(next(&[PUBLISH, 1, 0]).is_err());
        assert!(next(&[PUBLISH, 255, 255, 255, 255, 1]).is_err());
    }

    #[test]
    fn only_the_right_answers_are_taken() {
        assert_eq!(is_subscribed(&ANSWERS[..5]), Ok(None));
        assert_eq!(is_subscribed(&ANSWERS), Ok(Some(9)));
        assert!(is_subscribed(&[CONNACK, 2, 0, 5]).is_err());
    }
}
