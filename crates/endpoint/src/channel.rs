//! One connected socket, with the layers that its protocol has between the network and SIP's bytes.

use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use bytes::Bytes;

use crate::streams::CloseReason;

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

/// A socket of a connection.
pub(crate) struct Channel {
    stream: TcpStream,
    pub(crate) is_connecting: bool,
    /// Whether the socket is watched for room to write.
    pub(crate) is_blocked: bool,
}

impl Channel {
    pub(crate) fn new(stream: TcpStream, is_connecting: bool) -> Channel {
        Channel { stream, is_connecting, is_blocked: is_connecting }
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Whether a connection that was asked for has come about.
    pub(crate) fn finish_connecting(&mut self) -> io::Result<SocketAddr> {
        self.is_connecting = false;
        match self.stream.take_error()? {
            Some(error) => Err(error),
            None => self.stream.local_addr(),
        }
    }

    /// Read what there is, as far as it fits.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Arrived {
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

    /// Write pieces; how many bytes of them went.
    pub(crate) fn write(&mut self, pieces: &[Bytes]) -> io::Result<usize> {
        let slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
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
}
