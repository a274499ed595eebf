//! One connected socket, with the layers that its protocol has between the network and SIP's bytes.

use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use bytes::Bytes;

use crate::streams::CloseReason;
use crate::tls::{Secured, TlsFacts};
use crate::websocket::{Unwrapped, WebSocket};

/// What a look at a readable socket gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// So many bytes are in the buffer.
    Bytes(usize),
    /// Nothing more for now.
    Nothing,
    /// The connection has ended.
    End(CloseReason),
}

/// How far a connection that was asked for is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The network has not answered.
    Connecting,
    /// The TLS handshake is under way.
    Handshaking,
    /// The WebSocket handshake is under way.
    Upgrading,
    /// Messages may flow.
    Open,
}

/// A socket of a connection.
pub(crate) struct Channel {
    stream: TcpStream,
    tls: Option<Box<Secured>>,
    web: Option<Box<WebSocket>>,
    pub(crate) progress: Progress,
    /// Whether the socket is watched for room to write.
    pub(crate) is_blocked: bool,
    complaint: Option<String>,
}

impl Channel {
    /// A socket that was accepted.
    pub(crate) fn accepted(stream: TcpStream, tls: Option<Secured>, web: Option<WebSocket>) -> Channel {
        let progress = match (&tls, &web) {
            (Some(_), _) => Progress::Handshaking,
            (None, Some(_)) => Progress::Upgrading,
            (None, None) => Progress::Open,
        };
        Channel { stream, tls: tls.map(Box::new), web: web.map(Box::new), progress, is_blocked: false, complaint: None }
    }

    /// A socket that is being connected.
    pub(crate) fn connecting(stream: TcpStream, tls: Option<Secured>) -> Channel {
        Channel {
            stream,
            tls: tls.map(Box::new),
            web: None,
            progress: Progress::Connecting,
            is_blocked: true,
            complaint: None,
        }
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Whether TLS stands between the socket and SIP.
    pub(crate) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Our end of it.
    pub(crate) fn local(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// The peer's end.
    pub(crate) fn remote(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// The network has answered a connection that was asked for: the error, if it is one.
    pub(crate) fn finish_connecting(&mut self) -> io::Result<()> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        self.progress = if self.tls.is_some() { Progress::Handshaking } else { Progress::Open };
        Ok(())
    }

    /// Whether the TLS handshake has just come to its end; its facts.
    pub(crate) fn finish_handshake(&mut self) -> Option<TlsFacts> {
        let tls = self.tls.as_ref().filter(|tls| !tls.connection.is_handshaking())?;
        let is_news = self.progress == Progress::Handshaking;
        is_news.then(|| {
            self.progress = if self.web.is_some() { Progress::Upgrading } else { Progress::Open };
            tls.facts()
        })
    }

    /// What was wrong with the TLS handshake, said once.
    pub(crate) fn take_complaint(&mut self) -> Option<String> {
        self.complaint.take()
    }

    /// Read what there is, as far as it fits.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Arrived {
        if self.tls.is_some() {
            return self.read_secured(buffer);
        }
        loop {
            return match self.stream.read(buffer) {
                Ok(0) => Arrived::End(CloseReason::Peer),
                Ok(count) => Arrived::Bytes(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Arrived::Nothing,
                Err(_) => Arrived::End(CloseReason::Broken),
            };
        }
    }

    fn read_secured(&mut self, buffer: &mut [u8]) -> Arrived {
        loop {
            let Some(tls) = self.tls.as_mut() else { return Arrived::Nothing };
            match tls.connection.reader().read(buffer) {
                Ok(0) => return Arrived::End(CloseReason::Peer),
                Ok(count) => return Arrived::Bytes(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The peer hung up without TLS's word for it.
                Err(_) => return Arrived::End(CloseReason::Peer),
            }
            match tls.connection.read_tls(&mut self.stream) {
                Ok(0) if tls.connection.is_handshaking() => {
                    self.complaint = Some("the peer hung up".to_owned());
                    return Arrived::End(CloseReason::Tls);
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Arrived::Nothing,
                Err(_) => return Arrived::End(CloseReason::Broken),
            }
            let processed = tls.connection.process_new_packets();
            let is_good = processed.is_ok();
            if let (true, Err(error)) = (tls.connection.is_handshaking(), processed) {
                self.complaint = Some(error.to_string());
            }
            // The handshake's answers, or the alert that says what is wrong; what does not fit waits for room.
            let is_sent = self.flush_tls().is_ok();
            if !is_good || !is_sent {
                return Arrived::End(if is_good { CloseReason::Broken } else { CloseReason::Tls });
            }
        }
    }

    /// Whether messages come in frames (`unwrap`) and not as a stream of bytes.
    pub(crate) fn is_web(&self) -> bool {
        self.web.is_some()
    }

    /// Bytes came that are frames.
    pub(crate) fn push(&mut self, data: &[u8]) {
        if let Some(web) = &mut self.web {
            web.push(data);
        }
    }

    /// What the frames hold, one by one. What they want answered is written.
    pub(crate) fn unwrap_frame(&mut self) -> Unwrapped {
        let Some(web) = &mut self.web else { return Unwrapped::Nothing };
        let found = web.pull();
        if self.progress == Progress::Upgrading && web.is_open() {
            self.progress = Progress::Open;
        }
        match self.flush() {
            Ok(()) => found,
            Err(_) => Unwrapped::End(CloseReason::Broken),
        }
    }

    /// Ask a peer behind frames whether he is there.
    pub(crate) fn ping(&mut self) -> io::Result<()> {
        if let Some(web) = &mut self.web {
            web.ping();
        }
        self.flush()
    }

    /// Write pieces; how many bytes of them went. Behind frames a piece is a message, and goes whole.
    pub(crate) fn write(&mut self, pieces: &[Bytes]) -> io::Result<usize> {
        let Some(web) = &mut self.web else { return self.write_bytes(pieces) };
        if web.has_output() {
            return Ok(0);
        }
        pieces.iter().for_each(|piece| web.wrap(piece));
        self.flush()?;
        Ok(pieces.iter().map(Bytes::len).sum())
    }

    fn write_bytes(&mut self, pieces: &[Bytes]) -> io::Result<usize> {
        let slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        if let Some(tls) = self.tls.as_mut() {
            let count = tls.connection.writer().write_vectored(&slices)?;
            self.flush_tls()?;
            return Ok(count);
        }
        loop {
            return match self.stream.write_vectored(&slices) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => Ok(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
                Err(error) => Err(error),
            };
        }
    }

    /// Write what WebSocket and TLS have to say.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if let Some(mut web) = self.web.take() {
            let drained = web.drain(|data| self.write_bytes(std::slice::from_ref(data)));
            self.web = Some(web);
            drained?;
        }
        self.flush_tls()
    }

    fn flush_tls(&mut self) -> io::Result<()> {
        while let Some(tls) = self.tls.as_mut().filter(|tls| tls.connection.wants_write()) {
            match tls.connection.write_tls(&mut self.stream) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether WebSocket or TLS have more to say than the socket takes.
    pub(crate) fn has_unsaid(&self) -> bool {
        self.web.as_ref().is_some_and(|web| web.has_output())
            || self.tls.as_ref().is_some_and(|tls| tls.connection.wants_write())
    }

    /// Say goodbye as far as the socket takes it.
    pub(crate) fn close(mut self) {
        if let Some(web) = &mut self.web {
            web.close();
            // Who does not hear it sees the connection end.
            let _ = self.flush();
        }
        if let Some(tls) = self.tls.as_mut() {
            tls.connection.send_close_notify();
            let _ = self.flush_tls();
        }
    }
}
