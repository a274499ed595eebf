"""One random scenario: phones, a proxy, a bad network, people who call, give up and hang up; all from one
seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from sipyard.testing import Call, IncomingCall, Network, Outcome, OutgoingCall, UserAgent
from sipyard.testing.invariants import violations

from .routing import DOMAIN, VOICEMAIL, Routing

#: Trouble ends after so many seconds: early enough that RFC 3261's timers (64*T1) can still mend everything.
TROUBLE_ENDS = 20.0
#: After this much silence nothing may be left: 64*T1, the longest ringing (fr_inv_timer) twice (a failure
#: route may try
#: another phone), and a margin.
SILENCE = 32.0 + 2 * 120.0 + 60.0
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
        self.server = Routing(self.dice).serve(self.network)
        self.phones: list[UserAgent] = []
        self.registrations: dict[str, Outcome] = {}
        self.gone = ""
        self.seen = Outcomes()

    def run(self) -> None:
        """Play it to its end."""
        network, dice = self.network, self.dice
        self._add_phones()
        network.run(4)
        if any(outcome.status != 200 for outcome in self.registrations.values()):
            raise AssertionError(f"seed {self.seed}: not even the registrations were accepted")
        self._make_trouble()
        for _ in range(dice.randint(1, 3)):
            network.after(dice.uniform(0, 8), self._place_call)
        for _ in range(dice.randint(0, 2)):
            network.after(dice.uniform(0, 15), self._send_request)
        network.after(TROUBLE_ENDS, network.heal)
        network.run(TROUBLE_ENDS)
        network.run()  # until nothing at all is left to happen

    def problems(self) -> list[str]:
        """What did not hold, as sentences; empty when all is well."""
        found = violations(self.network, self.server)
        if self.network.now > 4 + TROUBLE_ENDS + SILENCE:
            found.append(f"it took until {self.network.now:.0f} s before nothing was left to happen")
        for phone in self.phones:
            # Calls that it never answered may stay: nobody can CANCEL them (§9.1).
            open_requests = phone.open_requests - self._lost_with_their_sender(phone)
            if open_requests and phone.name != self.gone:
                found.append(f"{phone.name} still has {open_requests} requests under way")
        for call in self.seen.calls:
            found += self._about_call(call)
        for outcome in self.seen.requests:
            if not outcome.is_final and outcome.agent.name != self.gone:
                found.append(f"{outcome} never ended")
        return found

    # --- the cast -------------------------------------------------------------------------------------------

    def _add_phones(self) -> None:
        """Two persons; the second has one to three phones."""
        self._phone("alice", "alice")
        for number in range(self.dice.randint(1, 3)):
            self._phone(f"bob{number}", "bob")
        self._phone("voicemail", "voicemail", VOICEMAIL)

    def _phone(self, name: str, user: str, address: str | None = None) -> None:
        phone = self.network.user_agent(name, address, proxy=self.server, aor=f"sip:{user}@{DOMAIN}")
        phone.on_call(self._behave)
        self.registrations[name] = phone.register()
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
        if dice.random() < 0.1:  # a program ends for good: ICMP errors from its host
            gone = dice.choice(self.phones[1:])
            network.after(dice.uniform(0, 10), network.detach, gone)
            self.gone = gone.name

    def _place_call(self) -> None:
        dice = self.dice
        caller = dice.choice(self.phones[:-1])
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
        if method != "REGISTER":
            self.seen.requests.append(sender.request(method, f"sip:bob@{DOMAIN}"))
        elif self.registrations[sender.name].is_final:  # RFC 3261 §10.2: one at a time
            self.registrations[sender.name] = sender.register()
            self.seen.requests.append(self.registrations[sender.name])

    # --- what must hold -------------------------------------------------------------------------------------

    def _about_call(self, call: OutgoingCall) -> list[str]:
        """An answered call's ACK and BYE reach the other side once the network is healed."""
        if not call.invite.is_final and call.agent.name != self.gone:
            return [] if self._was_answered_by_the_gone(call) else [f"{call.invite} never ended"]
        found = []
        for dialog in call.dialogs:
            if not dialog.is_confirmed:
                continue
            other = self._other_end(dialog.call_id, dialog.remote_tag)
            if other is None:
                found.append(f"{call.invite} was answered by nobody")
            elif other.agent.name == self.gone or call.invite.agent.name == self.gone:
                continue
            elif not other.is_acknowledged:
                found.append(f"the ACK of {call.invite} did not reach {other.agent.name}")
            elif dialog.is_over and not other.is_over:
                found.append(f"the BYE of {call.invite} did not reach {other.agent.name}")
        return found

    def _was_answered_by_the_gone(self, call: OutgoingCall) -> bool:
        """Only its sender repeats a 2xx (RFC 3261 §13.3.1.4): one that was lost is lost for good when its
        sender has ended."""
        identity = call.invite.request.call_id.encode()
        return bool(self.gone) and any(
            packet.data.startswith(b"SIP/2.0 2") and identity in packet.data and b" INVITE\r\n" in packet.data
            for packet in self.network.trace
            if packet.source == self.gone
        )

    def _lost_with_their_sender(self, phone: UserAgent) -> int:
        """Calls of a phone that wait for ever for such a 2xx."""
        waiting = (call for call in self.seen.calls if call.agent is phone and not call.invite.is_final)
        return sum(map(self._was_answered_by_the_gone, waiting))

    def _other_end(self, call_id: str, tag: str) -> Call | None:
        for phone in self.phones:
            for call in phone.calls:
                if call.invite.call_id == call_id and call.transaction.to_tag == tag:
                    return call
        return None
