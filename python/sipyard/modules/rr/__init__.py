"""rr: Record-Route and Route (RFC 3261 §16.4, §16.6, §16.12), with attributes in a dialog's cookie."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from sipyard._native.core import ParseError, Uri
from sipyard.arguments import Dynamic, Generation, Loading, Runtime, kind_of, number_of
from sipyard.attributes import Name, Scope, Track
from sipyard.fault import Fault
from sipyard.module import Module, Parameter, function, select
from sipyard.modules.rr.cookie import CookieJar, Stored
from sipyard.modules.rr.routing import Decision, after_loose, after_strict, is_double
from sipyard.regex import Regex
from sipyard.selects import compile_select

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine
    from sipyard.selects import Reader, SelectPath

COOKIE_FLAG = "dialog_cookie"


class RouteUser:
    """What `add_username` puts before our address: nothing, a text, an attribute or select; in SER 0.9 a
    switch
    for the user of the Request-URI."""

    says = 'a text, "$attribute" or "@select" (SER 0.9: 0 or 1)'

    def __init__(self, value: str | Runtime | None, is_request_user: bool = False) -> None:
        self._value = value
        self._is_request_user = is_request_user

    @classmethod
    def from_script(cls, text: str, loading: Loading) -> RouteUser:
        """As `modparam` writes it."""
        if loading.generation is Generation.SER_0_9:
            return cls(None, bool(number_of(text)))
        value: Any = kind_of(Dynamic[str]).convert(text, loading)
        return cls(value or None)

    @property
    def is_given(self) -> bool:
        """Whether any message may get a user part."""
        return self._is_request_user or self._value is not None

    def text(self, msg: Context) -> str | None:
        """The user part for this message, None for none."""
        if self._is_request_user:
            try:
                return Uri(msg.request_uri).user
            except ParseError:
                return None
        if isinstance(self._value, Runtime):
            found = self._value.read(msg)
            return None if found is None else str(found)
        return self._value


class CookieFilter:
    """Which attributes may come back, and the bit of the flag that marks those which travel."""

    says = "a regular expression for attribute names"

    def __init__(self, regex: Regex | None, mask: int) -> None:
        self.regex = regex
        self.mask = mask

    @classmethod
    def from_script(cls, text: str, loading: Loading) -> CookieFilter:
        """As `modparam` writes it. Without the flag in `avpflags` nothing travels; routes in Python, which
        declare none, use bit 0."""
        number = loading.avp_flags.get(COOKIE_FLAG, None if loading.avp_flags else 0)
        return cls(Regex(text) if text else None, 0 if number is None or not text else 1 << number)


class RecordRouting(Module):
    """Stay in the path of a dialog, and follow the path that others asked for."""

    name = "rr"
    live_parameters = (
        *("append_fromtag", "enable_double_rr", "enable_full_lr", "ignore_user", "add_username"),
        *(
            "user_part_avp",
            "next_route_avp",
            "cookie_filter",
        ),  # cookies of dialogs need the secret they began with
    )

    append_fromtag = Parameter(bool, True, "Put the caller's tag (ftag) into the Record-Route.")
    enable_double_rr = Parameter(bool, True, "Two Record-Routes when a request leaves by another socket.")
    enable_full_lr = Parameter(bool, False, 'Write ";lr=on" for user agents that drop a bare ";lr".')
    ignore_user = Parameter(str, "", "A Route of ours with this user part counts as not ours.")
    add_username: Parameter[RouteUser] = Parameter(RouteUser, "", "User part of our Record-Route.")
    user_part_avp = Parameter(str, "", "Attribute that gets the user part of our Route.")
    next_route_avp = Parameter(str, "", "Attribute that gets the URI of the next Route.")
    cookie_filter: Parameter[CookieFilter] = Parameter(
        CookieFilter, "", "Names of attributes that a cookie may carry (regular expression); none by default."
    )
    cookie_secret = Parameter(
        str,
        "",
        "Keys the cookie: what does not carry our mark is ignored. Empty: a random one, so that calls from "
        "before a restart have none.",
    )

    def __init__(self) -> None:
        super().__init__()
        self._jar: CookieJar | None = None
        self._cookie_mask = 0
        self._filter: Regex | None = None
        self._user_name: Name | None = None
        self._next_name: Name | None = None
        self._suffix = ""
        self._is_plain = False
        self._has_user = False
        self._engine: Engine | None = None

    async def start(self, engine: Engine) -> None:
        """Fix what the parameters say."""
        self._engine = engine
        self._jar = CookieJar(self.cookie_secret or engine.random_bytes(32).hex())
        self.parameters_changed(engine)

    def parameters_changed(self, engine: Engine) -> None:
        engine.core.configure(double_record_route=self.enable_double_rr)
        self._cookie_mask, self._filter = self.cookie_filter.mask, self.cookie_filter.regex
        self._suffix = ";lr=on" if self.enable_full_lr else ""
        self._has_user = self.add_username.is_given
        self._is_plain = not (
            self.ignore_user or self.user_part_avp or self.next_route_avp or self._cookie_mask
        )
        self._user_name = Name.parse(self.user_part_avp) if self.user_part_avp else None
        self._next_name = Name.parse(self.next_route_avp) if self.next_route_avp else None

    # -- Record-Route ----------------------------------------------------------------------------------------

    @function("R")
    def record_route(self, msg: Context) -> int:
        """Put us into the route set of the dialog. 1, or -1 when that was asked for already."""
        return self._record_route(msg, None)

    @function("R")
    def record_route_preset(self, msg: Context, address: str) -> int:
        """As record_route, with ``host[:port][;parameters]`` instead of our own address."""
        return self._record_route(msg, address)

    @function("RF", generations=Generation.SER_2_0)
    def remove_record_route(self, msg: Context) -> int:
        """Take our Record-Route back. 1, or -1 when there was none."""
        return 1 if msg.message.remove_record_route() else -1

    def _record_route(self, msg: Context, preset: str | None) -> int:
        message = msg.message
        parameters = self._suffix
        if self._cookie_mask and (cookie := self.dialog_cookie(msg)):
            parameters = f";avp={cookie}{parameters}"
        if self.append_fromtag and (tag := message.from_tag):
            parameters = f";ftag={tag}{parameters}"
        try:
            user = self.add_username.text(msg) if self._has_user else None
            return 1 if message.record_route(user, parameters, preset) else -1
        except ValueError as error:
            msg.error = Fault.BAD_REQUEST
            msg.log(-1, f"record_route: {error}")
            return -1

    def dialog_cookie(self, msg: Context) -> str:
        """The cookie of the attributes marked with the flag `dialog_cookie` ("" when there are none)."""
        if self._jar is None or not msg.has_attributes:
            return ""
        marked = msg.attributes.flagged(self._cookie_mask)
        return self._jar.bake(Stored(track, scope, one.name, one.value) for track, scope, one in marked)

    @select("rr")
    def rr(self, path: SelectPath) -> Reader:
        """@rr.dialog_cookie: the cookie that record_route would write now. Every other @rr is the top
        Record-Route, as without this module."""
        if len(path) != 2 or path[1].name.lower() != "dialog_cookie":
            return compile_select(path)
        return lambda msg: self.dialog_cookie(msg) or None

    # -- Route -----------------------------------------------------------------------------------------------

    @function("R")
    def loose_route(self, msg: Context) -> int:
        """Follow the route set. 1: the request is routed by it; -1: there is none for us to follow."""
        message = msg.message
        try:
            found = message.routes()
        except ParseError:
            msg.error = Fault.BAD_REQUEST
            return -1
        if not found:
            return -1
        if len(found) == 1 and self._is_plain and not msg.engine.own_domains:
            # Most requests in a dialog: the only Route is ours, the Request-URI is the target.
            core = msg.core
            if core.is_myself_uri(found[0].uri) and not core.is_myself_uri(msg.request_uri):
                message.remove_routes(1)
                return 1
        return self._follow(msg, [route.uri for route in found])

    def _follow(self, msg: Context, routes: list[str]) -> int:
        """loose_route for everything else."""
        message = msg.message
        decision = self._decide(msg, routes)
        if decision is None:
            return -1
        if decision.routes is not None:
            message.set_routes([f"<{route}>" for route in decision.routes])
        elif decision.removed:
            message.remove_routes(decision.removed)
        received_uri = msg.request_uri
        if decision.uri is not None:
            msg.uri = decision.uri
        if decision.dst_uri is not None or decision.uri is not None:
            msg.dst_uri = decision.dst_uri
        if decision.result > 0:
            own = received_uri if decision.own < 0 else routes[decision.own]
            self._restore(msg, own, routes[1] if decision.removed == 2 else None)
            if self._next_name is not None and decision.dst_uri is not None:
                msg.attributes.assign(self._next_name, decision.dst_uri)
        return decision.result

    def _decide(self, msg: Context, routes: list[str]) -> Decision | None:
        """The five cases of SER (semantics §11); None leaves the request alone."""
        request_uri = msg.request_uri
        is_top_ours = self._is_ours(msg, routes[0])
        is_pair = len(routes) > 1 and is_double(routes[0]) and is_double(routes[1])
        removed = 2 if is_pair and is_top_ours and self._is_ours(msg, routes[1]) else 1
        if not self._is_ours(msg, request_uri):
            return after_loose(routes, removed, request_uri, False) if is_top_ours else None
        if is_top_ours and not is_double(routes[0]):
            return after_loose(routes, 1, request_uri, True)
        if msg.message.to_tag is None:
            msg.engine.log_incident("loose_route: pre-loaded strict route refused", logging.WARNING)
            return None
        return after_strict(routes, 1 if is_top_ours and is_double(request_uri) else 0)

    def _is_ours(self, msg: Context, text: str) -> bool:
        if msg.core.is_myself_uri(text):
            return not self.ignore_user or self._user_of(text) != self.ignore_user
        domains = msg.engine.own_domains
        if not domains:
            return False
        try:
            host = Uri(text).host
        except ParseError:
            return False
        return any(knows(host) for knows in domains)

    @staticmethod
    def _user_of(text: str) -> str | None:
        try:
            return Uri(text).user
        except ParseError:
            return None

    def _restore(self, msg: Context, own: str, pair: str | None) -> None:
        """What our own Route brought back: direction, user part, cookie, the socket of the other side."""
        if pair is not None and self.enable_double_rr:
            self._leave_by(msg, pair)
        if self._user_name is not None and (user := self._user_of(own)) is not None:
            msg.attributes.assign(self._user_name, user)
        if self._filter is None or self._jar is None or ";avp=" not in own:
            return
        cookie = Uri(own).parameter("avp")
        tag = Uri(own).parameter("ftag")
        is_upstream = tag is not None and tag != msg.message.from_tag
        for one in self._jar.open(cookie or ""):
            if self._filter.search(one.name):
                track = Track(1 - one.track) if is_upstream else one.track
                stored = msg.attributes.add(Name(one.name, track, Scope(one.scope)), one.value)
                stored.flags |= self._cookie_mask

    @staticmethod
    def _leave_by(msg: Context, route: str) -> None:
        """RFC 5658 §6: the second of our pair names the socket to send from."""
        uri = Uri(route)
        protocol = uri.parameter("transport") or "udp"
        listener = msg.engine.listener_named(f"{protocol}:{uri.host}:{uri.port or 5060}")
        if listener is not None:
            msg.send_socket = listener
            msg.target = None

    def is_upstream(self, msg: Context) -> bool:
        """Does a request inside a dialog come from the callee? Our Route says so by its ftag (it is read as
        it was received, so loose_route may have taken it off)."""
        routes = msg.message.routes()
        own = next((route.uri for route in routes if self._is_ours(msg, route.uri)), msg.message.request_uri)
        tag = Uri(own).parameter("ftag")
        return tag is not None and tag != msg.message.from_tag
