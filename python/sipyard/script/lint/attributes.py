"""Rules about attributes: who sets what is read, and what an assignment destroys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from sipyard.arguments import ArgumentError, DynamicKind, Generation, near
from sipyard.attributes import AssignedKind, Name, Scope, Track
from sipyard.errors import Place
from sipyard.script.conditions import attribute_name
from sipyard.script.lint.rule import Finding, rule
from sipyard.script.lint.subject import Subject, nodes
from sipyard.script.source import Severity
from sipyard.script.tree import Argument, Assign, Call, Operand, Tree

_EVERY: Final = frozenset(Scope)
_LOADERS: Final = {
    # What fills a whole class with what stands in a database, so that any name may be there.
    **dict.fromkeys(("avpops", "cpl-c", "osp", "lcr"), _EVERY),
    **dict.fromkeys(("avp_db", "avp_radius"), frozenset((Scope.URI, Scope.USER))),
    "domain": frozenset((Scope.DOMAIN,)),
    "gflags": frozenset((Scope.GLOBAL,)),
}
"""SER's modules that load attributes, and into which classes."""
_SETTING: Final = {"lookup_user": ("uid",), "lookup_domain": ("did",), "check_uri": ("uid",)}
"""Attributes that functions set besides those that they are given."""
_SPREADING: Final = frozenset(("hdr_body2attrs", "hdr_body2attrs2"))
"""Functions that set attributes whose names a message decides."""
_MODULE_SETS: Final = {
    "auth": ("digest_challenge",),
    "auth_db": ("digest_challenge", "uid", "did"),
    "auth_radius": ("digest_challenge", "uid"),
    "uri_db": ("uid",),
    "domain": ("did", "digest_realm"),
}
_READING: Final = frozenset(
    (
        *("attr_equals", "attr_exists", "attr_equals_xl", "print_attr", "attr2uri", "insert_attr_hf"),
        *(
            "append_attr_hf",
            "attr_to_reply",
            "attr_destination",
            "setavpflag",
            "isavpflagset",
            "resetavpflag",
        ),
        *("del_attr", "del_attrs", "dump_attrs", "set_iattr", "replace_attr_hf"),
    )
)
"""Functions that only read the attribute that they are given, or change what is there."""
_KNOWN: Final = frozenset(
    (
        *(
            "sl",
            "tm",
            "rr",
            "maxfwd",
            "usrloc",
            "registrar",
            "textops",
            "xlog",
            "options",
            "sanity",
            "nathelper",
        ),
        *("ctl", "fifo", "unixsock", "mysql", "postgres", "dbtext", "flatstore", "acc", "acc_db"),
        *("acc_syslog", "acc_radius", "auth", "uri", "uri_db", "avp", "timer", "print", "xmlrpc", "tls"),
        *("permissions", "pike", "msilo", "speeddial", "diversion", "group", "mediaproxy", "jabber"),
    )
)
"""SER's modules that set no attributes but those named above and those that a script names to them."""
_NAME: Final = re.compile(r"\$[A-Za-z_][\w.]*(?:\[-?\d*\])?")


@dataclass(slots=True)
class Known:
    """What is set somewhere: names, and classes in which any name may be."""

    names: set[str] = field(default_factory=set)
    scopes: set[Scope] = field(default_factory=set)
    is_complete: bool = True
    """False when a module may set what nobody here knows of."""

    def has(self, name: Name) -> bool:
        """Whether something may have set an attribute: without a class all classes are searched."""
        searched = {name.scope} if name.scope is not None else self.scopes
        return name.name in self.names or bool(searched & self.scopes)


def known(subject: Subject) -> Known:
    """Everything that the script and its modules set."""
    found = Known()
    for node in nodes(subject.tree.routes):
        if isinstance(node, Assign):
            found.names.add(_parsed(str(node.attribute.value)))
        elif isinstance(node, Call):
            _by_call(subject, node, found)
    for each in subject.tree.parameters:
        for text in _NAME.findall(str(each.value)) if isinstance(each.value, str) else ():
            found.names.add(_parsed(text))
        if each.name.endswith(("_attr", "_avp", "_avps", "attrs", "aliases", "load_credentials")):
            found.names.update(name.lower() for name in re.findall(r"[A-Za-z_]\w*", str(each.value)))
    for name in subject.module_names:
        found.scopes |= _LOADERS.get(name, frozenset())
        found.names.update(_MODULE_SETS.get(name, ()))
        if name not in _LOADERS and name not in _KNOWN and not _declares(subject, name):
            found.is_complete = False
    return found


def _declares(subject: Subject, name: str) -> bool:
    """Whether a module of another package says of all its functions what they do."""
    if name not in subject.modules:
        return False
    return all(each.does is not None for each in subject.modules[name].functions.values())


def _by_call(subject: Subject, call: Call, found: Known) -> None:
    found.names.update(_SETTING.get(call.name, ()))
    if call.name in _SPREADING:
        found.scopes.update((Scope.URI, Scope.USER))
    declared = subject.declared(call.name)
    if declared is not None:
        found.names.update(_parsed(text) for text in declared.sets)
    if call.name in _READING:
        return
    for number, argument in enumerate(call.arguments):
        kinds = declared.kinds if declared is not None else ()
        kind = kinds[number] if number < len(kinds) else None
        is_named = str(argument.value)[:1] == "$" and not isinstance(kind, DynamicKind)
        if is_named or isinstance(kind, AssignedKind):
            found.names.add(_parsed(str(argument.value)))


def _parsed(text: str) -> str:
    try:
        return attribute_name(text).name
    except ArgumentError:
        return text.lstrip("$").lower()


def _reads(tree: Tree, subject: Subject) -> Iterator[tuple[str, Place]]:
    """Each attribute that is read, and where."""
    for node in nodes(tree.routes):
        if isinstance(node, Assign):
            yield from ((str(each.value), each.place) for each in _operands(node.value))
        elif isinstance(node, Call):
            yield from ((str(each.value), each.place) for each in _read_arguments(node, subject))
        elif isinstance(node, Operand) and node.kind == "attribute":
            yield str(node.value), node.place


def _operands(node: object) -> Iterator[Operand]:
    for each in nodes(node):
        if isinstance(each, Operand) and each.kind == "attribute":
            yield each


def _read_arguments(call: Call, subject: Subject) -> Iterator[Argument]:
    declared = subject.declared(call.name)
    for number, argument in enumerate(call.arguments):
        is_attribute = str(argument.value)[:1] == "$" and _NAME.fullmatch(str(argument.value)) is not None
        kinds = declared.kinds if declared is not None else ()
        if is_attribute and number < len(kinds) and isinstance(kinds[number], DynamicKind):
            yield argument


@rule(
    "attribute-unset",
    Severity.WARNING,
    summary="an attribute is read that nothing sets",
    reason="it is missing for every message: == is false, != is true, and a function that is given it fails",
    source="SER 2.0 attributes",
    mend="set it, load the module that does, or correct its name",
)
def attribute_unset(subject: Subject) -> Iterator[Finding]:
    """Silent where a module that nobody here knows may set it."""
    if subject.generation is Generation.SER_0_9:
        return
    found = known(subject)
    if not found.is_complete:
        return
    assigned = {node.attribute.place for node in nodes(subject.tree.routes) if isinstance(node, Assign)}
    said: set[Place] = set(assigned)
    for text, place in _reads(subject.tree, subject):
        if place in said or text.lower() in ("$?", "$retcode"):
            continue
        said.add(place)
        try:
            name = attribute_name(text)
        except ArgumentError:
            continue
        if not found.has(name):
            yield Finding(place, f"nothing sets {text}", near(name.name, found.names) or _loader(name))


def _loader(name: Name) -> str | None:
    if name.scope is Scope.GLOBAL:
        return "global attributes are loaded by module gflags"
    if name.scope is Scope.DOMAIN:
        return "domain attributes are loaded by lookup_domain of module domain"
    whose = "callee" if name.track is Track.TO else "caller"
    return f"attributes of the {whose} are loaded by load_attrs of module avp_db" if name.scope else None


@rule(
    "attribute-self",
    Severity.WARNING,
    summary="an assignment reads the attribute that it sets",
    reason="the old values are deleted before the right side is evaluated, so it reads nothing",
    source="SER 2.0 attributes",
    mend="keep the old value in another attribute first",
)
def attribute_self(subject: Subject) -> Iterator[Finding]:
    """`$x = $x`, unless `$x[] =` adds."""
    for node in nodes(subject.tree.routes):
        if not isinstance(node, Assign) or "[" in str(node.attribute.value):
            continue
        target = _parsed(str(node.attribute.value))
        for operand in _operands(node.value):
            if _parsed(str(operand.value)) == target:
                yield Finding(operand.place, f"{operand.value} is deleted before it is read here")
