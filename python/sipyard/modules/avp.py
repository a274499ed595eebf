"""avp: read and change attributes by functions.

A script of SER 2.0 may write the name with or without `$`; one of SER 0.9 has attributes only this way.
Setting adds a value beside those that the name has, as in SER; the newest is the one that is read. What an
attribute holds may come off the wire: it stays one header line, one log line and a part of a URI.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Final

from sipyard._native.core import ParseError, Uri
from sipyard.arguments import ArgumentError, Dynamic, Generation, HeaderKind, HeaderName, Loading, near
from sipyard.attributes import ALL_VALUES, Assigned, Group, Name
from sipyard.edited import remove_fields
from sipyard.fault import Fault
from sipyard.formats import Format
from sipyard.module import Module, Parameter, function
from sipyard.regex import Substitution
from sipyard.sip.field_text import for_log, one_line

if TYPE_CHECKING:
    from sipyard.context import Context

_OLD: Final = Generation.SER_0_9
_NEW: Final = Generation.SER_2_0
_LOG_LEVEL: Final = 3
_FLAGS_09: Final = Name("flags")
_EVERYTHING: Final = Group()
# What stands between commas and semicolons; quotes and angle brackets hide them (RFC 3261 §25.1).
_PIECE: Final = re.compile(r'(?:"(?:[^"\\]|\\.)*"?|<[^>]*>?|[^,;"<])+', re.DOTALL)
_PAIR: Final = re.compile(r"\s*([A-Za-z0-9!%*_+`'~.-]+)\s*(?:=(.*))?", re.DOTALL)
# Which characters each part of a SIP URI may hold (RFC 3261 §25.1), so that a value stays the part it is.
_USER: Final = r"(?:[A-Za-z0-9_.!~*'()&=+$,;?/-]|%[0-9A-Fa-f]{2})*"
_PASSWORD: Final = r"(?:[A-Za-z0-9_.!~*'()&=+$,-]|%[0-9A-Fa-f]{2})*"  # noqa: S105
_HOST: Final = r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])"


def _whole_uri(msg: Context, text: str) -> int:
    try:
        Uri(text)
    except ParseError:
        msg.error = Fault.BAD_URI
        return -1
    return msg.rewrite_uri(text)


class UriPart:
    """A part of the Request-URI by SER's name: what it may hold, and how it is rewritten."""

    __slots__ = ("_pattern", "_rewrite")

    def __init__(self, pattern: str, rewrite: Callable[[Context, str], int]) -> None:
        self._pattern = re.compile(pattern)
        self._rewrite = rewrite

    def put(self, msg: Context, text: str) -> int:
        """1, or -1 with the URI unchanged when the text does not fit."""
        if self._pattern.fullmatch(text) is None:
            msg.error = Fault.BAD_URI
            return -1
        return self._rewrite(msg, text)


_WHOLE: Final = UriPart(r"[!-~\x80-\U0010ffff]+", _whole_uri)
_USERNAME: Final = UriPart(_USER, lambda msg, text: msg.rewrite_user(text))
_USERPASS: Final = UriPart(f"{_USER}(?::{_PASSWORD})?", lambda msg, text: msg.rewrite_userpass(text))
_DOMAIN: Final = UriPart(_HOST, lambda msg, text: msg.rewrite_host(text))
_HOSTPORT: Final = UriPart(rf"{_HOST}(?::\d{{1,5}})?", lambda msg, text: msg.rewrite_hostport(text))
_PARTS: Final = {
    "": _WHOLE,
    "uri": _WHOLE,
    "prefix": UriPart(_USER, lambda msg, text: msg.prefix(text)),
    "user": _USERNAME,
    "username": _USERNAME,
    "userpass": _USERPASS,
    "usernamepassword": _USERPASS,
    "host": _DOMAIN,
    "domain": _DOMAIN,
    "hostport": _HOSTPORT,
    "domainport": _HOSTPORT,
    "port": UriPart(r"\d{0,5}", lambda msg, text: msg.rewrite_port(text)),
}


class _PartKind:
    says = "a part of the URI: " + ", ".join(name for name in _PARTS if name)

    def convert(self, value: str | int, loading: Loading) -> object:
        part = _PARTS.get(str(value).lower())
        if part is None:
            raise ArgumentError(f'expects {self.says}, not "{value}"', near(str(value), _PARTS))
        return part

    def convert_strict(self, value: object, loading: Loading) -> object:
        return self.convert(str(value), loading)


class _HeaderOrAttributeKind:
    """The first argument of `*_attr_hf`: a header, or the attribute when it is the only one."""

    says = "a header field name or an attribute"

    def convert(self, value: str | int, loading: Loading) -> object:
        text = str(value)
        if text[:1] in ("$", "%"):
            return Name.from_script(text, loading)
        return HeaderKind().convert(text, loading)

    def convert_strict(self, value: object, loading: Loading) -> object:
        return self.convert(str(value), loading)


Part = Annotated[UriPart, _PartKind()]
HeaderOrAttribute = Annotated[str | Name, _HeaderOrAttributeKind()]


class AttributeOperations(Module):
    """avp: operations on attributes."""

    name = "avp"

    xlbuf_size = Parameter(int, 256, "Accepted; texts may be of any length.", generations=_NEW)

    # -- setting ---------------------------------------------------------------------------------------------

    @function("RF", generations=_OLD)
    @function("RFO", generations=_NEW)
    def set_iattr(self, msg: Context, name: Assigned, value: Dynamic[int]) -> int:
        """Add a number to the values of an attribute."""
        msg.attributes.add(name, value)
        return 1

    @function("RF", generations=_OLD)
    @function("RFO", names=("set_attr",), generations=_NEW)
    def set_sattr(self, msg: Context, name: Assigned, value: Dynamic[str]) -> int:
        """Add a text to the values of an attribute."""
        msg.attributes.add(name, value)
        return 1

    @function("RFO", generations=_NEW)
    def xlset_attr(self, msg: Context, name: Assigned, value: Format) -> int:
        """Add a text with % codes to the values of an attribute."""
        msg.attributes.add(name, value.text(msg))
        return 1

    @function("RF", name="flags2attr", generations=_OLD)
    def flags_to_attribute(self, msg: Context) -> int:
        """Add the flags of the message, as a number, to the attribute `flags`."""
        return self.flags2attr(msg, _FLAGS_09)

    @function("RFO", generations=_NEW)
    def flags2attr(self, msg: Context, name: Assigned) -> int:
        """Add the flags of the message, as a number, to the values of an attribute."""
        msg.attributes.add(name, msg.flags)
        return 1

    @function("RF", generations=_OLD)
    def uri2attr(self, msg: Context, name: Assigned) -> int:
        """Add the current Request-URI to the values of an attribute."""
        msg.attributes.add(name, msg.request_uri)
        return 1

    @function("RFO", generations=_NEW)
    def subst_attr(self, msg: Context, name: Assigned, substitution: Substitution) -> int:
        """Substitute in a value. 1, or -1 when it is no text, the expression does not occur in it, or it is
        an attribute of the domain or the server."""
        value = msg.attributes.value(name)
        changed = substitution.apply(value) if isinstance(value, str) else None
        return 1 if changed is not None and msg.attributes.change(name, changed) else -1

    @function("RFO", generations=_NEW)
    def hdr_body2attrs(self, msg: Context, header: HeaderName, prefix: Assigned) -> int:
        """Add every `name=value` of a header, separated by commas or semicolons, as an attribute: the prefix
        and the name. 1, or -1 when there is none."""
        return self._spread(msg, msg.message.headers(header)[:1], prefix)

    @function("RFO", generations=_NEW)
    def hdr_body2attrs2(self, msg: Context, header: HeaderName, prefix: Assigned) -> int:
        """As hdr_body2attrs, out of all headers of that name."""
        return self._spread(msg, msg.message.headers(header), prefix)

    @staticmethod
    def _spread(msg: Context, bodies: list[str], prefix: Name) -> int:
        done = 0
        for body in bodies:
            for key, value in _pairs(body):
                full = Name(prefix.name + key.lower(), prefix.track, prefix.scope)
                msg.attributes.add(full, value)
                done += 1
        return 1 if done else -1

    # -- deleting --------------------------------------------------------------------------------------------

    @function("RFO", generations=_NEW)
    def del_attr(self, msg: Context, name: Assigned) -> int:
        """Delete all values of an attribute, in every class when none is named."""
        while msg.attributes.delete(name):
            pass
        return 1

    @function("RFO", generations=_NEW)
    def del_attrs(self, msg: Context, group: Group) -> int:
        """Delete all attributes of a group: `$f`, `$tu`… Those of the server (`$g`) stay."""
        msg.attributes.clear(group)
        return 1

    # -- asking ----------------------------------------------------------------------------------------------

    @function("RFO", generations=_NEW)
    def attr_exists(self, msg: Context, name: Name) -> int:
        """1 when the attribute has a value, else -1."""
        return 1 if msg.attributes.select(name) else -1

    @function("RF", generations=_OLD)
    def is_sattr_set(self, msg: Context, name: Name) -> int:
        """1 when the attribute has a value that is a text, else -1."""
        return 1 if any(isinstance(value, str) for value in msg.attributes.values(name)) else -1

    @function("RF", name="avp_exists", generations=_OLD)
    @function("RFO", generations=_NEW)
    def attr_equals(self, msg: Context, name: Name, value: Dynamic[str]) -> int:
        """1 when one of the attribute's values is this one, letter by letter, else -1."""
        return _has(msg, name, value)

    @function("RFO", generations=_NEW)
    def attr_equals_xl(self, msg: Context, name: Name, value: Format) -> int:
        """As attr_equals with a text with % codes."""
        return _has(msg, name, value.text(msg))

    # -- showing ---------------------------------------------------------------------------------------------

    @function("RF", name="print_sattr", generations=_OLD)
    @function("RFO", generations=_NEW)
    def print_attr(self, msg: Context, name: Name) -> int:
        """Log the value of an attribute at L_INFO. 1, or -1 when it has none."""
        value = msg.attributes.value(name)
        if value is None:
            return -1
        return msg.log(_LOG_LEVEL, f"{name}={for_log(repr(value))}")

    @function("RFO", generations=_NEW)
    def dump_attrs(self, msg: Context, group: Group = _EVERYTHING) -> int:
        """Log all attributes, or those of a group, at L_INFO, one line each."""
        for line in msg.attributes.lines(group):
            msg.log(_LOG_LEVEL, for_log(line))
        return 1

    # -- into the Request-URI and the next hop ---------------------------------------------------------------

    @function("RF", name="attr2uri", generations=_OLD)
    def attribute_to_uri(self, msg: Context, name: Name) -> int:
        """Replace the Request-URI by the value. 1, or -1 when there is none or it is no URI."""
        return self.attr2uri(msg, name)

    @function("RF", generations=_NEW)
    def attr2uri(self, msg: Context, name: Name, part: Part = _WHOLE) -> int:
        """Replace the Request-URI, or a part of it, by the value: uri, prefix (put before the user),
        username, usernamepassword, domain, domainport, port. 1, or -1 when there is no value or it does not
        fit."""
        value = msg.attributes.value(name)
        return -1 if value is None else part.put(msg, str(value))

    @function("RF", generations=_NEW)
    def attr_destination(self, msg: Context, name: Name) -> int:
        """Send to the URI in an attribute, which may stand in `<>`; the Request-URI stays. 1, or -1 when
        there is no value or it is no URI."""
        value = msg.attributes.value(name)
        return _send_to(msg, value) if isinstance(value, str) else -1

    @function("RF", generations=_NEW)
    def xlset_destination(self, msg: Context, uri: Format) -> int:
        """As attr_destination with a text with % codes."""
        return _send_to(msg, uri.text(msg))

    # -- into headers ----------------------------------------------------------------------------------------

    @function("RF", generations=_NEW)
    def insert_attr_hf(self, msg: Context, header: HeaderOrAttribute, name: Name | None = None) -> int:
        """Add a header with an attribute's value as the first; alone, the attribute names the header too. 1,
        or -1 when there is no value."""
        return _add(msg, header, name, lambda _, line: msg.message.prepend_header(line))

    @function("RF", generations=_NEW)
    def append_attr_hf(self, msg: Context, header: HeaderOrAttribute, name: Name | None = None) -> int:
        """As insert_attr_hf at the end of the headers."""
        return _add(msg, header, name, lambda _, line: msg.message.append_header(line))

    @function("RF", generations=_NEW)
    def replace_attr_hf(self, msg: Context, header: HeaderOrAttribute, name: Name | None = None) -> int:
        """As append_attr_hf, and headers of that name go."""

        def replace(field: str, line: str) -> None:
            remove_fields(msg, field)
            msg.message.append_header(line)

        return _add(msg, header, name, replace)

    @function("RF", generations=_NEW)
    def attr_to_reply(self, msg: Context, header: HeaderOrAttribute, name: Name | None = None) -> int:
        """As append_attr_hf in every reply that is made here to this request."""
        return _add(msg, header, name, lambda _, line: msg.message.append_to_reply(line))


def _pairs(body: str) -> Iterator[tuple[str, str]]:
    """Every `name=value` or `name` of a header's body, quotes taken off."""
    for piece in _PIECE.findall(body):
        pair = _PAIR.fullmatch(piece)
        if pair is not None:
            value = (pair[2] or "").strip()
            if len(value) > 1 and value[0] == value[-1] == '"':
                value = re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)
            yield pair[1], value


def _has(msg: Context, name: Name, value: str) -> int:
    attributes = msg.attributes
    found = (
        attributes.values(name)
        if name.index in (None, ALL_VALUES)
        else [one.value for one in attributes.select(name)]
    )
    return 1 if any(str(one) == value for one in found) else -1


def _send_to(msg: Context, text: str) -> int:
    inner = re.search(r"<([^<>]*)>", text)
    uri = inner[1] if inner else text.strip()
    try:
        Uri(uri)
    except ParseError:
        msg.error = Fault.BAD_URI
        return -1
    msg.dst_uri = uri
    return 1


def _add(msg: Context, header: str | Name, name: Name | None, write: Callable[[str, str], object]) -> int:
    """Write a header line with an attribute's value; the attribute gives what is not named."""
    if name is None:
        name = header if isinstance(header, Name) else Name(header.lower())
    field = header.name if isinstance(header, Name) else header
    value = msg.attributes.value(name)
    if value is None:
        return -1
    try:
        write(field, f"{field}: {one_line(str(value))}\r\n")
    except ValueError as error:  # what it was made of does not form a header line
        msg.engine.log_incident(f"avp: {error}")
        return -1
    return 1
