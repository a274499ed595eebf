//! `Message`: what was received, read lazily, and its edit list.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};
use sipyard_endpoint::{is_one_line, values_by_name, Draft, Incoming, LinesError, Received, SharedDraft};
use sipyard_transaction::RecordRoute;
use sipyard_wire::{HeaderName, Limits, NameAddr as Address};

use crate::error::{parse_error, value_error};
use crate::syntax::{NameAddr, Via};
use crate::text::{ip_text, method_text, optional_text, text, Text};

type PyText<'py> = PyResult<Bound<'py, PyString>>;
type PyOptionalText<'py> = PyResult<Option<Bound<'py, PyString>>>;

/// A message as received, an edit list (SER's lumps), and where it came from.
#[pyclass(frozen, module = "sipyard._native.core")]
pub struct Message {
    /// What was received.
    pub incoming: Incoming,
    /// The edit list.
    pub draft: SharedDraft,
}

impl Message {
    /// A message with an empty edit list.
    pub fn new(incoming: Incoming) -> Message {
        Message { incoming, draft: Arc::default() }
    }

    #[inline]
    fn message(&self) -> &sipyard_wire::Message {
        self.incoming.message()
    }

    /// The edit list, locked. Never held across a call into Python.
    pub fn draft(&self) -> MutexGuard<'_, Draft> {
        self.draft.lock()
    }

    fn own(&self, part: &[u8]) -> Bytes {
        self.message().bytes().slice_ref(part)
    }

    fn remote(&self) -> Option<SocketAddr> {
        self.incoming.flow().map(|flow| flow.remote)
    }

    fn address(&self, id: HeaderName) -> Option<Address<'_>> {
        Address::scan(self.message().first(id)?.value).ok()
    }

    fn checked_address(&self, py: Python<'_>, id: HeaderName) -> PyResult<NameAddr> {
        let message = self.message();
        let parsed = if id == HeaderName::From { message.from() } else { message.to() };
        parsed.map_err(|error| parse_error(py, &error))?;
        Ok(NameAddr::checked(self.own(message.first(id).map(|field| field.value).unwrap_or_default())))
    }

    fn addresses(&self, py: Python<'_>, id: HeaderName) -> PyResult<Vec<NameAddr>> {
        let one = |value: Result<sipyard_wire::Value<'_>, sipyard_wire::ParseError>| {
            let value = value?;
            Address::parse(value.text).map_err(|error| error.at(value.start, id))?;
            Ok(NameAddr::checked(self.own(value.text)))
        };
        let all: Result<Vec<NameAddr>, _> = self.message().values(id).map(one).collect();
        all.map_err(|error| parse_error(py, &error))
    }

    fn is_star(&self) -> bool {
        self.message().values(HeaderName::Contact).filter_map(Result::ok).any(|value| value.text == b"*")
    }
}

fn address_text(py: Python<'_>, address: Option<SocketAddr>) -> Bound<'_, PyString> {
    address.map_or_else(|| pyo3::intern!(py, "").clone(), |address| ip_text(py, address.ip()))
}

fn lines<T>(result: Result<T, LinesError>) -> PyResult<T> {
    result.map_err(value_error)
}

fn one_line(argument: &Text<'_>) -> PyResult<Bytes> {
    if !is_one_line(argument.bytes()) {
        return Err(value_error("a line break where none may be"));
    }
    Ok(argument.to_bytes())
}

#[pymethods]
impl Message {
    #[staticmethod]
    fn parse(py: Python<'_>, data: &[u8]) -> PyResult<Message> {
        let message = sipyard_wire::Message::parse(Bytes::copy_from_slice(data), &Limits::default())
            .map_err(|malformed| parse_error(py, &malformed.error))?;
        Ok(Message::new(Incoming::local(message)))
    }

    fn check(&self, py: Python<'_>) -> PyResult<()> {
        self.message().check_routable().map_err(|error| parse_error(py, &error))
    }

    #[getter]
    fn id(&self) -> u64 {
        self.incoming.id
    }

    #[getter]
    fn is_http(&self) -> bool {
        matches!(self.incoming.received, Received::Http(..))
    }

    #[getter]
    fn is_request(&self) -> bool {
        self.message().is_request()
    }

    #[getter]
    fn method<'py>(&self, py: Python<'py>) -> PyText<'py> {
        method_text(py, self.message().method())
    }

    #[getter]
    fn request_uri<'py>(&self, py: Python<'py>) -> PyText<'py> {
        text(py, self.message().request_uri())
    }

    #[getter]
    fn status(&self) -> u16 {
        self.message().status()
    }

    #[getter]
    fn reason<'py>(&self, py: Python<'py>) -> PyText<'py> {
        text(py, self.message().reason())
    }

    #[getter]
    fn version<'py>(&self, py: Python<'py>) -> PyText<'py> {
        let message = self.message();
        let line = message.bytes().get(message.begin()..message.headers_start()).unwrap_or_default();
        let line = sipyard_wire::lexer::trim(line);
        let mut words = line.split(|byte| *byte == b' ');
        let version = if message.is_request() { words.next_back() } else { words.next() };
        text(py, version.unwrap_or_default())
    }

    #[getter]
    fn length(&self) -> usize {
        self.message().length()
    }

    #[getter]
    fn raw<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let message = self.message();
        PyBytes::new(py, message.bytes().get(..message.body_end()).unwrap_or_default())
    }

    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.message().body())
    }

    #[getter]
    fn headers_end(&self) -> usize {
        self.message().headers_end()
    }

    #[getter]
    fn body_start(&self) -> usize {
        self.message().body_offset()
    }

    #[getter]
    fn source_ip<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        address_text(py, self.remote())
    }

    #[getter]
    fn source_port(&self) -> u16 {
        self.remote().map_or(0, |remote| remote.port())
    }

    #[getter]
    fn destination_ip<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        address_text(py, self.incoming.destination)
    }

    #[getter]
    fn destination_port(&self) -> u16 {
        self.incoming.destination.map_or(0, |local| local.port())
    }

    #[getter]
    fn protocol(&self) -> &'static str {
        self.incoming.flow().map_or("", |flow| flow.protocol.parameter())
    }

    #[getter]
    fn connection(&self) -> u64 {
        self.incoming.flow().map_or(0, |flow| flow.connection)
    }

    #[getter]
    fn listener(&self) -> i32 {
        self.incoming.flow().map_or(-1, |flow| i32::from(flow.listener))
    }

    #[getter]
    fn received_at(&self) -> f64 {
        crate::time::seconds(self.incoming.at)
    }

    #[getter]
    fn call_id<'py>(&self, py: Python<'py>) -> PyText<'py> {
        text(py, self.message().call_id().unwrap_or_default())
    }

    #[getter]
    fn cseq_number(&self) -> i64 {
        self.message().cseq().map_or(-1, |cseq| i64::from(cseq.number))
    }

    #[getter]
    fn cseq_method<'py>(&self, py: Python<'py>) -> PyText<'py> {
        self.message().cseq().map_or_else(|_| text(py, b""), |cseq| method_text(py, cseq.method))
    }

    #[getter(from_uri)]
    fn sender_uri<'py>(&self, py: Python<'py>) -> PyOptionalText<'py> {
        optional_text(py, self.address(HeaderName::From).map(|address| address.uri))
    }

    #[getter(from_tag)]
    fn sender_tag<'py>(&self, py: Python<'py>) -> PyOptionalText<'py> {
        optional_text(py, self.message().from_tag())
    }

    #[getter]
    fn to_uri<'py>(&self, py: Python<'py>) -> PyOptionalText<'py> {
        optional_text(py, self.address(HeaderName::To).map(|address| address.uri))
    }

    #[getter]
    fn to_tag<'py>(&self, py: Python<'py>) -> PyOptionalText<'py> {
        optional_text(py, self.message().to_tag())
    }

    #[getter]
    fn from_(&self, py: Python<'_>) -> PyResult<NameAddr> {
        self.checked_address(py, HeaderName::From)
    }

    #[getter]
    fn to(&self, py: Python<'_>) -> PyResult<NameAddr> {
        self.checked_address(py, HeaderName::To)
    }

    #[getter]
    fn expires(&self) -> Option<u32> {
        let value = self.message().first(HeaderName::Expires)?.value;
        let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        is_number.then(|| sipyard_wire::lexer::number(value).unwrap_or(u32::MAX))
    }

    #[getter]
    fn max_forwards(&self) -> Option<i64> {
        self.message().max_forwards().map(|value| value.map_or(-1, i64::from))
    }

    #[getter]
    fn content_type<'py>(&self, py: Python<'py>) -> PyOptionalText<'py> {
        optional_text(py, self.message().first(HeaderName::ContentType).map(|field| field.value))
    }

    #[pyo3(signature = (name, index = 0))]
    fn header<'py>(&self, py: Python<'py>, name: Text<'_>, index: isize) -> PyOptionalText<'py> {
        let message = self.message();
        let id = HeaderName::from_bytes(name.bytes());
        if index == 0 && id != HeaderName::Other {
            return optional_text(py, message.first(id).map(|field| field.value));
        }
        let mut fields = message.by_name(name.bytes());
        let found = match usize::try_from(index) {
            Ok(index) => fields.nth(index),
            Err(_) => {
                let all: Vec<_> = fields.collect();
                all.len().checked_sub(index.unsigned_abs()).and_then(|index| all.get(index).copied())
            }
        };
        optional_text(py, found.map(|field| field.value))
    }

    fn headers<'py>(&self, py: Python<'py>, name: Text<'_>) -> PyResult<Vec<Bound<'py, PyString>>> {
        self.message().by_name(name.bytes()).map(|field| text(py, field.value)).collect()
    }

    fn values<'py>(&self, py: Python<'py>, name: Text<'_>) -> PyResult<Vec<Bound<'py, PyString>>> {
        let values = values_by_name(self.message(), name.bytes()).map_err(|error| parse_error(py, &error))?;
        values.iter().map(|value| text(py, value.text)).collect()
    }

    fn has_header(&self, name: Text<'_>) -> bool {
        match HeaderName::from_bytes(name.bytes()) {
            HeaderName::Other => self.message().by_name(name.bytes()).next().is_some(),
            id => self.message().first(id).is_some(),
        }
    }

    #[allow(clippy::type_complexity)] // it is what the Python signature says
    fn all_headers<'py>(&self, py: Python<'py>) -> PyResult<Vec<(Bound<'py, PyString>, Bound<'py, PyString>)>> {
        self.message().fields().map(|field| Ok((text(py, field.name)?, text(py, field.value)?))).collect()
    }

    #[allow(clippy::type_complexity)] // it is what the Python signature says
    fn fields<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Vec<(Bound<'py, PyString>, Bound<'py, PyString>, usize, usize)>> {
        let fields = self.message().fields();
        fields.map(|field| Ok((text(py, field.name)?, text(py, field.value)?, field.start, field.end))).collect()
    }

    #[pyo3(signature = (index = 0))]
    fn via(&self, py: Python<'_>, index: usize) -> PyResult<Option<Via>> {
        let Some(value) = self.message().values(HeaderName::Via).nth(index) else { return Ok(None) };
        let parsed = value.and_then(|value| {
            sipyard_wire::Via::parse(value.text).map_err(|error| error.at(value.start, HeaderName::Via))?;
            Ok(Via::checked(self.own(value.text)))
        });
        parsed.map(Some).map_err(|error| parse_error(py, &error))
    }

    fn routes(&self, py: Python<'_>) -> PyResult<Vec<NameAddr>> {
        self.addresses(py, HeaderName::Route)
    }

    fn record_routes(&self, py: Python<'_>) -> PyResult<Vec<NameAddr>> {
        self.addresses(py, HeaderName::RecordRoute)
    }

    fn contacts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if self.message().first(HeaderName::Contact).is_some_and(|field| field.value == b"*") {
            return Ok(pyo3::intern!(py, "*").clone().into_any());
        }
        let contacts = self.addresses(py, HeaderName::Contact)?;
        Ok(PyList::new(py, contacts.into_iter().map(|one| Bound::new(py, one)).collect::<PyResult<Vec<_>>>()?)?
            .into_any())
    }

    #[getter]
    fn contact_star(&self) -> bool {
        self.is_star()
    }

    fn append_header(&self, text: Text<'_>) -> PyResult<()> {
        lines(self.draft().append_header(self.message(), text.bytes()))
    }

    fn prepend_header(&self, text: Text<'_>) -> PyResult<()> {
        lines(self.draft().prepend_header(self.message(), text.bytes()))
    }

    fn insert_header_before(&self, name: Text<'_>, text: Text<'_>) -> PyResult<bool> {
        lines(self.draft().insert_before(self.message(), name.bytes(), text.bytes()))
    }

    fn insert_header_after(&self, name: Text<'_>, text: Text<'_>) -> PyResult<bool> {
        lines(self.draft().insert_after(self.message(), name.bytes(), text.bytes()))
    }

    fn remove_header(&self, name: Text<'_>) -> usize {
        self.draft().remove_header(self.message(), name.bytes())
    }

    fn remove_value(&self, name: Text<'_>, index: usize) -> bool {
        self.draft().remove_value(self.message(), name.bytes(), index)
    }

    fn replace_value(&self, name: Text<'_>, index: usize, text: Text<'_>) -> PyResult<bool> {
        let value = one_line(&text)?;
        Ok(self.draft().replace_value(self.message(), name.bytes(), index, value))
    }

    fn replace_range(&self, start: usize, end: usize, text: &[u8]) -> PyResult<()> {
        let text = Bytes::copy_from_slice(text);
        if !self.draft().replace_range(self.message(), start, end, text) {
            return Err(value_error(format!("{start}..{end} is no range of the message")));
        }
        Ok(())
    }

    fn insert_at(&self, offset: usize, text: &[u8]) -> PyResult<()> {
        self.replace_range(offset, offset, text)
    }

    #[pyo3(signature = (body, content_type = None))]
    fn set_body(&self, body: &[u8], content_type: Option<Text<'_>>) -> PyResult<()> {
        let content_type = content_type.as_ref().map(one_line).transpose()?;
        self.draft().set_body(self.message(), Bytes::copy_from_slice(body), content_type.as_deref());
        Ok(())
    }

    fn set_request_uri(&self, uri: Text<'_>) -> PyResult<()> {
        let uri = one_line(&uri)?;
        self.draft().edits.set_request_uri(uri);
        Ok(())
    }

    fn set_reply_status(&self, status: u16, reason: Text<'_>) -> PyResult<()> {
        let reason = one_line(&reason)?;
        if !self.draft().set_status(self.message(), status, &reason) {
            return Err(value_error(format!("cannot make a {} of this message", status)));
        }
        Ok(())
    }

    #[pyo3(signature = (user = None, params = Text::EMPTY, preset = None),
           text_signature = "($self, user=None, params='', preset=None)")]
    fn record_route(&self, user: Option<Text<'_>>, params: Text<'_>, preset: Option<Text<'_>>) -> PyResult<bool> {
        let record_route = RecordRoute {
            user: user.as_ref().map(one_line).transpose()?,
            params: one_line(&params)?,
            preset: preset.as_ref().map(one_line).transpose()?,
        };
        Ok(self.draft().record_route(record_route))
    }

    fn remove_record_route(&self) -> bool {
        self.draft().remove_record_route()
    }

    fn append_to_reply(&self, text: Text<'_>) -> PyResult<()> {
        lines(self.draft().append_to_reply(text.bytes()))
    }

    fn clear_reply_headers(&self) {
        self.draft().clear_reply_headers();
    }

    fn decrement_max_forwards(&self, default: u32, limit: u32) -> i64 {
        self.draft().decrement_max_forwards(self.message(), default, limit)
    }

    fn force_rport(&self) {
        self.draft().force_rport = true;
    }

    fn set_advertised(&self, host: Option<Text<'_>>, port: Option<u16>) -> PyResult<()> {
        if let Some(host) = &host {
            one_line(host)?;
        }
        self.draft().set_advertised(host.map(|host| host.to_plain()), port);
        Ok(())
    }

    fn remove_routes(&self, py: Python<'_>, count: usize) -> PyResult<()> {
        let result = self.draft().remove_routes(self.message(), count);
        result.map_err(|error| parse_error(py, &error))
    }

    fn set_routes(&self, routes: &Bound<'_, PyList>) -> PyResult<()> {
        let routes: Vec<Bytes> =
            routes.iter().map(|route| one_line(&route.extract::<Text<'_>>()?)).collect::<PyResult<_>>()?;
        self.draft().set_routes(self.message(), &routes);
        Ok(())
    }

    fn copy(&self) -> Message {
        let draft = self.draft().clone();
        Message { incoming: self.incoming.clone(), draft: Arc::new(Mutex::new(draft)) }
    }

    #[getter]
    fn is_edited(&self) -> bool {
        !self.draft().is_empty()
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let edits = self.draft().edits.clone();
        let mut out = Vec::with_capacity(self.message().length() + 256);
        edits.write(self.message(), &mut out);
        PyBytes::new(py, &out)
    }

    fn __repr__(&self) -> String {
        let message = self.message();
        let line = message.bytes().get(message.begin()..message.headers_start()).unwrap_or_default();
        format!("<Message {}>", String::from_utf8_lossy(line).trim_end())
    }
}
