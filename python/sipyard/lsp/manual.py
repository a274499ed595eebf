"""The module reference, one entry at a time, as Markdown: what docs/reference says in tables."""

from __future__ import annotations

import inspect

from sipyard.arguments import Generation, RouteKind
from sipyard.context import Context
from sipyard.module import Function, Module, Parameter, Select
from sipyard.script.core_functions import CoreFunction
from sipyard.script.core_parameters import CoreParameter

_GENERATIONS = {
    Generation.BOTH: "SER 0.9 and 2.0",
    Generation.SER_0_9: "SER 0.9",
    Generation.SER_2_0: "SER 2.0",
}


def signature(declared: Function) -> str:
    """`t_reply(code, reason)`, optional arguments in brackets."""
    names = [
        name if number < declared.required else f"[{name}]"
        for number, name in enumerate(declared.parameter_names)
    ]
    return f"{declared.name}({', '.join(names)})"


def function_entry(module: Module, declared: Function) -> str:
    """A module's function."""
    lines = [f"```\n{signature(declared)}\n```", f"module **{module.name}** · {_where(declared.routes)}", ""]
    lines += [declared.doc, ""]
    for name, kind in zip(declared.parameter_names, declared.kinds, strict=True):
        lines.append(f"- `{name}`: {kind.says}")
    lines += ["", _GENERATIONS[declared.generations]]
    return "\n".join(lines)


def core_entry(core: CoreFunction) -> str:
    """A statement of the language."""
    doc = inspect.getdoc(getattr(Context, core.method, None)) or ""
    low, high = core.at_least, core.at_most
    takes = f"{low}" if low == high else f"{low} to {high}"
    head = f"```\n{core.name}\n```\nstatement of the language · {_where(core.routes)} · {takes} arguments"
    return f"{head}\n\n{doc}".rstrip()


def _where(routes: RouteKind) -> str:
    return f"may stand in {routes.blocks}"


def parameter_entry(module: Module, declared: Parameter[object]) -> str:
    """A module's parameter."""
    default = "may be given several times" if declared.is_repeatable else f"default `{declared.default!r}`"
    head = f'```\nmodparam("{module.name}", "{declared.name}", …)\n```\n{declared.kind.says} · {default}'
    return f"{head}\n\n{declared.doc}\n\n{_GENERATIONS[declared.generations]}"


def module_entry(module: type[Module] | Module) -> str:
    """A module as a whole."""
    cls = module if isinstance(module, type) else type(module)
    return f"module **{cls.name}**\n\n{inspect.getdoc(cls) or ''}\n\n{len(cls.functions)} functions"


def select_entry(module: Module, declared: Select) -> str:
    """A select that a module adds."""
    return f"```\n@{declared.root}\n```\nselect of module **{module.name}**\n\n{declared.doc}"


def setting_entry(row: CoreParameter) -> str:
    """A core setting."""
    lines = [f"```\n{row.name} = {row.type}\n```", row.doc, "", _GENERATIONS[row.generations]]
    if row.without_meaning is not None:
        lines += ["", f"Has no effect here: {row.without_meaning}"]
    return "\n".join(lines)
