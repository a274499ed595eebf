"""xmlrpc: management commands over HTTP on the SIP ports: XML-RPC as in SER, and JSON-RPC 2.0.

A request of HTTP that comes over TCP or TLS runs a route with method, body, header fields and source of the
request. What the route does not answer is refused, so nobody is served whom the script does not let in.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from sipyard.arguments import ArgumentError, Generation, RequestRouteName
from sipyard.management import json_rpc, xml_rpc
from sipyard.management.registry import Offer
from sipyard.module import Dynamic, Module, Parameter, function, select
from sipyard.sip.field_text import one_line

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine
    from sipyard.selects import Reader, SelectPath

_NEW: Final = Generation.SER_2_0
_INTROSPECTION: Final = ("system.listMethods", "system.methodHelp", "system.methodSignature")
_METHOD_NAME: Final = re.compile(rb"<methodName>\s*([\w.:/]{1,100})\s*</methodName>")


class XmlRpc(Module):
    """xmlrpc: management commands over HTTP on the SIP ports."""

    name = "xmlrpc"

    route: Parameter[str] = Parameter(
        RequestRouteName, "", "Route that HTTP requests run; empty: the main one.", generations=_NEW
    )
    enable_instrospection = Parameter(bool, True, "Serve system.* (the name is SER's).", generations=_NEW)

    async def start(self, engine: Engine) -> None:
        """Take HTTP requests from now on."""
        self._engine = engine
        self._offered = Offer(engine.commands, () if self.enable_instrospection else _INTROSPECTION)
        engine.serve_http = self._serve
        engine.core.configure(http=True)

    def _serve(self, msg: Context) -> None:
        routes = msg.routes
        chosen = routes.main if self.route in ("", "0") else routes.routes.get(self.route)

        async def guarded(msg: Context) -> int:
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            try:
                result = 0 if chosen is None else await chosen(msg)
                status = HTTPStatus.FORBIDDEN
            finally:
                if self.name not in msg.notes:
                    self._answer(msg, status, b"No route has answered this.\n", "text/plain")
            return result

        self._engine.run(msg, guarded)

    def _answer(self, msg: Context, status: HTTPStatus, body: bytes, kind: str) -> None:
        msg.notes[self.name] = msg.is_settled = True
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\n"
        head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        msg.core.answer_http(msg.message, head.encode() + body)

    # -- for scripts -----------------------------------------------------------------------------------------

    @function("R", generations=_NEW)
    async def dispatch_rpc(self, msg: Context) -> int:
        """Carry out the command of an HTTP request and answer it: XML-RPC, or JSON-RPC where its
        Content-Type is application/json. 1; -1 for what is no POST over HTTP, or was answered."""
        message = msg.message
        if not message.is_http or self.name in msg.notes:
            return -1
        if message.method != "POST":
            self._answer(msg, HTTPStatus.METHOD_NOT_ALLOWED, b"Commands are POSTed.\n", "text/plain")
            return -1
        by = f"{message.source_ip} over HTTP"
        kind = (message.header("Content-Type") or "").partition(";")[0].strip().lower()
        if kind == "application/json":
            found = await json_rpc.answer(self._offered, message.body, by)
            self._answer(msg, HTTPStatus.OK, found, "application/json")
        else:
            self._answer(
                msg, HTTPStatus.OK, await xml_rpc.answer(self._offered, message.body, by), "text/xml"
            )
        return 1

    @function("R", generations=_NEW)
    def xmlrpc_reply(self, msg: Context, code: Dynamic[int], reason: Dynamic[str]) -> int:
        """Answer an HTTP request with a fault of XML-RPC. 1; -1 for what is none, or was answered."""
        if not msg.message.is_http or self.name in msg.notes:
            return -1
        self._answer(msg, HTTPStatus.OK, xml_rpc.fault(code, one_line(reason)), "text/xml")
        return 1

    @select("xmlrpc")
    def xmlrpc_select(self, path: SelectPath) -> Reader:
        """``@xmlrpc.method``: the command that an HTTP request asks for."""
        if [each.name.lower() for each in path[1:]] != ["method"]:
            raise ArgumentError("@xmlrpc needs a part", "write @xmlrpc.method")
        return _method_of


def _method_of(msg: Context) -> str | None:
    found = _METHOD_NAME.search(msg.message.body) if msg.message.is_http else None
    return found[1].decode("ascii") if found else None
