//! `Target` and `Listener`: where messages go to and come in.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use pyo3::prelude::*;
use pyo3::types::PyString;
use sipyard_transaction::Protocol;

use crate::error::value_error;
use crate::text::ip_text;

/// Where to send: protocol, address, and the listener to send from. Immutable; compares by value.
#[pyclass(frozen, eq, hash, module = "sipyard._native.core")]
#[derive(PartialEq, Eq, Hash)]
pub struct Target {
    /// The target as the core has it.
    pub target: sipyard_transaction::Target,
}

#[pymethods]
impl Target {
    #[getter]
    fn protocol(&self) -> &'static str {
        self.target.protocol.parameter()
    }

    #[getter]
    fn ip<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        ip_text(py, self.target.remote.ip())
    }

    #[getter]
    fn port(&self) -> u16 {
        self.target.remote.port()
    }

    #[getter]
    fn listener(&self) -> i32 {
        self.target.listener.map_or(-1, i32::from)
    }

    fn sent_from(&self, listener: u16) -> Target {
        Target { target: sipyard_transaction::Target { listener: Some(listener), ..self.target } }
    }

    fn __repr__(&self) -> String {
        format!("<Target {} {}>", self.target.protocol.parameter(), self.target.remote)
    }
}

/// A socket that we listen on. Immutable.
#[pyclass(frozen, module = "sipyard._native.core")]
pub struct Listener {
    index: u16,
    protocol: Protocol,
    address: SocketAddr,
    sent_by: String,
    host: String,
}

impl Listener {
    /// The core's listener of this index.
    pub fn new(index: u16, listener: &sipyard_transaction::Listener) -> Listener {
        let host = match (&listener.advertised_host, listener.address.ip()) {
            (Some(host), _) => host.clone(),
            (None, IpAddr::V4(ip)) => ip.to_string(),
            (None, IpAddr::V6(ip)) => format!("[{ip}]"),
        };
        Listener {
            index,
            protocol: listener.protocol,
            address: listener.address,
            sent_by: String::from_utf8_lossy(listener.sent_by()).into_owned(),
            host,
        }
    }
}

#[pymethods]
impl Listener {
    #[getter]
    fn index(&self) -> u16 {
        self.index
    }

    #[getter]
    fn protocol(&self) -> &'static str {
        self.protocol.parameter()
    }

    #[getter]
    fn ip(&self) -> String {
        self.address.ip().to_string()
    }

    #[getter]
    fn port(&self) -> u16 {
        self.address.port()
    }

    #[getter]
    fn host(&self) -> &str {
        &self.host
    }

    #[getter]
    fn uri(&self) -> String {
        match self.protocol {
            Protocol::Udp => format!("sip:{}", self.sent_by),
            other => format!("sip:{};transport={}", self.sent_by, other.parameter()),
        }
    }

    fn __repr__(&self) -> String {
        format!("<Listener {} {} {}>", self.index, self.protocol.parameter(), self.address)
    }
}

/// An address from what Python gives; ValueError when it is none.
pub fn socket_address(ip: &str, port: u16) -> PyResult<SocketAddr> {
    let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
    let ip: IpAddr = bare.parse().map_err(|_| value_error(format!("not an IP address: {ip}")))?;
    Ok(SocketAddr::new(ip, port))
}

/// A protocol by its name; ValueError when there is none of that name.
pub fn protocol_of(name: &str) -> PyResult<Protocol> {
    sipyard_endpoint::protocol(name).ok_or_else(|| value_error(format!("no such protocol: {name}")))
}

/// A listener's index, -1 for none; ValueError when it is neither.
pub fn listener_index(index: i32) -> PyResult<Option<u16>> {
    match index {
        -1 => Ok(None),
        index => u16::try_from(index).map(Some).map_err(|_| value_error(format!("no such listener: {index}"))),
    }
}

/// The hash of a value, as Python wants it.
pub fn hash_of(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
