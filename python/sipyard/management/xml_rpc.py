"""XML-RPC (xmlrpc.com/spec): a call out of XML, and the answer to it."""

from __future__ import annotations

import xmlrpc.client
from collections.abc import Mapping
from typing import Any
from xml.parsers import expat

from sipyard.management.registry import Commands, Offer, RpcFault

_PARSE_ERROR = -32700
"""As agreed for XML-RPC servers (xmlrpc-epi, "Specification for Fault Code Interoperability")."""


_BROKEN = (
    expat.ExpatError,
    xmlrpc.client.Error,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
)
"""What the library raises for XML that is none, or not of XML-RPC."""


class NotACall(ValueError):
    """What came is no XML-RPC call."""


def parse(body: bytes) -> tuple[str, list[Any]]:
    """Name and parameters of a call. Document types, and so entities, are refused.

    :raises NotACall: it is none.
    """
    reader = xmlrpc.client.Unmarshaller(use_builtin_types=True)
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.data
    parser.StartDoctypeDeclHandler = _refuse
    reader.xml("", None)  # expat hands over text, which is decoded
    try:
        parser.Parse(body, True)
        values = list(reader.close())
        name = reader.getmethodname()
    except NotACall:
        raise
    except _BROKEN as error:
        raise NotACall(f"not an XML-RPC call: {error}") from error
    if not name:
        raise NotACall("an XML-RPC call names a method")
    return name, values


def _refuse(*_: object) -> None:
    raise NotACall("an XML-RPC call has no document type")


async def answer(commands: Commands | Offer, body: bytes, by: str) -> bytes:
    """The answer to a call; faults are answers too. Never raises for what was asked or what a command did."""
    try:
        name, values = parse(body)
    except NotACall as error:
        return fault(_PARSE_ERROR, str(error))
    try:
        result = await commands.serve(name, values, by)
    except RpcFault as refused:
        return fault(refused.code, refused.reason)
    return _written((_plain(True if result is None or result == [] else result),))


def fault(code: int, reason: str) -> bytes:
    """An answer that refuses."""
    return _written(xmlrpc.client.Fault(code, _plain(reason)))


def _written(what: Any) -> bytes:
    text = xmlrpc.client.dumps(what, methodresponse=True, allow_none=False)
    return text.encode("utf-8")


def _plain(value: Any) -> Any:
    """What XML-RPC has a type for: numbers of four bytes, texts that XML can hold."""
    if isinstance(value, Mapping):
        return {_plain(str(name)): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(1 << 31) <= value < 1 << 31 else str(value)
    if value is None:
        return ""
    text = str(value).encode("utf-8", "replace").decode()
    return "".join(letter if letter in "\t\n\r" or letter >= " " else "?" for letter in text)
