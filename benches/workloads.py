"""What is measured: each workload's script, its contacts, its load and the bar that it must meet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    """One kind of operation.

    `config` names the servers' scripts (`peer_config` Kamailio's where that is another); `caller` and
    `callees` are sipp scenarios; `load` is the word for the generator that finds the highest rate; `contacts`
    how many contacts each user has; `rate` operations a second; `target` the highest ratio to Kamailio's CPU
    that the project allows itself; `has_probe`: the wait for the first answer is measured; `transport` is
    sipp's.
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
    peer_config: str = ""
    has_probe: bool = True
    transport: str = "udp"

    @property
    def transports(self) -> tuple[str, ...]:
        """What the servers listen on."""
        return ("udp",) if self.transport == "udp" else ("udp", self.transport)

    def config_of(self, server: str) -> str:
        """The script that a server runs for it."""
        return self.peer_config if self.peer_config and server == "kamailio" else self.config


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
    Workload(
        "call-tcp",
        "stateful call over TCP",
        "call_tcp",
        "uac_call",
        ("uas_answer",),
        "",
        1000,
        0.60,
        has_probe=False,
        transport="tcp",
    ),
    Workload(
        "register-auth",
        "REGISTER with digest",
        "call_auth",
        "uac_register_auth",
        (),
        "register",
        1000,
        0.70,
        invites=False,
        has_probe=False,
    ),
    Workload(
        "call-auth",
        "call with 407",
        "call_auth",
        "uac_call_auth",
        ("uas_answer",),
        "call",
        1000,
        0.70,
        has_probe=False,
    ),
    Workload(
        "call-auth-db",
        "call with 407, both from SQLite",
        "call_auth",
        "uac_call_auth",
        ("uas_answer",),
        "call",
        1000,
        0.70,
        peer_config="call_auth_db",
        has_probe=False,
    ),
)
