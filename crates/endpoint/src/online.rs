//! The core on UDP sockets.
//!
//! One loop for both modes: `wait` runs it in the script's own thread until there is something to decide, an I/O thread
//! runs it for ever. One turn is one epoll_wait, one recvmmsg for each socket that has something, and one sendmmsg for all
//! that was to be sent; system calls that cannot find anything are left out.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};
use sipyard_transaction::{Flow, Micros, Protocol};
use sipyard_transport::{
    block_signals, coarse_micros, monotonic_micros, Epoll, ErrorBuffer, EventFd, Interest, Ready, ReadyBuffer,
    ReceiveBatch, BATCH,
};

use crate::channels::{is_stream_token, Channels};
use crate::core::Core;
use crate::handle::Handle;
use crate::sockets::{read_errors, Flushed, Sender, Socket};

/// Timers are looked at no more often than this while nothing else happens: wakes cost more than work, and no timer of
/// SIP needs better.
const TIMER_GRAIN: Micros = 5_000;
/// Full batches taken from a socket in one turn, before others have theirs.
const TURNS: usize = 4;
const WAKER: u64 = u64::MAX;
const FOREIGN: u64 = 1 << 32;

/// A foreign descriptor that is ready.
pub type ReadyDescriptor = (RawFd, Interest);

/// What only the waiting thread uses.
struct Receiver {
    batch: ReceiveBatch,
    errors: ErrorBuffer,
    ready: ReadyBuffer,
    last_advance: Micros,
}

pub(crate) struct Net {
    pub(crate) handle: Handle,
    pub(crate) sockets: RwLock<Vec<Arc<Socket>>>,
    pub(crate) sender: Mutex<Sender>,
    pub(crate) channels: Mutex<Channels>,
    pub(crate) epoll: Epoll,
    receiver: Mutex<Receiver>,
    waker: EventFd,
    events: EventFd,
    signalled: AtomicBool,
    closed: AtomicBool,
    /// When the I/O thread wakes by itself.
    sleeps_until: AtomicU64,
    threaded: bool,
}

/// The driver on sockets.
pub struct Endpoint {
    pub(crate) net: Arc<Net>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What one turn found.
#[derive(Default)]
struct Turn {
    foreign: Vec<ReadyDescriptor>,
    woken: bool,
    pending: usize,
}

impl Endpoint {
    /// A core without sockets; with `threaded` an I/O thread starts. The error is the system's.
    pub fn new(core: Core, threaded: bool) -> io::Result<Endpoint> {
        let epoll = Epoll::new()?;
        let waker = EventFd::new()?;
        epoll.add(waker.as_fd().as_raw_fd(), WAKER, Interest::READ)?;
        let receiver = Receiver {
            batch: ReceiveBatch::new(),
            errors: ErrorBuffer::default(),
            ready: ReadyBuffer::new(64),
            last_advance: 0,
        };
        let net = Arc::new(Net {
            handle: Handle::new(core, Some(coarse_micros)),
            sockets: RwLock::default(),
            sender: Mutex::default(),
            channels: Mutex::default(),
            epoll,
            receiver: Mutex::new(receiver),
            waker,
            events: EventFd::new()?,
            signalled: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            sleeps_until: AtomicU64::new(0),
            threaded,
        });
        let endpoint = Endpoint { net: net.clone(), thread: Mutex::new(None) };
        if threaded {
            let run = move || {
                block_signals();
                net.run();
            };
            *endpoint.thread.lock() = Some(std::thread::Builder::new().name("sipyard-io".to_owned()).spawn(run)?);
        }
        Ok(endpoint)
    }

    /// The core.
    pub fn handle(&self) -> &Handle {
        &self.net.handle
    }

    /// Readable while events wait (thread mode).
    pub fn events_fd(&self) -> BorrowedFd<'_> {
        self.net.events.as_fd()
    }

    /// Make `events_fd` unreadable: the caller takes all events now.
    pub fn acknowledge(&self) {
        self.net.signalled.store(false, Ordering::SeqCst);
        self.net.events.reset();
    }

    /// Selector mode: do I/O until events wait, a foreign descriptor is ready, `wake` was called or `timeout` microseconds
    /// have passed. A signal ends it early.
    pub fn wait(&self, timeout: Option<Micros>) -> io::Result<Vec<ReadyDescriptor>> {
        self.net.wait(timeout)
    }

    /// End a `wait` of another thread.
    pub fn wake(&self) {
        self.net.waker.notify();
    }

    /// Watch a foreign descriptor.
    pub fn register(&self, fd: RawFd, interest: Interest) -> io::Result<()> {
        self.net.epoll.add(fd, foreign_token(fd), interest)
    }

    /// Watch it for something else.
    pub fn modify(&self, fd: RawFd, interest: Interest) -> io::Result<()> {
        self.net.epoll.modify(fd, foreign_token(fd), interest)
    }

    /// Stop watching it.
    pub fn unregister(&self, fd: RawFd) -> io::Result<()> {
        self.net.epoll.remove(fd)
    }

    /// Send what is queued. In thread mode also see to it that the I/O thread wakes for new timers.
    pub fn flush(&self) {
        self.net.flush();
        if self.net.threaded {
            let next = self.net.handle.with(Core::next_timeout);
            if next.is_some_and(|next| next < self.net.sleeps_until.load(Ordering::SeqCst)) {
                self.net.waker.notify();
            }
        }
    }

    /// The time on the clock, exactly.
    pub fn now(&self) -> Micros {
        monotonic_micros()
    }

    /// Whether `close` was called.
    pub fn is_closed(&self) -> bool {
        self.net.closed.load(Ordering::SeqCst)
    }

    /// Send what is queued, stop the thread, close the sockets.
    pub fn close(&self) {
        if self.net.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        self.net.waker.notify();
        if let Some(thread) = self.thread.lock().take() {
            if thread.join().is_err() {
                self.net.handle.with(|core| core.counters_mut().panics += 1);
            }
        }
        self.net.flush();
        for socket in self.net.sockets.write().drain(..) {
            // The descriptor closes with the last reference; until then nothing may be reported on it.
            let _ = self.net.epoll.remove(socket.udp.as_fd().as_raw_fd());
        }
        *self.net.sender.lock() = Sender::default();
        self.net.channels.lock().close();
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.close();
    }
}

fn foreign_token(fd: RawFd) -> u64 {
    FOREIGN | u64::from(fd.unsigned_abs())
}

impl Net {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// The I/O thread.
    fn run(&self) {
        let mut receiver = self.receiver.lock();
        while !self.is_closed() {
            self.flush();
            let until = self.next_wake(&receiver, None, false);
            self.sleeps_until.store(until.unwrap_or(u64::MAX), Ordering::SeqCst);
            // A signal is no event here, and any other error would only come from a descriptor that was closed.
            let Ok(turn) = self.turn(&mut receiver, until) else { continue };
            if turn.pending > 0 && !self.signalled.swap(true, Ordering::SeqCst) {
                self.events.notify();
            }
        }
    }

    fn wait(&self, timeout: Option<Micros>) -> io::Result<Vec<ReadyDescriptor>> {
        let mut receiver = self.receiver.lock();
        let deadline = timeout.map(|timeout| monotonic_micros().saturating_add(timeout));
        loop {
            self.flush();
            if self.is_closed() {
                return Ok(Vec::new());
            }
            let until = self.next_wake(&receiver, deadline, true);
            let turn = match self.turn(&mut receiver, until) {
                Ok(turn) => turn,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Vec::new()),
                Err(error) => return Err(error),
            };
            let is_over = || deadline.is_some_and(|deadline| monotonic_micros() >= deadline);
            if turn.pending > 0 || turn.woken || !turn.foreign.is_empty() || is_over() {
                return Ok(turn.foreign);
            }
        }
    }

    /// When to wake at the latest; at once when events wait and the caller is the one to take them.
    fn next_wake(&self, receiver: &Receiver, deadline: Option<Micros>, takes_events: bool) -> Option<Micros> {
        let (has_events, next) = self.handle.with(|core| (takes_events && core.pending() > 0, core.next_timeout()));
        if has_events {
            return Some(0);
        }
        let timer = next.map(|next| next.max(receiver.last_advance + TIMER_GRAIN));
        [timer, deadline, self.channels.lock().next_wake()].into_iter().flatten().min()
    }

    /// Sleep until something is ready or `until` has come, and serve it.
    fn turn(&self, receiver: &mut Receiver, until: Option<Micros>) -> io::Result<Turn> {
        let timeout = until.map(|until| until.saturating_sub(monotonic_micros()));
        self.epoll.wait(&mut receiver.ready, timeout)?;
        let mut turn = Turn::default();
        let Receiver { batch, errors, ready, last_advance } = receiver;
        for ready in ready.iter() {
            match ready.token {
                WAKER => {
                    self.waker.reset();
                    turn.woken = true;
                }
                token if is_stream_token(token) => self.serve_stream(&ready),
                token if token & FOREIGN != 0 => {
                    let interest = Interest { readable: ready.readable, writable: ready.writable };
                    turn.foreign.push((token as RawFd, interest));
                }
                _ => self.serve(&ready, batch, errors),
            }
        }
        let now = monotonic_micros();
        if now >= last_advance.saturating_add(TIMER_GRAIN) {
            *last_advance = now;
            self.guarded(|core| core.advance(now));
        }
        turn.pending = self.handle.with(Core::pending);
        Ok(turn)
    }

    /// Call into the core; a panic is a bug in it, which was counted, and costs one datagram instead of all calls.
    pub(crate) fn guarded(&self, call: impl FnOnce(&mut Core)) {
        let _ = catch_unwind(AssertUnwindSafe(|| self.handle.with(call)));
    }

    /// Take what a socket has.
    fn serve(&self, ready: &Ready, batch: &mut ReceiveBatch, errors: &mut ErrorBuffer) {
        let Some(socket) = self.sockets.read().get(ready.token as usize).cloned() else { return };
        if ready.error {
            self.report_errors(&socket, errors);
        }
        if !ready.readable {
            return;
        }
        for _ in 0..TURNS {
            let count = match batch.receive(&socket.udp) {
                Ok(count) => count,
                // An ICMP error stood before the datagrams.
                Err(_) => {
                    self.report_errors(&socket, errors);
                    batch.receive(&socket.udp).unwrap_or(0)
                }
            };
            for datagram in batch.iter() {
                let Some((address, listener)) = self.listener_of(&socket, datagram.local) else { continue };
                let flow = Flow { listener, protocol: Protocol::Udp, remote: datagram.remote, connection: 0 };
                let now = monotonic_micros();
                self.guarded(|core| core.receive(now, datagram.data, flow, address));
            }
            if count < BATCH {
                break;
            }
        }
    }

    fn report_errors(&self, socket: &Socket, errors: &mut ErrorBuffer) {
        let mut found = Flushed::default();
        read_errors(&socket.udp, errors, &mut found);
        self.account(&mut found);
    }

    /// Hand all that is to be sent to the network.
    pub(crate) fn flush(&self) {
        let mut flushed = Flushed::default();
        {
            let mut sender = self.sender.lock();
            self.handle.with(|core| {
                while let Some(transmit) = core.poll_transmit() {
                    sender.push(transmit, &mut flushed);
                }
            });
            if !sender.is_empty() {
                sender.flush(&self.epoll, &mut flushed);
            }
        }
        if flushed.sent + flushed.dropped > 0 || !flushed.unsent.is_empty() || !flushed.undelivered.is_empty() {
            self.account(&mut flushed);
        }
        self.serve_actions();
    }

    /// Count, and tell the core what did not arrive.
    fn account(&self, flushed: &mut Flushed) {
        let now = monotonic_micros();
        self.guarded(|core| {
            let counters = core.counters_mut();
            counters.sent += flushed.sent;
            counters.sent_bytes += flushed.bytes;
            counters.send_dropped += flushed.dropped;
            counters.send_failed += flushed.unsent.len() as u64;
            for unsent in flushed.unsent.drain(..) {
                core.not_sent(now, &unsent.data, unsent.remote);
            }
            for failed in flushed.undelivered.drain(..) {
                core.transport_failed(now, &failed.data, failed.remote);
            }
        });
    }

    /// Make a socket ours; its index is its token.
    pub(crate) fn adopt(&self, socket: Arc<Socket>) -> io::Result<usize> {
        let mut sockets = self.sockets.write();
        let index = sockets.len();
        self.epoll.add(socket.udp.as_fd().as_raw_fd(), index as u64, Interest::READ)?;
        sockets.push(socket);
        Ok(index)
    }
}
