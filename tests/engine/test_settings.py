"""Core parameters and sockets to listen on."""

from __future__ import annotations

import logging
from dataclasses import fields

import pytest

from sipyard.errors import ConfigError
from sipyard.script.core_parameters import PARAMETERS, CoreParameter
from sipyard.settings import Listen, Settings, interface_addresses


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("127.0.0.1", Listen("127.0.0.1")),
        ("udp:127.0.0.1:5070", Listen("127.0.0.1", 5070, "udp")),
        ("tls:example.com", Listen("example.com", None, "tls")),
        ("udp:[::1]:5060", Listen("::1", 5060, "udp")),
        ("[::1]", Listen("::1")),
        ("eth0:*", Listen("eth0")),
        ("tcp:eth0:5080", Listen("eth0", 5080, "tcp")),
    ],
)
def test_listen(text: str, listen: Listen) -> None:
    assert Listen.parse(text) == listen


@pytest.mark.parametrize("text", ["", "a b", "udp:", "127.0.0.1:99999", "127.0.0.1:x"])
def test_bad_listen(text: str) -> None:
    with pytest.raises(ConfigError):
        Listen.parse(text)


def test_addresses_of_interfaces() -> None:
    assert Listen("lo").addresses() == ["127.0.0.1"]
    assert "127.0.0.1" in interface_addresses()
    assert Listen("::1").addresses() == ["::1"]


def test_settings_of_a_script() -> None:
    settings = Settings.of(
        {
            "debug": 3,
            "listen": ["udp:127.0.0.1:5060"],
            "alias": ["udp:example.com:5070", "example.org"],
            "server_signature": 0,
            "children": 4,
        }
    )
    core = settings.for_core()
    assert core["aliases"] == [("example.com", 5070, "udp"), ("example.org", 0, None)]
    assert core["server_header"] == ""
    assert settings.listens() == [Listen("127.0.0.1", 5060, "udp")]
    assert settings.log_level == logging.INFO


def test_wrong_types_are_refused() -> None:
    with pytest.raises(ConfigError, match="debug"):
        Settings.of({"debug": "much"})


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda one: one.name)
def test_the_defaults_that_are_documented_are_those_that_act(parameter: CoreParameter) -> None:
    acting = {one.name: getattr(Settings(), one.name) for one in fields(Settings)}.get(parameter.name)
    if acting is None or isinstance(acting, list) or parameter.default_20 is None:
        return  # not kept under that name, or a list of sockets
    assert acting == parameter.default_20
