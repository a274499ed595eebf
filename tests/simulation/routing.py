"""The server of a random schedule: a registrar and record-routing proxy in Python, on SER's modules."""

from __future__ import annotations

import asyncio
import random

from sipyard.context import Context
from sipyard.registry import Modules
from sipyard.routes import PythonRoutes
from sipyard.testing import Network, SipServer

DOMAIN = "example.com"
VOICEMAIL = "203.0.113.1:5060"


class Routing:
    """Routes drawn at random: whether they wait for something slow, and whether failure and reply routes
    are armed, let pass, wait, or try another phone."""

    def __init__(self, dice: random.Random) -> None:
        self.modules = Modules()
        load = self.modules.load
        self.tm, self.sl, self.rr = load("tm"), load("sl"), load("rr")
        self.maxfwd, self.registrar = load("maxfwd"), load("registrar")
        self.arms_routes = dice.random() < 0.5
        self.tries_voicemail = dice.random() < 0.5
        self.waits = dice.choice((0.0, 0.0, 0.0, 0.05, 1.5))

    def serve(self, network: Network) -> SipServer:
        """Start a server with them."""
        routes = PythonRoutes(
            main=self.main, failure={"failed": self.failed}, onreply_named={"replied": self.replied}
        )
        return network.server(routes, modules=self.modules, aliases=[DOMAIN])

    async def main(self, msg: Context) -> int:
        """As ser-basic.cfg."""
        if self.maxfwd.mf_process_maxfwd_header(msg, 10) < 0:
            return int(self.sl.sl_reply(msg, 483, "Too Many Hops"))
        method = msg.message.method
        if method != "REGISTER":
            self.rr.record_route(msg)
        if self.waits and method not in ("ACK", "CANCEL"):
            await asyncio.sleep(self.waits)
        if self.rr.loose_route(msg) < 0 and msg.core.is_myself_uri(msg.request_uri):
            if method == "REGISTER":
                return int(await self.registrar.save_contacts(msg, "location"))
            if method != "CANCEL" and self.registrar.lookup_contacts(msg, "location") < 0:
                return 1 if method == "ACK" else int(self.sl.sl_reply(msg, 404, "Not Found"))
        if self.arms_routes and method == "INVITE":
            self.tm.t_on_failure(msg, "failed")
            self.tm.t_on_reply(msg, "replied")
        return int(await self.tm.t_relay(msg))

    async def failed(self, msg: Context) -> int:
        """Perhaps after a while, perhaps another phone."""
        if self.waits:
            await asyncio.sleep(self.waits)
        if not self.tries_voicemail or self.tm.t_is_canceled(msg) > 0:
            return 1
        msg.append_branch(f"sip:voicemail@{VOICEMAIL}")
        return int(await self.tm.t_relay(msg))

    async def replied(self, msg: Context) -> int:
        """Perhaps after a while: relayed as it is."""
        if self.waits:
            await asyncio.sleep(self.waits / 10)
        return 1
