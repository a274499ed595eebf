//! Which of several failures goes upstream: RFC 3261 §16.7 step 6 in SER's orders (ser-semantics §7).

use crate::config::Generation;

/// Rank of a failure; the lowest wins.
pub fn rank(generation: Generation, status: u16) -> u32 {
    let status = u32::from(status);
    if generation == Generation::Ser09 {
        return status;
    }
    let minor = status % 100;
    match status / 100 {
        6 => 1000 + minor,
        3 => 3000 + minor,
        // Those that tell the caller how to go on.
        4 if matches!(status, 401 | 407 | 415 | 420 | 484) => 4000 + minor,
        4 => 4100 + minor,
        5 => 5000 + minor,
        _ => 10_000 + status,
    }
}

/// Whether a picked response must not be relayed but answered with 500: the overload is the next hop's, not ours
/// (RFC 3261 §16.7 step 6).
pub fn hides(generation: Generation, status: u16) -> bool {
    generation == Generation::Ser20 && status == 503
}

/// Reason phrase of a failure made up here.
pub fn reason(status: u16) -> &'static [u8] {
    match status {
        408 => b"Request Timeout",
        487 => b"Request canceled",
        500 => b"Server Internal Error",
        503 => b"Service Unavailable",
        _ => b"Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(generation: Generation, statuses: &[u16]) -> u16 {
        statuses.iter().copied().min_by_key(|status| rank(generation, *status)).expect("some")
    }

    #[test]
    fn ser_2_prefers_what_helps() {
        let cases: [(&[u16], u16); 7] = [
            (&[404, 486, 603], 603),
            (&[302, 404, 401], 302),
            (&[404, 486, 407], 407),
            (&[486, 408, 404], 404),
            (&[503, 500, 480], 480),
            (&[500, 503], 500),
            (&[487, 408], 408),
        ];
        for (statuses, expected) in cases {
            assert_eq!(best(Generation::Ser20, statuses), expected, "{statuses:?}");
        }
    }

    #[test]
    fn ser_0_9_prefers_the_lowest() {
        assert_eq!(best(Generation::Ser09, &[603, 486, 404]), 404);
        assert!(hides(Generation::Ser20, 503) && !hides(Generation::Ser09, 503));
    }
}
