//! Frames as they go over the wire: unmasked (RFC 6455, section 5.2), so the bytes are the same for every client.

use bytes::Bytes;

/// The opcodes, with the bit of a final fragment.
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
/// A ping without a payload.
pub const PING: [u8; 2] = [0x89, 0];
/// The most bytes of the reason in a close frame.
const CLOSE_REASON_MAX: usize = 123;

/// Encodes a text frame.
pub fn text(text: &str) -> Bytes {
    let mut wire = Vec::with_capacity(text.len() + 10);
    append_text(&mut wire, text);
    wire.into()
}

/// Appends a text frame.
pub fn append_text(wire: &mut Vec<u8>, text: &str) {
    append_header(wire, TEXT, text.len());
    wire.extend_from_slice(text.as_bytes());
}

/// Appends a close frame. `reason` has at most 123 bytes.
pub fn append_close(wire: &mut Vec<u8>, code: u16, reason: &str) {
    debug_assert!(reason.len() <= CLOSE_REASON_MAX, "control frames are short: {reason}");
    append_header(wire, CLOSE, 2 + reason.len());
    wire.extend_from_slice(&code.to_be_bytes());
    wire.extend_from_slice(reason.as_bytes());
}

fn append_header(wire: &mut Vec<u8>, opcode: u8, length: usize) {
    wire.push(opcode);
    if let Ok(length @ ..126) = u8::try_from(length) {
        wire.push(length);
    } else if let Ok(length) = u16::try_from(length) {
        wire.push(126);
        wire.extend_from_slice(&length.to_be_bytes());
    } else {
        wire.push(127);
        wire.extend_from_slice(&(length as u64).to_be_bytes());
    }
}

/// Returns the length of the header of a text frame.
fn header_length(wire: &[u8]) -> usize {
    match wire.get(1) {
        None => 0,
        Some(126) => 4,
        Some(127) => 10,
        Some(_) => 2,
    }
}

/// Returns the text of a whole text frame, in UTF-8.
pub fn payload(wire: &[u8]) -> &[u8] {
    &wire[header_length(wire)..]
}
