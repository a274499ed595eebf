"""exec: let programs choose destinations or see messages.

The command is what the script wrote. What came in a message reaches it by environment, standard input and
argument only, so that no shell ever reads it. Only the one message waits for its program.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from sipyard._native.core import ParseError, Uri
from sipyard.fault import Fault
from sipyard.module import Module, Parameter, function

if TYPE_CHECKING:
    from sipyard._native.core import Message
    from sipyard.context import Context

# RFC 3261 §7.3.3; a program finds a header under one name however it was written.
_COMPACT: Final = {
    "i": "CALL-ID",
    "m": "CONTACT",
    "e": "CONTENT-ENCODING",
    "l": "CONTENT-LENGTH",
    "c": "CONTENT-TYPE",
    "f": "FROM",
    "s": "SUBJECT",
    "k": "SUPPORTED",
    "t": "TO",
    "v": "VIA",
}


class Exec(Module):
    """exec: external programs."""

    name = "exec"

    time_to_kill = Parameter(int, 0, "Seconds after which a program is killed; 0: never.")
    setvars = Parameter(bool, 1, "Programs get the SIP_ variables in their environment.")

    @function("RF")
    async def exec_dset(self, msg: Context, command: str) -> int:
        """Run a shell command with the current Request-URI as its last argument; of the URIs that it prints,
        one a line, the first becomes the Request-URI, the others branches. 1, or -1 (and nothing changed)
        when it fails, takes too long, or prints none or something else."""
        uri = msg.request_uri.replace("\0", "")
        output = await self._output(msg, [f'{command} "$1"', "sh", uri], b"", command)
        lines = [] if output is None else output.decode("utf-8", "surrogateescape").splitlines()
        uris = [line.strip() for line in lines if line.strip()]
        if not uris or not all(map(_is_uri, uris)):
            msg.error = Fault.EXTERNAL_LOGIC
            if output is not None:
                msg.engine.log_incident(f"exec_dset: {command} printed no list of URIs", logging.WARNING)
            return -1
        if msg.rewrite_uri(uris[0]) < 0:
            return -1
        return 1 if all([msg.append_branch(each) > 0 for each in uris[1:]]) else -1

    @function("RF")
    async def exec_msg(self, msg: Context, command: str) -> int:
        """Run a shell command with the message as received on its standard input. 1, or -1 when it fails or
        takes too long."""
        return -1 if await self._output(msg, [command], msg.message.raw, command) is None else 1

    async def _output(self, msg: Context, arguments: list[str], sent: bytes, command: str) -> bytes | None:
        """What `sh -c` with these arguments prints; None when it fails."""
        await msg.engine.in_task()
        environment = os.environ | _variables(msg) if self.setvars else None
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                "/bin/sh", "-c", *arguments, stdin=pipe, stdout=pipe, env=environment, start_new_session=True
            )
        except OSError as error:
            msg.engine.log_incident(f"exec: {command}: {error}")
            return None
        is_done = False
        try:
            async with asyncio.timeout(self.time_to_kill or None):
                output, _ = await process.communicate(sent)
            is_done = True
        except TimeoutError:
            msg.engine.log_incident(f"exec: {command} was killed after {self.time_to_kill} s")
            return None
        finally:
            if not is_done:  # what the shell started included
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return output if process.returncode == 0 else None


def _variables(msg: Context) -> dict[str, str]:
    """SER's environment: SIP_HF_NAME for each header (several joined by commas) and facts of the request."""
    message = msg.message
    headers: dict[str, list[str]] = {}
    for written, value in message.all_headers():
        name = _COMPACT.get(written.lower(), written.upper())
        key = "SIP_HF_" + "".join(char if char.isalnum() else "_" for char in name)
        headers.setdefault(key, []).append(value)
    found = {name: ",".join(values) for name, values in headers.items()}
    found |= {
        "SIP_TID": _branch(message),
        "SIP_DID": message.to_tag or "",
        "SIP_SRCIP": message.source_ip,
        "SIP_ORURI": message.request_uri,
        "SIP_RURI": msg.request_uri,
        "SIP_OUSER": _user(message.request_uri),
        "SIP_USER": _user(msg.request_uri),
    }
    return {name: value.replace("\0", "") for name, value in found.items()}


def _branch(message: Message) -> str:
    try:
        via = message.via()
    except ParseError:
        return ""
    return "" if via is None else via.branch or ""


def _user(uri: str) -> str:
    try:
        return Uri(uri).user or ""
    except ParseError:
        return ""


def _is_uri(text: str) -> bool:
    try:
        Uri(text)
    except ParseError:
        return False
    return True
