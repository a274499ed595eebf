//! Unguessable names: Call-IDs and tags of our own requests.

use std::hash::{DefaultHasher, Hasher};

/// A keyed counter: the same seed gives the same names.
pub(crate) struct Tokens {
    seed: [u64; 2],
    count: u64,
}

impl Tokens {
    /// Names from a seed.
    pub(crate) fn new(seed: [u64; 2]) -> Tokens {
        Tokens { seed, count: 0 }
    }

    /// A new name of 32 hexadecimal digits.
    pub(crate) fn next(&mut self) -> String {
        self.count += 1;
        let half = |part: u64| {
            let mut hasher = DefaultHasher::new();
            for word in [self.seed[0], self.seed[1], self.count, part] {
                hasher.write_u64(word);
            }
            hasher.finish()
        };
        format!("{:016x}{:016x}", half(0), half(1))
    }
}
