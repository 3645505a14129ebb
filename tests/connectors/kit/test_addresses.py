"""The address guard refuses what is not public, in every spelling, and cannot be led astray."""

import ipaddress
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kit.transport.addresses import Guard, public
from connectors.kit.transport.network import GuardedNetwork
from contracts.errors import AddressRefused, Misconfigured, Retryable
from contracts.settings import Settings, load
from tests.connectors.kit.loopback import raw, serving

# From the registries' own tables (IANA, IPv4 and IPv6 Special-Purpose Address Space), plus
# multicast, and the public addresses on which clouds answer with secrets. Not from the code.
SPECIAL_V4 = """
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24
192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24
198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 255.255.255.255/32
168.63.129.16/32
"""
SPECIAL_V6 = """
::1/128 ::/128 ::ffff:0:0/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23
2001::/32 2001:1::1/128 2001:2::/48 2001:3::/32 2001:4:112::/48 2001:10::/28 2001:20::/28
2001:30::/28 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20 5f00::/16 fc00::/7 fe80::/10
fec0::/10 ff00::/8 ::/96 fd00:ec2::254/128
"""

specials = st.sampled_from(
    [ipaddress.ip_network(n) for n in (SPECIAL_V4 + SPECIAL_V6).split()]
).flatmap(lambda network: st.integers(0, network.num_addresses - 1).map(lambda n: network[n]))
specials_v4 = st.sampled_from([ipaddress.IPv4Network(n) for n in SPECIAL_V4.split()]).flatmap(
    lambda network: st.integers(0, network.num_addresses - 1).map(lambda n: network[n])
)
numeric = Guard()


def _spellings(address: ipaddress.IPv4Address) -> list[str]:
    """What the system's resolver takes for `address`, and forms of IPv6 that carry it."""
    number, (a, b, c, d) = int(address), address.packed
    in_v6 = (
        f"::ffff:{address}",
        f"::{address}",
        f"64:ff9b::{address}",
        f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1",
        f"2001:0:{number >> 16:x}:{number & 0xFFFF:x}::1",
    )
    return [
        str(address),
        str(number),
        hex(number),
        f"0{number:o}",
        f"{a}.{number & 0xFFFFFF}",
        f"{a}.{b}.{number & 0xFFFF}",
        f"0x{a:x}.0{b:o}.{c}.{d}",
        *in_v6,
    ]


@given(specials)
def test_every_special_address_is_refused(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    with pytest.raises(AddressRefused):
        Guard(resolve=lambda host, port: [str(address)]).addresses("name.example", 443)


@given(specials_v4)
def test_every_spelling_of_it_is_refused(address: ipaddress.IPv4Address) -> None:
    for spelling in _spellings(address):
        with pytest.raises(AddressRefused):
            numeric.addresses(spelling, 443)


@given(st.ip_addresses())
def test_what_python_calls_not_global_is_refused_too(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    assert address.is_global or not public(address)


@pytest.mark.parametrize("text", ["31.13.84.8", "142.250.74.74", "2a03:2880:f10e:83:face:b00c::1"])
def test_public_addresses_are_let_through(text: str) -> None:
    assert Guard(resolve=lambda host, port: [text]).addresses("name.example", 443) == [text]


@pytest.mark.parametrize("text", ["fe80::1%lo", "2a03:2880::1%lo"])
def test_an_address_of_one_link_is_refused(text: str) -> None:
    with pytest.raises(AddressRefused):
        Guard(resolve=lambda host, port: [text]).addresses("name.example", 443)


def test_one_bad_address_among_good_ones_refuses_the_name() -> None:
    guard = Guard(resolve=lambda host, port: ["31.13.84.8", "10.0.0.1"])
    with pytest.raises(AddressRefused):
        guard.addresses("name.example", 443)


def test_networks_that_are_allowed_are_let_through_and_no_others() -> None:
    allowed = Settings(allow_networks="10.1.0.0/16, fd00:1::/64 127.0.0.1/32").allowed_networks
    guard = Guard(allowed)
    for text in ("10.1.2.3", "fd00:1::5", "127.0.0.1"):
        assert guard.addresses(text, 25) == [text]
    for text in ("10.2.0.1", "fd00:2::5", "127.0.0.2", "::ffff:10.1.2.3"):
        with pytest.raises(AddressRefused):
            guard.addresses(text, 25)


@pytest.mark.parametrize("value", ["10.0.0.1/8", "here", "0.0.0.0/0", "10.0.0.0/8,::/0"])
def test_what_is_no_network_is_named(value: str) -> None:
    with pytest.raises(Misconfigured, match="GATEWAY_ALLOW_NETWORKS"):
        load(Settings, {"GATEWAY_ALLOW_NETWORKS": value})


def test_the_sandbox_is_one_place_on_loopback() -> None:
    guard = Guard(sandbox=("127.0.0.1", 8090))
    assert guard.addresses("127.0.0.1", 8090) == ["127.0.0.1"]
    for host, port in (("127.0.0.1", 5432), ("127.0.0.2", 8090)):
        with pytest.raises(AddressRefused):
            guard.addresses(host, port)
    with pytest.raises(AddressRefused):
        Guard(sandbox=("box", 80), resolve=lambda host, port: ["10.0.0.1"]).addresses("box", 80)


def test_the_name_is_resolved_once_so_that_rebinding_finds_nothing() -> None:
    """The second answer would be the bad one; nobody asks for it."""
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    with serving(raw(b"hello")) as server:
        guard = Guard([ipaddress.ip_network("127.0.0.1/32")], resolve=rebinding)
        stream = GuardedNetwork(guard).connect_tcp("rebinding.example", server.port, timeout=5)
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", server.port)
        stream.close()
    assert asked == ["rebinding.example"]


def test_the_next_address_is_tried_when_one_does_not_answer(free_port: int) -> None:
    with serving(raw(b"hello")) as server:
        guard = Guard(
            [ipaddress.ip_network("127.0.0.0/8")], resolve=lambda h, p: ["127.0.0.9", "127.0.0.1"]
        )
        stream = GuardedNetwork(guard).connect_tcp("name.example", server.port, timeout=5)
        assert stream.get_extra_info("server_addr")[0] == "127.0.0.1"
        stream.close()


def test_a_resolver_that_does_not_answer_is_not_waited_for() -> None:
    def slow(host: str, port: int) -> list[str]:
        time.sleep(1)
        return []

    began = time.monotonic()
    with pytest.raises(Retryable, match="in time"):
        Guard(resolve=slow).addresses("name.example", 443, timeout_s=0.05)
    assert time.monotonic() - began < 0.5


@pytest.mark.parametrize("error", [socket.gaierror(-2, "no"), UnicodeError("label too long")])
def test_a_name_without_address_may_have_one_later(error: Exception) -> None:
    def failing(host: str, port: int) -> list[str]:
        raise error

    with pytest.raises(Retryable, match="cannot be resolved"):
        Guard(resolve=failing).addresses("name.example", 443)
    with pytest.raises(Retryable, match="no address"):
        Guard(resolve=lambda host, port: []).addresses("name.example", 443)
