//! Errors across the border.

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use sipyard_wire::ParseError as WireError;

pyo3::create_exception!(sipyard._native.core, ParseError, PyValueError, "What a peer (or a script) wrote is not SIP.");

/// A parse error with its place and the status to answer.
pub fn parse_error(py: Python<'_>, error: &WireError) -> PyErr {
    let raised = ParseError::new_err(error.to_string());
    let header = error.header.map(|header| header.canonical());
    let status = if error.status == 0 { 400 } else { error.status };
    let filled = || -> PyResult<()> {
        let value = raised.value(py);
        value.setattr("offset", error.offset)?;
        value.setattr("header", header)?;
        value.setattr("status", status)
    };
    match filled() {
        Ok(()) => raised,
        Err(other) => other,
    }
}

/// ValueError with a message.
pub fn value_error(message: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(message.to_string())
}

/// OSError with the system's errno, from which Python makes the right subclass.
pub fn os_error(error: std::io::Error) -> PyErr {
    let text = error.to_string();
    match error.raw_os_error() {
        // Python has its own way of naming the number.
        Some(number) => PyOSError::new_err((number, text.replace(&format!(" (os error {number})"), ""))),
        None => PyOSError::new_err(text),
    }
}
