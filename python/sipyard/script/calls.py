"""Calls of core statements and module functions: who is meant, may it stand here, its arguments."""

from __future__ import annotations

from sipyard.arguments import (
    ArgumentError,
    DynamicKind,
    Generation,
    Kind,
    Loading,
    RouteKind,
    Runtime,
    near,
    number_of,
)
from sipyard.module import Function, Module, argument_of
from sipyard.recipes import Recipe
from sipyard.registry import Modules, available
from sipyard.script import knowledge, runtime
from sipyard.script.conditions import attribute_name
from sipyard.script.core_functions import CORE_FUNCTIONS, CORE_NAMES, CoreFunction
from sipyard.script.parser import split_socket
from sipyard.script.snippets import Snippet, named_flag
from sipyard.script.source import Findings
from sipyard.script.tree import Argument, Call

_NOTHING = Snippet("1", {}, "core")


class Calls:
    """Resolves calls of one script; what is wrong goes to `findings`."""

    def __init__(self, findings: Findings, modules: Modules, loading: Loading, missing: set[str]) -> None:
        """`missing`: modules that this build has not got; their functions are not reported one by one."""
        self.findings = findings
        self.modules = modules
        self.loading = loading
        self.missing = missing

    def resolve(self, call: Call, kind: RouteKind) -> Snippet:
        """The Python of a call; a harmless constant when it is wrong."""
        core = CORE_FUNCTIONS.get(call.name)
        if core is not None:
            return self._core(call, core, kind)
        found = self.modules.function(call.name)
        if found is None:
            self._unknown(call)
            return _NOTHING
        module, function = found
        if kind not in function.routes:
            self._misplaced(call, kind, function.routes)
        if not function.required <= len(call.arguments) <= len(function.kinds):
            self.findings.error(
                f"{call.name} takes {function.arity} arguments, not {len(call.arguments)}", call.name_place
            )
            return _NOTHING
        return self._function(call, module, function)

    # -- module functions ------------------------------------------------------------------------------------

    def _function(self, call: Call, module: Module, function: Function) -> Snippet:
        constants: dict[str, object] = {"f": getattr(module, function.attribute)}
        written: dict[str, Recipe] = {}
        texts: list[str] = []
        guards: list[str] = []
        for number, (argument, kind) in enumerate(zip(call.arguments, function.kinds, strict=False), 1):
            value = self._convert(call, argument, kind, number)
            if value is None:
                return _NOTHING
            name = f"a{number}"
            constants[name] = value[0] if not isinstance(value[0], Runtime) else value[0].read
            if type(value[0]) not in (int, str, bool, Runtime):
                recipe = (type(module), function.attribute, number, argument.value, self.loading)
                written[name] = Recipe(argument_of, recipe)
            if isinstance(value[0], Runtime):
                if value[0].optional:
                    texts.append(f"{name}(msg)")
                else:
                    guards.append(f"(_{name} := {name}(msg)) is None")
                    texts.append(f"_{name}")
            else:
                texts.append(name)
        code = f"f({', '.join(['msg', *texts])})"
        if function.is_async:
            code = f"await {code}"
        if guards:  # a missing attribute: the call is not made and yields -1 (semantics §3)
            failed = "False" if function.returns is bool else "-1"
            code = f"({failed} if {' or '.join(guards)} else {code})"
        returns = {int: "int", bool: "bool"}.get(function.returns, "none")
        if guards and returns == "none":
            code, returns = f"(-1 if {code} == -1 else 1)", "int"
        return Snippet(code, constants, returns, written=written)  # type: ignore[arg-type]  # one of three

    def _convert(self, call: Call, argument: Argument, kind: Kind, number: int) -> tuple[object] | None:
        """The converted value in a tuple, or None when it was wrong."""
        value = argument.value
        if argument.kind in ("attribute", "select") and not isinstance(kind, DynamicKind):
            says = getattr(kind, "says", "")
            if "attribute" not in says and argument.kind == "select":
                self._bad(call, argument, number, f"expects {says}, which a select cannot give")
                return None
        try:
            return (kind.convert(value, self.loading),)
        except ArgumentError as error:
            self._bad(call, argument, number, str(error), error.hint)
            return None

    def _bad(
        self, call: Call, argument: Argument, number: int, message: str, hint: str | None = None
    ) -> None:
        self.findings.error(f"argument {number} of {call.name}: {message}", argument.place, hint)

    def _misplaced(self, call: Call, kind: RouteKind, allowed: RouteKind) -> None:
        self.findings.error(
            f"{call.name} may not stand in {kind.block}", call.name_place, f"it may stand in {allowed.blocks}"
        )

    def _unknown(self, call: Call) -> None:
        """Say precisely why a function is not there."""
        name, place = call.name, call.name_place
        owners = knowledge.modules_with_function(name, self.loading.generation)
        others = knowledge.modules_with_function(name)
        if owners and self.missing.intersection(owners):
            return  # its module has been reported as missing already
        if owners:
            here = [owner for owner in owners if owner in available()]
            if any(owner in self.modules for owner in here):
                owner = next(owner for owner in here if owner in self.modules)
                self.findings.error(f"module {owner} of this build has no function {name} yet", place)
            elif here:
                hint = f'loadmodule "{here[0]}" is missing'
                self.findings.error(
                    f"function {name} belongs to module {here[0]}, which is not loaded", place, hint
                )
            else:
                belongs = " or ".join(owners)
                self.findings.error(
                    f"function {name} belongs to module {belongs}, which this build has not got", place
                )
        elif others:
            other = Generation.BOTH ^ self.loading.generation
            self.findings.error(
                f"function {name} (module {' or '.join(others)}) exists in {other} only", place,
                f"this script is read as {self.loading.generation}",
            )  # fmt: skip
        else:
            self.findings.error(f"function {name} is not known", place, self._nearest(name))

    def _nearest(self, name: str) -> str | None:
        ours = {each for module in self.modules for each in module.functions}
        return near(name, (*CORE_NAMES, *ours, "route", "return")) or near(
            name, knowledge.functions(self.loading.generation)
        )

    # -- core statements -------------------------------------------------------------------------------------

    def _core(self, call: Call, core: CoreFunction, kind: RouteKind) -> Snippet:
        if kind not in core.routes:
            self._misplaced(call, kind, core.routes)
        if not core.at_least <= len(call.arguments) <= core.at_most:
            low, high = core.at_least, core.at_most
            takes = str(low) if low == high else f"{low} to {high}"
            message = f"{call.name} takes {takes} arguments, not {len(call.arguments)}"
            self.findings.error(message, call.name_place)
            return _NOTHING
        errors = self.findings.errors
        snippet: Snippet | None = getattr(self, f"_shape_{core.shape}")(call, core)
        return snippet if snippet is not None and self.findings.errors == errors else _NOTHING

    def _method(self, core: CoreFunction, *arguments: object) -> Snippet:
        names = [f"a{number}" for number in range(len(arguments))]
        waits = "await " if core.is_async else ""
        code = f"{waits}msg.{core.method}({', '.join(names)})"
        return Snippet(code, dict(zip(names, arguments, strict=True)), "core")

    def _text_of(self, call: Call, number: int) -> str:
        argument = call.arguments[number]
        if argument.kind in ("attribute", "select"):
            hint = "use a function of module avp, such as attr2uri" if argument.kind == "attribute" else None
            self._bad(call, argument, number + 1, "must be a literal text", hint)
        return str(argument.value)

    def _number_of(self, call: Call, number: int) -> int:
        argument = call.arguments[number]
        value = argument.value if isinstance(argument.value, int) else number_of(argument.value)
        if value is None or argument.kind not in ("number", "string"):
            self._bad(call, argument, number + 1, f"expects a number, not {argument.value}")
        return value or 0

    def _shape_none(self, call: Call, core: CoreFunction) -> Snippet:
        return self._method(core)

    def _shape_text(self, call: Call, core: CoreFunction) -> Snippet:
        return self._method(core, self._text_of(call, 0))

    def _shape_number(self, call: Call, core: CoreFunction) -> Snippet:
        return self._method(core, self._number_of(call, 0))

    def _shape_texts(self, call: Call, core: CoreFunction) -> Snippet:
        self.findings.warning(f"{call.name} does nothing, as in SER", call.name_place)
        return _NOTHING

    def _shape_log(self, call: Call, core: CoreFunction) -> Snippet:
        level = 4
        if len(call.arguments) == 2:
            level = self._number_of(call, 0)
            if not -3 <= level <= 4:
                self._bad(call, call.arguments[0], 1, "levels are -3 (alert) to 4 (debug)")
        return self._method(core, level, self._text_of(call, len(call.arguments) - 1))

    def _shape_flag(self, call: Call, core: CoreFunction) -> Snippet | None:
        name = str(call.arguments[0].value)
        number = self._flag(call, call.arguments[0])
        if number is None:
            return None
        snippet = self._method(core, number)
        if name in self.loading.flags:
            snippet.written["a0"] = Recipe(named_flag, (name, number))
        return snippet

    def _flag(self, call: Call, argument: Argument) -> int | None:
        from sipyard.arguments import FlagKind

        try:
            return int(str(FlagKind().convert(argument.value, self.loading)))
        except ArgumentError as error:
            self._bad(call, argument, 1, str(error), error.hint)
            return None

    def _shape_avp_flag(self, call: Call, core: CoreFunction) -> Snippet | None:
        first, second = call.arguments
        flag = self.loading.avp_flags.get(str(second.value))
        if flag is None:
            hint = near(str(second.value), self.loading.avp_flags) or "declare it with avpflags"
            self._bad(call, second, 2, f"{second.value} is not a declared avpflag", hint)
            return None
        try:
            name = attribute_name(str(first.value))
        except ArgumentError as error:
            self._bad(call, first, 1, str(error), error.hint)
            return None
        return Snippet("a(msg)", {"a": runtime.avp_flag(core.method, name, 1 << flag)}, "core")

    def _shape_branch(self, call: Call, core: CoreFunction) -> Snippet:
        texts = [self._text_of(call, number) for number in range(len(call.arguments))]
        if len(texts) == 2:
            value = texts[1]
            if not value.replace(".", "", 1).isdecimal() or not 0 <= float(value) <= 1:
                self._bad(call, call.arguments[1], 2, f"q is a number from 0 to 1, not {value}")
        return self._method(core, *texts)

    def _shape_port(self, call: Call, core: CoreFunction) -> Snippet:
        if not call.arguments:
            return self._method(core)
        port = self._number_of(call, 0)
        if not 0 < port < 65536:
            self._bad(call, call.arguments[0], 1, f"{port} is not a port")
        return self._method(core, port)

    def _shape_socket(self, call: Call, core: CoreFunction) -> Snippet:
        text = self._text_of(call, 0)
        if split_socket(text) is None:
            self._bad(call, call.arguments[0], 1, f"{text} is not a socket", "write [protocol:]host[:port]")
        return self._method(core, text)

    def _shape_destination(self, call: Call, core: CoreFunction) -> Snippet:
        """host[, port], "host", uri:host[, uri:port]."""
        waits = f"await msg.{core.method}"
        if not call.arguments:
            return Snippet(f"{waits}(None, None, p)", {"p": core.protocol}, "core")
        host = self._text_of(call, 0)
        constants: dict[str, object] = {"p": core.protocol}
        first = "msg.uri_host"
        if host != "uri:host":
            first, constants["h"] = "h", host
            if call.arguments[0].kind == "word" and host.startswith("uri:"):
                self._bad(call, call.arguments[0], 1, f"{host} is not known", "did you mean uri:host?")
        second = "None"
        if len(call.arguments) == 2:
            if call.arguments[1].value == "uri:port":
                second = "msg.uri_port or None"
            else:
                second, constants["n"] = "n", self._number_of(call, 1)
        return Snippet(f"{waits}({first}, {second}, p)", constants, "core")
