"""A call as one phone sees it: what was asked, what came back, and what the person at the phone does next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .dialog import Dialog
from .messages import Headers, header_lines, response_to
from .transactions import ClientTransaction, ServerTransaction

if TYPE_CHECKING:
    from sipyard._native.core import Message

    from .messages import Request
    from .user_agent import UserAgent


class Outcome:
    """A request of ours and what became of it. `status` is 0 until something came, 408 when nobody answered
    in 64*T1 and 503 when it could not be delivered (then `response` is None). `challenges` are the 401 and
    407 that it was sent again for."""

    def __init__(self, agent: UserAgent, request: Request) -> None:
        self.agent = agent
        self.request = request
        self.status = 0
        self.responses: list[Message] = []
        self.challenges: list[Message] = []
        self.on_final: list[Callable[[], object]] = []
        self.transaction: ClientTransaction | None = None

    @property
    def response(self) -> Message | None:
        """The last response; None when none came or the request failed here."""
        return self.responses[-1] if self.responses else None

    @property
    def is_final(self) -> bool:
        """A final response came, or the transaction failed."""
        return self.status >= 200

    @property
    def is_timed_out(self) -> bool:
        """Nobody answered in time (this end's own 408)."""
        return self.status == 408 and (not self.responses or self.responses[-1].status != 408)

    def note(self, response: Message) -> None:
        """A response arrived (the transaction calls this)."""
        self.responses.append(response)
        if self.is_final and not (response.status < 300 and self.status < 300):
            return
        self.status = response.status
        if self.is_final:
            self._finish()

    def fail(self, status: int) -> None:
        """No final response will come (the transaction calls this)."""
        if not self.is_final:
            self.status = status
            self._finish()

    def _finish(self) -> None:
        actions, self.on_final = self.on_final, []
        for action in actions:
            action()

    def __repr__(self) -> str:
        return (
            f"<{self.agent.name}: {self.request.method} {self.request.uri}: {self.status or 'no answer yet'}>"
        )


class Call:
    """What both sides of a call have: `dialogs` (more than one for a caller whose call was forked),
    `is_over`, and the requests of an established call. `state` is one of calling, ringing, answered,
    failed, over."""

    def __init__(self, agent: UserAgent) -> None:
        self.agent = agent
        self.state = "calling"
        self.dialogs: list[Dialog] = []
        self.outcomes: list[Outcome] = []

    @property
    def dialog(self) -> Dialog:
        """The confirmed dialog, or else the first. LookupError while there is none."""
        if not self.dialogs:
            raise LookupError(f"{self.agent.name} has no dialog yet in this call ({self.state})")
        return next((dialog for dialog in self.dialogs if dialog.is_confirmed), self.dialogs[0])

    @property
    def is_answered(self) -> bool:
        """The call is up: answered and not yet hung up."""
        return self.state == "answered"

    @property
    def is_over(self) -> bool:
        """The call failed or was hung up by either side."""
        return self.state in ("failed", "over")

    def hang_up(self, *, after: float = 0.0) -> None:
        """Send a BYE in the confirmed dialog, now or in `after` seconds (then only if the call is still
        up)."""
        if after:
            self.agent.network.after(after, self._hang_up_if_answered)
        else:
            self.request("BYE")
            self.dialog.is_over = True
            self.state = "over"

    def _hang_up_if_answered(self) -> None:
        if self.is_answered:
            self.hang_up()

    def request(self, method: str, headers: Headers = (), body: bytes = b"", **options: Any) -> Outcome:
        """Send a request inside the dialog (BYE, INFO, a re-INVITE …) along its route set."""
        outcome = self.agent.request_in_dialog(self.dialog, method, headers, body, **options)
        self.outcomes.append(outcome)
        return outcome

    def ended_by_peer(self, dialog: Dialog) -> None:
        """A BYE came in this dialog."""
        dialog.is_over = True
        if all(each.is_over for each in self.dialogs if each.is_confirmed):
            self.state = "over"


class OutgoingCall(Call):
    """A call that this phone makes. `status` is the last status of the INVITE, `invite` its whole outcome.

    A 2xx is acknowledged at once and every copy of it again. If a second branch answers as well, it is
    acknowledged and hung up (RFC 3261 §13.2.2.4), as is a call that is answered although it was cancelled.
    """

    def __init__(self, agent: UserAgent, request: Request, body: bytes) -> None:
        super().__init__(agent)
        self.body = body
        self.is_cancelled = False
        self.cancel_outcome: Outcome | None = None
        self.invite = Outcome(agent, request)
        agent.start(self.invite, on_response=self._on_response, on_failure=self._on_failure)

    @property
    def status(self) -> int:
        """The INVITE's status; see `Outcome.status`."""
        return self.invite.status

    @property
    def response(self) -> Message | None:
        """The last response to the INVITE."""
        return self.invite.response

    def cancel(self, *, after: float = 0.0) -> None:
        """Give up. The CANCEL leaves as soon as there was a provisional response (RFC 3261 §9.1); after a
        final one it does nothing."""
        if after:
            self.agent.network.after(after, self.cancel)
        elif not self.is_cancelled and not self.invite.is_final:
            self.is_cancelled = True
            if self.invite.status:
                self._send_cancel()

    def _send_cancel(self) -> None:
        self.cancel_outcome = Outcome(self.agent, self.invite.request.cancel())
        self.agent.start(self.cancel_outcome)
        transaction = self.invite.transaction
        if transaction is not None:
            transaction.give_up_after(self.agent.timers.timeout)

    def _on_response(self, response: Message) -> None:
        was_silent = self.invite.status == 0
        self.invite.note(response)
        if response.status < 200:
            if response.status > 100:
                self.state = "ringing" if not self.is_over else self.state
                if response.to_tag:
                    self._dialog_of(response)
            if was_silent and self.is_cancelled:
                self._send_cancel()
        elif response.status < 300:
            self._answered(response)
        else:
            self.state = "failed"

    def _answered(self, response: Message) -> None:
        dialog = self._dialog_of(response)
        if dialog.is_confirmed:
            self.agent.send_ack(dialog)
            return
        is_first = not any(each.is_confirmed for each in self.dialogs)
        dialog.is_confirmed = True
        dialog.refresh(response)
        dialog.remote = response.header("To") or dialog.remote
        # §13.2.2.4: the 2xx decides the route set, whatever the provisional said.
        dialog.route_set = tuple(reversed(response.values("Record-Route")))
        self.agent.send_ack(dialog)
        if self.is_cancelled or not is_first:
            self.outcomes.append(self.agent.request_in_dialog(dialog, "BYE"))
            dialog.is_over = True
            if is_first:
                self.state = "over"
        else:
            self.state = "answered"

    def _dialog_of(self, response: Message) -> Dialog:
        for dialog in self.dialogs:
            if dialog.remote_tag == (response.to_tag or ""):
                return dialog
        dialog = Dialog.of_caller(self.invite.request, response)
        self.dialogs.append(dialog)
        self.agent.add_dialog(dialog, self)
        return dialog

    def _on_failure(self, status: int) -> None:
        self.invite.fail(status)
        if not self.is_answered:
            self.state = "failed"


class IncomingCall(Call):
    """A call to this phone. Each step may be given `after=` seconds; a step that comes too late (the caller
    gave up, the call was rejected) is skipped when it was planned, and is a ValueError when asked for at
    once."""

    def __init__(self, agent: UserAgent, transaction: ServerTransaction) -> None:
        super().__init__(agent)
        self.transaction = transaction
        self.invite = transaction.request
        self.is_cancelled = False
        #: None while the final answer waits for its ACK, then whether it came.
        self.is_acknowledged: bool | None = None
        transaction.on_end = self._on_end

    @property
    def status(self) -> int:
        """The last status that this phone sent."""
        return self.transaction.status

    def ring(self, status: int = 180, *, after: float = 0.0, headers: Headers = ()) -> IncomingCall:
        """Send a provisional response, 180 unless told otherwise."""
        return self._step(after, lambda: self._provisional(status, header_lines(headers)))

    def answer(self, body: bytes | None = None, *, after: float = 0.0, headers: Headers = ()) -> IncomingCall:
        """Pick up: 200 with a session description, repeated until the ACK comes."""
        lines = header_lines(headers)
        return self._step(after, lambda: self._accept(self.agent.session if body is None else body, lines))

    def reject(
        self, status: int = 486, reason: str | None = None, *, after: float = 0.0, headers: Headers = ()
    ) -> IncomingCall:
        """Refuse with a status from 300 to 699."""
        if not 300 <= status <= 699:
            raise ValueError(f"reject({status}): a refusal is a status from 300 to 699")
        lines = header_lines(headers)
        return self._step(after, lambda: self._reply(status, reason, lines))

    def redirect(self, *uris: str, status: int = 302, after: float = 0.0) -> IncomingCall:
        """Answer with other places to try, in Contact headers."""
        return self.reject(status, after=after, headers=[("Contact", f"<{uri}>") for uri in uris])

    def cancelled(self) -> None:
        """A CANCEL came: 487 to the INVITE if it has no final response (RFC 3261 §9.2)."""
        if not self.transaction.is_final:
            self.is_cancelled = True
            self._reply(487, None, ())

    def ended_by_peer(self, dialog: Dialog) -> None:
        """A BYE came; before the answer it ends the INVITE as well (RFC 3261 §15.1.2)."""
        if not self.transaction.is_final:
            self._reply(487, None, ())
        super().ended_by_peer(dialog)
        self.state = "over"

    def _step(self, after: float, action: Callable[[], None]) -> IncomingCall:
        if after:
            self.agent.network.after(after, self._planned, action)
        else:
            action()
        return self

    def _planned(self, action: Callable[[], None]) -> None:
        if not self.transaction.is_final and not self.transaction.is_terminated:
            action()

    def _provisional(self, status: int, lines: tuple[str, ...]) -> None:
        if not 100 <= status <= 199:
            raise ValueError(f"ring({status}): a provisional status lies between 100 and 199")
        if status > 100:
            self._early_dialog()
            self.state = "ringing"
        self._reply(status, None, (f"Contact: <{self.agent.contact}>", *lines))

    def _accept(self, body: bytes, lines: tuple[str, ...]) -> None:
        self._early_dialog().is_confirmed = True
        self._reply(200, None, (f"Contact: <{self.agent.contact}>", *lines), body)
        self.state = "answered"

    def _early_dialog(self) -> Dialog:
        if not self.dialogs:
            dialog = Dialog.of_callee(self.invite, self.transaction.to_tag)
            self.dialogs.append(dialog)
            self.agent.add_dialog(dialog, self)
        return self.dialogs[0]

    def _reply(self, status: int, reason: str | None, lines: tuple[str, ...], body: bytes = b"") -> None:
        tag = self.transaction.to_tag if status > 100 else ""
        data = response_to(self.invite, status, reason, to_tag=tag, lines=lines, body=body)
        self.transaction.reply(status, data)
        if status >= 300:
            self.state = "failed"

    def _on_end(self, acknowledged: bool) -> None:
        """§13.3.1.4: a 2xx that is never acknowledged ends the session with a BYE."""
        self.is_acknowledged = acknowledged
        if not acknowledged and self.is_answered:
            self.hang_up()


def ack_request(agent: UserAgent, dialog: Dialog) -> Request:
    """RFC 3261 §13.2.2.4: the ACK for a 2xx is a request in the dialog with the INVITE's CSeq number and a
    branch of its own."""
    request = agent.compose_in_dialog(dialog, "ACK", cseq=dialog.invite_cseq)
    return replace(request, lines=())
