//! `Uri`, `NameAddr` and `Via`: immutable values over their own bytes.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::{PyEllipsis, PyString};
use sipyard_wire::{lexer, Params};

use crate::error::parse_error;
use crate::text::{optional_text, text, Text};

/// A URI as text (RFC 3261 §19.1). Immutable; `==` and `hash` are textual, see `equivalent`.
#[pyclass(frozen, module = "sipyard._native.core")]
pub struct Uri {
    text: Bytes,
    /// Where its parts stand: found once, read often.
    places: Places,
}

type Place = (u32, u32);

#[derive(Default)]
struct Places {
    scheme: Place,
    user: Option<Place>,
    password: Option<Place>,
    host: Place,
    port: Option<u16>,
    parameters: Place,
    headers: Place,
}

impl Uri {
    fn parts(&self) -> sipyard_wire::Uri<'_> {
        let part = |(start, end): Place| self.text.get(start as usize..end as usize).unwrap_or_default();
        sipyard_wire::Uri {
            scheme: part(self.places.scheme),
            user: self.places.user.map(part),
            password: self.places.password.map(part),
            host: part(self.places.host),
            port: self.places.port,
            parameters: part(self.places.parameters),
            headers: part(self.places.headers),
        }
    }

    fn parse(py: Python<'_>, text: Bytes) -> PyResult<Uri> {
        let uri = sipyard_wire::Uri::parse(&text).map_err(|error| parse_error(py, &error))?;
        let base = text.as_ptr() as usize;
        let place = |part: &[u8]| {
            // An empty part may stand anywhere, also outside the text.
            let start = (part.as_ptr() as usize).wrapping_sub(base).min(text.len()) as u32;
            (start, start + part.len() as u32)
        };
        let places = Places {
            scheme: place(uri.scheme),
            user: uri.user.map(place),
            password: uri.password.map(place),
            host: place(uri.host),
            port: uri.port,
            parameters: place(uri.parameters),
            headers: place(uri.headers),
        };
        Ok(Uri { text, places })
    }
}

/// An argument of `replace`: `...` keeps, None removes.
enum Change<T> {
    Keep,
    Remove,
    Set(T),
}

impl<'a, 'py, T: FromPyObject<'a, 'py>> FromPyObject<'a, 'py> for Change<T> {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Change<T>> {
        if object.is_none() {
            Ok(Change::Remove)
        } else if object.is_instance_of::<PyEllipsis>() {
            Ok(Change::Keep)
        } else {
            object.extract().map(Change::Set).map_err(Into::into)
        }
    }
}

impl Change<Text<'_>> {
    fn apply(&self, old: Option<&[u8]>) -> Option<Vec<u8>> {
        match self {
            Change::Keep => old.map(<[u8]>::to_vec),
            Change::Remove => None,
            Change::Set(text) => Some(text.bytes().to_vec()),
        }
    }
}

#[pymethods]
impl Uri {
    #[new]
    fn new(py: Python<'_>, text: Text<'_>) -> PyResult<Uri> {
        Uri::parse(py, text.to_bytes())
    }

    #[getter]
    fn scheme<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        match self.parts().scheme {
            b"sip" => Ok(pyo3::intern!(py, "sip").clone()),
            other => text(py, &other.to_ascii_lowercase()),
        }
    }

    #[getter]
    fn user<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        optional_text(py, self.parts().user)
    }

    #[getter]
    fn password<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        optional_text(py, self.parts().password)
    }

    #[getter]
    fn host<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text(py, self.parts().host)
    }

    #[getter]
    fn port(&self) -> Option<u16> {
        self.parts().port
    }

    #[getter]
    fn parameters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        let parameters = self.parts().parameters;
        text(py, parameters.strip_prefix(b";").unwrap_or(parameters))
    }

    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text(py, self.parts().headers)
    }

    fn parameter<'py>(&self, py: Python<'py>, name: Text<'_>) -> PyResult<Option<Bound<'py, PyString>>> {
        let value = self.parts().param(name.bytes());
        optional_text(py, value.map(Option::unwrap_or_default))
    }

    #[pyo3(signature = (*, scheme = Change::Keep, user = Change::Keep, password = Change::Keep, host = Change::Keep,
                        port = Change::Keep, parameters = Change::Keep, headers = Change::Keep))]
    #[allow(clippy::too_many_arguments)] // keyword arguments of one Python method
    fn replace(
        &self,
        py: Python<'_>,
        scheme: Change<Text<'_>>,
        user: Change<Text<'_>>,
        password: Change<Text<'_>>,
        host: Change<Text<'_>>,
        port: Change<u16>,
        parameters: Change<Text<'_>>,
        headers: Change<Text<'_>>,
    ) -> PyResult<Uri> {
        let old = self.parts();
        let mut out = scheme.apply(Some(old.scheme)).unwrap_or_default();
        out.push(b':');
        let user = user.apply(old.user);
        let host = host.apply(Some(old.host)).unwrap_or_default();
        if let Some(user) = &user {
            out.extend_from_slice(user);
            if let Some(password) = password.apply(old.password) {
                out.push(b':');
                out.extend_from_slice(&password);
            }
            if !host.is_empty() {
                out.push(b'@');
            }
        }
        out.extend_from_slice(&host);
        let port = match port {
            Change::Keep => old.port,
            Change::Remove => None,
            Change::Set(port) => Some(port),
        };
        if let Some(port) = port {
            out.extend_from_slice(format!(":{port}").as_bytes());
        }
        let parameters = parameters.apply(Some(old.parameters)).filter(|parameters| !parameters.is_empty());
        if let Some(parameters) = parameters {
            if !parameters.starts_with(b";") {
                out.push(b';');
            }
            out.extend_from_slice(&parameters);
        }
        if let Some(headers) = headers.apply(Some(old.headers)).filter(|headers| !headers.is_empty()) {
            out.push(b'?');
            out.extend_from_slice(&headers);
        }
        Uri::parse(py, out.into())
    }

    fn equivalent(&self, other: &Uri) -> bool {
        self.parts().equivalent(&other.parts())
    }

    fn __str__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text(py, &self.text)
    }

    fn __repr__(&self) -> String {
        format!("<Uri {}>", String::from_utf8_lossy(&self.text))
    }

    fn __eq__(&self, other: &Uri) -> bool {
        self.text == other.text
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.text.hash(&mut hasher);
        hasher.finish()
    }
}

/// A value of From, To, Contact, Route …: display name, URI, parameters (RFC 3261 §20.10). Immutable.
#[pyclass(frozen, module = "sipyard._native.core")]
pub struct NameAddr {
    text: Bytes,
}

impl NameAddr {
    /// One that was checked already.
    pub fn checked(text: Bytes) -> NameAddr {
        NameAddr { text }
    }

    fn parts(&self) -> sipyard_wire::NameAddr<'_> {
        // Checked when it was made, so this cannot fail.
        sipyard_wire::NameAddr::scan(&self.text).unwrap_or_default()
    }
}

/// The value of a header parameter without its quotes, "" when it stands alone.
fn parameter_text<'py>(py: Python<'py>, value: Option<Option<&[u8]>>) -> PyResult<Option<Bound<'py, PyString>>> {
    value.map(|value| text(py, &lexer::unquote(value.unwrap_or_default()))).transpose()
}

#[pymethods]
impl NameAddr {
    #[new]
    fn new(py: Python<'_>, text: Text<'_>) -> PyResult<NameAddr> {
        let text = text.to_bytes();
        sipyard_wire::NameAddr::parse(&text).map_err(|error| parse_error(py, &error))?;
        Ok(NameAddr { text })
    }

    #[getter]
    fn display_name<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        let display = self.parts().display;
        let present = !display.is_empty();
        present.then(|| text(py, &lexer::unquote(display))).transpose()
    }

    #[getter]
    fn uri<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text(py, self.parts().uri)
    }

    #[getter]
    #[allow(clippy::type_complexity)] // it is what the Python signature says
    fn parameters<'py>(&self, py: Python<'py>) -> PyResult<Vec<(Bound<'py, PyString>, Option<Bound<'py, PyString>>)>> {
        let parameters = Params::new(self.parts().params).filter_map(Result::ok);
        parameters.map(|parameter| Ok((text(py, parameter.name)?, optional_text(py, parameter.value)?))).collect()
    }

    fn parameter<'py>(&self, py: Python<'py>, name: Text<'_>) -> PyResult<Option<Bound<'py, PyString>>> {
        parameter_text(py, self.parts().param(name.bytes()))
    }

    #[getter]
    fn tag<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        optional_text(py, self.parts().tag())
    }

    fn __str__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text(py, &self.text)
    }

    fn __repr__(&self) -> String {
        format!("<NameAddr {}>", String::from_utf8_lossy(&self.text))
    }
}

/// One Via value (RFC 3261 §20.42). Immutable.
#[pyclass(frozen, module = "sipyard._native.core")]
pub struct Via {
    text: Bytes,
}

impl Via {
    /// One that was checked already.
    pub fn checked(text: Bytes) -> Via {
        Via { text }
    }

    fn parts(&self) -> sipyard_wire::Via<'_> {
        // Checked when it was made, so this cannot fail.
        sipyard_wire::Via::parse(&self.text).unwrap_or_default()
    }
}

#[pymethods]
impl Via {
    #[getter]
    fn protocol<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text(py, self.parts().protocol)
    }

    #[getter]
    fn version<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text(py, self.parts().version)
    }

    #[getter]
    fn transport<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text(py, self.parts().transport)
    }

    #[getter]
    fn host<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text(py, self.parts().host)
    }

    #[getter]
    fn port(&self) -> Option<u16> {
        self.parts().port
    }

    #[getter]
    fn branch<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        optional_text(py, self.parts().branch())
    }

    #[getter]
    fn received<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        optional_text(py, self.parts().received())
    }

    #[getter]
    fn rport<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.parts().rport() {
            None => Ok(py.None().into_bound(py)),
            Some(None) => Ok(pyo3::intern!(py, "").clone().into_any()),
            Some(Some(port)) => Ok(port.into_pyobject(py)?.into_any()),
        }
    }

    fn parameter<'py>(&self, py: Python<'py>, name: Text<'_>) -> PyResult<Option<Bound<'py, PyString>>> {
        parameter_text(py, self.parts().param(name.bytes()))
    }

    fn __str__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        text(py, &self.text)
    }

    fn __repr__(&self) -> String {
        format!("<Via {}>", String::from_utf8_lossy(&self.text))
    }
}
