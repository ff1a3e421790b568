//! WebSocket framing (RFC 6455) as a client needs it: reads unmasked frames in place, writes masked ones.
//! Pure; `connection` does the reading and writing. Compression and fragments are refused: nodes send neither.

/// Text message.
pub(crate) const TEXT: u8 = 0x1;
/// End of the connection.
pub(crate) const CLOSE: u8 = 0x8;
/// Asks for a pong.
pub(crate) const PING: u8 = 0x9;
/// Answers a ping.
pub(crate) const PONG: u8 = 0xa;

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
/// The length follows in two bytes.
const LENGTH_16: u8 = 126;
/// The length follows in eight bytes.
const LENGTH_64: u8 = 127;

/// A whole frame, still in the read buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// The kind of frame: [`TEXT`], [`CLOSE`], …
    pub(crate) opcode: u8,
    /// The payload.
    pub(crate) payload: &'a [u8],
}

/// A violation of the WebSocket protocol by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// Reserved bits: an extension that was not agreed on.
    #[error("a frame with reserved bits")]
    Reserved,
    /// A masked frame from a server.
    #[error("a masked frame from the server")]
    Masked,
    /// Part of a fragmented message, which this client does not put together.
    #[error("a fragmented message, which this client does not read")]
    Fragment,
    /// Neither text nor a control frame.
    #[error("a frame of kind {0:#x}")]
    Opcode(u8),
}

/// The frame at the beginning of `bytes` and its whole length, or `None` until there is more.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let &[first, second, ..] = bytes else { return Ok(None) };
    if first & 0x70 != 0 {
        return Err(FrameError::Reserved);
    }
    let opcode = first & 0xf;
    if first & FINAL == 0 || opcode == 0 {
        return Err(FrameError::Fragment);
    }
    if !matches!(opcode, TEXT | CLOSE | PING | PONG) {
        return Err(FrameError::Opcode(opcode));
    }
    if second & MASKED != 0 {
        return Err(FrameError::Masked);
    }
    let (start, length): (usize, usize) = match second {
        LENGTH_16 => match bytes.get(2..4) {
            Some(length) => (4, usize::from(u16::from_be_bytes(array(length)))),
            None => return Ok(None),
        },
        LENGTH_64 => match bytes.get(2..10) {
            // A length beyond the address space is as unreadable as one beyond the buffer.
            Some(length) => (10, usize::try_from(u64::from_be_bytes(array(length))).unwrap_or(usize::MAX)),
            None => return Ok(None),
        },
        short => (2, usize::from(short)),
    };
    let end = start.saturating_add(length);
    Ok(bytes.get(start..end).map(|payload| (Frame { opcode, payload }, end)))
}

/// Appends a masked frame to `out`.
pub(crate) fn write(out: &mut Vec<u8>, opcode: u8, mask: [u8; 4], payload: &[u8]) {
    header(out, opcode, MASKED, payload.len());
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// The opcode, mask, masked payload and whole length of a client's frame at the beginning of `bytes`; `None` until it is
/// whole. For servers that check nothing.
pub(crate) fn parse_masked(bytes: &[u8]) -> Option<(u8, [u8; 4], &[u8], usize)> {
    let &[first, second, ..] = bytes else { return None };
    let (start, length): (usize, usize) = match second & !MASKED {
        LENGTH_16 => (4, usize::from(u16::from_be_bytes(array(bytes.get(2..4)?)))),
        LENGTH_64 => (10, usize::try_from(u64::from_be_bytes(array(bytes.get(2..10)?))).ok()?),
        short => (2, usize::from(short)),
    };
    let mask = array(bytes.get(start..start + 4)?);
    let end = start.checked_add(4)?.checked_add(length)?;
    Some((first & 0xf, mask, bytes.get(start + 4..end)?, end))
}

/// Appends a server's frame of text with a payload that a client masked.
pub(crate) fn write_unmasked(out: &mut Vec<u8>, mask: [u8; 4], payload: &[u8]) {
    header(out, TEXT, 0, payload.len());
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

fn header(out: &mut Vec<u8>, opcode: u8, masked: u8, length: usize) {
    out.push(FINAL | opcode);
    if let Ok(short) = u8::try_from(length)
        && short < LENGTH_16
    {
        out.push(masked | short);
    } else if let Ok(length) = u16::try_from(length) {
        out.push(masked | LENGTH_16);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(masked | LENGTH_64);
        out.extend_from_slice(&u64::try_from(length).expect("a length fits 64 bits").to_be_bytes());
    }
}

/// The code and reason of a close frame; 1005 if it names none.
pub(crate) fn close_reason(payload: &[u8]) -> (u16, String) {
    match payload {
        [high, low, reason @ ..] => {
            (u16::from_be_bytes([*high, *low]), String::from_utf8_lossy(reason).into_owned())
        }
        _ => (1005, String::new()),
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the caller took exactly this many bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, opcode, [0; 4], payload);
        bytes[1] &= !MASKED;
        let mask_at = bytes.len() - payload.len() - 4;
        bytes.drain(mask_at..mask_at + 4);
        bytes
    }

    #[test]
    fn frames_of_every_length_are_read() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let payload = vec![b'x'; length];
            let mut bytes = server_frame(TEXT, &payload);
            let whole = bytes.len();
            bytes.extend_from_slice(b"\x81");
            let (frame, used) = parse(&bytes).unwrap().unwrap();
            assert_eq!((frame.opcode, frame.payload, used), (TEXT, &payload[..], whole));
            for cut in [1, 2, whole / 2, whole - 1].into_iter().filter(|&cut| cut < whole) {
                assert_eq!(parse(&bytes[..cut]), Ok(None), "{length} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_a_server_must_not_send_is_refused() {
        fn check(bytes: &[u8], expected: FrameError) {
            assert_eq!(parse(bytes), Err(expected));
        }
        check(&[0xc1, 0], FrameError::Reserved);
        check(&[0x01, 0], FrameError::Fragment);
        check(&[0x80, 0], FrameError::Fragment);
        check(&[0x82, 0], FrameError::Opcode(2));
        check(&[0x81, 0x80, 0, 0, 0, 0], FrameError::Masked);
        assert_eq!(parse(&[0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255]), Ok(None));
    }

    #[test]
    fn written_frames_are_masked() {
        let mut bytes = Vec::new();
        write(&mut bytes, TEXT, [1, 2, 3, 4], b"hello");
        assert_eq!(bytes, [0x81, 0x85, 1, 2, 3, 4, b'h' ^ 1, b'e' ^ 2, b'l' ^ 3, b'l' ^ 4, b'o' ^ 1]);
    }

    #[test]
    fn frames_of_clients_become_those_of_servers() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload: Vec<u8> = (b'a'..=b'z').cycle().take(length).collect();
            let mut bytes = Vec::new();
            write(&mut bytes, TEXT, [1, 2, 3, 4], &payload);
            let whole = bytes.len();
            assert_eq!(parse_masked(&bytes[..whole - 1]), None);
            bytes.push(0);
            let (opcode, mask, masked, used) = parse_masked(&bytes).unwrap();
            assert_eq!((opcode, used), (TEXT, whole));
            let mut out = Vec::new();
            write_unmasked(&mut out, mask, masked);
            assert_eq!(parse(&out), Ok(Some((Frame { opcode: TEXT, payload: &payload }, out.len()))));
        }
    }

    #[test]
    fn close_frames_are_explained() {
        assert_eq!(close_reason(b"\x0f\xa2slow"), (4002, "slow".into()));
        assert_eq!(close_reason(b""), (1005, String::new()));
    }
}
