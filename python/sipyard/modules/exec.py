"""exec: programs of the operator take part in routing.

The command is the script's and runs in a shell, as in SER; what it is told about the message is in its
environment, in `$1` and in its standard input, and never becomes part of the command. Quote it there all the
same: `"$SIP_HF_SUBJECT"` is what a stranger wrote.

| variable | value |
| --- | --- |
| `SIP_HF_NAME` | a header: capitals, `_` for `-`, no compact forms; commas between several |
| `SIP_TID` | the transaction: the same for retransmissions, the CANCEL and the ACK |
| `SIP_DID` | the dialog: the To-tag, empty at first |
| `SIP_SRCIP` | where the request came from |
| `SIP_ORURI`, `SIP_OUSER` | Request-URI as received, its user |
| `SIP_RURI`, `SIP_USER` | Request-URI now, its user |

Only the message that runs a program waits for it. A program that runs too long is killed with all it started.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from sipyard._native.core import ParseError, Uri
from sipyard.child import LONGEST, run_program
from sipyard.context import MAX_BRANCHES, MAX_URI
from sipyard.fault import Fault
from sipyard.module import Module, Parameter, function
from sipyard.sip.field_text import one_line
from sipyard.sip.header_name import canonical

if TYPE_CHECKING:
    from sipyard.context import Context

OUTPUT_LIMIT: Final = MAX_BRANCHES * (MAX_URI + 2)
_NOT_A_VARIABLE: Final = re.compile(r"[^A-Z0-9]")


class Exec(Module):
    """exec: external programs."""

    name = "exec"

    live_parameters = ("*",)

    time_to_kill = Parameter(
        int,
        0,
        f"Seconds after which a program is killed; 0: {LONGEST:g}. It never outlives its message "
        "(`message_deadline`).",
    )
    setvars = Parameter(bool, True, "Tell programs about the message in environment variables.")
    max_programs = Parameter(int, 100, "Programs that may run at once; one more fails (not in SER).")

    def __init__(self) -> None:
        super().__init__()
        self._running = 0

    @function("RF")
    async def exec_dset(self, msg: Context, command: str) -> int:
        """Run a command with the Request-URI as its last argument; the lines that it writes become the
        Request-URI and the branches. 1, or -1 when it fails or writes no URI; then nothing is changed."""
        output = await self._run(msg, f'{command} "$1"', (one_line(msg.request_uri),), b"", OUTPUT_LIMIT)
        if output is None:
            return -1
        uris = _lines(output)
        if not uris or not all(map(_is_uri, uris)):
            return self._fail(msg, f"exec_dset: {command!r} wrote no destinations")
        if len(uris) > MAX_BRANCHES - len(msg.branches):
            msg.error = Fault.TOO_MANY_BRANCHES
            return -1
        msg.uri = uris[0]
        for uri in uris[1:]:
            msg.append_branch(uri)
        return 1

    @function("RF")
    async def exec_msg(self, msg: Context, command: str) -> int:
        """Run a command with the message, as received, on its standard input. 1, or -1 when it fails."""
        return -1 if await self._run(msg, command, (), msg.message.raw, 0) is None else 1

    async def _run(
        self, msg: Context, command: str, arguments: tuple[str, ...], stdin: bytes, limit: int
    ) -> bytes | None:
        """What it wrote; None, with `error` set, when it failed."""
        if self._running >= self.max_programs:
            self._fail(msg, f"exec: {self._running} programs are running already")
            return None
        self._running += 1
        try:
            await msg.engine.in_task()
            status, output = await run_program(
                command,
                arguments,
                environment=variables(msg) if self.setvars else None,
                stdin=stdin,
                output_limit=limit,
                deadline=float(self.time_to_kill or LONGEST),
            )
        except TimeoutError:
            self._fail(msg, f"exec: {command!r} took too long and was killed")
            return None
        except OSError as error:
            self._fail(msg, f"exec: {command!r} cannot be started: {error}")
            return None
        finally:
            self._running -= 1
        if status:
            self._fail(msg, f"exec: {command!r} ended with {status}")
            return None
        return output

    @staticmethod
    def _fail(msg: Context, why: str) -> int:
        msg.error = Fault.EXTERNAL_LOGIC
        msg.engine.log_incident(why)
        return -1


def variables(msg: Context) -> dict[str, str]:
    """The environment that tells about a message."""
    message = msg.message
    headers: dict[str, list[str]] = {}
    for name, value in message.all_headers():
        variable = "SIP_HF_" + _NOT_A_VARIABLE.sub("_", canonical(name).upper())
        headers.setdefault(variable, []).append(one_line(value))
    called = {
        "SIP_TID": _transaction_id(msg),
        "SIP_DID": message.to_tag or "",
        "SIP_SRCIP": message.source_ip,
        "SIP_ORURI": message.request_uri,
        "SIP_RURI": msg.request_uri,
        "SIP_OUSER": _user(message.request_uri),
        "SIP_USER": _user(msg.request_uri),
    }
    told = {name: one_line(value) for name, value in called.items()}
    return {**{name: ",".join(values) for name, values in headers.items()}, **told}


def _transaction_id(msg: Context) -> str:
    message = msg.message
    parts = (message.call_id, message.from_tag or "", message.to_uri or "", str(message.cseq_number))
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _user(uri: str) -> str:
    try:
        return Uri(uri).user or ""
    except ParseError:
        return ""


def _lines(output: bytes) -> list[str]:
    lines = output.decode("utf-8", "surrogateescape").split("\n")
    return [line.strip() for line in lines if line.strip()]


def _is_uri(text: str) -> bool:
    try:
        Uri(text)
    except ParseError:
        return False
    return len(text) <= MAX_URI
