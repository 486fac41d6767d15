"""Which IP addresses an outgoing connection may go to.

The tables are those of the IANA special-purpose address registries (RFC 6890 and its updates), plus what they
miss: multicast, and one cloud platform's internal service on a public address. IPv6 addresses that carry an
IPv4 address are judged by it as well, since a tunnel or translator on the way would deliver there.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

IPAddress = IPv4Address | IPv6Address

_LOOPBACK, _PRIVATE, _CARRIER_GRADE = "loopback", "private", "carrier-grade NAT"
# What "allow private addresses" means. Link-local stays out: that is where clouds keep their credentials.
_PRIVATE_REASONS = frozenset({_LOOPBACK, _PRIVATE, _CARRIER_GRADE})

_REFUSED_IPV4 = tuple(
    (IPv4Network(network), reason)
    for network, reason in (
        ("0.0.0.0/32", "unspecified"),
        ("0.0.0.0/8", "reserved"),
        ("10.0.0.0/8", _PRIVATE),
        ("100.64.0.0/10", _CARRIER_GRADE),
        ("127.0.0.0/8", _LOOPBACK),
        ("168.63.129.16/32", "cloud platform service"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", _PRIVATE),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "reserved"),
        ("192.52.193.0/24", "reserved"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", _PRIVATE),
        ("192.175.48.0/24", "reserved"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("255.255.255.255/32", "broadcast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_REFUSED_IPV6 = tuple(
    (IPv6Network(network), reason)
    for network, reason in (
        ("::/128", "unspecified"),
        ("::1/128", _LOOPBACK),
        ("64:ff9b:1::/48", "local NAT64 translation"),
        ("fc00::/7", _PRIVATE),
        ("fec0::/10", _PRIVATE),
        ("fe80::/10", "link-local"),
        ("ff00::/8", "multicast"),
        ("2001:db8::/32", "documentation"),
        ("3fff::/20", "documentation"),
        ("2620:4f:8000::/48", "reserved"),
    )
)
_IETF_ASSIGNMENTS = IPv6Network("2001::/23")
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_IPV4_MAPPED = IPv6Network("::ffff:0:0/96")
_IPV4_COMPATIBLE = IPv6Network("::/96")
_IPV4_TRANSLATED = IPv6Network("::ffff:0:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_TEREDO = IPv6Network("2001::/32")
_ISATAP_MARKS = frozenset({0x00005EFE, 0x02005EFE})


def refusal_reason(ip: IPAddress, *, allow_private: bool = False) -> str | None:
    """Why no connection may be made to `ip`, in a word or two; None if it may.

    `allow_private` lets through loopback, private and carrier-grade NAT addresses, and nothing else:
    link-local, multicast and reserved addresses have no use here whatever the network.
    """
    if isinstance(ip, IPv4Address):
        return _permitted(_ipv4_reason(ip), allow_private)
    for form, address in _carried_ipv4(ip):
        reason = _permitted(_ipv4_reason(address), allow_private)
        if reason is not None:
            return f"{reason}, inside {form}"
    return _permitted(_ipv6_reason(ip), allow_private)


def _permitted(reason: str | None, allow_private: bool) -> str | None:
    return None if allow_private and reason in _PRIVATE_REASONS else reason


def _ipv4_reason(ip: IPv4Address) -> str | None:
    return next((reason for network, reason in _REFUSED_IPV4 if ip in network), None)


def _ipv6_reason(ip: IPv6Address) -> str | None:
    for network, reason in _REFUSED_IPV6:
        if ip in network:
            return reason
    if ip in _IPV4_MAPPED or ip in _NAT64:
        return None
    if ip in _IETF_ASSIGNMENTS or ip not in _GLOBAL_UNICAST:
        return "reserved"
    return None


def _carried_ipv4(ip: IPv6Address) -> list[tuple[str, IPv4Address]]:
    """The IPv4 addresses within an IPv6 address, each with the name of the form that carries it."""
    number = int(ip)
    low = IPv4Address(number & 0xFFFFFFFF)
    carried: list[tuple[str, IPv4Address]] = []
    if ip in _IPV4_MAPPED:
        carried.append(("an IPv4-mapped address", low))
    elif ip in _IPV4_COMPATIBLE and number > 1:
        carried.append(("an IPv4-compatible address", low))
    elif ip in _IPV4_TRANSLATED:
        carried.append(("an IPv4-translated address", low))
    elif ip in _NAT64:
        carried.append(("a NAT64 address", low))
    elif ip in _SIX_TO_FOUR:
        carried.append(("a 6to4 address", IPv4Address(number >> 80 & 0xFFFFFFFF)))
    elif ip in _TEREDO:
        # RFC 4380 section 4: the server in the clear, the client with all bits inverted.
        carried.append(("a Teredo address", IPv4Address(number >> 64 & 0xFFFFFFFF)))
        carried.append(("a Teredo address", IPv4Address(~number & 0xFFFFFFFF)))
    if number >> 32 & 0xFFFFFFFF in _ISATAP_MARKS:
        carried.append(("an ISATAP address", low))
    return carried
