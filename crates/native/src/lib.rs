//! The module `sipyard._native.core`: how Python reaches the core. Bindings only, no logic.
//!
//! The only crate that names pyo3. Objects are frozen and hold no Python objects, locks are short and never held across a
//! call into Python, and no thread of ours ever attaches to the interpreter: Python pulls, Rust never calls.

mod address;
mod configure;
mod connection;
mod core_object;
mod endpoints;
mod error;
mod message;
mod syntax;
mod text;
mod time;
mod transaction;

use core_object::kind;

/// Messages and transactions are many small pieces that live and die together: a relayed INVITE costs a fifth less CPU
/// than with the C library's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use pyo3::prelude::*;
use sipyard_transaction::RelayError;

/// The native core's version, such as "0.1.0".
#[pyfunction]
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

fn add_constants(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let events = [
        ("REQUEST", kind::REQUEST),
        ("REPLY", kind::REPLY),
        ("FAILURE", kind::FAILURE),
        ("FINAL", kind::FINAL),
        ("HTTP", kind::HTTP),
        ("ENDED", kind::ENDED),
        ("STRAY_REPLY", kind::STRAY_REPLY),
        ("CLIENT_REPLY", kind::CLIENT_REPLY),
        ("CLIENT_TIMEOUT", kind::CLIENT_TIMEOUT),
        ("CLOSED", kind::CLOSED),
        ("NOTICE", kind::NOTICE),
    ];
    events.into_iter().try_for_each(|(name, number)| module.add(name, number))?;
    let outcomes = [
        ("RELAY_NOT_SENT", RelayError::Send),
        ("RELAY_NO_BRANCHES", RelayError::NoBranches),
        ("RELAY_CANCELLED", RelayError::Cancelled),
        ("RELAY_FINAL", RelayError::Final),
        ("RELAY_TOO_MANY", RelayError::TooManyBranches),
        ("RELAY_LOOP", RelayError::Loop),
    ];
    let number = transaction::relay_number;
    outcomes.into_iter().try_for_each(|(name, error)| module.add(name, number(error)))?;
    module.add("EVENT_READ", 1)?;
    module.add("EVENT_WRITE", 2)
}

#[pymodule(gil_used = false)]
fn core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("PanicException", module.py().get_type::<pyo3::panic::PanicException>())?;
    module.add("ParseError", module.py().get_type::<error::ParseError>())?;
    module.add_class::<syntax::Uri>()?;
    module.add_class::<syntax::NameAddr>()?;
    module.add_class::<syntax::Via>()?;
    module.add_class::<address::Target>()?;
    module.add_class::<address::Listener>()?;
    module.add_class::<connection::Connection>()?;
    module.add_class::<connection::TlsFacts>()?;
    module.add_class::<connection::TlsSection>()?;
    module.add_class::<message::Message>()?;
    module.add_class::<transaction::Branch>()?;
    module.add_class::<transaction::Transaction>()?;
    module.add_class::<transaction::ClientTransaction>()?;
    module.add_class::<core_object::Core>()?;
    module.add_class::<endpoints::Endpoint>()?;
    module.add_class::<endpoints::OfflineEndpoint>()?;
    module.add_function(wrap_pyfunction!(version, module)?)?;
    add_constants(module)
}
