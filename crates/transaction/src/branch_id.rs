//! The branch parameter of our own Via headers.
//!
//! ```text
//! z9hG4bK t ssssssss uuuuuuuuuuuuuuuu bb . llllllllllllllll
//!         |    |            |          |          loop hash (RFC 5393)
//!         |    |            |          branch within the transaction
//!         |    |            secret of the transaction: nobody can answer who has not seen the request
//!         |    slot of the transaction
//!         't' transaction, 's' stateless (then slot, secret and branch are a hash of the request, RFC 3261 §16.11)
//! ```
//!
//! All digits are hexadecimal and read in any case: a peer may change the case of a token.

const COOKIE: &[u8] = b"z9hG4bK";
const IDENTITY: usize = 26;
const LOOP: usize = 16;
/// Length of a branch parameter of ours.
pub const LENGTH: usize = COOKIE.len() + 1 + IDENTITY + 1 + LOOP;

/// What a branch parameter of a transaction says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchId {
    /// Slot of the transaction.
    pub slot: u32,
    /// Its secret.
    pub secret: u64,
    /// Branch within it.
    pub branch: u8,
}

impl BranchId {
    /// Writes the whole parameter value.
    pub fn write(self, loop_hash: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(COOKIE);
        out.push(b't');
        hex(u64::from(self.slot), 8, out);
        hex(self.secret, 16, out);
        hex(u64::from(self.branch), 2, out);
        out.push(b'.');
        hex(loop_hash, LOOP, out);
    }

    /// Reads it; `None` if it is not one of a transaction of ours.
    pub fn read(branch: &[u8]) -> Option<BranchId> {
        let (kind, identity, _) = split(branch)?;
        if kind != b't' {
            return None;
        }
        let (slot, rest) = identity.split_at_checked(8)?;
        let (secret, number) = rest.split_at_checked(16)?;
        Some(BranchId { slot: unhex(slot)? as u32, secret: unhex(secret)?, branch: unhex(number)? as u8 })
    }
}

/// Whether a branch parameter was written by a transaction of ours (not by stateless forwarding).
pub fn is_of_a_transaction(branch: &[u8]) -> bool {
    BranchId::read(branch).is_some()
}

/// Writes the branch of a statelessly forwarded request: the same for each retransmission (RFC 3261 §16.11).
pub fn write_stateless(key: [u64; 2], loop_hash: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(COOKIE);
    out.push(b's');
    hex(key[0], 16, out);
    hex(key[1] >> 24, 10, out);
    out.push(b'.');
    hex(loop_hash, LOOP, out);
}

/// The loop hash in a branch that has the form of ours.
pub fn loop_hash(branch: &[u8]) -> Option<u64> {
    let (_, _, hash) = split(branch)?;
    unhex(hash)
}

/// Whether a branch parameter has RFC 3261's magic cookie and anything after it.
pub fn has_cookie(branch: &[u8]) -> bool {
    branch.len() > COOKIE.len()
        && branch.split_at_checked(COOKIE.len()).is_some_and(|(start, _)| start.eq_ignore_ascii_case(COOKIE))
}

fn split(branch: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    if branch.len() != LENGTH || !has_cookie(branch) {
        return None;
    }
    let (kind, rest) = branch.split_at_checked(COOKIE.len())?.1.split_first()?;
    let (identity, rest) = rest.split_at_checked(IDENTITY)?;
    let (dot, hash) = rest.split_first()?;
    (*dot == b'.').then_some((kind.to_ascii_lowercase(), identity, hash))
}

/// Writes the low `digits` (at most 16) hexadecimal digits of a number.
pub fn hex(value: u64, digits: usize, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0u8; 16];
    for (place, digit) in text.iter_mut().enumerate() {
        *digit = DIGITS[(value >> (60 - place * 4)) as usize & 15];
    }
    out.extend_from_slice(&text[16 - digits.min(16)..]);
}

fn unhex(text: &[u8]) -> Option<u64> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    text.iter().try_fold(0u64, |value, byte| Some(value << 4 | u64::from(digit(*byte)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let id = BranchId { slot: 0xdead_beef, secret: 0x0123_4567_89ab_cdef, branch: 11 };
        let mut text = Vec::new();
        id.write(42, &mut text);
        assert_eq!(text.len(), LENGTH);
        assert_eq!(BranchId::read(&text), Some(id));
        assert_eq!(loop_hash(&text), Some(42));
        assert_eq!(BranchId::read(&text.to_ascii_uppercase()), Some(id));
        assert_eq!(BranchId::read(&text[..LENGTH - 1]), None);
        assert_eq!(BranchId::read(b"z9hG4bK776asdhds"), None);
    }

    #[test]
    fn a_stateless_branch_belongs_to_no_transaction() {
        let mut text = Vec::new();
        write_stateless([1, 2], 7, &mut text);
        assert_eq!((text.len(), BranchId::read(&text), loop_hash(&text)), (LENGTH, None, Some(7)));
    }

    #[test]
    fn the_cookie_needs_company() {
        assert!(has_cookie(b"Z9HG4BKx"));
        assert!(!has_cookie(b"z9hG4bK") && !has_cookie(b"") && !has_cookie(b"1"));
    }
}
