"""uac: answer the challenges of gateways on behalf of callers (RFC 3261 §22.3, SER's uac_auth)."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final

from sipyard.edited import edited
from sipyard.errors import PeerError
from sipyard.module import ArgumentError, Module, function, parameter
from sipyard.sip.digest import ALGORITHMS, Challenge, answer_challenge, is_digest, parse_challenge, realm_of
from sipyard.sip.field_text import for_log

if TYPE_CHECKING:
    from sipyard._native.core import Message
    from sipyard.context import Context
    from sipyard.engine import Engine

_CHALLENGES: Final = {401: "WWW-Authenticate", 407: "Proxy-Authenticate"}
#: A gateway may ask this many times in one field each; what stands behind is not read.
_MOST_CHALLENGES: Final = 8
_log = logging.getLogger("sipyard.uac")


@dataclass
class _Account:
    """What a realm's gateways know us by, and the addresses that may ask for it (none: any)."""

    user: str = ""
    password: str = ""
    networks: list[IPv4Network | IPv6Network] = field(default_factory=list)

    def belongs_to(self, ip: str) -> bool:
        address = ip_address(ip)
        return not self.networks or any(address in network for network in self.networks)


class Uac(Module):
    """uac: this server as the client of gateways that authenticate."""

    name = "uac"

    def __init__(self) -> None:
        super().__init__()
        self._accounts: dict[str, _Account] = {}

    @parameter(str)
    def credential(self, value: str) -> None:
        """``user:realm:password`` for the gateways of a realm."""
        user, _, rest = value.partition(":")
        realm, colon, password = rest.partition(":")
        if not user or not realm or not colon:
            raise ArgumentError("user:realm:password is expected")
        account = self._account(realm)
        account.user, account.password = user, password

    @parameter(str)
    def credential_source(self, value: str) -> None:
        """``realm=address[,address…]``: only gateways at these addresses or networks (``192.0.2.0/24``) get
        an answer. Without, whoever names the realm gets one, which tells him no more than a hash that he can
        try passwords on."""
        realm, _, addresses = value.partition("=")
        try:
            self._account(realm).networks += [ip_network(each.strip()) for each in addresses.split(",")]
        except ValueError as error:
            raise ArgumentError(f"realm=address[,address…] is expected: {error}") from error

    def _account(self, realm: str) -> _Account:
        return self._accounts.setdefault(realm, _Account())

    async def start(self, engine: Engine) -> None:
        """Say which credentials are less guarded than they could be."""
        for realm, account in self._accounts.items():
            if not account.user:
                _log.warning("uac: credential_source names realm %s, credential does not", realm)
            elif not account.networks:
                _log.warning(
                    "uac: whoever asks for realm %s gets an answer: credential_source says who may", realm
                )

    @function("F")
    def uac_auth(self, msg: Context) -> int:
        """Answer the challenge of the picked reply: the request gets credentials, and the Request-URI becomes
        that of the branch that was challenged, for append_branch and t_relay. 1, or -1: no digest challenge
        for a realm that we have credentials for, from an address that may ask; or ours were refused. CSeq
        stays as the caller wrote it, so a phone may take the request for a merged one (482); gateways that
        are proxies do not."""
        reply = msg.reply
        if reply is None or msg.transaction is None or msg.reply_status not in _CHALLENGES:
            return -1
        asked = self._asked(msg, reply)
        challenged = [uri for uri, status, _ in msg.transaction.branches() if status == msg.reply_status]
        if asked is None or not challenged or not self._may_answer(msg, asked):
            return -1
        account, message = self._accounts[asked.realm], msg.message
        branch = challenged[-1] or message.request_uri
        cnonce = msg.engine.random_bytes(8).hex()
        answer = answer_challenge(
            asked, message.method, branch, account.user, account.password, cnonce=cnonce
        )
        _take_off(msg, answer.header, asked.realm)
        message.append_header(f"{answer.header}: {answer.value}\r\n")
        msg.uri = branch
        return 1

    def _asked(self, msg: Context, reply: Message) -> Challenge | None:
        """The challenge to answer: of those that we have credentials for, the first with the best hash
        (RFC 8760 §2.4)."""
        header = _CHALLENGES[msg.reply_status]
        found: list[Challenge] = []
        for value in reply.headers(header)[:_MOST_CHALLENGES]:
            if not is_digest(value):
                continue
            try:
                asked = parse_challenge(header, value)
            except PeerError as error:
                msg.engine.log_incident(f"uac_auth: {reply.source_ip}: {for_log(str(error))}")
                continue
            if asked.qops and "auth" not in asked.qops:
                continue
            account = self._accounts.get(asked.realm)
            if account is None or not account.user:
                continue
            if account.belongs_to(reply.source_ip):
                found.append(asked)
            else:
                realm = for_log(asked.realm)
                msg.engine.log_incident(f"uac_auth: {reply.source_ip} may not ask for realm {realm}")
        return max(found, key=lambda each: ALGORITHMS.index(each.algorithm), default=None)

    def _may_answer(self, msg: Context, asked: Challenge) -> bool:
        """Whether this realm gets an answer, which counts: one, and one more where the nonce was too old."""
        answered: dict[str, int] = msg.notes.setdefault(self.name, {})
        count = answered[asked.realm] = answered.get(asked.realm, 0) + 1
        return count == 1 or (count == 2 and asked.is_stale)


def _take_off(msg: Context, header: str, realm: str) -> None:
    """The caller's own credentials for this realm, which the gateway did not take."""
    for name, value, start, end in msg.message.fields():
        if name.lower() == header.lower() and realm_of(value) == realm:
            edited(msg).remove(msg.message, start, end)
