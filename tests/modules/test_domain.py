"""domain: whose domain it is and what is known of it, kept in memory or asked each time."""

from __future__ import annotations

import pytest
from wire_peer import WirePeer

from databases import TestDatabase
from people import DOMAIN, provision, provision_0_9
from sipyard.management.registry import RpcFault
from sipyard.storage.provisioning import Provisioning
from sipyard.testing import Network, SipServer

NEW = """
loadmodule "sl" loadmodule "textops" loadmodule "domain"
modparam("domain", "db_url", "{url}")
modparam("domain", "db_mode", {mode})
modparam("domain", "load_domain_attrs", {attributes})
route {{
    if (is_local("@ruri.host")) {{ append_to_reply("X-Local: yes\\r\\n"); }}
    if (lookup_domain("$fd", "@from.uri.host")) {{
        append_to_reply("X-From: %$fd.did %$fd.plan %$fd.lines\\r\\n");
    }}
    if (lookup_domain("$td", "@ruri.host")) {{ append_to_reply("X-To: %$td.did %$td.digest_realm\\r\\n"); }}
    if ($? == -2) {{ sl_reply("500", "Database"); }} else {{ sl_reply("200", "OK"); }}
}}
"""
OLD = """
loadmodule "sl" loadmodule "domain"
modparam("domain", "db_url", "{url}")
modparam("domain", "db_mode", {mode})
route {{
    if (!is_from_local()) {{ sl_send_reply("403", "From"); break; }};
    if (!is_uri_host_local()) {{ sl_send_reply("404", "URI"); break; }};
    sl_send_reply("200", "OK");
}}
"""
MODES = pytest.mark.parametrize("mode", [0, 1])


async def with_more(people: Provisioning) -> None:
    await people.add_domain("example.com", did=DOMAIN)
    await people.set_attribute(DOMAIN, "plan", "gold")
    await people.set_attribute(DOMAIN, "lines", "7")


def serve(
    network: Network, database: TestDatabase, mode: int, *, attributes: int = 1, text: str = NEW
) -> SipServer:
    return network.server(text.format(url=database.url, mode=mode, attributes=attributes))


@MODES
def test_a_domain_and_its_attributes(network: Network, database: TestDatabase, mode: int) -> None:
    provision(database, with_more)
    serve(network, database, mode)
    peer = WirePeer(network)
    answer = peer.ask(peer.request(uri="sip:bob@EXAMPLE.com"))
    assert [answer.header(f"X-{name}") for name in ("Local", "From", "To")] == [
        "yes",
        f"{DOMAIN} gold 7",
        f"{DOMAIN} {DOMAIN}",
    ]
    foreign = peer.ask(peer.request(uri="sip:bob@example.net"))
    assert (foreign.status, foreign.header("X-Local"), foreign.header("X-To")) == (200, None, None)


@MODES
def test_without_attributes_there_is_the_identifier(
    network: Network, database: TestDatabase, mode: int
) -> None:
    provision(database, with_more)
    serve(network, database, mode, attributes=0)
    peer = WirePeer(network)
    assert peer.ask(peer.request(uri=f"sip:bob@{DOMAIN}")).header("X-From") == f"{DOMAIN} <null> <null>"


@pytest.mark.parametrize("flags", [0, 3])
def test_rows_that_are_not_for_the_server(network: Network, database: TestDatabase, flags: int) -> None:
    provision(database)
    database.ask(f"UPDATE domain SET flags = {flags}")
    serve(network, database, 1)
    peer = WirePeer(network)
    assert peer.ask(peer.request(uri=f"sip:bob@{DOMAIN}")).header("X-Local") is None


def test_what_was_added_is_known_after_a_reload(network: Network, database: TestDatabase) -> None:
    provision(database)
    server = serve(network, database, 1)
    peer = WirePeer(network)
    database.ask("INSERT INTO domain (did, domain, flags) VALUES ('second', 'second.example', 1)")
    assert peer.ask(peer.request(uri="sip:bob@second.example")).header("X-Local") is None
    server.rpc("domain.reload")
    assert peer.ask(peer.request(uri="sip:bob@second.example")).header("X-To") == "second <null>"
    assert server.rpc("domain_dump") == [
        {"did": DOMAIN, "domain": DOMAIN, "attr": f"did={DOMAIN}, digest_realm={DOMAIN}"},
        {"did": "second", "domain": "second.example", "attr": "did=second"},
    ]


def test_a_reload_that_fails_leaves_what_was_known(network: Network, database: TestDatabase) -> None:
    provision(database)
    server = serve(network, database, 1)
    database.ask("DROP TABLE domain")
    with pytest.raises(RpcFault):
        server.rpc("domain.reload")
    peer = WirePeer(network)
    assert peer.ask(peer.request(uri=f"sip:bob@{DOMAIN}")).header("X-Local") == "yes"


@MODES
def test_no_database_is_no_answer(network: Network, database: TestDatabase, mode: int) -> None:
    """Neither served nor not served: a script tells it by $?. The table is read as soon as it is there."""
    serve(network, database, mode)
    peer = WirePeer(network)
    assert peer.ask(peer.request(uri=f"sip:bob@{DOMAIN}")).status == 500
    provision(database)
    network.run(60)
    assert peer.ask(peer.request(uri=f"sip:bob@{DOMAIN}")).status == 200


def test_commands_need_the_memory(network: Network, database: TestDatabase) -> None:
    provision(database)
    server = serve(network, database, 0)
    for command in ("domain.reload", "domain.dump"):
        with pytest.raises(RpcFault, match="not kept in memory"):
            server.rpc(command)


@MODES
@pytest.mark.parametrize(
    ("sender", "host", "status"),
    [(DOMAIN, DOMAIN, 200), (DOMAIN, "example.net", 404), ("example.net", DOMAIN, 403)],
)
def test_ser_0_9(
    network: Network, database: TestDatabase, mode: int, sender: str, host: str, status: int
) -> None:
    provision_0_9(database, f"INSERT INTO domain (domain) VALUES ('{DOMAIN}')")
    serve(network, database, mode, text=OLD)
    peer = WirePeer(network)
    text = peer.request(uri=f"sip:bob@{host}").replace("sip:alice@example.org", f"sip:alice@{sender}")
    assert peer.ask(text).status == status
