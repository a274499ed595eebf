"""A phone's dialogs (RFC 3261 §12): who the two ends are, and which way requests go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sipyard._native.core import Message, ParseError, Uri

if TYPE_CHECKING:
    from .messages import Request


@dataclass(slots=True)
class Dialog:
    """One end's view. `local` and `remote` are whole From/To values with their tags; `route_set` in order
    of use."""

    call_id: str
    local: str
    remote: str
    local_tag: str
    remote_tag: str
    remote_target: str
    route_set: tuple[str, ...] = ()
    local_cseq: int = 0
    remote_cseq: int = -1
    is_confirmed: bool = False
    is_over: bool = False
    invite_cseq: int = 0
    #: The ACK for our INVITE's 2xx, kept because it answers every copy of the 2xx (RFC 3261 §13.2.2.4).
    ack: Request | None = field(default=None, repr=False)

    @classmethod
    def of_caller(cls, request: Request, response: Message) -> Dialog:
        """RFC 3261 §12.1.2: from the response to our INVITE; the route set is Record-Route reversed."""
        return cls(
            call_id=request.call_id,
            local=request.from_,
            remote=response.header("To") or "",
            local_tag=_tag(request.from_),
            remote_tag=response.to_tag or "",
            remote_target=_contact(response) or request.uri,
            route_set=tuple(reversed(response.values("Record-Route"))),
            local_cseq=request.cseq,
            invite_cseq=request.cseq,
        )

    @classmethod
    def of_callee(cls, request: Message, to_tag: str) -> Dialog:
        """RFC 3261 §12.1.1: from the INVITE that we answer; the route set is Record-Route as it stands."""
        return cls(
            call_id=request.call_id,
            local=f"{request.header('To')};tag={to_tag}",
            remote=request.header("From") or "",
            local_tag=to_tag,
            remote_tag=request.from_tag or "",
            remote_target=_contact(request) or (request.from_uri or ""),
            route_set=tuple(request.values("Record-Route")),
            remote_cseq=request.cseq_number,
        )

    @property
    def key(self) -> tuple[str, str, str]:
        """Call-ID, local tag, remote tag."""
        return self.call_id, self.local_tag, self.remote_tag

    def refresh(self, message: Message) -> None:
        """§12.2: a Contact in a target refresh request or its 2xx is the new remote target."""
        contact = _contact(message)
        if contact:
            self.remote_target = contact

    def path(self) -> tuple[str, tuple[str, ...]]:
        """RFC 3261 §12.2.1.1: Request-URI and Route headers of a request in this dialog."""
        if not self.route_set:
            return self.remote_target, ()
        first = uri_of(self.route_set[0])
        if Uri(first).parameter("lr") is not None:
            return self.remote_target, self.route_set
        # The first hop is a strict router: it is the Request-URI, and the remote target ends the list.
        return first, (*self.route_set[1:], f"<{self.remote_target}>")


def uri_of(value: str) -> str:
    """The URI of a name-addr: what stands in angle brackets, else all before the parameters."""
    _, bracket, rest = value.partition("<")
    return rest.partition(">")[0] if bracket else value.partition(";")[0].strip()


def _tag(value: str) -> str:
    return value.rpartition(";tag=")[2]


def _contact(message: Message) -> str | None:
    try:
        contacts = message.contacts()
    except ParseError:
        return None
    return contacts[0].uri if isinstance(contacts, list) and contacts else None
