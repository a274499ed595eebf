//! The module `sipyard._native.core`: how Python reaches the core. Bindings only, no logic.
//!
//! The only crate that names pyo3. Objects are frozen, locks are short and never held across a call into Python, and no
//! thread of ours ever attaches to the interpreter: Python pulls, Rust never calls.

mod error;
mod syntax;
mod text;

use pyo3::prelude::*;

/// The native core's version.
#[pyfunction]
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

#[pymodule(gil_used = false)]
fn core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("ParseError", module.py().get_type::<error::ParseError>())?;
    module.add_class::<syntax::Uri>()?;
    module.add_class::<syntax::NameAddr>()?;
    module.add_class::<syntax::Via>()?;
    module.add_function(wrap_pyfunction!(version, module)?)
}
