//! `Connection`: what there is to know of a connection at one moment.

use std::net::SocketAddr;

use pyo3::prelude::*;
use sipyard_endpoint::ConnectionFacts;

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
    fn left(&self) -> f64 {
        seconds(self.facts.left)
    }

    fn __repr__(&self) -> String {
        let facts = &self.facts;
        format!("<Connection {} {} {}>", facts.flow.connection, facts.flow.protocol.parameter(), facts.flow.remote)
    }
}
