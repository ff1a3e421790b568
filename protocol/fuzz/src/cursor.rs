//! Fuzzes cursors from clients: any text, or any bytes sealed with the right key.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::{Aead, Payload},
};
use data_encoding::BASE64URL_NOPAD;
use starling_protocol::{CursorKey, cursor::CursorError, cursor::NONCE_BYTES, limits::CURSOR_CHARS_MAX};

const KEY: [u8; 32] = [7; 32];
const NONCE: [u8; NONCE_BYTES] = [5; NONCE_BYTES];

pub fn run(bytes: &[u8]) {
    let key = CursorKey::new(&KEY);
    let Some((&choice, rest)) = bytes.split_first() else { return };
    if choice % 2 == 0 {
        let opened = str::from_utf8(rest).map(|text| key.open(text));
        assert!(!matches!(opened, Ok(Ok(_))), "opened a cursor that nobody sealed");
        return;
    }
    let text = seal(rest);
    assert!(CursorKey::new(&[8; 32]).open(&text).is_err(), "opened with another key");
    let Ok(cursor) = key.open(&text) else { return };
    assert!(text.len() <= CURSOR_CHARS_MAX, "opened beyond the limit");
    let ours = match key.seal(&cursor, NONCE) {
        Ok(ours) => ours,
        Err(error) => return assert_eq!(error, CursorError::TooLong),
    };
    assert!(ours.len() <= text.len(), "our own encoding is the shortest");
    assert_eq!(key.open(&ours), Ok(cursor));
    // Flips one bit; `choice` says which.
    let mut altered = BASE64URL_NOPAD.decode(ours.as_bytes()).expect("a cursor is base 64");
    let at = usize::from(choice) * 8 % altered.len();
    altered[at] ^= 1;
    assert_eq!(key.open(&BASE64URL_NOPAD.encode(&altered)), Err(CursorError::Unreadable));
}

/// Seals any bytes as `CursorKey::seal` does, to fuzz the decoding of the content.
fn seal(plain: &[u8]) -> String {
    let payload = Payload { msg: plain, aad: b"starling cursor 1" };
    let sealed = XChaCha20Poly1305::new(&KEY.into()).encrypt(&NONCE.into(), payload);
    BASE64URL_NOPAD.encode(&[&NONCE[..], &sealed.expect("a few kilobytes")].concat())
}
