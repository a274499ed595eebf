"""One random scenario: phones, a proxy, a bad network, people who call, give up and hang up; all from one
seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from sipyard.registry import Modules
from sipyard.routes import PythonRoutes
from sipyard.testing import Call, IncomingCall, Network, Outcome, OutgoingCall, SipServer, UserAgent
from sipyard.testing.invariants import violations

DOMAIN = "example.com"
#: Trouble ends after so many seconds: early enough that RFC 3261's timers (64*T1) can still mend everything.
TROUBLE_ENDS = 20.0
#: After this much silence nothing may be left: 64*T1, the longest ringing (fr_inv_timer), and a margin.
SILENCE = 32.0 + 120.0 + 60.0
STATUSES = (302, 404, 408, 480, 486, 487, 500, 503, 600, 603)


@dataclass
class Outcomes:
    """What the phones saw."""

    calls: list[OutgoingCall] = field(default_factory=list)
    requests: list[Outcome] = field(default_factory=list)


class Schedule:
    """A scenario that can be run once. `problems()` afterwards says what did not hold."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.dice = random.Random(f"schedule {seed}")
        self.network = Network(seed, latency=0.01)
        self.server = make_server(self.network, self.dice)
        self.phones: list[UserAgent] = []
        self.seen = Outcomes()

    def run(self) -> None:
        """Play it to its end."""
        network, dice = self.network, self.dice
        self._add_phones()
        network.run(1)
        self._make_trouble()
        for _ in range(dice.randint(1, 3)):
            network.after(dice.uniform(0, 8), self._place_call)
        for _ in range(dice.randint(0, 2)):
            network.after(dice.uniform(0, 15), self._send_request)
        network.after(TROUBLE_ENDS, network.heal)
        network.run(TROUBLE_ENDS + SILENCE)
        network.run()

    def problems(self) -> list[str]:
        """What did not hold, as sentences; empty when all is well."""
        found = violations(self.network, self.server)
        for phone in self.phones:
            if phone.live_transactions:
                found.append(f"{phone.name} still has {phone.live_transactions} transactions")
        for call in self.seen.calls:
            found += self._about_call(call)
        for outcome in self.seen.requests:
            if not outcome.is_final:
                found.append(f"{outcome} never ended")
        return found

    # --- the cast -------------------------------------------------------------------------------------------

    def _add_phones(self) -> None:
        """Two persons; the second has one to three phones."""
        self._phone("alice", "alice")
        for number in range(self.dice.randint(1, 3)):
            self._phone(f"bob{number}", "bob")

    def _phone(self, name: str, user: str) -> None:
        phone = self.network.user_agent(name, proxy=self.server, aor=f"sip:{user}@{DOMAIN}")
        phone.on_call(self._behave)
        phone.register()
        self.phones.append(phone)

    def _behave(self, call: IncomingCall) -> None:
        """What the called person does: drawn anew for each call."""
        dice = self.dice
        if dice.random() < 0.1:
            return
        if dice.random() < 0.9:
            call.ring(dice.choice((180, 180, 180, 183)), after=dice.choice((0.0, 0.0, 0.2, 3.0)))
        fate = dice.random()
        if fate < 0.5:
            call.answer(after=dice.uniform(0.05, 10))
        elif fate < 0.85:
            call.reject(dice.choice(STATUSES), after=dice.uniform(0.05, 10))

    # --- what happens ---------------------------------------------------------------------------------------

    def _make_trouble(self) -> None:
        dice, network = self.dice, self.network
        for phone in self.phones:
            for ends in ((phone, self.server), (self.server, phone)):
                network.link(
                    *ends,
                    both_ways=False,
                    latency=dice.choice((0.0, 0.01, 0.05, 0.3)),
                    jitter=dice.choice((0.0, 0.02, 0.4)),
                    loss=dice.choice((0.0, 0.0, 0.1, 0.3, 0.6)),
                    duplication=dice.choice((0.0, 0.1, 0.5)),
                    reordering=dice.choice((0.0, 0.2)),
                    reordering_delay=dice.choice((0.05, 1.0)),
                )
        if dice.random() < 0.3:
            lonely = dice.choice(self.phones)
            network.after(dice.uniform(0, 10), network.partition, lonely)

    def _place_call(self) -> None:
        dice = self.dice
        caller = dice.choice(self.phones)
        callee = "bob" if caller.name == "alice" else dice.choice(("alice", "bob", "nobody"))
        call = caller.invite(f"sip:{callee}@{DOMAIN}")
        self.seen.calls.append(call)
        if dice.random() < 0.3:
            call.cancel(after=dice.choice((0.0, 0.011, 0.05, dice.uniform(0, 12))))
        if dice.random() < 0.7:
            call.hang_up(after=dice.uniform(1, 18))
        if dice.random() < 0.3:
            self.network.after(dice.uniform(2, 18), self._callee_hangs_up)

    def _callee_hangs_up(self) -> None:
        for phone in self.phones:
            for call in phone.calls:
                if call.is_answered and call.is_acknowledged:
                    call.hang_up()
                    return

    def _send_request(self) -> None:
        sender = self.dice.choice(self.phones)
        method = self.dice.choice(("MESSAGE", "OPTIONS", "REGISTER", "INFO"))
        if method == "REGISTER":
            self.seen.requests.append(sender.register())
        else:
            self.seen.requests.append(sender.request(method, f"sip:bob@{DOMAIN}"))

    # --- what must hold -------------------------------------------------------------------------------------

    def _about_call(self, call: OutgoingCall) -> list[str]:
        """An answered call's ACK and BYE reach the other side once the network is healed."""
        if not call.invite.is_final:
            return [f"{call.invite} never ended"]
        found = []
        for dialog in call.dialogs:
            if not dialog.is_confirmed:
                continue
            other = self._other_end(dialog.call_id, dialog.remote_tag)
            if other is None:
                found.append(f"{call.invite} was answered by nobody")
            elif not other.is_acknowledged:
                found.append(f"the ACK of {call.invite} did not reach {other.agent.name}")
            elif dialog.is_over and not other.is_over:
                found.append(f"the BYE of {call.invite} did not reach {other.agent.name}")
        return found

    def _other_end(self, call_id: str, tag: str) -> Call | None:
        for phone in self.phones:
            for call in phone.calls:
                if call.invite.call_id == call_id and call.transaction.to_tag == tag:
                    return call
        return None


def make_server(network: Network, dice: random.Random) -> SipServer:
    """A registrar and record-routing proxy in Python, on SER's modules; sometimes with every route armed."""
    modules = Modules()
    tm, sl, rr, maxfwd, registrar = (modules.load(name) for name in ("tm", "sl", "rr", "maxfwd", "registrar"))
    arms_routes = dice.random() < 0.5

    async def main(msg):  # type: ignore[no-untyped-def]
        if maxfwd.mf_process_maxfwd_header(msg, 10) < 0:
            sl.sl_reply(msg, 483, "Too Many Hops")
            return 1
        method = msg.message.method
        if method != "REGISTER":
            rr.record_route(msg)
        if rr.loose_route(msg) < 0 and msg.core.is_myself_uri(msg.request_uri):
            if method == "REGISTER":
                return await stepped(registrar.save_contacts(msg, "location"))
            if method != "CANCEL" and await stepped(registrar.lookup_contacts(msg, "location")) < 0:
                if method != "ACK":
                    sl.sl_reply(msg, 404, "Not Found")
                return 1
        if arms_routes and method == "INVITE":
            tm.t_on_failure(msg, "failed")
            tm.t_on_reply(msg, "replied")
        return await tm.t_relay(msg)

    async def failed(msg):  # type: ignore[no-untyped-def]
        return 1

    async def replied(msg):  # type: ignore[no-untyped-def]
        return 1

    routes = PythonRoutes(main=main, failure={"failed": failed}, onreply_named={"replied": replied})
    return network.server(routes, modules=modules, address="10.0.0.1:5060", aliases=[DOMAIN])


async def stepped(result):  # type: ignore[no-untyped-def]
    """The result of a module's function, be it a coroutine or not."""
    return await result if hasattr(result, "__await__") else result
