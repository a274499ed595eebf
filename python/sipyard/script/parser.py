"""The top level of a script: settings, modules, flags and route blocks."""

from __future__ import annotations

import ipaddress
import re

from sipyard.arguments import RouteKind, near, number_of
from sipyard.script.core_parameters import SETTINGS, SOCKET_LISTS
from sipyard.script.cursor import END, ID, IP, ROUTE_WORDS, STRING, SyntaxProblem, Token
from sipyard.script.source import Findings, Source
from sipyard.script.statements import Statements
from sipyard.script.tree import FlagName, LoadModule, ModParam, Route, Setting, Sign, Socket, Tree
from sipyard.sip.transports import NAMED

_KINDS = {kind.block: kind for kind in RouteKind}
_OTHERS = ("loadmodule", "modparam", "flags", "bool", "avpflags", "tls_domain")
TOP_WORDS = (*ROUTE_WORDS, *_OTHERS)
SWITCHES = {"yes": 1, "true": 1, "on": 1, "enable": 1, "no": 0, "false": 0, "off": 0, "disable": 0}
_DIRECTIVE = re.compile(r"^#!\s*SER\s+(\d+\.\d+)[ \t]*$", re.MULTILINE | re.IGNORECASE)


def parse(source: Source, findings: Findings) -> Tree:
    """The tree of a script. What cannot be read is reported in `findings` and left out."""
    return Parser(source, findings).parse()


class Parser(Statements):
    """Reads one script once."""

    def parse(self) -> Tree:
        self.tree = Tree()
        while self.token.kind != END:
            at = self.at
            try:
                self._item()
            except SyntaxProblem:
                self.depth = 0
                self._skip_item()
            if self.at == at:  # nothing was taken: never loop on a token
                self.take()
        self.tree.signs = self.signs
        self.tree.directive = self._directive()
        return self.tree

    def _directive(self) -> Sign | None:
        found = _DIRECTIVE.search(self.source.text)
        if found is None:
            return None
        place = self.source.place(found.start(), found.end())
        if found[1] not in ("0.9", "2.0"):
            self.findings.error(f"SER {found[1]} is not known here", place, "write #!SER 0.9 or #!SER 2.0")
            return None
        return Sign(found[1] == "2.0", f"#!SER {found[1]}", place)

    def _item(self) -> None:
        token = self.token
        if self.accept(";"):
            return
        if token.kind != ID:
            hint = "a block has one } too many" if token.text == "}" else None
            raise self.fail("a setting, loadmodule, modparam or route was expected here", token, hint)
        if token.text in _KINDS:
            self._route()
        elif token.text == "loadmodule":
            self._loadmodule()
        elif token.text == "modparam":
            self._modparam()
        elif token.text in ("flags", "bool") and self.ahead().text != "=":
            self.sign(True, f"`{token.text}`", self.take())
            self.tree.flags += self._flag_names(numbered=True)
        elif token.text == "avpflags":
            self.sign(True, "`avpflags`", self.take())
            self.tree.avp_flags += self._flag_names(numbered=False)
        elif token.text == "tls_domain":
            self._tls_domain()
        elif self.ahead().text == "=":
            self._setting()
        else:
            raise self._no_item(token)

    def _no_item(self, token: Token) -> SyntaxProblem:
        self.take()
        if self.sees("(") or token.text == "if":
            return self.fail(f"`{token.text}` must stand in a route", token, "a route's } may be too early")
        hint = near(token.text, (*TOP_WORDS, *SETTINGS))
        return self.fail(f"{token.text} is not known at the top level", token, hint)

    def _skip_item(self) -> None:
        """To the next thing that looks like the beginning of an item."""
        while self.token.kind != END:
            before = self.tokens[self.at - 1]
            fresh = "\n" in self.source.text[before.end : self.token.start] or before.text in (";", "}")
            if fresh and (self.starts_route() or self.sees(*_OTHERS) or self._looks_like_setting()):
                return
            if self.sees("{"):
                self.skip_statement()
            else:
                self.take()

    def _looks_like_setting(self) -> bool:
        return self.token.kind == ID and self.ahead().text == "="

    # -- route blocks ----------------------------------------------------------------------------------------

    def _route(self) -> None:
        first = self.take()
        kind = _KINDS[first.text]
        if kind in (RouteKind.BRANCH, RouteKind.ONSEND):
            self.sign(True, f"`{first.text}`", first)
        name = None
        if self.accept("["):
            if self.sees("]"):
                raise self.fail("the route has no name", None, "write a number or a name in the brackets")
            name, _ = self.route_name()
            self.expect("]", "the route's name")
        head = self.since(first)
        body = self.block(first.text)
        last = self.tokens[self.at - 1]
        self.tree.routes.append(Route(kind, None if name == "0" else name, body, head, self.place(last)))

    # -- modules ---------------------------------------------------------------------------------------------

    def _string(self, what: str) -> Token:
        if self.token.kind != STRING:
            hint = f'write "{self.token.text}"' if self.token.kind == ID else self.found()
            raise self.fail(f"{what} must be a quoted string", None, hint)
        return self.take()

    def _loadmodule(self) -> None:
        first = self.take()
        path = self._string("the module's path")
        self.tree.modules.append(LoadModule(str(path.value), self.since(first), self.place(path)))

    def _modparam(self) -> None:
        first = self.take()
        self.expect("(", "modparam")
        module = self._string("the module's name")
        self.expect(",", "the module's name")
        name = self._string("the parameter's name")
        self.expect(",", "the parameter's name")
        at = self.token
        value: str | int
        if at.kind == STRING:
            value = self.take().value
        elif at.kind == ID and at.text in SWITCHES:
            value = SWITCHES[self.take().text]
        elif at.kind == ID:
            raise self.fail("the value must be a number or a quoted string", at, f'write "{at.text}"')
        else:
            value = self.number("the value")
        value_place = self.since(at)
        self.expect(")", "the value")
        places = (self.place(module), self.place(name), value_place)
        self.tree.parameters.append(
            ModParam(str(module.value), str(name.value), value, self.since(first), *places)
        )

    # -- flags -----------------------------------------------------------------------------------------------

    def _flag_names(self, *, numbered: bool) -> list[FlagName]:
        names: list[FlagName] = []
        while True:
            token = self.take()
            if token.kind not in (ID, STRING):
                raise self.fail("a flag's name must stand here", token)
            number = None
            if numbered and self.accept(":"):
                number = self.number("the flag's number")
            names.append(FlagName(str(token.value), number, self.place(token)))
            if not self.accept(","):
                break
        self._semicolon()
        return names

    # -- settings --------------------------------------------------------------------------------------------

    def _setting(self) -> None:
        first = self.take()
        self.take()
        at = self.token
        value: str | int | list[Socket]
        is_word = False
        if first.text in SOCKET_LISTS:
            value = self._sockets(first.text)
        elif at.kind == STRING:
            value = self.take().value
        elif at.kind == ID and at.text in SWITCHES and self.ahead().text not in (".", ":"):
            value = SWITCHES[self.take().text]
        elif at.kind == ID or at.kind == IP:
            value, _ = self.joined()
            is_word = True
        else:
            value = self.number(f"the value of {first.text}")
        self.tree.settings.append(Setting(first.text, value, is_word, self.since(first), self.since(at)))

    def _sockets(self, name: str) -> list[Socket]:
        """One or more `[proto:]host[:port]`, until something else begins."""
        sockets = [self._socket(name)]
        while self._socket_follows():
            sockets.append(self._socket(name))
        return sockets

    def _socket_follows(self) -> bool:
        token = self.token
        if token.kind == ID:
            following = self.ahead()
            return token.text not in TOP_WORDS and following.text not in ("=", "(", "{")
        return token.kind in (STRING, IP) or self.sees("[")

    def _socket(self, name: str) -> Socket:
        token = self.token
        if token.kind == STRING:
            text = str(self.take().value)
        elif (token.kind in (ID, IP) and token.text not in TOP_WORDS) or self.sees("[", "*"):
            text, _ = self.joined()
        else:
            raise self.fail(f"an address must follow {name} =", None, self.found())
        if text == "[":
            raise self.fail("an address must follow `[`", None, self.found())
        parts = split_socket(text)
        return Socket(*(parts or (None, text, None)), self.since(token), parts is not None)

    def _tls_domain(self) -> None:
        """0.9's TLS per address: read and set aside (SER 2.0 has module tls)."""
        first = self.take()
        while not self.sees("{") and self.token.kind != END:
            self.take()
        self.sign(False, "`tls_domain`", first)
        depth = 0
        while self.token.kind != END:
            token = self.take()
            depth += (token.text == "{") - (token.text == "}")
            if depth == 0:
                break
        self.findings.warning("tls_domain has no effect", self.since(first), "TLS belongs to module tls")


def _is_host(text: str) -> bool:
    """A name, an address, an interface, or `*`; IPv6 in brackets."""
    if text.startswith("["):
        try:
            return ipaddress.ip_address(text[1:-1]).version == 6
        except ValueError:
            return False
    return re.fullmatch(r"\*|[\w.-]+", text) is not None


def split_socket(text: str) -> tuple[str | None, str, int | None] | None:
    """Protocol, host and port of `[proto:]host[:port]`, None when it is not one. Port `*` is the default."""
    protocol: str | None = None
    head, colon, rest = text.partition(":")
    if colon and head.lower() in NAMED:
        protocol, text = head.lower(), rest
    if text.startswith("["):
        host, bracket, tail = text.partition("]")
        host, tail = host + bracket, tail
        if not bracket or (tail and not tail.startswith(":")):
            return None
        port = tail[1:]
    elif text.count(":") > 1:
        host, tail, port = f"[{text}]", "", ""
    else:
        host, tail, port = text.partition(":")
    if not _is_host(host) or (tail and not port):
        return None
    if port in ("", "*"):
        return protocol, host, None
    number = number_of(port) if port.isdecimal() else None
    return None if number is None or not 0 < int(port, 10) < 65536 else (protocol, host, int(port, 10))
