"""pytest plugin: fixtures for tests of routing on a virtual network.

`network`      a `Network`, closed after the test; its ladder is shown when the test fails.
`sip_server`   starts a server on it: `sip_server("ser.cfg", address="10.0.0.1:5060")`, which keeps what its
               routes do: `.runs` with attributes, flags and results, `.log` with the script's log lines.

The seed is that of the marker `@pytest.mark.seed(7)`, else of `--sip-seed`, else 0; a failing test reports
it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .network import Network
    from .server import SipServer

#: A ladder longer than this is cut in the middle when a test fails.
_LONGEST_LADDER = 120
_NETWORK = pytest.StashKey[Any]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer `--sip-seed`."""
    group = parser.getgroup("sipyard")
    group.addoption(
        "--sip-seed", default="0", metavar="SEED", help="seed of the virtual networks of this run (default 0)"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", "seed(value): seed of the test's virtual network")


@pytest.fixture
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    """A virtual network for this test; see `sipyard.testing.Network`."""
    from .network import Network  # the extension is loaded only for tests that need it

    marker = request.node.get_closest_marker("seed")
    seed = marker.args[0] if marker is not None else request.config.getoption("--sip-seed")
    with Network(seed) as made:
        request.node.stash[_NETWORK] = made
        yield made


@pytest.fixture
def sip_server(network: Network) -> Callable[..., SipServer]:
    """Starts servers on the test's network: `sip_server(routing, address=…, …)`. Options are those of
    `SipServer`; `records` is True unless given."""
    return partial(network.server, records=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Add seed and ladder to the report of a failing test that has a network."""
    report = yield
    made = item.stash.get(_NETWORK, None)
    if report.when == "call" and report.failed and made is not None:
        lines = made.ladder().splitlines()
        if len(lines) > _LONGEST_LADDER:
            half = _LONGEST_LADDER // 2
            lines = [*lines[:half], f"… {len(lines) - 2 * half} more …", *lines[-half:]]
        text = "\n".join([f"seed {made.seed}, {made.now:.3f} s of virtual time", "", *lines])
        report.sections.append(("virtual network", text))
    return report
