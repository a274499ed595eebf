//! What a datagram is before anybody parses it (RFC 7983 tells the protocols apart by the first byte).

/// Shorter than any SIP message: SER ignores it, and every NAT keep-alive is.
const SHORTEST: usize = 32;
const STUN_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// Kinds of datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Perhaps SIP: parse it.
    Candidate,
    /// CR, LF, blanks or zeros only (RFC 5626 §4.4.1, and what phones send instead).
    KeepAlive,
    /// Too short.
    Short,
    /// STUN (RFC 8489 §5).
    Stun,
    /// RTP or RTCP.
    Rtp,
}

/// The kind of a datagram.
pub(crate) fn classify(data: &[u8]) -> Kind {
    let Some(first) = data.first() else { return Kind::KeepAlive };
    let blank = |byte: &u8| matches!(byte, b'\r' | b'\n' | b' ' | b'\t' | 0);
    if first.is_ascii_alphabetic() && data.len() >= SHORTEST {
        return Kind::Candidate;
    }
    if blank(first) && data.iter().all(blank) {
        return Kind::KeepAlive;
    }
    if data.get(4..8) == Some(&STUN_COOKIE[..]) && data.len() >= 20 {
        return Kind::Stun;
    }
    match data.len() {
        0..SHORTEST if first & 0xc0 != 0x80 => Kind::Short,
        12.. if first & 0xc0 == 0x80 => Kind::Rtp,
        0..SHORTEST => Kind::Short,
        _ => Kind::Candidate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_are_told_apart() {
        let stun = [&[0, 1, 0, 0][..], &STUN_COOKIE, &[7; 12]].concat();
        let rtp = [&[0x80, 0][..], &[9; 170]].concat();
        let rows: [(&[u8], Kind); 10] = [
            (b"", Kind::KeepAlive),
            (b"\r\n\r\n", Kind::KeepAlive),
            (b"\0\0\0\0", Kind::KeepAlive),
            (&[b'\n'; 100], Kind::KeepAlive),
            (b"ping", Kind::Short),
            (b"\r\nOPTIONS sip:a@b SIP/2.0\r\n\r\n     ", Kind::Candidate),
            (b"OPTIONS sip:a@example.com SIP/2.0\r\n\r\n", Kind::Candidate),
            (&stun, Kind::Stun),
            (&rtp, Kind::Rtp),
            (&[0x80, 1, 2], Kind::Short),
        ];
        for (data, expected) in rows {
            assert_eq!(classify(data), expected, "{data:?}");
        }
        assert_eq!(classify(&[0x16, 3, 1].repeat(50)), Kind::Candidate); // TLS: the parser says that it is not SIP
    }
}
