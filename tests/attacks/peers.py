"""A phone that answers by hand, and what tests read out of a message."""

from __future__ import annotations

from interop.processes import Exchange


class Phone(Exchange):
    """A socket that is called through the server and answers what it is told to."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.socket.settimeout(2)

    @property
    def contact(self) -> str:
        """Where it can be reached."""
        return f"sip:phone@127.0.0.1:{self.port}"

    def take(self, method: str) -> bytes:
        """The next request of this method; copies of others are passed over."""
        for _ in range(50):
            data = self.receive(2)
            if data is None:
                break
            if data.startswith(method.encode() + b" "):
                return data
        raise AssertionError(f"no {method} came")

    def answer(self, request: bytes, status: str, tag: str = "callee") -> None:
        """Answer a request as RFC 3261 §8.2.6 says, with a Contact and the Record-Route set."""
        kept = (b"via:", b"from:", b"to:", b"call-id:", b"cseq:", b"record-route:")
        lines = [
            line for line in request.split(b"\r\n\r\n")[0].split(b"\r\n")[1:] if line.lower().startswith(kept)
        ]
        lines = [
            line + b";tag=" + tag.encode()
            if line.lower().startswith(b"to:") and b";tag=" not in line
            else line
            for line in lines
        ]
        head = [
            f"SIP/2.0 {status}".encode(),
            *lines,
            f"Contact: <{self.contact}>".encode(),
            b"Content-Length: 0",
        ]
        self.send(b"\r\n".join(head) + b"\r\n\r\n")


def header(message: bytes, name: str) -> str:
    """Value of the first header of that name, empty when there is none."""
    start = name.lower().encode() + b":"
    for line in message.split(b"\r\n"):
        if line.lower().startswith(start):
            return line[len(start) :].strip().decode()
    return ""


def within_dialog(caller: Exchange, method: str, answer: bytes, route: str, tag: str = "") -> bytes:
    """A request in the dialog that `answer` set up; `route` and `tag` may be forged."""
    target = header(answer, "Contact").strip("<>")
    to = header(answer, "To") if not tag else header(answer, "To").partition(";tag=")[0] + f";tag={tag}"
    request = caller.request(method, target, f"Route: {route}")
    return (
        request.replace(f"To: <{target}>".encode(), f"To: {to}".encode())
        .replace(b"From: " + header(request, "From").encode(), b"From: " + header(answer, "From").encode())
        .replace(
            b"Call-ID: " + header(request, "Call-ID").encode(),
            b"Call-ID: " + header(answer, "Call-ID").encode(),
        )
        .replace(f"CSeq: 1 {method}".encode(), f"CSeq: {1 if method == 'ACK' else 2} {method}".encode())
    )
