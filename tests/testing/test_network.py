"""Paths between nodes: latency, loss, duplication, order, partitions, and hosts that are not there."""

from __future__ import annotations

import pytest

from sipyard.testing import Address, Link, Network, Node


class Recorder(Node):
    """Keeps what it receives, with the time."""

    def __init__(self, network: Network, name: str, address: str) -> None:
        super().__init__(network, name, address)
        self.seen: list[tuple[float, bytes]] = []
        self.errors: list[Address] = []
        network.attach(self)

    def receive(self, data: bytes, source: Address, destination: Address) -> None:
        """Note it."""
        self.seen.append((round(self.network.now, 6), data))

    def unreachable(self, data: bytes, source: Address, destination: Address) -> None:
        """Note it."""
        self.errors.append(destination)


@pytest.fixture
def pair(network: Network) -> tuple[Recorder, Recorder]:
    """Two nodes."""
    return Recorder(network, "one", "10.0.0.1"), Recorder(network, "two", "10.0.0.2")


def test_latency(network: Network, pair: tuple[Recorder, Recorder]) -> None:
    """Each direction has its own."""
    one, two = pair
    network.link(one, two, both_ways=False, latency=0.25)
    one.send(b"there", two.address)
    two.send(b"back", one.address)
    network.run()
    assert two.seen == [(0.25, b"there")]
    assert one.seen == [(0.01, b"back")]


def test_jitter_keeps_the_order(network: Network, pair: tuple[Recorder, Recorder]) -> None:
    """A path is a queue unless reordering is asked for."""
    one, two = pair
    network.link(one, two, jitter=0.5)
    for number in range(50):
        one.send(str(number).encode(), two.address)
    network.run()
    assert [int(data) for _, data in two.seen] == list(range(50))


def test_reordering_and_duplication(network: Network, pair: tuple[Recorder, Recorder]) -> None:
    """With them packets overtake each other and come twice; none is lost."""
    one, two = pair
    network.link(one, two, reordering=0.3, duplication=0.3)
    for number in range(200):
        one.send(str(number).encode(), two.address)
        network.run(0.001)
    network.run()
    numbers = [int(data) for _, data in two.seen]
    assert set(numbers) == set(range(200))
    assert 230 < len(numbers) < 290
    assert numbers != sorted(numbers)


@pytest.mark.parametrize("loss", [0.1, 0.5])
def test_loss(network: Network, pair: tuple[Recorder, Recorder], loss: float) -> None:
    """About as much as asked for is lost."""
    one, two = pair
    network.link(one, two, loss=loss)
    for _ in range(1000):
        one.send(b"x", two.address)
    network.run()
    assert abs(1000 * (1 - loss) - len(two.seen)) < 60


def test_partition_and_heal(network: Network, pair: tuple[Recorder, Recorder]) -> None:
    """Nothing passes between the groups until the network is healed."""
    one, two = pair
    network.partition(one)
    one.send(b"lost", two.address)
    network.run()
    network.heal()
    one.send(b"found", two.address)
    network.run()
    assert [data for _, data in two.seen] == [b"found"]
    assert [packet.fate for packet in network.trace] == ["lost", "delivered"]


def test_a_host_without_the_port_refuses(network: Network, pair: tuple[Recorder, Recorder]) -> None:
    """ICMP comes back from a host that is there, silence from one that is not."""
    one, _ = pair
    one.send(b"x", Address("10.0.0.2", 9))
    one.send(b"x", Address("10.99.99.99", 5060))
    network.run()
    assert one.errors == [Address("10.0.0.2", 9)]
    assert [packet.fate for packet in network.trace] == ["refused", "nobody"]


def test_corruption_flips_one_bit(network: Network, pair: tuple[Recorder, Recorder]) -> None:
    """The trace keeps what was sent; the receiver gets something else."""
    one, two = pair
    network.link(one, two, corruption=1.0)
    one.send(b"\x00" * 8, two.address)
    network.run()
    assert sum(byte.bit_count() for byte in two.seen[0][1]) == 1
    assert network.trace[0].data == b"\x00" * 8


def test_addresses_and_names_are_taken_once(network: Network, pair: tuple[Recorder, Recorder]) -> None:
    """A mistake in a scenario says so."""
    with pytest.raises(ValueError, match="one has it"):
        Recorder(network, "three", "10.0.0.1")
    with pytest.raises(ValueError, match="already a node named 'one'"):
        Recorder(network, "one", "10.0.0.7")


def test_mistakes_in_link_settings() -> None:
    """Probabilities and times are checked, names too."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        Link(loss=10)
    with pytest.raises(ValueError, match="cannot be negative"):
        Link(latency=-1)
    with pytest.raises(TypeError, match="no setting 'los'; it has latency"):
        Link().change(los=0.1)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", Address("192.0.2.1", 5060)),
        ("192.0.2.1:99", Address("192.0.2.1", 99)),
        ("[2001:db8::1]:99", Address("2001:db8::1", 99)),
        ("2001:db8::1", Address("2001:db8::1", 5060)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    """Written with and without port and brackets."""
    assert Address.parse(text) == address
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize("text", ["", "1.2.3.4:x", "[::1", "[::1]x"])
def test_what_is_no_address(text: str) -> None:
    """The message shows how to write one."""
    with pytest.raises(ValueError, match="not an address"):
        Address.parse(text)


def test_names_of_the_network(network: Network, pair: tuple[Recorder, Recorder]) -> None:
    """URIs are resolved by the names that were given."""
    network.name("Example.com", pair[0])
    assert network.resolve("sip:x@example.com") == Address("10.0.0.1", 5060)
    assert network.resolve("sip:x@example.com:99") == Address("10.0.0.1", 99)
    assert network.resolve("sip:x@[2001:db8::1]") == Address("2001:db8::1", 5060)
    with pytest.raises(LookupError, match="nobody on this network is called"):
        network.resolve("sip:x@elsewhere.example")


def test_trace_is_the_same_for_the_same_seed() -> None:
    """And another for another."""

    def play(seed: int) -> bytes:
        with Network(seed, loss=0.3, jitter=0.2, duplication=0.2) as network:
            one, two = Recorder(network, "one", "10.0.0.1"), Recorder(network, "two", "10.0.0.2")
            for number in range(100):
                network.after(number / 10, one.send, str(number).encode(), two.address)
            network.run()
            return network.trace.to_bytes()

    assert play(5) == play(5)
    assert play(5) != play(6)
