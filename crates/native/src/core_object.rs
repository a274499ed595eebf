//! `Core`: the operations that an online and an offline endpoint share.

use std::net::SocketAddr;

use bytes::Bytes;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use sipyard_endpoint::{Event, Handle, Incoming, Kept, TargetError};
use sipyard_transaction::{CancelOutcome, NewTransaction, Protocol, Request, TxId, BLACKLIST_ENTRY};

use crate::address::{listener_index, protocol_of, socket_address, Listener, Target};
use crate::configure::setting_of;
use crate::connection::{self, Connection, TlsSection};
use crate::error::{parse_error, value_error};
use crate::message::Message;
use crate::text::{Text, NO_BYTES};
use crate::time::seconds;
use crate::transaction::{relay_number, targets_of, uri_of, ClientTransaction, ReplyParts, Transaction};

/// Kinds of events; their order is that of `EVENTS` in the module.
pub mod kind {
    /// A new request.
    pub const REQUEST: u8 = 0;
    /// A held reply.
    pub const REPLY: u8 = 1;
    /// A held failure.
    pub const FAILURE: u8 = 2;
    /// A final reply went upstream.
    pub const FINAL: u8 = 3;
    /// A transaction is gone.
    pub const ENDED: u8 = 4;
    /// A reply of no transaction.
    pub const STRAY_REPLY: u8 = 5;
    /// A reply to a request of our own.
    pub const CLIENT_REPLY: u8 = 6;
    /// No reply to a request of our own.
    pub const CLIENT_TIMEOUT: u8 = 7;
    /// A watched connection has ended.
    pub const CLOSED: u8 = 8;
    /// Something for the log.
    pub const NOTICE: u8 = 9;
    /// An HTTP request.
    pub const HTTP: u8 = 10;
}

/// The operations that an online and an offline endpoint share.
#[pyclass(frozen, module = "sipyard._native.core")]
pub struct Core {
    /// The shared core.
    pub handle: Handle,
}

impl Core {
    fn transaction_of(&self, tx: TxId) -> Transaction {
        let kept = self.handle.with(|core| core.kept(tx));
        Transaction::new(self.handle.clone(), tx, kept)
    }

    fn target_error(py: Python<'_>, error: &TargetError) -> PyErr {
        match error {
            TargetError::Parse(error) => parse_error(py, error),
            TargetError::NoListener => value_error("no listener can send there"),
            TargetError::Forbidden => value_error("an address that nothing may be sent to"),
        }
    }

    /// An event as Python's tuple.
    fn event<'py>(&self, py: Python<'py>, event: Event) -> PyResult<Bound<'py, PyTuple>> {
        let message = |incoming: Incoming| Message::new(incoming);
        let none = py.None();
        match event {
            Event::Closed(closed) => (kind::CLOSED, none, closed.reason.text(), 0, closed.connection).into_pyobject(py),
            Event::Notice(text) => (kind::NOTICE, none, text.into_owned(), 0, 0).into_pyobject(py),
            Event::Request(incoming) => (kind::REQUEST, message(incoming), none, 0, 0).into_pyobject(py),
            Event::Http(incoming) => (kind::HTTP, message(incoming), none, 0, 0).into_pyobject(py),
            Event::StrayReply(incoming) => (kind::STRAY_REPLY, message(incoming), none, 0, 0).into_pyobject(py),
            Event::Reply { tx, branch, token, reply } => {
                (kind::REPLY, message(reply), self.transaction_of(tx), token.0, branch).into_pyobject(py)
            }
            Event::Failure { tx, branch, status, reply } => {
                (kind::FAILURE, reply.map(message), self.transaction_of(tx), status, branch).into_pyobject(py)
            }
            Event::Final { tx, status, held, reply } => {
                let held = usize::from(held);
                (kind::FINAL, reply.map(message), self.transaction_of(tx), status, held).into_pyobject(py)
            }
            Event::Ended { tx, status } => {
                let kept = self.handle.with(|core| core.forget(tx));
                let transaction = Transaction::new(self.handle.clone(), tx, kept);
                (kind::ENDED, none, transaction, status, 0).into_pyobject(py)
            }
            Event::ClientReply { client, status, reply } => {
                let client = ClientTransaction::new(self.handle.clone(), client);
                (kind::CLIENT_REPLY, message(reply), client, status, 0).into_pyobject(py)
            }
            Event::ClientTimeout { client, status } => {
                let client = ClientTransaction::new(self.handle.clone(), client);
                (kind::CLIENT_TIMEOUT, none, client, status, 0).into_pyobject(py)
            }
        }
    }
}

fn request_of(message: &Message) -> PyResult<&Request> {
    message.incoming.request().ok_or_else(|| value_error("not a request that was received"))
}

#[pymethods]
impl Core {
    #[pyo3(signature = (**settings))]
    fn configure(&self, settings: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        let Some(settings) = settings else { return Ok(()) };
        let mut changes = Vec::with_capacity(settings.len());
        for (name, value) in settings.iter() {
            let name: String = name.extract()?;
            changes.extend(setting_of(&name, &value)?);
        }
        self.handle.with(|core| changes.into_iter().for_each(|change| core.configure(change)));
        Ok(())
    }

    #[getter]
    fn listeners(&self) -> Vec<Listener> {
        self.handle.with(|core| {
            let all = core.listeners().iter().enumerate();
            all.filter_map(|(index, listener)| Some(Listener::new(u16::try_from(index).ok()?, listener))).collect()
        })
    }

    #[getter]
    fn now(&self) -> f64 {
        seconds(self.handle.with(|core| core.now()))
    }

    #[getter]
    fn pending(&self) -> usize {
        self.handle.with(sipyard_endpoint::Core::pending)
    }

    #[pyo3(signature = (host, port, protocol = None))]
    fn is_myself(&self, host: Text<'_>, port: u16, protocol: Option<&str>) -> PyResult<bool> {
        let protocol = protocol.map(protocol_of).transpose()?;
        Ok(self.handle.with(|core| core.is_myself(host.bytes(), port, protocol)))
    }

    fn is_myself_uri(&self, uri: Text<'_>) -> bool {
        self.handle.with(|core| core.is_myself_uri(uri.bytes()))
    }

    #[pyo3(signature = (uri, listener = -1), text_signature = "($self, uri, listener=-1)")]
    fn target(&self, py: Python<'_>, uri: Text<'_>, listener: i32) -> PyResult<Option<Target>> {
        let listener = listener_index(listener)?;
        let found = self.handle.with(|core| core.target(uri.bytes(), listener));
        found.map(|found| found.map(|target| Target { target })).map_err(|error| Core::target_error(py, &error))
    }

    #[pyo3(signature = (protocol, ip, port, listener = -1), text_signature = "($self, protocol, ip, port, listener=-1)")]
    fn target_for(&self, py: Python<'_>, protocol: &str, ip: &str, port: u16, listener: i32) -> PyResult<Target> {
        let (protocol, remote) = (protocol_of(protocol)?, socket_address(ip, port)?);
        let listener = listener_index(listener)?;
        let found = self.handle.with(|core| core.target_for(protocol, remote, listener));
        found.map(|target| Target { target }).map_err(|error| Core::target_error(py, &error))
    }

    fn new_transaction(&self, message: &Message) -> PyResult<Option<Transaction>> {
        let outcome = self.handle.with(|core| core.new_transaction(&message.incoming, &message.draft));
        match outcome.ok_or_else(|| value_error("not a request that was received"))? {
            NewTransaction::New(tx) | NewTransaction::Cancelled(tx) => {
                let kept = Kept { draft: message.draft.clone(), incoming: message.incoming.clone() };
                Ok(Some(Transaction::new(self.handle.clone(), tx, Some(kept))))
            }
            NewTransaction::Retransmission(_) | NewTransaction::Ack | NewTransaction::Full => Ok(None),
        }
    }

    fn find_transaction(&self, message: &Message) -> Option<Transaction> {
        let request = message.incoming.request()?;
        let found = self.handle.with(|core| core.lookup(request))?;
        Some(self.transaction_of(found))
    }

    fn find_cancelled(&self, message: &Message) -> Option<Transaction> {
        let request = message.incoming.request()?;
        let found = self.handle.with(|core| core.lookup_cancel(request))?;
        Some(self.transaction_of(found))
    }

    fn find_invites(&self, call_id: Text<'_>, cseq: u32) -> Vec<Transaction> {
        let found = self.handle.with(|core| core.find_invites(call_id.bytes(), cseq));
        found.into_iter().map(|tx| self.transaction_of(tx)).collect()
    }

    fn transaction(&self, id: u64) -> Option<Transaction> {
        let tx = TxId::from_u64(id);
        let is_alive = self.handle.with(|core| core.layer().facts(tx).is_some());
        is_alive.then(|| self.transaction_of(tx))
    }

    fn relay_cancel(&self, message: &Message) -> PyResult<i32> {
        let request = request_of(message)?;
        match self.handle.with(|core| core.relay_cancel(request)) {
            CancelOutcome::Handled | CancelOutcome::Full => Ok(1),
            CancelOutcome::NotFound => Ok(0),
        }
    }

    #[pyo3(signature = (message, status, reason, *, headers = Text::EMPTY, body = NO_BYTES, to_tag = None),
           text_signature = "($self, message, status, reason, *, headers='', body=b'', to_tag=None)")]
    fn reply(
        &self,
        message: &Message,
        status: u16,
        reason: Text<'_>,
        headers: Text<'_>,
        body: &[u8],
        to_tag: Option<Text<'_>>,
    ) -> PyResult<()> {
        let parts = ReplyParts::new(status, reason, &headers, body, to_tag)?;
        let request = request_of(message)?;
        self.handle.with(|core| core.reply_stateless(request, &message.draft(), &parts.reply()));
        Ok(())
    }

    fn forward(&self, message: &Message, uri: Option<Text<'_>>, targets: &Bound<'_, PyList>) -> PyResult<i32> {
        let (request, uri, targets) = (request_of(message)?, uri_of(uri.as_ref())?, targets_of(targets)?);
        let sent = self.handle.with(|core| core.forward(request, &message.draft(), uri, &targets));
        Ok(sent.map_or_else(relay_number, |()| 1))
    }

    fn forward_reply(&self, message: &Message) -> bool {
        let edits = message.draft().edits.clone();
        self.handle.with(|core| core.forward_reply(&message.incoming, &edits))
    }

    fn send_raw(&self, data: &[u8], target: &Target) -> bool {
        let data = Bytes::copy_from_slice(data);
        self.handle.with(|core| core.send_raw(&target.target, data))
    }

    fn request(
        &self,
        method: Text<'_>,
        uri: Text<'_>,
        headers: Text<'_>,
        body: &[u8],
        targets: &Bound<'_, PyList>,
    ) -> PyResult<ClientTransaction> {
        let targets = targets_of(targets)?;
        let sent = self
            .handle
            .with(|core| core.request(method.bytes(), uri.bytes(), headers.bytes(), body, targets))
            .map_err(value_error)?;
        Ok(ClientTransaction::new(self.handle.clone(), sent))
    }

    fn hold(&self, message: &Message) -> PyResult<bool> {
        let request = request_of(message)?;
        Ok(self.handle.with(|core| core.hold(request)))
    }

    fn unhold(&self, message: &Message) -> PyResult<()> {
        let request = request_of(message)?;
        self.handle.with(|core| core.unhold(request));
        Ok(())
    }

    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counters = self.handle.with(|core| core.counters());
        let result = PyDict::new(py);
        counters.into_iter().try_for_each(|(name, value)| result.set_item(name, value))?;
        Ok(result)
    }

    fn unanswered(&self) -> usize {
        self.handle.with(|core| core.layer().unanswered())
    }

    fn live<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let live = self.handle.with(|core| core.live());
        let result = PyDict::new(py);
        live.into_iter().try_for_each(|(name, value)| result.set_item(name, value))?;
        Ok(result)
    }

    fn blacklist<'py>(&self, py: Python<'py>) -> Vec<(&'static str, Bound<'py, PyString>, u16, f64)> {
        let entries = self.handle.with(|core| {
            let now = core.now();
            let entries = core.layer().blacklist().entries(now);
            entries.map(|(protocol, remote, end)| (protocol, remote, end - now)).collect::<Vec<_>>()
        });
        let row = |(protocol, remote, left): (Protocol, SocketAddr, u64)| {
            (protocol.parameter(), PyString::new(py, &remote.ip().to_string()), remote.port(), seconds(left))
        };
        entries.into_iter().map(row).collect()
    }

    #[getter]
    fn blacklist_memory(&self) -> (usize, usize) {
        let sizes =
            |core: &mut sipyard_endpoint::Core| (core.layer().blacklist().len(), core.layer().config().blacklist.limit);
        let (entries, limit) = self.handle.with(sizes);
        (entries * BLACKLIST_ENTRY, limit * BLACKLIST_ENTRY)
    }

    fn add_alias(&self, message: &Message, port: Option<u16>) -> bool {
        message.incoming.request().is_some_and(|request| self.handle.with(|core| core.add_alias(request, port)))
    }

    fn watch_connection(&self, connection: u64) -> bool {
        self.handle.with(|core| core.watch_connection(connection))
    }

    fn answer_http(&self, message: &Message, answer: &[u8]) -> bool {
        let connection = message.incoming.flow().map_or(0, |flow| flow.connection);
        let answer = Bytes::copy_from_slice(answer);
        self.handle.with(|core| core.answer_http(connection, answer))
    }

    fn close_connection(&self, connection: u64) {
        self.handle.with(|core| core.close_connection(connection));
    }

    fn connection(&self, connection: u64) -> Option<Connection> {
        self.handle.with(|core| core.connection(connection)).map(|facts| Connection { facts })
    }

    fn set_tls(&self, sections: Vec<PyRef<'_, TlsSection>>) -> PyResult<()> {
        let context = connection::context(&sections)?;
        self.handle.with(|core| core.set_tls(context));
        Ok(())
    }

    #[getter]
    fn most_connections(&self) -> usize {
        self.handle.with(|core| core.stream_settings().most)
    }

    fn connections(&self) -> Vec<u64> {
        self.handle.with(|core| core.connection_numbers())
    }

    fn named(&self, target: &Target, name: Text<'_>) -> Target {
        let name = String::from_utf8_lossy(name.bytes());
        Target { target: self.handle.with(|core| core.named(target.target, &name)) }
    }

    fn clear_blacklist(&self) -> usize {
        self.handle.with(|core| core.clear_blacklist())
    }

    #[pyo3(signature = (limit = 256))]
    fn poll_events<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, PyList>> {
        let events: Vec<Event> =
            self.handle.with(|core| std::iter::from_fn(|| core.poll_event()).take(limit).collect());
        let result = PyList::empty(py);
        for event in events {
            result.append(self.event(py, event)?)?;
        }
        Ok(result)
    }
}

/// A setting by an unknown name.
pub fn unknown_setting(name: &str) -> PyErr {
    PyTypeError::new_err(format!("configure() got an unexpected keyword argument '{name}'"))
}
