//! `Endpoint` and `OfflineEndpoint`: the core on sockets, and the core with time and datagrams handed in.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::AsRawFd;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use sipyard_endpoint::{CloseReason, Core as EndpointCore, Handle, Interest, ListenOptions, OfflineAction};

use crate::address::{protocol_of, socket_address, Listener};
use crate::core_object::Core;
use crate::error::{os_error, value_error};
use crate::time::{micros, seconds};

const READ: u32 = 1;
const WRITE: u32 = 2;

fn interest_of(events: u32) -> PyResult<Interest> {
    if events == 0 || events & !(READ | WRITE) != 0 {
        return Err(value_error(format!("invalid events: {events}")));
    }
    Ok(Interest { readable: events & READ != 0, writable: events & WRITE != 0 })
}

/// Two words that nobody can guess: the standard library seeds its hashers from the system's random source.
fn random_seed() -> [u64; 2] {
    [0_u64, 1].map(|word| {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u64(word);
        hasher.finish()
    })
}

fn listener_at(handle: &Handle, index: u16) -> PyResult<Listener> {
    let found = handle.with(|core| core.listeners().get(usize::from(index)).map(|one| Listener::new(index, one)));
    found.ok_or_else(|| value_error(format!("no such listener: {index}")))
}

/// The core on real UDP sockets.
#[pyclass(frozen, module = "sipyard._native.core")]
pub struct Endpoint {
    endpoint: sipyard_endpoint::Endpoint,
}

#[pymethods]
impl Endpoint {
    #[new]
    #[pyo3(signature = (*, threads = 0, queue_limit = 4096, seed = None))]
    fn new(threads: u32, queue_limit: usize, seed: Option<u64>) -> PyResult<Endpoint> {
        if threads > 1 {
            return Err(value_error("at most one I/O thread so far"));
        }
        let seed = seed.map_or_else(random_seed, |seed| [seed, 0x5349_5059]);
        let core = EndpointCore::new(seed, queue_limit);
        let endpoint = sipyard_endpoint::Endpoint::new(core, threads == 1).map_err(os_error)?;
        Ok(Endpoint { endpoint })
    }

    #[getter]
    fn core(&self) -> Core {
        Core { handle: self.endpoint.handle().clone() }
    }

    #[pyo3(signature = (protocol, ip, port, *, advertised_host = None, advertised_port = None,
                        multicast_interface = None, multicast_ttl = 1, multicast_loopback = false, tos = 16,
                        receive_buffer = 4194304, reuse_port = false))]
    #[allow(clippy::too_many_arguments)] // keyword arguments of one Python method
    fn listen(
        &self,
        protocol: &str,
        ip: &str,
        port: u16,
        advertised_host: Option<String>,
        advertised_port: Option<u16>,
        multicast_interface: Option<String>,
        multicast_ttl: u8,
        multicast_loopback: bool,
        tos: u8,
        receive_buffer: usize,
        reuse_port: bool,
    ) -> PyResult<Listener> {
        let protocol = protocol_of(protocol)?;
        let options = ListenOptions {
            advertised_host,
            advertised_port,
            multicast_interface,
            multicast_ttl,
            multicast_loopback,
            tos,
            receive_buffer,
            reuse_port,
        };
        let index = self.endpoint.listen(protocol, socket_address(ip, port)?, &options).map_err(os_error)?;
        listener_at(self.endpoint.handle(), index)
    }

    fn fileno(&self) -> i32 {
        self.endpoint.events_fd().as_raw_fd()
    }

    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Vec<(i32, u32)>> {
        let timeout = timeout.map(|timeout| micros(timeout.max(0.0))).transpose()?;
        let ready = py.detach(|| self.endpoint.wait(timeout)).map_err(os_error)?;
        let bits = |interest: Interest| {
            let readable = if interest.readable { READ } else { 0 };
            readable | if interest.writable { WRITE } else { 0 }
        };
        Ok(ready.into_iter().map(|(fd, interest)| (fd, bits(interest))).collect())
    }

    fn wake(&self) {
        self.endpoint.wake();
    }

    fn register(&self, fd: i32, events: u32) -> PyResult<()> {
        self.endpoint.register(fd, interest_of(events)?).map_err(os_error)
    }

    fn modify(&self, fd: i32, events: u32) -> PyResult<()> {
        self.endpoint.modify(fd, interest_of(events)?).map_err(os_error)
    }

    fn unregister(&self, fd: i32) -> PyResult<()> {
        self.endpoint.unregister(fd).map_err(os_error)
    }

    fn flush(&self, py: Python<'_>) {
        py.detach(|| self.endpoint.flush());
    }

    fn acknowledge(&self) {
        self.endpoint.acknowledge();
    }

    fn now(&self) -> f64 {
        seconds(self.endpoint.now())
    }

    #[getter]
    fn is_closed(&self) -> bool {
        self.endpoint.is_closed()
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.endpoint.close());
    }
}

/// The same core without sockets: time and datagrams are handed in, transmissions are polled.
#[pyclass(frozen, module = "sipyard._native.core")]
pub struct OfflineEndpoint {
    endpoint: sipyard_endpoint::OfflineEndpoint,
}

/// A connection with where to make it to (protocol, address to come from, address and port), or what to send over it, or
/// neither: close it.
type PyStreamAction<'py> = (u64, Option<(&'static str, String, String, u16)>, Option<Bound<'py, PyBytes>>);

type PyTransmit<'py> = (u16, &'static str, Bound<'py, PyString>, u16, Bound<'py, PyBytes>);

#[pymethods]
impl OfflineEndpoint {
    #[new]
    #[pyo3(signature = (*, seed = 0, queue_limit = 4096))]
    fn new(seed: u64, queue_limit: usize) -> OfflineEndpoint {
        let endpoint = sipyard_endpoint::OfflineEndpoint::new(seed, queue_limit);
        OfflineEndpoint { endpoint }
    }

    #[getter]
    fn core(&self) -> Core {
        Core { handle: self.endpoint.handle().clone() }
    }

    #[pyo3(signature = (protocol, ip, port, *, advertised_host = None, advertised_port = None))]
    fn listen(
        &self,
        protocol: &str,
        ip: &str,
        port: u16,
        advertised_host: Option<String>,
        advertised_port: Option<u16>,
    ) -> PyResult<Listener> {
        let protocol = protocol_of(protocol)?;
        let address = socket_address(ip, port)?;
        let listener = sipyard_transaction::Listener::new(protocol, address, advertised_host, advertised_port);
        listener_at(self.endpoint.handle(), self.endpoint.listen(listener))
    }

    #[pyo3(signature = (now, data, listener, ip, port, *, destination_ip = None))]
    #[allow(clippy::too_many_arguments)] // what a datagram is
    fn receive(
        &self,
        now: f64,
        data: &[u8],
        listener: u16,
        ip: &str,
        port: u16,
        destination_ip: Option<&str>,
    ) -> PyResult<()> {
        let remote = socket_address(ip, port)?;
        let destination = destination_ip.map(|ip| socket_address(ip, 0)).transpose()?.map(|address| address.ip());
        if !self.endpoint.receive(micros(now)?, data, listener, remote, destination) {
            return Err(value_error(format!("no such listener: {listener}")));
        }
        Ok(())
    }

    fn accept(&self, now: f64, listener: u16, ip: &str, port: u16) -> PyResult<Option<u64>> {
        let (now, remote) = (micros(now)?, socket_address(ip, port)?);
        Ok(self.endpoint.handle().with(|core| {
            let local = core.listeners().get(usize::from(listener))?.address;
            core.stream_accepted(now, listener, local, remote)
        }))
    }

    fn connected(&self, now: f64, connection: u64, ip: &str, port: u16) -> PyResult<()> {
        let (now, local) = (micros(now)?, socket_address(ip, port)?);
        self.endpoint.handle().with(|core| core.stream_connected(now, connection, local));
        Ok(())
    }

    fn receive_stream(&self, now: f64, connection: u64, data: &[u8]) -> PyResult<()> {
        let now = micros(now)?;
        self.endpoint.handle().with(|core| core.stream_received(now, connection, data));
        Ok(())
    }

    fn hang_up(&self, now: f64, connection: u64, refused: bool) -> PyResult<()> {
        let now = micros(now)?;
        let reason = if refused { CloseReason::Refused } else { CloseReason::Peer };
        self.endpoint.handle().with(|core| core.stream_closed(now, connection, reason));
        Ok(())
    }

    fn poll_streams<'py>(&self, py: Python<'py>, now: f64) -> PyResult<Vec<PyStreamAction<'py>>> {
        let one = |action| match action {
            OfflineAction::Connect(connect) => {
                let (local, remote) = (connect.local.to_string(), connect.remote);
                let remote = Some((connect.protocol.parameter(), local, remote.ip().to_string(), remote.port()));
                (connect.connection, remote, None)
            }
            OfflineAction::Send(connection, data) => (connection, None, Some(PyBytes::new(py, &data))),
            OfflineAction::Close(connection) => (connection, None, None),
        };
        Ok(self.endpoint.stream_actions(micros(now)?).into_iter().map(one).collect())
    }

    fn transport_failed(&self, now: f64, data: &[u8], ip: &str, port: u16) -> PyResult<()> {
        self.endpoint.transport_failed(micros(now)?, data, socket_address(ip, port)?);
        Ok(())
    }

    fn advance(&self, now: f64) -> PyResult<()> {
        self.endpoint.advance(micros(now)?);
        Ok(())
    }

    fn next_timeout(&self) -> Option<f64> {
        self.endpoint.next_timeout().map(seconds)
    }

    #[pyo3(signature = (limit = 1024))]
    fn poll_transmits<'py>(&self, py: Python<'py>, limit: usize) -> Vec<PyTransmit<'py>> {
        let one = |transmit: sipyard_transaction::Transmit| {
            let target = transmit.target;
            (
                target.listener.unwrap_or(0),
                target.protocol.parameter(),
                PyString::new(py, &target.remote.ip().to_string()),
                target.remote.port(),
                PyBytes::new(py, &transmit.data),
            )
        };
        self.endpoint.poll_transmits(limit).into_iter().map(one).collect()
    }
}
