"""The address guard: which addresses a call may go to, whatever a name says.

Names and URLs come from tenants, payloads and DNS; the networks that must not be reached by them
are those of the IANA special-purpose registries (RFC 6890) and those on which clouds tell secrets.
"""

import ipaddress
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Final

from contracts.errors import AddressRefused, Retryable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]
"""Host and port → addresses in the order to try them. Raises `OSError`."""

_PUBLIC_IPV6: Final = ipaddress.IPv6Network("2000::/3")
"""Global unicast. Everything outside is refused: `::`, loopback, IPv4-mapped and NAT64 forms,
unique local, link-local, multicast, and what is not given out yet."""

_REFUSED: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT; Alibaba's metadata
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's metadata, on a public address
        "169.254.0.0/16",  # link-local; metadata of AWS, Azure, Google
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # IETF protocols; Oracle's metadata
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # automatic multicast tunneling
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "2001::/23",  # IETF protocols: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address in other clothes
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)


def public(address: Address) -> bool:
    """Whether `address` belongs to the internet that everybody sees."""
    if isinstance(address, ipaddress.IPv6Address) and (
        address.scope_id is not None or address not in _PUBLIC_IPV6
    ):
        return False
    return not _within(address, _REFUSED)


def resolve(host: str, port: int) -> list[str]:
    """The system's resolver, which also reads `127.1`, `0x7f000001` and other spellings."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Guard:
    """Turns a name into addresses that may be connected to.

    `allow`: networks that may be reached although they are not public. `sandbox`: host and port
    that may be loopback, when the sandbox plays the providers.
    """

    def __init__(
        self,
        allow: Sequence[Network] = (),
        sandbox: tuple[str, int] | None = None,
        resolve: Resolve = resolve,
    ) -> None:
        self._allow, self._sandbox, self._resolve = tuple(allow), sandbox, resolve

    def addresses(self, host: str, port: int, timeout_s: float | None = None) -> list[str]:
        """Addresses of `host`, all of them checked: connect to these and never to the name.

        Raises `AddressRefused` when any of them is refused, and `Retryable` when the name cannot be
        resolved now.
        """
        found = self._looked_up(host, port, timeout_s)
        if not found:
            raise Retryable("the host's name has no address")
        for text in found:
            if not self._allowed(ipaddress.ip_address(text), (host, port)):
                raise AddressRefused("the host's address is not public")
        return found

    def _allowed(self, address: Address, place: tuple[str, int]) -> bool:
        if place == self._sandbox and address.is_loopback:
            return True
        return public(address) or _within(address, self._allow)

    def _looked_up(self, host: str, port: int, timeout_s: float | None) -> list[str]:
        """By a thread that may be left behind: a resolver knows no time-out."""
        found: list[list[str] | OSError | UnicodeError] = []

        def look_up() -> None:
            try:
                found.append(list(self._resolve(host, port)))
            except (OSError, UnicodeError) as error:
                found.append(error)

        thread = threading.Thread(target=look_up, name="resolve", daemon=True)
        thread.start()
        thread.join(timeout_s)
        if not found:
            raise Retryable("the host's name was not resolved in time")
        if isinstance(found[0], list):
            return found[0]
        raise Retryable("the host's name cannot be resolved")


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
