//! Names of header fields (RFC 3261 §20 and its extensions), long and compact.

macro_rules! header_names {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// A header's name; `Other` for one that the core has no use for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum HeaderName {
            $(#[doc = $name] $variant,)*
            /// Any other.
            Other,
        }

        impl HeaderName {
            /// How many there are.
            pub const COUNT: usize = HeaderName::Other as usize + 1;

            /// The name as RFCs write it.
            pub fn canonical(self) -> &'static str {
                match self {
                    $(HeaderName::$variant => $name,)*
                    HeaderName::Other => "header",
                }
            }

            fn of_long(name: &[u8]) -> HeaderName {
                $(if name.len() == $name.len() && is_named(name, $name.as_bytes()) {
                    return HeaderName::$variant;
                })*
                HeaderName::Other
            }
        }
    };
}

/// Whether a header's name is this one in any case; most write it as RFCs do.
#[inline]
fn is_named(name: &[u8], canonical: &[u8]) -> bool {
    name == canonical || name.eq_ignore_ascii_case(canonical)
}

header_names! {
    Via = "Via";
    From = "From";
    To = "To";
    CallId = "Call-ID";
    CSeq = "CSeq";
    MaxForwards = "Max-Forwards";
    Contact = "Contact";
    Route = "Route";
    RecordRoute = "Record-Route";
    ContentLength = "Content-Length";
    ContentType = "Content-Type";
    Expires = "Expires";
    Require = "Require";
    ProxyRequire = "Proxy-Require";
    Supported = "Supported";
    Unsupported = "Unsupported";
    Allow = "Allow";
    UserAgent = "User-Agent";
    Server = "Server";
    Path = "Path";
    MinExpires = "Min-Expires";
    MaxBreadth = "Max-Breadth";
    Authorization = "Authorization";
    ProxyAuthorization = "Proxy-Authorization";
    WwwAuthenticate = "WWW-Authenticate";
    ProxyAuthenticate = "Proxy-Authenticate";
    Event = "Event";
    AllowEvents = "Allow-Events";
    Subject = "Subject";
    ContentEncoding = "Content-Encoding";
    ReferTo = "Refer-To";
    ReferredBy = "Referred-By";
    SessionExpires = "Session-Expires";
    AcceptContact = "Accept-Contact";
    RejectContact = "Reject-Contact";
    RequestDisposition = "Request-Disposition";
    Identity = "Identity";
    IdentityInfo = "Identity-Info";
}

impl HeaderName {
    /// The header of a name in any case, long or compact (RFC 3261 §7.3.3).
    #[inline]
    pub fn from_bytes(name: &[u8]) -> HeaderName {
        if let [letter] = name {
            return HeaderName::of_compact(*letter);
        }
        // The frequent ones by length and first letter; the rest by comparison.
        match (name.len(), name.first().map(u8::to_ascii_lowercase)) {
            (3, Some(b'v')) if is_named(name, b"Via") => HeaderName::Via,
            (2, Some(b't')) if is_named(name, b"To") => HeaderName::To,
            (4, Some(b'f')) if is_named(name, b"From") => HeaderName::From,
            (4, Some(b'c')) if is_named(name, b"CSeq") => HeaderName::CSeq,
            (7, Some(b'c')) if is_named(name, b"Call-ID") => HeaderName::CallId,
            (7, Some(b'c')) if is_named(name, b"Contact") => HeaderName::Contact,
            (14, Some(b'c')) if is_named(name, b"Content-Length") => HeaderName::ContentLength,
            (12, Some(b'm')) if is_named(name, b"Max-Forwards") => HeaderName::MaxForwards,
            (12, Some(b'r')) if is_named(name, b"Record-Route") => HeaderName::RecordRoute,
            (12, Some(b'c')) if is_named(name, b"Content-Type") => HeaderName::ContentType,
            (10, Some(b'u')) if is_named(name, b"User-Agent") => HeaderName::UserAgent,
            (5, Some(b'r')) if is_named(name, b"Route") => HeaderName::Route,
            (5, Some(b'a')) if is_named(name, b"Allow") => HeaderName::Allow,
            (7, Some(b'e')) if is_named(name, b"Expires") => HeaderName::Expires,
            (6, Some(b's')) if is_named(name, b"Server") => HeaderName::Server,
            _ => HeaderName::of_long(name),
        }
    }

    fn of_compact(letter: u8) -> HeaderName {
        match letter.to_ascii_lowercase() {
            b'v' => HeaderName::Via,
            b'f' => HeaderName::From,
            b't' => HeaderName::To,
            b'i' => HeaderName::CallId,
            b'm' => HeaderName::Contact,
            b'l' => HeaderName::ContentLength,
            b'c' => HeaderName::ContentType,
            b'k' => HeaderName::Supported,
            b's' => HeaderName::Subject,
            b'e' => HeaderName::ContentEncoding,
            b'o' => HeaderName::Event,
            b'u' => HeaderName::AllowEvents,
            b'r' => HeaderName::ReferTo,
            b'b' => HeaderName::ReferredBy,
            b'x' => HeaderName::SessionExpires,
            b'a' => HeaderName::AcceptContact,
            b'j' => HeaderName::RejectContact,
            b'd' => HeaderName::RequestDisposition,
            b'y' => HeaderName::Identity,
            b'n' => HeaderName::IdentityInfo,
            _ => HeaderName::Other,
        }
    }

    /// Whether it may stand only once in a message (RFC 3261 §7.3.1 and the header's own section).
    pub fn is_single(self) -> bool {
        matches!(
            self,
            HeaderName::From
                | HeaderName::To
                | HeaderName::CallId
                | HeaderName::CSeq
                | HeaderName::MaxForwards
                | HeaderName::ContentLength
        )
    }
}

#[cfg(test)]
mod tests {
    use super::HeaderName;

    #[test]
    fn names_are_read_in_any_case_and_compact() {
        let table: [(&[u8], HeaderName); 10] = [
            (b"Via", HeaderName::Via),
            (b"VIA", HeaderName::Via),
            (b"v", HeaderName::Via),
            (b"call-id", HeaderName::CallId),
            (b"I", HeaderName::CallId),
            (b"cOnTaCt", HeaderName::Contact),
            (b"record-route", HeaderName::RecordRoute),
            (b"C%6Fntact", HeaderName::Other),
            (b"", HeaderName::Other),
            (b"z", HeaderName::Other),
        ];
        for (name, expected) in table {
            assert_eq!(HeaderName::from_bytes(name), expected, "{}", String::from_utf8_lossy(name));
        }
    }
}
