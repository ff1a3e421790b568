//! A growing set of message numbers, one bit each.
//! Every receiver has one or two: 500 receivers of a million messages need 60 MiB, hash sets would need gigabytes.

/// A set of small numbers.
#[derive(Debug, Default, Clone)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    /// Adds `number`; false if it was there already.
    pub(crate) fn insert(&mut self, number: u32) -> bool {
        let (word, bit) = place(number);
        if word >= self.0.len() {
            self.0.resize((word + 1).next_power_of_two().max(16), 0);
        }
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    /// Whether `number` is in the set.
    pub(crate) fn contains(&self, number: u32) -> bool {
        let (word, bit) = place(number);
        self.0.get(word).is_some_and(|bits| bits & bit != 0)
    }
}

fn place(number: u32) -> (usize, u64) {
    let word = usize::try_from(number / 64).expect("32 bits fit an address");
    (word, 1 << (number % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_kept() {
        let mut bits = Bits::default();
        for number in [0, 63, 64, 100_000] {
            assert!(!bits.contains(number));
            assert!(bits.insert(number));
            assert!(!bits.insert(number));
            assert!(bits.contains(number));
        }
        assert!(!bits.contains(1) && !bits.contains(65) && !bits.contains(u32::MAX));
    }
}
