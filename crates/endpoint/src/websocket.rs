//! WebSocket between a connection's bytes and SIP's messages (RFC 6455, RFC 7118), without I/O.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;
use tungstenite::handshake::server::{Callback, ErrorResponse, Request, Response};
use tungstenite::handshake::{server::ServerHandshake, HandshakeError, MidHandshake};
use tungstenite::http::{header, HeaderValue, StatusCode};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message};

use crate::streams::CloseReason;

/// Bytes of one message; SIP's own limits are finer.
const MESSAGE: usize = 65_536 + (1 << 20);
/// Bytes of pongs that may wait for a peer that asks and does not read.
const UNREAD: usize = 65_536;

/// What the bytes that came are made of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unwrapped {
    /// A SIP message, or line ends to keep the connection alive.
    Message(Bytes),
    /// The peer answered a ping of ours or sent one.
    Alive,
    /// Nothing whole.
    Nothing,
    /// The connection is over.
    End(CloseReason),
}

/// Bytes on their way between the socket and the frames.
#[derive(Default)]
struct Buffers {
    incoming: BytesMut,
    outgoing: BytesMut,
}

/// Both ends of a WebSocket hold it, as a refusal must still be written when the handshake is gone.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Buffers>>);

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffers = self.0.lock();
        let count = buffers.incoming.len().min(buffer.len());
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        buffers.incoming.copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

impl Write for Pipe {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().outgoing.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Which pages may connect: values of Origin in lower case; none named: all.
pub type Origins = Arc<[Box<str>]>;

/// Judges the request to upgrade.
struct Porter(Origins);

impl Porter {
    fn is_welcome(&self, request: &Request) -> bool {
        let origin = request.headers().get(header::ORIGIN).and_then(|value| value.to_str().ok());
        // Who sends no Origin is no browser, and could send any.
        self.0.is_empty() || origin.is_none_or(|origin| self.0.iter().any(|one| origin.eq_ignore_ascii_case(one)))
    }
}

impl Callback for Porter {
    #[allow(clippy::result_large_err)] // the trait's
    fn on_request(self, request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
        let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
        let mut protocols = offered.iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
        if !self.is_welcome(request) {
            return Err(refusal(StatusCode::FORBIDDEN, "this Origin may not connect"));
        }
        if !protocols.any(|one| one.trim().eq_ignore_ascii_case("sip")) {
            return Err(refusal(StatusCode::BAD_REQUEST, "Sec-WebSocket-Protocol must offer sip"));
        }
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("sip"));
        Ok(response)
    }
}

fn refusal(status: StatusCode, why: &str) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(why.to_owned()));
    *response.status_mut() = status;
    response
}

enum State {
    Shaking(Box<MidHandshake<ServerHandshake<Pipe, Porter>>>),
    Open(Box<tungstenite::WebSocket<Pipe>>),
    Over(CloseReason),
}

/// The server's end of a WebSocket.
pub(crate) struct WebSocket {
    pipe: Pipe,
    state: State,
    /// Bytes of answers to pings since the socket took no more.
    unread: usize,
}

impl WebSocket {
    /// One whose peer has said nothing yet.
    pub(crate) fn new(origins: Origins) -> WebSocket {
        let pipe = Pipe::default();
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE))
            .max_frame_size(Some(MESSAGE))
            .read_buffer_size(4_096)
            .write_buffer_size(0);
        let shaking = ServerHandshake::start(pipe.clone(), Porter(origins), Some(config));
        WebSocket { pipe, state: State::Shaking(Box::new(shaking)), unread: 0 }
    }

    /// Whether messages may be sent.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Bytes came.
    pub(crate) fn push(&mut self, data: &[u8]) {
        self.pipe.0.lock().incoming.extend_from_slice(data);
    }

    /// What they are made of, one by one.
    pub(crate) fn pull(&mut self) -> Unwrapped {
        loop {
            let (next, found) = match std::mem::replace(&mut self.state, State::Over(CloseReason::WebSocket)) {
                State::Shaking(shaking) => match shaking.handshake() {
                    Ok(open) => (State::Open(Box::new(open)), None),
                    Err(HandshakeError::Interrupted(shaking)) => {
                        (State::Shaking(Box::new(shaking)), Some(Unwrapped::Nothing))
                    }
                    Err(HandshakeError::Failure(_)) => (State::Over(CloseReason::WebSocket), None),
                },
                State::Open(mut socket) => {
                    let before = self.waiting();
                    let found = read(&mut socket);
                    if before > 0 {
                        self.unread += self.waiting() - before;
                    }
                    match found {
                        _ if self.unread > UNREAD => (State::Over(CloseReason::SendTimeout), None),
                        Unwrapped::End(reason) => (State::Over(reason), None),
                        found => (State::Open(socket), Some(found)),
                    }
                }
                State::Over(reason) => (State::Over(reason), Some(Unwrapped::End(reason))),
            };
            self.state = next;
            if let Some(found) = found {
                return found;
            }
        }
    }

    /// Put a message into a frame: of text where it is text (RFC 7118 §5).
    pub(crate) fn wrap(&mut self, data: &Bytes) {
        self.send(match std::str::from_utf8(data) {
            Ok(text) => Message::text(text),
            Err(_) => Message::binary(data.clone()),
        });
    }

    /// Ask whether the peer is there.
    pub(crate) fn ping(&mut self) {
        self.send(Message::Ping(Bytes::new()));
    }

    /// Say goodbye.
    pub(crate) fn close(&mut self) {
        self.send(Message::Close(None));
    }

    fn send(&mut self, message: Message) {
        if let State::Open(socket) = &mut self.state {
            // It fails only where the peer has said goodbye; reading says so too.
            let _ = socket.send(message);
        }
    }

    /// Bytes that wait to be written to the socket.
    fn waiting(&self) -> usize {
        self.pipe.0.lock().outgoing.len()
    }

    /// Whether bytes wait to be written to the socket.
    pub(crate) fn has_output(&self) -> bool {
        self.waiting() > 0
    }

    /// Hand the bytes that wait to `write`, which says how many it took.
    pub(crate) fn drain(&mut self, mut write: impl FnMut(&Bytes) -> io::Result<usize>) -> io::Result<()> {
        let mut waiting = self.pipe.0.lock().outgoing.split().freeze();
        while !waiting.is_empty() {
            let count = write(&waiting)?;
            if count == 0 {
                self.pipe.0.lock().outgoing.extend_from_slice(&waiting);
                return Ok(());
            }
            waiting.advance(count);
        }
        self.unread = 0;
        Ok(())
    }
}

fn read(socket: &mut tungstenite::WebSocket<Pipe>) -> Unwrapped {
    let found = match socket.read() {
        Ok(Message::Text(text)) => Unwrapped::Message(text.into()),
        Ok(Message::Binary(data)) => Unwrapped::Message(data),
        Ok(_) => Unwrapped::Alive,
        Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Unwrapped::Nothing,
        Err(Error::ConnectionClosed | Error::AlreadyClosed) => Unwrapped::End(CloseReason::Peer),
        Err(_) => Unwrapped::End(CloseReason::WebSocket),
    };
    // Pongs, and the answer to a goodbye; the pipe takes all there is.
    let _ = socket.flush();
    found
}
