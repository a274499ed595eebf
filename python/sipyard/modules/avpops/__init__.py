"""avpops: the older toolbox of attributes, with its own way of naming them ("s:name", "i:12", "$alias").

A value of a message stays one header line and the part of the URI that it is put into; expressions to match
with are written by the script alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sipyard.arguments import ArgumentError, Generation, Loading
from sipyard.attributes import ALL_VALUES, Group, Name
from sipyard.module import function, parameter
from sipyard.modules.avpops.database import StoredAttributes
from sipyard.modules.avpops.operands import ALIAS, Check, Destination, Given, Operand
from sipyard.sip.field_text import for_log

if TYPE_CHECKING:
    from sipyard.context import Context

_LOG_LEVEL: Final = 3


class AttributeToolbox(StoredAttributes):
    """avpops: operations on attributes that are named in the old way."""

    name = "avpops"

    @parameter()
    def avp_aliases(self, value: str) -> None:
        """Names to write as `$name` in this module's functions: "email=s:email;limit=i:12"."""
        for piece in filter(None, (each.strip() for each in value.split(";"))):
            alias, equals, target = (each.strip() for each in piece.partition("="))
            if not equals or ALIAS.fullmatch(f"${alias}") is None:
                raise ArgumentError(f'"{piece}" declares no alias', "write name=s:attribute or name=i:12")
            name = Operand.from_script(target, Loading(self.generation)).name
            if name is None:
                raise ArgumentError(f"alias {alias} may not stand for another", "write name=s:attribute")
            self._aliases[alias.lower()] = name

    def _meant(self, msg: Context, operand: Operand) -> Name | None:
        name = operand.meant(self._aliases)
        if name is None:
            msg.engine.log_incident(f"avpops: ${operand.alias} is not declared by avp_aliases")
        return name

    @staticmethod
    def _drop(msg: Context, name: Name, *, every: bool) -> bool:
        if every:
            return msg.attributes.delete(name) > 0
        newest = msg.attributes.select(name)
        return bool(newest) and msg.attributes.remove(newest[-1])

    @function("RF")
    def avp_write(self, msg: Context, value: Given, name: Operand) -> int:
        """Add a value to an attribute. 1, or -1 when the message has none."""
        found, target = value.value(msg, self._aliases), self._meant(msg, name)
        if found is None or target is None:
            return -1
        msg.attributes.add(target, found)
        return 1

    @function("RF")
    def avp_delete(self, msg: Context, name: Operand) -> int:
        """Delete the newest value, with /g all. 1, or -1 when there is none."""
        target = self._meant(msg, name)
        if target is None:
            return -1
        return 1 if self._drop(msg, target, every="g" in name.flags) else -1

    @function("RF")
    def avp_pushto(self, msg: Context, destination: Destination, name: Operand) -> int:
        """Put the newest value into the Request-URI, a part of it, or a header; with /g all, those after the
        first as branches or further headers. 1, or -1 when there is none or none fits."""
        target = self._meant(msg, name)
        values = [] if target is None else msg.attributes.values(target)[::-1]
        done = 0
        for value in values if "g" in name.flags else values[:1]:
            done += destination.put(msg, value, is_first=done == 0)
        return 1 if done else -1

    @function("RF")
    def avp_check(self, msg: Context, name: Operand, check: Check) -> int:
        """Compare the newest value, with flag g all until one fits; i ignores case, d deletes what fits. 1
        when one does, else -1."""
        target, other = self._meant(msg, name), check.given.value(msg, self._aliases)
        if target is None or other is None:
            return -1
        found = msg.attributes.select(replace(target, index=ALL_VALUES))[::-1]
        for one in found if "g" in check.flags else found[:1]:
            if check.test(one.value, other):
                if "d" in check.flags:
                    msg.attributes.remove(one)
                return 1
        return -1

    @function("RF", generations=Generation.SER_2_0)
    def avp_copy(self, msg: Context, source: Operand, target: Operand) -> int:
        """Copy the newest value, with /g all, to another attribute; with /d they move. 1, or -1 when there is
        none."""
        old, new = self._meant(msg, source), self._meant(msg, target)
        if old is None or new is None:
            return -1
        flags = source.flags + target.flags
        found = msg.attributes.select(replace(old, index=ALL_VALUES if "g" in flags else None))
        copies = [(one.value, one.flags) for one in found]
        if "d" in flags:
            self._drop(msg, old, every="g" in flags)
        for value, bits in copies:
            msg.attributes.add(new, value, bits)
        return 1 if copies else -1

    @function("RF")
    def avp_print(self, msg: Context) -> int:
        """Log all attributes at L_INFO, one line each."""
        for line in msg.attributes.lines(Group()):
            msg.log(_LOG_LEVEL, for_log(line))
        return 1
