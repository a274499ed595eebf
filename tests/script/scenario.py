"""Something for any proxy or registrar to do, the same for the same seed."""

from __future__ import annotations

import random

from sipyard.arguments import Loading
from sipyard.site import Site
from sipyard.testing import IncomingCall, Network, UserAgent

DOMAINS = ("10.0.0.1", "example.com", "198.51.100.9", "elsewhere.example")
METHODS = ("MESSAGE", "OPTIONS", "SUBSCRIBE", "INFO", "NOTIFY", "BYE", "register")


class Scenario:
    """Phones that register, call, give up, refuse and send odd requests, all drawn from one seed."""

    def __init__(self, site: Site, seed: int) -> None:
        self.dice = random.Random(f"scenario {seed}")
        self.network = Network(seed, latency=0.01, jitter=0.02, loss=self.dice.choice((0.0, 0.0, 0.2)))
        for module in site.modules:
            if "db_mode" in module.parameters:  # memory: no real disk in virtual time
                module.set_parameter("db_mode", 0, Loading())
        self.server = self.network.server(site, aliases=["example.com"], records=True)
        self.phones: list[UserAgent] = []

    def run(self) -> tuple[bytes, list[str]]:
        """Everything that went over the wire, and what the script logged."""
        with self.network as network:
            for name in ("alice", "bob", "carol", "voicemail"):
                phone = network.user_agent(name, proxy=self.server, aor=f"sip:{name}@example.com")
                phone.on_call(self._behave)
                self.phones.append(phone)
                if self.dice.random() < 0.8:
                    phone.register()
            network.user_agent("counter", "192.0.2.20:5060").rejects(486)
            for _ in range(self.dice.randint(4, 12)):
                network.after(self.dice.uniform(1, 8), self._act)
            network.run(60)
            return network.trace.to_bytes(), self.server.log

    def _behave(self, call: IncomingCall) -> None:
        if self.dice.random() < 0.2:
            return
        call.ring(after=self.dice.choice((0.0, 0.5)))
        if self.dice.random() < 0.5:
            call.answer(after=self.dice.uniform(0.1, 4))
        else:
            call.reject(self.dice.choice((302, 404, 408, 480, 486, 487, 503, 603)), after=1)

    def _uri(self) -> str:
        user = self.dice.choice(("alice", "bob", "carol", "nobody", "12", "9001", "+49301234"))
        return f"sip:{user}@{self.dice.choice(DOMAINS)}"

    def _act(self) -> None:
        phone, dice = self.dice.choice(self.phones), self.dice
        routes = dice.choice(([], [], ["<sip:10.0.0.1;lr>"], ["<sip:10.0.0.1;lr>", "<sip:198.51.100.9;lr>"]))
        forwards = dice.choice((70, 70, 70, 1, 0))
        if dice.random() < 0.6:
            call = phone.invite(self._uri(), routes=routes, max_forwards=forwards)
            if dice.random() < 0.3:
                call.cancel(after=dice.uniform(0.1, 3))
            if dice.random() < 0.6:
                call.hang_up(after=dice.uniform(3, 9))
        else:
            headers = dice.choice(({}, {"Subject": "a+b"}, {"Contact": "<sip:x@192.0.2.99>;expires=60"}))
            method = dice.choice(METHODS)
            phone.request(method, self._uri(), headers, b"x", routes=routes, max_forwards=forwards)
