"""What is measured: each workload's script, its contacts, its load and the bar that it must meet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    """One kind of operation.

    `config` names the servers' scripts; `caller` and `callees` are sipp scenarios; `load` is the word for the
    generator that finds the highest rate; `contacts` how many contacts each user has; `rate` operations a
    second; `target` the highest ratio to Kamailio's CPU that the project allows itself.
    """

    name: str
    title: str
    config: str
    caller: str
    callees: tuple[str, ...]
    load: str
    rate: int
    target: float
    contacts: int = 1
    invites: bool = True


WORKLOADS = (
    Workload("call", "stateful call", "call", "uac_call", ("uas_answer",), "call", 1000, 0.60),
    Workload("stateless", "stateless forward", "stateless", "uac_call", ("uas_answer",), "call", 1000, 0.60),
    Workload(
        "register", "REGISTER refresh", "call", "uac_register", (), "register", 1000, 0.70, invites=False
    ),
    Workload("redirect", "redirect 302", "redirect", "uac_redirect", (), "redirect", 1000, 0.70),
    Workload(
        "fork3",
        "call forked to three",
        "call",
        "uac_call",
        ("uas_answer_late", "uas_cancelled", "uas_cancelled"),
        "call",
        250,
        0.60,
        contacts=3,
    ),
)
