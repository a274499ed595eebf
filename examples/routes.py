"""Registrar and proxy with its routes in Python, on the engine that runs SER's scripts.

    sipyard run examples/routes.py

Functions of modules are SER's and return SER's numbers: above 0 is true.
"""

from sipyard.context import Context
from sipyard.regex import Regex
from sipyard.registry import Modules
from sipyard.routes import failure_route, request_route

settings = {"listen": ["udp:127.0.0.1:5060"], "debug": 1}

modules = Modules()
maxfwd = modules.load("maxfwd")
registrar = modules.load("registrar", max_contacts=10)
rr = modules.load("rr")
sl = modules.load("sl")
tm = modules.load("tm", fr_inv_timer=30_000)

BUSY_OR_SILENT = Regex("486|480|408")


@request_route
async def main(msg: Context) -> None:
    """Every request."""
    if maxfwd.mf_process_maxfwd_header(msg, 10) < 0:
        sl.sl_reply(msg, 483, "Too Many Hops")
        return
    if msg.message.method == "CANCEL":
        if tm.t_lookup_cancel(msg) > 0:
            await tm.t_relay(msg)
        else:
            sl.sl_reply(msg, 481, "Call/Transaction Does Not Exist")
        return
    if msg.message.to_tag is not None and rr.loose_route(msg) > 0:
        await relay(msg)
        return
    if not msg.core.is_myself_uri(msg.request_uri):
        sl.sl_reply(msg, 403, "Relaying Denied")
        return
    if msg.message.method == "REGISTER":
        await registrar.save_contacts(msg, "location")
        return
    if registrar.lookup_contacts(msg, "location") < 0:
        sl.sl_reply(msg, 404, "Not Found")
        return
    if msg.message.method == "INVITE":
        rr.record_route(msg)
        tm.t_on_failure(msg, "unanswered")
    await relay(msg)


async def relay(msg: Context) -> None:
    """Send it on, or say why not."""
    if await tm.t_relay(msg) < 0:
        sl.sl_reply_error(msg)


@failure_route
async def unanswered(msg: Context) -> None:
    """Busy, or nobody there: try the mailbox of the house."""
    if tm.t_check_status(msg, BUSY_OR_SILENT) > 0:
        msg.revert_uri()
        msg.rewrite_user("voicemail")
        if registrar.lookup_contacts(msg, "location") > 0:
            msg.append_branch()
            await tm.t_relay(msg)
