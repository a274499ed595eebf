"""What comparisons mean: operand types, allowed operators, and the Python that tests them (semantics §2).

Comparisons of fields with constants become plain Python comparisons; everything with attributes or
selects becomes one closure from runtime.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sipyard.arguments import ArgumentError, Loading, RouteKind, number_of
from sipyard.attributes import ALL_VALUES, Name
from sipyard.recipes import note
from sipyard.regex import Regex
from sipyard.script import runtime
from sipyard.script.snippets import Snippet
from sipyard.script.source import Findings
from sipyard.script.tree import BitTest, Compare, Operand, Truth
from sipyard.sip.transports import NAMED

if TYPE_CHECKING:
    from sipyard.context import Context


@dataclass(frozen=True, slots=True)
class FieldType:
    """How a field is read (`code`) and compared (`type`)."""

    code: str
    type: str
    onsend_only: bool = False


_FIELDS = {
    "method": FieldType("msg.message.method", "method"),
    "uri": FieldType("msg.request_uri", "uri"),
    "from_uri": FieldType("(msg.message.from_uri or '')", "uri"),
    "to_uri": FieldType("(msg.message.to_uri or '')", "uri"),
    "status": FieldType("str(msg.message.status or msg.reply_status)", "text"),
    "src_ip": FieldType("msg.message.source_ip", "ip"),
    "dst_ip": FieldType("msg.message.destination_ip", "ip"),
    "src_port": FieldType("msg.message.source_port", "number"),
    "dst_port": FieldType("msg.message.destination_port", "number"),
    "msg:len": FieldType("msg.message.length", "number"),
    "proto": FieldType("msg.message.protocol", "protocol"),
    "af": FieldType("msg.message.source_ip", "family"),
    "snd_ip": FieldType("sending_ip(msg)", "ip", True),
    "snd_port": FieldType("sending_port(msg)", "number", True),
    "snd_proto": FieldType("sending_protocol(msg)", "protocol", True),
    "snd_af": FieldType("to_ip(msg)", "family", True),
    "to_ip": FieldType("to_ip(msg)", "ip", True),
    "to_port": FieldType("to_port(msg)", "number", True),
}
_OPERATORS = {
    "method": ("==", "!=", "=~"),
    "uri": ("==", "!=", "=~"),
    "text": ("==", "!=", "=~"),
    "ip": ("==", "!=", "=~"),
    "protocol": ("==", "!="),
    "family": ("==", "!="),
    "number": ("==", "!=", "<", ">", "<=", ">="),
}
_FAMILIES = {"inet": False, "inet6": True}


class Conditions:
    """Turns the leaves of conditions into snippets; what is wrong goes to `findings`."""

    def __init__(self, findings: Findings, loading: Loading) -> None:
        self.findings = findings
        self.loading = loading

    # -- leaves ----------------------------------------------------------------------------------------------

    def truth(self, node: Truth) -> Snippet:
        """A bare operand."""
        operand = node.operand
        if operand.kind == "number":
            return Snippet("True" if int(operand.value) > 0 else "False")
        if operand.kind == "retcode":
            return Snippet("msg.retcode > 0")
        read = self.reader(operand, newest=True)
        return Snippet("a(msg)", {"a": runtime.is_true(read)})

    def bits(self, node: BitTest) -> Snippet:
        mask = node.mask
        right: runtime.Reader
        right = runtime.constant(int(mask.value)) if mask.kind == "number" else self.reader(mask)
        return Snippet("a(msg)", {"a": runtime.bits(self.reader(node.attribute), node.operator, right)})

    def compare(self, node: Compare, kind: RouteKind) -> Snippet:
        """A comparison in a route of a kind."""
        left, operator, right = node.left, node.operator, node.right
        if left.kind in ("attribute", "select"):
            return self._compare_read(node)
        if left.kind == "retcode":
            return self._number_compare("msg.retcode", "$?", operator, right)
        if left.kind == "field" and right.kind == "word" and right.value == "myself":
            return self._myself(left, operator, right)
        if left.kind != "field":
            self._bad(
                left, f"{left.value} cannot be compared", "put what is read from the message on the left"
            )
            return Snippet("False")
        field = _FIELDS[str(left.value)]
        if field.onsend_only and kind is not RouteKind.ONSEND:
            self._bad(left, f"{left.value} can be read in onsend_route only")
        if operator not in _OPERATORS[field.type]:
            allowed = " ".join(_OPERATORS[field.type])
            self._bad(left, f"{left.value} cannot be compared by {operator}", f"it takes {allowed}", node)
            return Snippet("False")
        return self._field(field, str(left.value), operator, right)

    # -- fields ----------------------------------------------------------------------------------------------

    def _field(self, field: FieldType, name: str, operator: str, right: Operand) -> Snippet:
        if field.type == "number":
            return self._number_compare(field.code, name, operator, right)
        if field.type == "protocol":
            return self._protocol(field, operator, right)
        if field.type == "family":
            return self._family(field, operator, right)
        if right.kind in ("attribute", "select"):
            return self._field_with_read(field, operator, right)
        if field.type == "ip":
            return self._ip(field, operator, right)
        return self._text(field, name, operator, right)

    def _text(self, field: FieldType, name: str, operator: str, right: Operand) -> Snippet:
        if right.kind not in ("string", "word", "number", "field"):
            self._bad(right, f"{name} is compared with a string", f'write "{right.value}"')
            return Snippet("False")
        if right.kind == "field":
            return self._two_fields(field, operator, right)
        text = str(right.value)
        if operator == "=~":
            regex = self._regex(text, right)
            return Snippet(f"a({field.code})", {"a": regex.search}) if regex else Snippet("False")
        if field.type == "method":
            return self._method(operator, text, right)
        negation = "!=" if operator == "!=" else "=="
        folded = text.lower()
        if folded == text.upper():  # no letters (a status): nothing to fold
            return Snippet(f"{field.code} {negation} a", {"a": text})
        return Snippet(f"{field.code}.lower() {negation} a", {"a": folded})

    def _method(self, operator: str, text: str, right: Operand) -> Snippet:
        """Methods are case-sensitive on the wire (RFC 3261 §7.1), not in SER: known ones need no folding."""
        upper = text.upper()
        if right.kind == "word" and upper not in runtime.METHODS:
            hint = self._near(upper, runtime.METHODS)
            self.findings.warning(f"{text} is not a method that SIP defines", right.place, hint)
        code = "(_m := msg.message.method) == a or _m not in METHODS and _m.upper() == a"
        plain = "not is_method(msg, a)" if operator == "!=" else "is_method(msg, a)"
        return Snippet(f"not ({code})" if operator == "!=" else f"({code})", {"a": upper}, plain=plain)

    def _two_fields(self, field: FieldType, operator: str, right: Operand) -> Snippet:
        other = _FIELDS[str(right.value)]
        if other.type not in ("uri", "text", "method") or operator == "=~":
            self._bad(right, f"{right.value} cannot stand on the right of {operator}")
        return Snippet(f"{field.code}.lower() {operator} {other.code}.lower()")

    def _number_compare(self, code: str, name: str, operator: str, right: Operand) -> Snippet:
        if operator == "=~":
            self._bad(right, f"{name} is a number; =~ is for strings")
            return Snippet("False")
        if right.kind == "word" and right.value == "max_len":
            return Snippet(f"{code} {operator} a", {"a": runtime.MAX_LEN})
        if right.kind in ("attribute", "select"):
            return self._reader_compare(lambda text: _int_reader(code), operator, right)
        number = right.value if isinstance(right.value, int) else number_of(right.value)
        if number is None or right.kind not in ("number", "string"):
            hint = self._near(str(right.value), ("max_len",)) if name == "msg:len" else None
            self._bad(right, f"{name} is compared with a number, not {right.value}", hint)
            return Snippet("False")
        return Snippet(f"{code} {operator} a", {"a": number})

    def _protocol(self, field: FieldType, operator: str, right: Operand) -> Snippet:
        text = str(right.value).lower()
        if right.kind not in ("word", "string") or text not in NAMED:
            self._bad(right, f"{right.value} is not a protocol", "UDP, TCP or TLS")
        return Snippet(f"{field.code} {operator} a", {"a": text})

    def _family(self, field: FieldType, operator: str, right: Operand) -> Snippet:
        text = str(right.value).lower()
        if right.kind not in ("word", "string") or text not in _FAMILIES:
            self._bad(right, f"{right.value} is not an address family", "inet or inet6")
            return Snippet("False")
        return Snippet(f"(':' in {field.code}) {operator} a", {"a": _FAMILIES[text]})

    def _ip(self, field: FieldType, operator: str, right: Operand) -> Snippet:
        text = str(right.value)
        if operator == "=~":
            regex = self._regex(text, right)
            return Snippet(f"a({field.code})", {"a": regex.search}) if regex else Snippet("False")
        negation = "not " if operator == "!=" else ""
        if right.kind == "network" or "/" in text:
            if "/" in text:
                return self._network(field, negation, text, right)
        elif right.kind not in ("string", "word"):
            self._bad(right, f"an address is expected, not {text}")
            return Snippet("False")
        canonical = runtime.canonical_ip(text)
        if canonical is not None:
            return Snippet(f"{field.code} {operator} a", {"a": canonical})
        if right.kind == "network":
            self._bad(right, f"{text} is not an address")
        else:
            self.findings.note(
                f"{text} is resolved by DNS for each message", right.place, "an address is faster"
            )
        return Snippet(f"{negation}await is_host(msg, {field.code}, a)", {"a": text})

    def _network(self, field: FieldType, negation: str, text: str, right: Operand) -> Snippet:
        try:
            contains = runtime.network(text)
        except ValueError as error:
            self._bad(right, f"{text} is not a network: {error}")
            return Snippet("False")
        return Snippet(f"{negation}a({field.code})", {"a": contains})

    def _myself(self, left: Operand, operator: str, right: Operand) -> Snippet:
        field = _FIELDS[str(left.value)]
        if operator not in ("==", "!="):
            self._bad(right, f"myself can be compared by == and != only, not {operator}")
        negation = "not " if operator == "!=" else ""
        if field.type == "uri":
            return Snippet(f"{negation}msg.core.is_myself_uri({field.code})")
        if field.type == "ip":
            return Snippet(f"{negation}msg.core.is_myself({field.code}, 0)")
        self._bad(left, f"{left.value} cannot be compared with myself", "uri, src_ip and dst_ip can")
        return Snippet("False")

    # -- attributes and selects ------------------------------------------------------------------------------

    def reader(self, operand: Operand, *, newest: bool = False) -> runtime.Reader:
        """Reads an attribute or select; one that cannot be read is reported and reads as missing."""
        if operand.kind == "retcode":
            return runtime.retcode
        try:
            if operand.kind == "select":
                return self.loading.reader(str(operand.value))
            name = attribute_name(str(operand.value))
        except ArgumentError as error:
            self._bad(operand, str(error), error.hint)
            return lambda msg: None
        if newest:
            return self.loading.reader(str(operand.value))
        return runtime.single(name)

    def _compare_read(self, node: Compare) -> Snippet:
        left = self.reader(node.left)
        right, operator = node.right, node.operator
        if right.kind in ("string", "number"):
            return self._with_constant(left, operator, right)
        return self._reader_compare(lambda text: left, operator, right)

    def _with_constant(self, left: runtime.Reader, operator: str, right: Operand) -> Snippet:
        value = right.value
        if operator == "=~":
            regex = self._regex(str(value), right)
            return _closure(runtime.matches(left, regex)) if regex else Snippet("False")
        if operator in ("==", "!="):
            test = runtime.equals(left, value)
            return _closure(test if operator == "==" else runtime.negated(test))
        if not isinstance(value, int):
            number = number_of(value)
            if number is None:
                self._bad(right, f"{operator} compares numbers")
            value = number or 0
        return _closure(runtime.ordered(left, operator, runtime.constant(value)))

    def _reader_compare(
        self, left_of: Callable[[str], runtime.Reader], operator: str, right: Operand
    ) -> Snippet:
        left = left_of("")
        if right.kind in ("attribute", "select", "retcode"):
            read = self.reader(right)
        elif right.kind == "field":
            read = _field_reader(_FIELDS[str(right.value)].code)
        elif right.kind == "network":
            text = runtime.canonical_ip(str(right.value)) or str(right.value)
            read = runtime.constant(text)
        else:
            self._bad(
                right,
                f"{right.value} cannot be compared with an attribute or select",
                f'write "{right.value}"',
            )
            return Snippet("False")
        if operator == "=~":
            return _closure(runtime.matches_reader(left, read))
        if operator in ("==", "!="):
            test = runtime.equals_reader(left, read)
            return _closure(test if operator == "==" else runtime.negated(test))
        return _closure(runtime.ordered(left, operator, read))

    def _field_with_read(self, field: FieldType, operator: str, right: Operand) -> Snippet:
        if field.type == "ip" and field.code not in ("to_ip(msg)", "sending_ip(msg)"):
            part = "src" if "source" in field.code else "dst"
            self._bad(
                right, "an address cannot be compared with an attribute", f"write @{part}.ip on the left"
            )
        return self._reader_compare(lambda text: _field_reader(field.code), operator, right)

    # -- reporting -------------------------------------------------------------------------------------------

    def _regex(self, text: str, operand: Operand) -> Regex | None:
        try:
            return Regex(text)
        except ArgumentError as error:
            self._bad(operand, str(error), error.hint)
            return None

    def _bad(
        self, operand: Operand, message: str, hint: str | None = None, node: Compare | None = None
    ) -> None:
        self.findings.error(message, operand.place if node is None else node.place, hint)

    @staticmethod
    def _near(word: str, known: frozenset[str] | tuple[str, ...]) -> str | None:
        from sipyard.arguments import near

        return near(word, known)


def attribute_name(text: str) -> Name:
    """The name that a script wrote, with its prefix checked. ArgumentError."""
    body = text.lstrip("$").partition("[")[0]
    prefix, dot, _ = body.partition(".")
    if dot and prefix not in ("f", "t", "fr", "tr", "fu", "tu", "fd", "td", "g"):
        raise ArgumentError(
            f"{text}: there is no class {prefix}", "classes are $f $t $fu $tu $fd $td $fr $tr and $g"
        )
    try:
        return Name.parse(text)
    except ValueError as error:
        raise ArgumentError(str(error)) from None


def is_every(name: Name) -> bool:
    """`$x[]`."""
    return name.index == ALL_VALUES


def _closure(test: runtime.Test) -> Snippet:
    return Snippet("a(msg)", {"a": test})


def _field_reader(code: str) -> runtime.Reader:
    """A reader from a field's code; the codes are the table's own."""
    read: runtime.Reader = eval(f"lambda msg: {code}", vars(runtime))  # noqa: S307 (our own table)
    note(read, _field_reader, code)
    return read


def field_reader(name: str) -> Callable[[Context], object]:
    """What reads a field (`method`, `src_ip`, `msg:len` …). KeyError for a name that is none."""
    return _field_reader(_FIELDS[name].code)


def _int_reader(code: str) -> Callable[[Context], int | str | None]:
    return _field_reader(code)
