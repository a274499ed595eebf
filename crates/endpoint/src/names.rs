//! Names of peers as small numbers, so that a target stays a plain value: what a certificate must say.

use std::hash::{DefaultHasher, Hasher};

use hashbrown::HashMap;

/// Names kept; they come from URIs, so a stranger could invent any number of them.
const MOST: usize = 16_384;

/// Names by their numbers. A number is a keyed hash, so it means the same name for as long as the name is known.
pub(crate) struct Names {
    seed: [u64; 2],
    recent: HashMap<u64, Box<str>>,
    /// Those that were recent before; the next time that `recent` is full they are forgotten.
    older: HashMap<u64, Box<str>>,
}

impl Names {
    pub(crate) fn new(seed: [u64; 2]) -> Names {
        Names { seed, recent: HashMap::new(), older: HashMap::new() }
    }

    /// The number of a name, never 0.
    pub(crate) fn number(&mut self, name: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.seed.iter().for_each(|word| hasher.write_u64(*word));
        hasher.write(name.as_bytes());
        let number = hasher.finish().max(1);
        if !self.recent.contains_key(&number) {
            if self.recent.len() >= MOST {
                self.older = std::mem::take(&mut self.recent);
            }
            self.recent.insert(number, name.into());
        }
        number
    }

    /// The name of a number.
    pub(crate) fn get(&self, number: u64) -> Option<&str> {
        self.recent.get(&number).or_else(|| self.older.get(&number)).map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_until_many_others_came() {
        let mut names = Names::new([1, 2]);
        let number = names.number("example.com");
        assert_eq!((names.number("example.com"), names.get(number)), (number, Some("example.com")));
        (0..MOST).for_each(|serial| assert_ne!(names.number(&serial.to_string()), 0));
        assert_eq!(names.get(number), Some("example.com"));
        (MOST..2 * MOST + 2).for_each(|serial| assert_ne!(names.number(&serial.to_string()), 0));
        assert_eq!(names.get(number), None);
    }
}
