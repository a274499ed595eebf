"""What a function does to the message, as far as the analysis asks: SER's functions by a table of facts,
those of other modules by their own declaration (`does` and `sets` of `sipyard.module.function`).

A function that neither knows counts as one that may do anything, so that nothing false is said after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from sipyard.module import Deed, Function
from sipyard.script import knowledge
from sipyard.script.core_functions import CORE_FUNCTIONS
from sipyard.script.lint.states import Dialog, Known, State

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Effect:
    """What holds after a call that was true, and after one that was false; fields of `State`."""

    true: Facts = field(default_factory=dict)
    false: Facts = field(default_factory=dict)
    replies: bool = False
    """Its first argument is the status of a reply."""
    relays: bool = False
    answers_last: bool = False
    """It answers without a status of its own."""

    def after(self, state: State, outcome: bool) -> State:
        """The state after the call came out so."""
        facts = self.true if outcome else self.false
        changes = {name: max(value, getattr(state, name)) for name, value in facts.items() if name in _GROWS}
        changes.update((name, value) for name, value in facts.items() if name not in _GROWS)
        return state._replace(**changes)


_GROWS: Final = ("answered", "relayed", "transaction", "branched")
_MAYBE, _YES = Known.MAYBE, Known.YES

NEUTRAL: Final = Effect()
_ANYTHING: Final[Facts] = {
    **dict.fromkeys(("answered", "relayed", "transaction", "branched"), _MAYBE),
    "appended": True,
}
UNKNOWN: Final = Effect(_ANYTHING, _ANYTHING)
_REPLY = Effect({"answered": _YES}, {"answered": _YES}, replies=True)
_RELAY = Effect(
    {"relayed": _YES, "transaction": _YES}, {"answered": _MAYBE, "transaction": _YES}, relays=True
)
_FORWARD = Effect({"relayed": _YES}, {"relayed": _MAYBE}, relays=True)
_COPY = Effect({"relayed": _MAYBE, "transaction": _MAYBE}, {"relayed": _MAYBE, "transaction": _MAYBE})
_ANSWERS_IF_TRUE = Effect({"answered": _YES}, {"answered": _MAYBE}, answers_last=True)
_MAY_ANSWER = Effect({"answered": _MAYBE}, {"answered": _MAYBE})
_CHALLENGE = Effect({"answered": _YES, "appended": True}, {"answered": _MAYBE})
_AUTHENTICATE = Effect({}, {"refused": True})
_BRANCHES = Effect({"branched": _YES}, {"branched": _MAYBE})
_RECORD = Effect({"recorded": True}, {"recorded": True})
_APPEND = Effect({"appended": True}, {"appended": True})

_TABLE: Final[tuple[tuple[Effect, str], ...]] = (
    (_REPLY, "sl_send_reply sl_reply t_reply"),
    (Effect({"answered": _YES}, {"answered": _MAYBE}), "sl_reply_error xmlrpc_reply"),
    (Effect({"answered": _YES}, {}, answers_last=True), "options_reply"),
    (_ANSWERS_IF_TRUE, "save save_contacts save_memory dispatch_rpc"),
    (_MAY_ANSWER, "sanity_check handle_publish handle_subscription handle_notify pa_handle_registration"),
    (_MAY_ANSWER, "handle_rls_subscription query_resource_list query_rls_services t_release"),
    (_MAY_ANSWER, "t_retransmit_reply"),
    (_RELAY, "t_relay t_relay_to t_relay_to_udp t_relay_to_tcp t_relay_to_tls"),
    (_FORWARD, "t_forward_nonack t_forward_nonack_udp t_forward_nonack_tcp t_forward_nonack_tls"),
    (_FORWARD, "t_forward_nonack_uri t_forward_nonack_to"),
    (_FORWARD, "forward forward_udp forward_tcp forward_tls"),
    (_COPY, "send send_tcp t_replicate t_replicate_udp t_replicate_tcp t_replicate_tls t_replicate_to"),
    (_COPY, "t_write_req t_write_unix extcmd_dump_req"),
    (Effect({"transaction": _YES}, {"sifted": True}), "t_newtran"),
    (Effect({"transaction": _YES, "sifted": True}), "t_lookup_request"),
    (Effect({}, {"sifted": True}), "pike_check_req rl_check allow_trusted ipmatch allow_register"),
    (Effect({"sifted": True}), "search from_gw"),
    (_CHALLENGE, "www_challenge proxy_challenge"),
    (_AUTHENTICATE, "www_authorize proxy_authorize www_authenticate proxy_authenticate"),
    (_AUTHENTICATE, "radius_www_authorize radius_proxy_authorize radius_www_authenticate"),
    (_AUTHENTICATE, "radius_proxy_authenticate diameter_www_authorize diameter_proxy_authorize"),
    (Effect({"dialog": Dialog.INSIDE}), "loose_route"),
    (Effect({"dialog": Dialog.INSIDE}, {"dialog": Dialog.OUTSIDE}), "has_totag"),
    (_RECORD, "record_route record_route_preset"),
    (Effect({"recorded": False}, {"recorded": False}), "remove_record_route"),
    (_APPEND, "append_to_reply attr_to_reply"),
    (_BRANCHES, "append_branch next_gw next_contacts uac_auth exec_dset prepare_next_osp_route"),
    (_BRANCHES, "preparenextosproute ds_select_new ds_select_dst prepare_all_osp_routes"),
    (_BRANCHES, "prepareallosproutes prepare_1st_osp_route preparefirstosproute"),
    (UNKNOWN, "cpl_run_script cpl_process_register cpl_process_register_norpl eval_while eval_while_stack"),
)
EFFECTS: Final[Mapping[str, Effect]] = {name: effect for effect, names in _TABLE for name in names.split()}

RECORDING: Final = frozenset(name for name, effect in EFFECTS.items() if effect is _RECORD)
REPLYING: Final = frozenset(name for name, effect in EFFECTS.items() if effect.replies)
SAVING: Final = frozenset(("save", "save_contacts", "save_memory", "save_noreply", "save_mem_nr"))


@cache
def _all_of_ser() -> frozenset[str]:
    return knowledge.functions() | CORE_FUNCTIONS.keys()


def effect_of(name: str, declared: Function | None) -> Effect:
    """The effect of a function by its name; `declared` is the declaration of the module that exports it."""
    if declared is not None and declared.does is not None:
        return _of_deeds(declared.does)
    found = EFFECTS.get(name)
    if found is not None:
        return found
    return NEUTRAL if name in _all_of_ser() else UNKNOWN


def _of_deeds(deeds: Deed) -> Effect:
    true: dict[str, Any] = {}
    false: dict[str, Any] = {}
    if Deed.ANSWERS in deeds:
        true["answered"], false["answered"] = _YES, _MAYBE
    if Deed.RELAYS in deeds:
        true["relayed"], false["relayed"] = _YES, _MAYBE
    if Deed.BRANCHES in deeds:
        true["branched"] = _YES
    return Effect(true, false, relays=Deed.RELAYS in deeds, answers_last=Deed.ANSWERS in deeds)
