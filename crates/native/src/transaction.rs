//! `Branch`, `Transaction` and `ClientTransaction`: handles by identity, no state of their own.

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};
use sipyard_endpoint::{is_one_line, whole_lines, Draft, Handle, Kept, SharedDraft};
use sipyard_transaction::{Arm, ClientId, Facts, RelayError, Reply, ReplyToken, TxId};

use crate::address::{hash_of, Target};
use crate::error::value_error;
use crate::message::Message;
use crate::text::{method_text, optional_text, text, Text, NO_BYTES};
use crate::time::micros;

/// Numbers of the RELAY_ constants.
pub fn relay_number(error: RelayError) -> i32 {
    match error {
        RelayError::Unknown | RelayError::Final => -4,
        RelayError::Cancelled => -3,
        RelayError::Loop => -6,
        RelayError::NoBranches => -2,
        RelayError::TooManyBranches | RelayError::Breadth => -5,
        RelayError::Send => -1,
    }
}

/// A local reply's parts, held to what may stand in a message.
pub struct ReplyParts<'a> {
    status: u16,
    reason: Text<'a>,
    headers: Bytes,
    body: &'a [u8],
    to_tag: Option<Text<'a>>,
}

impl<'a> ReplyParts<'a> {
    /// Check them; ValueError.
    pub fn new(
        status: u16,
        reason: Text<'a>,
        headers: &Text<'_>,
        body: &'a [u8],
        to_tag: Option<Text<'a>>,
    ) -> PyResult<ReplyParts<'a>> {
        if !(100..700).contains(&status) {
            return Err(value_error(format!("not a status: {status}")));
        }
        if !is_one_line(reason.bytes()) {
            return Err(value_error("a line break in a reason phrase"));
        }
        let to_tag_is_token = to_tag.as_ref().is_none_or(|tag| sipyard_wire::lexer::is_token(tag.bytes()));
        if !to_tag_is_token {
            return Err(value_error("a tag must be a token"));
        }
        let headers = whole_lines(headers.bytes()).map_err(value_error)?;
        Ok(ReplyParts { status, reason, headers, body, to_tag })
    }

    /// As the core wants them.
    pub fn reply(&self) -> Reply<'_> {
        Reply {
            status: self.status,
            reason: self.reason.bytes(),
            to_tag: self.to_tag.as_ref().map(Text::bytes),
            headers: &self.headers,
            body: self.body,
            bare: false,
        }
    }
}

/// The targets of a Python list.
pub fn targets_of(targets: &Bound<'_, PyList>) -> PyResult<Vec<sipyard_transaction::Target>> {
    targets.iter().map(|target| Ok(target.cast::<Target>()?.get().target)).collect()
}

/// A request URI argument.
pub fn uri_of(uri: Option<&Text<'_>>) -> PyResult<Option<Bytes>> {
    match uri {
        Some(uri) if !is_one_line(uri.bytes()) => Err(value_error("a line break in a URI")),
        uri => Ok(uri.map(Text::to_bytes)),
    }
}

/// One branch to relay to: a message with its edits, the Request-URI to write, targets in order of preference.
#[pyclass(frozen, module = "sipyard._native.core")]
pub struct Branch {
    draft: SharedDraft,
    uri: Option<Bytes>,
    targets: Vec<sipyard_transaction::Target>,
    q: i32,
}

impl Branch {
    /// As the core wants it, with the edits that the message has now.
    fn branch(&self) -> sipyard_transaction::Branch {
        sipyard_transaction::Branch {
            outgoing: self.draft.lock().outgoing(self.uri.clone()),
            targets: self.targets.clone(),
            q: self.q,
        }
    }
}

#[pymethods]
impl Branch {
    #[new]
    #[pyo3(signature = (message, uri, targets, q = -1), text_signature = "(message, uri, targets, q=-1)")]
    fn new(message: &Message, uri: Option<Text<'_>>, targets: &Bound<'_, PyList>, q: i32) -> PyResult<Branch> {
        Ok(Branch { draft: message.draft.clone(), uri: uri_of(uri.as_ref())?, targets: targets_of(targets)?, q })
    }

    #[getter]
    fn uri<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        optional_text(py, self.uri.as_deref())
    }

    #[getter]
    fn q(&self) -> i32 {
        self.q
    }
}

/// A server transaction with its response context (RFC 3261 §16.7, §17.2). Compares by identity of `id`.
#[pyclass(frozen, module = "sipyard._native.core")]
pub struct Transaction {
    handle: Handle,
    /// Its identity.
    pub tx: TxId,
    kept: Option<Kept>,
}

impl Transaction {
    /// A handle on a transaction.
    pub fn new(handle: Handle, tx: TxId, kept: Option<Kept>) -> Transaction {
        Transaction { handle, tx, kept }
    }

    fn fact<T>(&self, fact: impl FnOnce(&Facts<'_>) -> T) -> Option<T> {
        self.handle.with(|core| core.layer().facts(self.tx).as_ref().map(fact))
    }
}

#[pymethods]
impl Transaction {
    #[getter]
    fn id(&self) -> u64 {
        self.tx.to_u64()
    }

    #[getter]
    fn method<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        match &self.kept {
            Some(kept) => method_text(py, kept.incoming.message().method()),
            None => text(py, b""),
        }
    }

    #[getter]
    fn request(&self) -> PyResult<Message> {
        let kept = self.kept.as_ref().ok_or_else(|| value_error("the transaction is gone"))?;
        let draft = kept.draft.lock().clone();
        Ok(Message { incoming: kept.incoming.clone(), draft: std::sync::Arc::new(draft.into()) })
    }

    #[getter]
    fn status(&self) -> u16 {
        self.fact(|facts| facts.status).unwrap_or(0)
    }

    #[getter]
    fn is_answer_held(&self) -> bool {
        self.fact(|facts| facts.is_answer_held).unwrap_or(false)
    }

    #[getter]
    fn picked_status(&self) -> u16 {
        self.fact(|facts| facts.picked_status).unwrap_or(0)
    }

    #[getter]
    fn is_cancelled(&self) -> bool {
        self.fact(|facts| facts.is_cancelled).unwrap_or(false)
    }

    #[getter]
    fn is_alive(&self) -> bool {
        self.fact(|_| ()).is_some()
    }

    #[getter]
    fn state(&self) -> &'static str {
        self.fact(|facts| facts.state).unwrap_or("terminated")
    }

    #[getter]
    fn any_timeout(&self) -> bool {
        self.fact(|facts| facts.any_timeout).unwrap_or(false)
    }

    #[getter]
    fn any_replied(&self) -> bool {
        self.fact(|facts| facts.any_replied).unwrap_or(false)
    }

    #[getter]
    fn branch_timeout(&self) -> bool {
        self.fact(|facts| facts.branch_timeout).unwrap_or(false)
    }

    #[getter]
    fn branch_replied(&self) -> bool {
        self.fact(|facts| facts.branch_replied).unwrap_or(false)
    }

    #[getter]
    fn to_tag<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        let tag = self.handle.with(|core| core.layer().local_tag_of(self.tx));
        text(py, &tag.unwrap_or_default())
    }

    fn branches<'py>(&self, py: Python<'py>) -> PyResult<Vec<(Bound<'py, PyString>, u16, bool)>> {
        let own = self.kept.as_ref().map(|kept| kept.incoming.message().request_uri());
        let branches: Vec<(Bytes, u16, bool)> = self.handle.with(|core| {
            let one = |branch: sipyard_transaction::BranchFacts<'_>| {
                let uri = branch.uri.or(own).unwrap_or_default();
                let is_over = branch.status >= 200 || branch.timed_out || branch.superseded;
                (Bytes::copy_from_slice(uri), branch.status, is_over)
            };
            core.layer().branches(self.tx).map(one).collect()
        });
        branches.into_iter().map(|(uri, status, is_over)| Ok((text(py, &uri)?, status, is_over))).collect()
    }

    #[pyo3(signature = (status, reason, *, headers = Text::EMPTY, body = NO_BYTES, to_tag = None),
           text_signature = "($self, status, reason, *, headers='', body=b'', to_tag=None)")]
    fn reply(
        &self,
        status: u16,
        reason: Text<'_>,
        headers: Text<'_>,
        body: &[u8],
        to_tag: Option<Text<'_>>,
    ) -> PyResult<bool> {
        let parts = ReplyParts::new(status, reason, &headers, body, to_tag)?;
        Ok(self.handle.with(|core| match &self.kept {
            Some(kept) => core.reply(self.tx, &kept.draft.lock(), &parts.reply()),
            None => core.reply(self.tx, &Draft::default(), &parts.reply()),
        }))
    }

    fn relay(&self, branches: &Bound<'_, PyList>) -> PyResult<i32> {
        let branches: Vec<sipyard_transaction::Branch> =
            branches.iter().map(|branch| Ok(branch.cast::<Branch>()?.get().branch())).collect::<PyResult<_>>()?;
        Ok(match self.handle.with(|core| core.relay(self.tx, branches)) {
            Ok(sent) => i32::try_from(sent).unwrap_or(i32::MAX),
            Err(error) => relay_number(error),
        })
    }

    #[pyo3(signature = (*, reply = None, failure = None, r#final = None, ended = None))]
    fn arm(&self, reply: Option<bool>, failure: Option<bool>, r#final: Option<bool>, ended: Option<bool>) {
        let wanted = [(Arm::REPLY, reply), (Arm::FAILURE, failure), (Arm::FINAL, r#final), (Arm::ENDED, ended)];
        self.handle.with(|core| {
            let armed = core.layer().armed(self.tx);
            let arm = wanted.into_iter().fold(armed, |arm, (bit, wanted)| match wanted {
                None => arm,
                Some(true) => arm | bit,
                Some(false) => arm.without(bit),
            });
            core.arm(self.tx, arm, self.kept.as_ref());
        });
    }

    #[pyo3(signature = (token, forward = true, message = None))]
    fn resume_reply(&self, token: u64, forward: bool, message: Option<&Message>) {
        let edits = message.map(|message| message.draft().edits.clone()).filter(|edits| !edits.is_empty());
        self.handle.with(|core| core.resume_reply(self.tx, ReplyToken(token), forward, edits));
    }

    fn resume_failure(&self) {
        self.handle.with(|core| core.resume_failure(self.tx));
    }

    fn resume_final(&self) {
        self.handle.with(|core| core.resume_final(self.tx));
    }

    #[pyo3(signature = (fr = 0.0, fr_inv = 0.0))]
    fn set_timers(&self, fr: f64, fr_inv: f64) -> PyResult<()> {
        let (fr, fr_inv) = (micros(fr)?, micros(fr_inv)?);
        self.handle.with(|core| core.set_timers(self.tx, fr, fr_inv));
        Ok(())
    }

    fn cancel_branches(&self) -> usize {
        self.handle.with(|core| core.cancel_branches(self.tx))
    }

    fn retransmit_reply(&self) -> bool {
        self.handle.with(|core| core.retransmit_reply(self.tx))
    }

    fn release(&self) {
        self.handle.with(|core| core.release(self.tx));
    }

    fn __eq__(&self, other: &Transaction) -> bool {
        self.tx == other.tx
    }

    fn __hash__(&self) -> u64 {
        hash_of(self.tx)
    }

    fn __repr__(&self) -> String {
        format!("<Transaction {:#x} {} {}>", self.tx.to_u64(), self.state(), self.status())
    }
}

/// A request of our own (RFC 3261 §17.1). Compares by identity of `id`.
#[pyclass(frozen, module = "sipyard._native.core")]
pub struct ClientTransaction {
    handle: Handle,
    client: ClientId,
}

impl ClientTransaction {
    /// A handle on one.
    pub fn new(handle: Handle, client: ClientId) -> ClientTransaction {
        ClientTransaction { handle, client }
    }
}

#[pymethods]
impl ClientTransaction {
    #[getter]
    fn id(&self) -> u64 {
        self.client.0.to_u64()
    }

    #[getter]
    fn method<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        let message = self.handle.with(|core| {
            let request = core.layer().facts(self.client.0)?.request?;
            Some(request.message.clone())
        });
        message.map_or_else(|| text(py, b""), |message| method_text(py, message.method()))
    }

    #[getter]
    fn is_alive(&self) -> bool {
        self.handle.with(|core| core.layer().facts(self.client.0).is_some())
    }

    fn cancel(&self) -> bool {
        self.handle.with(|core| core.cancel_branches(self.client.0)) > 0
    }

    #[pyo3(signature = (reply, headers = Text::EMPTY, body = NO_BYTES),
           text_signature = "($self, reply, headers='', body=b'')")]
    fn ack(&self, reply: &Message, headers: Text<'_>, body: &[u8]) -> PyResult<bool> {
        self.handle.with(|core| core.acknowledge(&reply.incoming, headers.bytes(), body)).map_err(value_error)
    }

    fn __eq__(&self, other: &ClientTransaction) -> bool {
        self.client == other.client
    }

    fn __hash__(&self) -> u64 {
        hash_of(self.client)
    }

    fn __repr__(&self) -> String {
        format!("<ClientTransaction {:#x}>", self.client.0.to_u64())
    }
}
