"""A WebSocket client with every byte in its own hands, so that it can do what a browser never would."""

from __future__ import annotations

import base64
import os
import socket
import ssl
import struct
import time

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class WebSocketClient:
    """A connection whose handshake is done. `answer` is what the server said to it."""

    def __init__(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        secure: bool = False,
        origin: str = "https://phone.example.com",
        protocol: str = "sip",
        headers: tuple[str, ...] = (),
    ) -> None:
        raw = socket.create_connection((host, port), timeout=5)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(raw) if secure else raw
        self.local_port = self.socket.getsockname()[1]
        self._buffer = b""
        lines = [
            "GET /phones HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "Sec-WebSocket-Version: 13",
            *([f"Origin: {origin}"] if origin else []),
            *([f"Sec-WebSocket-Protocol: {protocol}"] if protocol else []),
            *headers,
        ]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while b"\r\n\r\n" not in self._buffer and self._more(5):
            pass
        self.answer, _, self._buffer = self._buffer.partition(b"\r\n\r\n")

    @property
    def status(self) -> int:
        """Of the answer to the handshake; 0: none."""
        return int(self.answer.split()[1]) if self.answer else 0

    def _more(self, seconds: float) -> bool:
        """Whether more came; False: nothing in time, or the end."""
        self.socket.settimeout(max(seconds, 0.001))
        try:
            data = self.socket.recv(65536)
        except (TimeoutError, ConnectionError, ssl.SSLError):
            return False
        self._buffer += data
        return bool(data)

    def frame(
        self,
        payload: bytes,
        opcode: int = TEXT,
        *,
        is_last: bool = True,
        is_masked: bool = True,
        rsv: int = 0,
    ) -> bytes:
        """A frame (RFC 6455 §5.2)."""
        head = bytes([(0x80 if is_last else 0) | rsv << 4 | opcode])
        mask_bit = 0x80 if is_masked else 0
        if len(payload) < 126:
            head += bytes([mask_bit | len(payload)])
        elif len(payload) < 65536:
            head += bytes([mask_bit | 126]) + struct.pack(">H", len(payload))
        else:
            head += bytes([mask_bit | 127]) + struct.pack(">Q", len(payload))
        if not is_masked:
            return head + payload
        mask = os.urandom(4)
        return head + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))

    def send(self, payload: bytes, opcode: int = TEXT) -> None:
        """Send one frame."""
        self.socket.sendall(self.frame(payload, opcode))

    def receive(self, seconds: float = 5.0) -> tuple[int, bytes] | None:
        """The next frame's opcode and payload; None: nothing in time, or the connection ended."""
        end = time.monotonic() + seconds
        while (found := self._frame()) is None:
            if not self._more(end - time.monotonic()) or time.monotonic() > end:
                return None
        return found

    def _frame(self) -> tuple[int, bytes] | None:
        data = self._buffer
        if len(data) < 2:
            return None
        size, start = data[1] & 0x7F, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(data) < start:
                return None
            size = int.from_bytes(data[2:start], "big")
        if len(data) < start + size:
            return None
        self._buffer = data[start + size :]
        return data[0] & 0x0F, data[start : start + size]

    def is_closed(self, seconds: float = 5.0) -> bool:
        """Whether the server hangs up within this time; what it says before is dropped."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
            try:
                if not self.socket.recv(65536):
                    return True
            except TimeoutError:
                return False
            except (ConnectionError, ssl.SSLError):
                return True
        return False

    def close(self) -> None:
        """Hang up without a word."""
        self.socket.close()
