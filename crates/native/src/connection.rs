//! `Connection`: what there is to know of a connection at one moment; `TlsSection`: how connections are secured.

use std::net::SocketAddr;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sipyard_endpoint::{ConnectionFacts, TlsContext, TlsDomain, TlsIdentity};

use crate::address::socket_address;
use crate::error::value_error;
use crate::time::seconds;

/// A connection as it was when it was asked about. Immutable.
#[pyclass(frozen, module = "sipyard._native.core")]
pub struct Connection {
    /// What the core knew.
    pub facts: ConnectionFacts,
}

fn pair(address: SocketAddr) -> (String, u16) {
    (address.ip().to_string(), address.port())
}

#[pymethods]
impl Connection {
    #[getter]
    fn number(&self) -> u64 {
        self.facts.flow.connection
    }

    #[getter]
    fn protocol(&self) -> &'static str {
        self.facts.flow.protocol.parameter()
    }

    #[getter]
    fn listener(&self) -> u16 {
        self.facts.flow.listener
    }

    #[getter]
    fn remote(&self) -> (String, u16) {
        pair(self.facts.flow.remote)
    }

    #[getter]
    fn local(&self) -> (String, u16) {
        pair(self.facts.local)
    }

    #[getter]
    fn is_ours(&self) -> bool {
        self.facts.is_ours
    }

    #[getter]
    fn is_open(&self) -> bool {
        self.facts.is_open
    }

    #[getter]
    fn aliases(&self) -> Vec<(String, u16)> {
        self.facts.aliases.iter().copied().map(pair).collect()
    }

    #[getter]
    fn tls(&self) -> Option<TlsFacts> {
        self.facts.tls.clone().map(|facts| TlsFacts { facts })
    }

    #[getter]
    fn left(&self) -> f64 {
        seconds(self.facts.left)
    }

    fn __repr__(&self) -> String {
        let facts = &self.facts;
        format!("<Connection {} {} {}>", facts.flow.connection, facts.flow.protocol.parameter(), facts.flow.remote)
    }
}

/// What a TLS handshake came to. Immutable.
#[pyclass(frozen, module = "sipyard._native.core")]
pub struct TlsFacts {
    facts: Arc<sipyard_endpoint::TlsFacts>,
}

#[pymethods]
impl TlsFacts {
    #[getter]
    fn version(&self) -> &'static str {
        self.facts.version
    }

    #[getter]
    fn cipher(&self) -> &str {
        &self.facts.cipher
    }

    #[getter]
    fn server_name(&self) -> Option<&str> {
        self.facts.server_name.as_deref()
    }

    #[getter]
    fn is_verified(&self) -> bool {
        self.facts.is_verified
    }

    #[getter]
    fn peer<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.facts.peer.iter().map(|one| PyBytes::new(py, one)).collect()
    }

    #[getter]
    fn own<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.facts.own.as_ref().map(|one| PyBytes::new(py, one))
    }
}

/// How connections of one address, or of all others, are secured. Immutable.
#[pyclass(frozen, module = "sipyard._native.core")]
pub struct TlsSection {
    domain: TlsDomain,
}

#[pymethods]
impl TlsSection {
    #[new]
    #[pyo3(signature = (*, is_client, address = None, identities = Vec::new(), authorities = Vec::new(),
                        revoked = Vec::new(), verify = false, require = false, oldest = 2, ciphers = Vec::new()))]
    #[allow(clippy::too_many_arguments)] // keyword arguments of one Python method
    fn new(
        is_client: bool,
        address: Option<(String, u16)>,
        identities: Vec<(Vec<u8>, Vec<u8>, Vec<String>)>,
        authorities: Vec<u8>,
        revoked: Vec<u8>,
        verify: bool,
        require: bool,
        oldest: u8,
        ciphers: Vec<String>,
    ) -> PyResult<TlsSection> {
        let address = address.map(|(ip, port)| socket_address(&ip, port)).transpose()?;
        let identity = |(chain, key, names)| TlsIdentity { chain, key, names };
        let identities = identities.into_iter().map(identity).collect();
        let domain =
            TlsDomain { is_client, address, identities, authorities, revoked, verify, require, oldest, ciphers };
        TlsContext::new(std::slice::from_ref(&domain)).map_err(value_error)?;
        Ok(TlsSection { domain })
    }
}

/// Sections ready for use.
pub fn context(sections: &[PyRef<'_, TlsSection>]) -> PyResult<Arc<TlsContext>> {
    let domains: Vec<TlsDomain> = sections.iter().map(|section| section.domain.clone()).collect();
    TlsContext::new(&domains).map(Arc::new).map_err(value_error)
}
