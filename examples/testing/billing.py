"""A module of one's own with a mistake in it: the traceback leads through the script.

    python examples/testing/billing.py

The caller gets 500, everybody else is served, and the log shows the line of the script and the line of the
module.
"""

import logging

from sipyard.context import Context
from sipyard.module import Module, function
from sipyard.registry import Modules
from sipyard.script import load_text
from sipyard.testing import Network

SCRIPT = """
loadmodule "sl"

route {
    if (method == "INVITE" && !is_credit_worthy()) {
        sl_reply("402", "Payment Required");
        drop;
    }
    sl_reply("404", "Not Found");
}
"""


class Billing(Module):
    """billing: who may still call."""

    name = "billing"
    balances = {"alice": "12.50", "bob": "much"}  # noqa: RUF012

    @function("R")
    def is_credit_worthy(self, msg: Context) -> bool:
        """Whether the caller has money left."""
        user = (msg.message.from_uri or "").partition(":")[2].partition("@")[0]
        return float(self.balances[user]) > 0


def main() -> None:
    """Alice calls, then Bob."""
    logging.basicConfig(format="%(message)s")
    modules = Modules()
    modules.add(Billing())
    script = load_text(SCRIPT, "billing.cfg", modules=modules)
    with Network() as network:
        proxy = network.server(script, modules=script.modules)
        for name in ("alice", "bob"):
            phone = network.user_agent(name, proxy=proxy)
            call = phone.invite("sip:shop@10.0.0.1")
            network.run(1)
            print(name, call.status)


if __name__ == "__main__":
    main()
