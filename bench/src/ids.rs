//! Message ids: the number of a message hidden in a UUID, so that the check needs no hash map.
//! They look random in every part, because ids in order would flatter the server's index.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::number::splitmix;

/// Length of an id as text.
pub(crate) const ID_BYTES: usize = 36;
/// Spreads consecutive numbers over the lower half of the id.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
const ODD_INVERSE: u64 = inverse(ODD);
/// The lower half holds 62 bits beside the two of the variant.
const LOW_MASK: u64 = (1 << 62) - 1;
const VARIANT: u64 = 0b10 << 62;
const DASHES: [usize; 4] = [8, 13, 18, 23];
const NO_DIGIT: u8 = 0xff;
const DIGITS: [u8; 256] = digits();

/// Turns message numbers into version 4 UUIDs and back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IdCodec {
    high_salt: u64,
    low_salt: u64,
}

impl IdCodec {
    /// The codec of one run. `room` is unguessable, so that two runs with one seed share no id.
    pub(crate) fn new(seed: u64, room: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (seed, room).hash(&mut hasher);
        let mut state = hasher.finish();
        Self { high_salt: splitmix(&mut state), low_salt: splitmix(&mut state) & LOW_MASK }
    }

    /// The id of message `number`.
    pub(crate) fn encode(self, number: u32) -> [u8; ID_BYTES] {
        let low = ((u64::from(number).wrapping_mul(ODD) & LOW_MASK) ^ self.low_salt) | VARIANT;
        text(self.high(number), low)
    }

    /// The number in `id`, or `None` if this run did not make it.
    pub(crate) fn decode(self, id: &[u8]) -> Option<u32> {
        let (high, low) = halves(id)?;
        if low & !LOW_MASK != VARIANT {
            return None;
        }
        let number = ((low & LOW_MASK) ^ self.low_salt).wrapping_mul(ODD_INVERSE) & LOW_MASK;
        let number = u32::try_from(number).ok()?;
        (self.high(number) == high).then_some(number)
    }

    /// The upper half: a hash of the number, with version 4 in its place.
    fn high(self, number: u32) -> u64 {
        let mut state = self.high_salt ^ u64::from(number);
        (splitmix(&mut state) & !0xf000) | 0x4000
    }
}

/// A UUID of these halves as text.
pub(crate) fn text(high: u64, low: u64) -> [u8; ID_BYTES] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bits = (u128::from(high) << 64) | u128::from(low);
    let mut text = [b'-'; ID_BYTES];
    let places = (0..ID_BYTES).filter(|place| !DASHES.contains(place));
    for (place, byte) in places.zip(nibbles(bits)) {
        text[place] = HEX[usize::from(byte)];
    }
    text
}

/// The halves of a UUID; `None` if the text is none.
pub(crate) fn halves(id: &[u8]) -> Option<(u64, u64)> {
    if id.len() != ID_BYTES || DASHES.iter().any(|&dash| id[dash] != b'-') {
        return None;
    }
    let high = hex(&id[..8])? << 32 | hex(&id[9..13])? << 16 | hex(&id[14..18])?;
    let low = hex(&id[19..23])? << 48 | hex(&id[24..])?;
    Some((high, low))
}

/// The 32 hexadecimal digits of `bits`, highest first.
fn nibbles(bits: u128) -> impl Iterator<Item = u8> {
    bits.to_be_bytes().into_iter().flat_map(|byte| [byte >> 4, byte & 0xf])
}

/// Up to 16 hexadecimal digits as a number.
pub(crate) fn hex(text: &[u8]) -> Option<u64> {
    let mut value = 0;
    let mut valid = true;
    for &character in text {
        let digit = DIGITS[usize::from(character)];
        valid &= digit != NO_DIGIT;
        value = value << 4 | u64::from(digit & 0xf);
    }
    valid.then_some(value)
}

const fn digits() -> [u8; 256] {
    let mut table = [NO_DIGIT; 256];
    let mut digit: u8 = 0;
    while digit < 10 {
        table[(b'0' + digit) as usize] = digit;
        digit += 1;
    }
    while digit < 16 {
        table[(b'a' - 10 + digit) as usize] = digit;
        table[(b'A' - 10 + digit) as usize] = digit;
        digit += 1;
    }
    table
}

/// The inverse of an odd number modulo 2^64, by Newton's iteration.
const fn inverse(odd: u64) -> u64 {
    let mut inverse = odd;
    let mut round = 0;
    while round < 6 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        round += 1;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_and_strangers_do_not() {
        let codec = IdCodec::new(1, "room");
        for number in [0, 1, 2, 77, 65_536, u32::MAX] {
            let id = codec.encode(number);
            let text = std::str::from_utf8(&id).unwrap();
            assert_eq!(&text[14..15], "4", "{text}");
            assert!("89ab".contains(&text[19..20]), "{text}");
            assert_eq!(codec.decode(&id), Some(number));
            assert_eq!(codec.decode(text.to_uppercase().as_bytes()), Some(number));
            assert_eq!(IdCodec::new(1, "other room").decode(&id), None);
            for place in 0..ID_BYTES {
                let mut damaged = id;
                damaged[place] = if damaged[place] == b'0' { b'1' } else { b'0' };
                assert_eq!(codec.decode(&damaged), None, "{text} at {place}");
            }
        }
        assert_eq!(codec.decode(b"short"), None);
    }

    #[test]
    fn ids_do_not_come_in_order() {
        let codec = IdCodec::new(1, "room");
        let rising = (0..1_000).filter(|&number| codec.encode(number) < codec.encode(number + 1)).count();
        assert!((400..600).contains(&rising), "{rising}");
    }
}
