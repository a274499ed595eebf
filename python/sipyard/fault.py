"""Why an action of the script failed: SER's internal error numbers and what they are answered with.

`sl_reply_error()` and a `t_relay` that could send nothing answer by this table (exceptions: see
`sipyard.errors.answer_to`). The reason phrase is SER's: text, number and who answers, ``(477/SL)``.
"""

from __future__ import annotations

import enum
from typing import Final, Literal


class Fault(enum.IntEnum):
    """The number is what a peer sees in the reason phrase."""

    NONE = 0
    UNSPECIFIED = 1
    OUT_OF_MEMORY = 2
    CONFIGURATION = 6
    NO_SOCKET = 7
    BAD_VIA = 8
    BAD_TUPLE = 9
    SCRIPT = 10
    EXTERNAL_LOGIC = 11
    TOO_MANY_BRANCHES = 12
    BAD_TO = 13
    BAD_Q = 14
    CANCELLED = 17
    LOOP = 18
    BAD_REQUEST = 400
    SEND_FAILED = 477
    UNRESOLVABLE = 478
    BAD_URI = 479


_ANSWERS: Final[dict[Fault, tuple[int, str]]] = {
    Fault.OUT_OF_MEMORY: (500, "Excessive use of system resources"),
    Fault.BAD_TUPLE: (400, "Transaction tuple incomplete"),
    Fault.EXTERNAL_LOGIC: (500, "Error in external logic"),
    Fault.TOO_MANY_BRANCHES: (500, "Forking capacity exceeded"),
    Fault.BAD_TO: (400, "Bad To"),
    Fault.BAD_Q: (400, "Invalid q parameter"),
    Fault.CANCELLED: (487, "Request canceled"),
    Fault.LOOP: (482, "Loop Detected"),  # RFC 5393 §4.2
    Fault.BAD_REQUEST: (400, "Bad Request"),
    Fault.SEND_FAILED: (477, "Unfortunately error on sending to next hop occurred"),
    Fault.UNRESOLVABLE: (478, "Unresolvable destination"),
    Fault.BAD_URI: (479, "Regretfully, we were not able to process the URI"),
}


def answer_of(fault: int, speaker: Literal["SL", "TM"]) -> tuple[int, str]:
    """Status and reason phrase for a fault; anything unknown is a 500."""
    try:
        known = Fault(fault)
        status, text = _ANSWERS[known]
    except (KeyError, ValueError):
        status, text = 500, "I'm terribly sorry, server error occurred"
    return status, f"{text} ({fault or Fault.UNSPECIFIED.value}/{speaker})"
