//! Text across the border: bytes of the wire as `str` with surrogateescape (PEP 383), and back.

use std::borrow::Cow;
use std::net::IpAddr;

use pyo3::exceptions::PyUnicodeEncodeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use sipyard_wire::Method;

/// Bytes as `str`. Text in ASCII or UTF-8 takes one pass.
#[inline]
pub fn text<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    match PyString::from_bytes(py, bytes) {
        Ok(text) => Ok(text),
        Err(_) => {
            let object = PyBytes::new(py, bytes);
            PyString::from_encoded_object(object.as_any(), Some(c"utf-8"), Some(c"surrogateescape"))
        }
    }
}

/// `text` of what may be absent.
#[inline]
pub fn optional_text<'py>(py: Python<'py>, bytes: Option<&[u8]>) -> PyResult<Option<Bound<'py, PyString>>> {
    bytes.map(|bytes| text(py, bytes)).transpose()
}

/// An IP address, without brackets.
pub fn ip_text(py: Python<'_>, ip: IpAddr) -> Bound<'_, PyString> {
    let IpAddr::V4(v4) = ip else { return PyString::new(py, &ip.to_string()) };
    // By hand: the general formatter takes longer than all the rest of a getter.
    let mut text = [0_u8; 16];
    let mut length = 0;
    let mut push = |byte: u8| {
        if let Some(place) = text.get_mut(length) {
            *place = byte;
            length += 1;
        }
    };
    for (position, octet) in v4.octets().into_iter().enumerate() {
        if position > 0 {
            push(b'.');
        }
        if octet >= 100 {
            push(b'0' + octet / 100);
        }
        if octet >= 10 {
            push(b'0' + octet / 10 % 10);
        }
        push(b'0' + octet % 10);
    }
    PyString::new(py, std::str::from_utf8(text.get(..length).unwrap_or_default()).unwrap_or_default())
}

/// A method's name; for those of RFCs always the same object.
pub fn method_text<'py>(py: Python<'py>, method: Method<'_>) -> PyResult<Bound<'py, PyString>> {
    use pyo3::intern;
    Ok(match method {
        Method::Invite => intern!(py, "INVITE"),
        Method::Ack => intern!(py, "ACK"),
        Method::Bye => intern!(py, "BYE"),
        Method::Cancel => intern!(py, "CANCEL"),
        Method::Register => intern!(py, "REGISTER"),
        Method::Options => intern!(py, "OPTIONS"),
        Method::Prack => intern!(py, "PRACK"),
        Method::Subscribe => intern!(py, "SUBSCRIBE"),
        Method::Notify => intern!(py, "NOTIFY"),
        Method::Publish => intern!(py, "PUBLISH"),
        Method::Info => intern!(py, "INFO"),
        Method::Refer => intern!(py, "REFER"),
        Method::Message => intern!(py, "MESSAGE"),
        Method::Update => intern!(py, "UPDATE"),
        Method::Other(token) => return text(py, token),
    }
    .clone())
}

/// No bytes: the default of a body.
pub const NO_BYTES: &[u8] = b"";

/// A `str` argument as bytes of the wire, borrowed from Python's own buffer where that is possible.
pub struct Text<'a>(Cow<'a, [u8]>);

impl Text<'_> {
    /// No text.
    pub const EMPTY: Text<'static> = Text(Cow::Borrowed(b""));

    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, owned.
    pub fn to_bytes(&self) -> bytes::Bytes {
        bytes::Bytes::copy_from_slice(&self.0)
    }

    /// The text where it must be plain (host names); bytes that are not UTF-8 become replacement characters.
    pub fn to_plain(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Text<'a> {
    type Error = PyErr;

    #[inline]
    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Text<'a>> {
        match object.extract::<&'a str>() {
            Ok(text) => Ok(Text(Cow::Borrowed(text.as_bytes()))),
            Err(error) if error.is_instance_of::<PyUnicodeEncodeError>(object.py()) => {
                let encoded = object.call_method1("encode", ("utf-8", "surrogateescape"))?;
                Ok(Text(Cow::Owned(encoded.extract::<&[u8]>()?.to_vec())))
            }
            Err(error) => Err(error),
        }
    }
}
