//! Times across the border: seconds in Python, microseconds in the core.

use pyo3::PyResult;
use sipyard_transaction::Micros;

use crate::error::value_error;

/// Microseconds as seconds.
pub fn seconds(time: Micros) -> f64 {
    time as f64 / 1e6
}

/// Seconds as microseconds; ValueError when negative or no number.
pub fn micros(seconds: f64) -> PyResult<Micros> {
    if !seconds.is_finite() || seconds < 0.0 {
        return Err(value_error(format!("not a time: {seconds}")));
    }
    Ok((seconds * 1e6).round() as Micros)
}
