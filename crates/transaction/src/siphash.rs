//! SipHash-1-3 with 128 bits of output and keys of our choosing.
//!
//! Keys off the wire are an attacker's choice, so the hash is keyed; the standard library's cannot be given a key
//! without being deprecated, and its 64 bits would have to be checked against the stored message.

/// A running hash. Feed it whole fields; each is closed by its length, so that fields cannot flow into one another.
#[derive(Clone)]
pub struct SipHasher {
    v: [u64; 4],
}

impl SipHasher {
    /// A hash under this key.
    #[inline]
    pub fn new(key: [u64; 2]) -> SipHasher {
        SipHasher {
            v: [
                key[0] ^ 0x736f_6d65_7073_6575,
                // The constant 0xee sets the 128 bit variant apart from the 64 bit one.
                key[1] ^ 0x646f_7261_6e64_6f6d ^ 0xee,
                key[0] ^ 0x6c79_6765_6e65_7261,
                key[1] ^ 0x7465_6462_7974_6573,
            ],
        }
    }

    #[inline]
    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.v;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.v = [a, b, c, d];
    }

    /// Takes one word.
    #[inline]
    pub fn word(&mut self, word: u64) {
        self.v[3] ^= word;
        self.round();
        self.v[0] ^= word;
    }

    /// Takes one field.
    #[inline]
    pub fn field(&mut self, bytes: &[u8]) {
        self.blocks(bytes, |block| block);
    }

    /// Takes one field, ASCII letters in lower case (tokens compare so: RFC 3261 §7.3.1).
    #[inline]
    pub fn token(&mut self, bytes: &[u8]) {
        self.blocks(bytes, lower);
    }

    #[inline]
    fn blocks(&mut self, bytes: &[u8], map: impl Fn(u64) -> u64) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let mut block = [0; 8];
            block.copy_from_slice(chunk);
            self.word(map(u64::from_le_bytes(block)));
        }
        let rest = chunks.remainder();
        let mut block = [0; 8];
        block[..rest.len()].copy_from_slice(rest);
        // The tail never fills its eighth byte, so the low byte of the length closes the field there.
        self.word(map(u64::from_le_bytes(block)) | (bytes.len() as u64) << 56);
    }

    /// The 128 bits.
    #[inline]
    pub fn finish(mut self) -> [u64; 2] {
        self.v[2] ^= 0xee;
        self.round();
        self.round();
        self.round();
        let high = self.v[0] ^ self.v[1] ^ self.v[2] ^ self.v[3];
        self.v[1] ^= 0xdd;
        self.round();
        self.round();
        self.round();
        [high, self.v[0] ^ self.v[1] ^ self.v[2] ^ self.v[3]]
    }
}

/// Lower case of eight ASCII bytes at once; bytes outside `A`–`Z` stay.
#[inline]
fn lower(block: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let heptets = block & (0x7f * ONES);
    let above_z = heptets.wrapping_add((0x7f - u64::from(b'Z')) * ONES);
    let from_a = heptets.wrapping_add((0x80 - u64::from(b'A')) * ONES);
    let ascii = !block & (0x80 * ONES);
    let upper = ascii & (from_a ^ above_z);
    block | upper >> 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(fields: &[&[u8]]) -> [u64; 2] {
        let mut hasher = SipHasher::new([1, 2]);
        for field in fields {
            hasher.field(field);
        }
        hasher.finish()
    }

    fn tokens(text: &[u8]) -> [u64; 2] {
        let mut hasher = SipHasher::new([1, 2]);
        hasher.token(text);
        hasher.finish()
    }

    #[test]
    fn fields_do_not_flow_into_one_another() {
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
        assert_ne!(hash(&[b""]), hash(&[b"\0"]));
        assert_ne!(hash(&[b"12345678"]), hash(&[b"12345678", b""]));
    }

    #[test]
    fn tokens_compare_without_case() {
        assert_eq!(tokens(b"z9hG4bK-AbCdEfGh@[`{"), tokens(b"Z9HG4BK-aBcDeFgH@[`{"));
        for byte in 0..=255u8 {
            assert_eq!(lower(u64::from_le_bytes([byte; 8])), u64::from_le_bytes([byte.to_ascii_lowercase(); 8]));
        }
        assert_ne!(tokens(b"a"), tokens(b"b"));
    }

    #[test]
    fn the_key_matters() {
        let mut other = SipHasher::new([1, 3]);
        other.field(b"x");
        assert_ne!(hash(&[b"x"]), other.finish());
    }
}
