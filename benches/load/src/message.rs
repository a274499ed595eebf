//! Just enough SIP to hold a call with a proxy that keeps header names as it got them.

/// A received message's head as text.
pub struct Head<'a> {
    text: &'a str,
}

impl<'a> Head<'a> {
    /// The head of a datagram; None when it is not text.
    pub fn new(data: &'a [u8]) -> Option<Self> {
        let end = data.windows(4).position(|w| w == b"\r\n\r\n").map_or(data.len(), |at| at + 2);
        std::str::from_utf8(&data[..end]).ok().map(|text| Head { text })
    }

    /// Status code, None for a request.
    pub fn status(&self) -> Option<u16> {
        self.text.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// Method of a request.
    pub fn method(&self) -> &'a str {
        self.text.split(' ').next().unwrap_or("")
    }

    /// Request URI.
    pub fn uri(&self) -> &'a str {
        self.text.split(' ').nth(1).unwrap_or("")
    }

    /// Value of the first header field of that name.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.values(name).next()
    }

    /// Values of all header fields of that name, in order.
    pub fn values<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a str> + 'n
    where
        'a: 'n,
    {
        self.text.lines().skip(1).filter_map(move |line| {
            let (found, value) = line.split_once(':')?;
            found.trim_end().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// A response to this request: Via, From, To, Call-ID, CSeq and Record-Route as they came.
    pub fn response(&self, line: &str, tag: Option<&str>, rest: &str) -> String {
        let mut out = String::with_capacity(1024);
        out.push_str("SIP/2.0 ");
        out.push_str(line);
        out.push_str("\r\n");
        for header in self.text.lines().skip(1) {
            let Some((name, _)) = header.split_once(':') else { continue };
            match name {
                "To" => {
                    out.push_str(header);
                    if let Some(tag) = tag.filter(|_| !header.contains(";tag=")) {
                        out.push_str(";tag=");
                        out.push_str(tag);
                    }
                }
                "Via" | "From" | "Call-ID" | "CSeq" | "Record-Route" => out.push_str(header),
                _ => continue,
            }
            out.push_str("\r\n");
        }
        out.push_str(rest);
        out
    }
}

/// The address inside `<...>`.
pub fn in_brackets(value: &str) -> &str {
    let start = value.find('<').map_or(0, |at| at + 1);
    let end = value[start..].find('>').map_or(value.len(), |at| start + at);
    &value[start..end]
}

/// 129 bytes of session description, as in the published measurements.
pub const SDP: &str = "v=0\r\no=bench 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
m=audio 40000 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n";
