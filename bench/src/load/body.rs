//! Message bodies: the number of the message, then filler up to the configured length.
//! A body that was cut, changed or swapped is noticed.

use crate::ids::ID_BYTES;

/// Digits of the number at the beginning of a body.
const NUMBER_BYTES: usize = 8;

/// Bodies of one length.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    /// The body with a place for the number.
    template: Vec<u8>,
}

impl Body {
    /// Bodies of `bytes` ASCII characters. Shorter ones than eight hold only the end of the number.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { template: (b'a'..=b'z').cycle().take(bytes).collect() }
    }

    /// Whether `body` is that of message `number`.
    pub(crate) fn is(&self, number: u32, body: &[u8]) -> bool {
        let head = self.head();
        body.len() == self.template.len()
            && body[..head] == digits(number)[NUMBER_BYTES - head..]
            && body[head..] == self.template[head..]
    }

    /// Replaces `out` by the frame that posts message `number` under `id`.
    pub(crate) fn post(&self, number: u32, id: &[u8; ID_BYTES], out: &mut Vec<u8>) {
        let head = self.head();
        out.clear();
        out.extend_from_slice(b"{\"id\":\"");
        out.extend_from_slice(id);
        out.extend_from_slice(b"\",\"body\":\"");
        out.extend_from_slice(&digits(number)[NUMBER_BYTES - head..]);
        out.extend_from_slice(&self.template[head..]);
        out.extend_from_slice(b"\"}");
    }

    fn head(&self) -> usize {
        self.template.len().min(NUMBER_BYTES)
    }
}

fn digits(number: u32) -> [u8; NUMBER_BYTES] {
    let mut digits = [0; NUMBER_BYTES];
    for (place, digit) in digits.iter_mut().rev().enumerate() {
        *digit = b"0123456789abcdef"[usize::try_from(number >> (4 * place) & 0xf).expect("one digit")];
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_recognised() {
        for bytes in [1, 7, 8, 9, 128, 8_000] {
            let body = Body::new(bytes);
            let mut frame = Vec::new();
            body.post(0xabc, &[b'0'; ID_BYTES], &mut frame);
            let json: serde_json::Value = serde_json::from_slice(&frame).unwrap();
            let sent = json["body"].as_str().unwrap();
            assert_eq!(sent.len(), bytes);
            assert!(body.is(0xabc, sent.as_bytes()));
            assert!(!body.is(0xabd, sent.as_bytes()));
            assert!(!body.is(0xabc, &sent.as_bytes()[1..]));
        }
    }
}
