"""enum: from telephone numbers to URIs by the DNS (RFC 6116).

A number such as +442079460148 is the domain 8.4.1.0.6.4.9.7.0.2.4.4.e164.arpa, whose NAPTR records say by a
regular expression each which URI to make of it. Records come from strangers: there is a bound on how many are
read and on how far those go that only point elsewhere, their expressions are matched in linear time, and what
comes out has to be a URI that can be called.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Final

from sipyard._native.core import ParseError, Uri
from sipyard.arguments import ArgumentError, Dynamic, Generation, Loading, TextKind
from sipyard.fault import Fault
from sipyard.module import Deed, Module, Parameter, function
from sipyard.regex import MEMORY_OF_STRANGERS, Substitution
from sipyard.sip.field_text import for_log
from sipyard.sip.resolver import Budget, Lookup, Naptr, ResolutionError

if TYPE_CHECKING:
    from sipyard.context import Context

MAX_RULES: Final = 12
"""Records that are applied to one number: as many branches as a request can have."""
MAX_HOPS: Final = 5
"""How far records are followed that only point to another domain (RFC 6116 §5.2.1)."""
TOP_Q: Final = 990
Q_STEP: Final = 10
"""In thousandths, as SER has them."""
_E164: Final = re.compile(r"\+[0-9]{2,15}")
_SEPARATORS: Final = str.maketrans("", "", "-.()")
# What may stand in a URI that we make, so that it stays one in a start line and a header (RFC 3986 §2).
_URI: Final = re.compile(r"[A-Za-z0-9!#$%&'()*+,/:;=?@\[\]_.~-]+")
_CALLABLE: Final = ("sip", "sips", "tel")
_SHORT_COUNTRY_CODES: Final = re.compile("1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]")
"""Those of one and two digits (ITU-T E.164 list of assigned codes); all others have three."""


class _AlgorithmKind(TextKind):
    says = '"cc"'

    def convert_strict(self, value: object, loading: Loading) -> object:
        if value != "cc":
            raise ArgumentError(f"expects {self.says}, not {value!r}")
        return value


class Wanted:
    """Services of NAPTR records that a script asks for.

    Nothing: ``E2U+sip``. ``voice``: ``E2U+voice:sip``. ``+voice:sip+video:sip``: any of these. A record that
    names several services serves each of them (RFC 6116 §3.4.2).
    """

    __slots__ = ("_services",)

    def __init__(self, text: str) -> None:
        text = text.lower()
        if text.startswith("+"):
            self._services = frozenset(text[1:].split("+"))
        else:
            self._services = frozenset((f"{text}:sip" if text else "sip",))

    def includes(self, record: Naptr) -> bool:
        """Whether a record is for one of them."""
        scheme, *offered = record.service.split("+")
        return scheme == "e2u" and not self._services.isdisjoint(offered)


class Enum(Module):
    """enum: telephone numbers in the DNS (RFC 6116)."""

    name = "enum"
    live_parameters = ("*",)

    domain_suffix = Parameter(str, "e164.arpa.", "The domain under which numbers are.")
    tel_uri_params = Parameter(
        str, "", 'Parameters that each URI gets which is found, such as ";npdi" (sip: URIs too, as in SER).'
    )
    default_service: Parameter[str | None] = Parameter(
        str,
        None,
        "The service of `enum_query` that names none.",
        generations=Generation.SER_2_0,
    )
    i_enum_suffix = Parameter(str, "e164.arpa.", "The domain of `i_enum_query` (not in SER).")
    branchlabel = Parameter(str, "i", "The label that leads to carriers' numbers (not in SER).")
    bl_algorithm: Parameter[str] = Parameter(
        Annotated[str, _AlgorithmKind()],
        "cc",
        "Where that label stands: after the country code (not in SER).",
    )

    @function("R", does=Deed.BRANCHES)
    async def enum_query(self, msg: Context, suffix: str | None = None, service: str | None = None) -> int:
        """Rewrite the Request-URI, whose user is a number, with the URI that ENUM has for it: the record with
        the lowest order and preference. Each further record makes a branch; q falls from 0.99 in their order.

        `suffix` is the domain in place of `domain_suffix`; `service` as `voice` for records of
        ``E2U+voice:sip``, as `+voice:sip+video:sip` for any of several. 1; -1 when the user is no number or
        there is no such record, with the Request-URI unchanged.
        """
        number = _number_of(msg.request_uri)
        if number is None:
            msg.log(1, f"enum_query: no number in {for_log(msg.request_uri)}")
            return -1
        return await self._rewrite(msg, number, _domain(number, suffix or self.domain_suffix), service)

    @function("R", does=Deed.BRANCHES)
    async def i_enum_query(self, msg: Context, suffix: str | None = None, service: str | None = None) -> int:
        """As `enum_query`, in the tree of carriers: `branchlabel` stands after the country code, so that
        +431234 is 4.3.2.1.i.3.4.e164.arpa (not in SER)."""
        number = _number_of(msg.request_uri)
        if number is None:
            msg.log(1, f"i_enum_query: no number in {for_log(msg.request_uri)}")
            return -1
        split = 1 + country_code_length(number)
        tree = f"{self.branchlabel}.{_domain(number[:split], suffix or self.i_enum_suffix)}"
        return await self._rewrite(msg, number, _domain(f"+{number[split:]}", tree), service)

    @function("R", generations=Generation.SER_0_9)
    def is_from_user_e164(self, msg: Context) -> int:
        """1 when the user of From's URI is a number such as +442079460148, else -1."""
        try:
            user = Uri(msg.message.from_uri or "").user
        except ParseError:
            msg.error = Fault.BAD_URI
            return -1
        return 1 if is_number(user or "") else -1

    @function("RFOB", generations=Generation.SER_2_0)
    def is_e164(self, msg: Context, value: Dynamic[str]) -> int:
        """1 when a text, attribute or select is a number such as +442079460148, else -1."""
        return 1 if is_number(value) else -1

    @function("R")
    async def is_from_user_enum(
        self, msg: Context, suffix: str | None = None, service: str | None = None
    ) -> int:
        """1 when ENUM has a URI for the number that is the user of From's URI, else -1 (not in SER)."""
        number = _number_of(msg.message.from_uri or "")
        if number is None:
            return -1
        found = await self._uris(msg, number, _domain(number, suffix or self.domain_suffix), service)
        return 1 if found else -1

    async def _rewrite(self, msg: Context, number: str, domain: str, service: str | None) -> int:
        found = await self._uris(msg, number, domain, service)
        if not found:
            return -1
        (uri, q), *others = found
        msg.rewrite_uri(uri)
        msg.ruri_q = q
        for uri, q in others:
            if not msg.add_branch(uri, q):
                break
        return 1

    async def _uris(
        self, msg: Context, number: str, domain: str, service: str | None
    ) -> list[tuple[str, int]]:
        """The URIs of a number with their q, best first."""
        wanted = Wanted(service if service is not None else self.default_service or "")
        try:
            rules = await rules_at(msg.engine.resolver.lookup, domain, wanted, msg.dns_budget)
        except ResolutionError as error:
            msg.engine.log_incident(f"enum: {for_log(str(error))}")
            return []
        found: list[tuple[str, int]] = []
        q, before = TOP_Q + Q_STEP, (-1, -1)
        for rule in rules:
            try:
                uri = self._uri(rule, number)
            except ValueError as error:
                msg.engine.log_incident(f"enum: a record at {domain} is of no use: {for_log(str(error))}")
                continue
            if uri is None:
                continue
            if (rule.order, rule.preference) != before:
                q, before = max(q - Q_STEP, 0), (rule.order, rule.preference)
            found.append((uri, q))
        return found

    def _uri(self, rule: Naptr, number: str) -> str | None:
        """What a record makes of a number; None when it is not about it.

        :raises ValueError: its expression is none, or what it makes is no URI that can be called.
        """
        uri = Substitution(rule.regexp, MEMORY_OF_STRANGERS).apply(number)
        if uri is None:
            return None
        if _URI.fullmatch(uri) is None:
            raise ValueError(f"{uri!r} is not a URI")
        scheme = Uri(uri).scheme
        if scheme not in _CALLABLE:
            raise ValueError(f"{scheme}: URIs cannot be called")
        if self.tel_uri_params:
            uri = f"{uri};{self.tel_uri_params.lstrip(';')}"
        return uri


async def rules_at(lookup: Lookup, domain: str, wanted: Wanted, budget: Budget) -> list[Naptr]:
    """Records of a domain that end in a URI, by order and preference, at most `MAX_RULES`. In the place of a
    record that points to another domain stand those found there (RFC 6116 §3.2.2), up to `MAX_HOPS` away and
    each domain once.

    :raises ResolutionError: nobody says what there is.
    """
    seen: set[str] = set()

    def is_new(name: str) -> bool:
        return name != "." and name not in seen and len(seen) <= MAX_RULES

    async def follow(name: str, hops: int) -> list[Naptr]:
        seen.add(name.rstrip(".").lower())
        found: list[Naptr] = []
        for record in _by_rank(await lookup.naptrs(name, budget)):
            if record.flags == "u" and wanted.includes(record):
                found.append(record)
            elif record.flags == "" and is_new(record.replacement) and hops < MAX_HOPS:
                # RFC 3403 §4.1: what is found there stands where the pointer stood.
                found += [
                    each._replace(order=record.order, preference=record.preference)
                    for each in await follow(record.replacement, hops + 1)
                ]
            if len(found) >= MAX_RULES:
                break
        return found[:MAX_RULES]

    return await follow(domain, 0)


def _by_rank(records: Iterable[Naptr]) -> list[Naptr]:
    return sorted(records, key=lambda record: (record.order, record.preference))


def is_number(text: str) -> bool:
    """Whether it is an E.164 number with its plus sign, 2 to 15 digits."""
    return _E164.fullmatch(text) is not None


def country_code_length(number: str) -> int:
    """Digits of the country code of a number with its plus sign."""
    short = _SHORT_COUNTRY_CODES.match(number, 1)
    return 3 if short is None else len(short[0])


def _number_of(text: str) -> str | None:
    """The number that a URI's user is, None when it is none. That of a tel: URI may have separators (RFC 3966
    §5.1.1)."""
    try:
        uri = Uri(text)
    except ParseError:
        return None
    user = uri.user or ""
    if uri.scheme == "tel":
        user = user.translate(_SEPARATORS)
    return user if is_number(user) else None


def _domain(number: str, suffix: str) -> str:
    """RFC 6116 §3.2: the digits from the last to the first, each a label."""
    return ".".join((*reversed(number[1:]), suffix.strip(".")))
