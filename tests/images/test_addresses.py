"""Only public unicast addresses may be asked, in whatever form they come."""

from ipaddress import ip_address

import pytest

from underpaint.images import refusal_reason

REFUSED = [
    ("0.0.0.0", "unspecified"),
    ("0.1.2.3", "reserved"),
    ("10.0.0.1", "private"),
    ("10.255.255.255", "private"),
    ("100.64.0.1", "carrier-grade NAT"),
    ("100.100.100.200", "carrier-grade NAT"),
    ("100.127.255.255", "carrier-grade NAT"),
    ("127.0.0.1", "loopback"),
    ("127.255.255.254", "loopback"),
    ("168.63.129.16", "cloud platform service"),
    ("169.254.169.254", "link-local"),
    ("172.16.0.1", "private"),
    ("172.31.255.255", "private"),
    ("192.0.0.192", "reserved"),
    ("192.0.2.1", "documentation"),
    ("192.88.99.1", "reserved"),
    ("192.168.1.1", "private"),
    ("198.18.0.1", "benchmarking"),
    ("198.51.100.7", "documentation"),
    ("203.0.113.7", "documentation"),
    ("224.0.0.1", "multicast"),
    ("239.255.255.250", "multicast"),
    ("240.0.0.1", "reserved"),
    ("255.255.255.255", "broadcast"),
    ("::", "unspecified"),
    ("::1", "loopback"),
    ("fe80::1", "link-local"),
    ("fe80::1%eth0", "link-local"),
    ("fec0::1", "private"),
    ("fc00::1", "private"),
    ("fd00:ec2::254", "private"),
    ("ff02::1", "multicast"),
    ("ff0e::1", "multicast"),
    ("2001:db8::1", "documentation"),
    ("3fff::1", "documentation"),
    ("100::1", "reserved"),
    ("2001:2::1", "reserved"),
    ("5f00::1", "reserved"),
    ("4000::1", "reserved"),
    ("::ffff:127.0.0.1", "loopback, inside an IPv4-mapped address"),
    ("::ffff:10.0.0.1", "private, inside an IPv4-mapped address"),
    ("::127.0.0.1", "loopback, inside an IPv4-compatible address"),
    ("::8.8.8.8", "reserved"),
    ("::ffff:0:127.0.0.1", "loopback, inside an IPv4-translated address"),
    ("2002:7f00:1::", "loopback, inside a 6to4 address"),
    ("2002:c0a8:0101::1", "private, inside a 6to4 address"),
    ("64:ff9b::169.254.169.254", "link-local, inside a NAT64 address"),
    ("64:ff9b:1::1", "local NAT64 translation"),
    ("64:ff9b:1::8.8.8.8", "local NAT64 translation"),
    # The Teredo client 192.168.1.1, inverted, behind the server 8.8.8.8; then the other way round.
    ("2001:0:808:808:0:0:3f57:fefe", "private, inside a Teredo address"),
    ("2001:0:c0a8:101:0:0:f7f7:f7f7", "private, inside a Teredo address"),
    ("2001:0:808:808:0:0:f7f7:f7f7", "reserved"),
    ("2a00:1450:4001::5efe:127.0.0.1", "loopback, inside an ISATAP address"),
    ("2a00:1450:4001::200:5efe:10.0.0.1", "private, inside an ISATAP address"),
]
ALLOWED = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "223.255.255.255",
    "2a00:1450:4001:82a::200e",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "2002:808:808::1",
    "64:ff9b::8.8.8.8",
    "2a00:1450:4001::5efe:8.8.8.8",
]


@pytest.mark.parametrize(("address", "reason"), REFUSED)
def test_addresses_that_are_not_public_are_refused(address: str, reason: str) -> None:
    assert refusal_reason(ip_address(address)) == reason


@pytest.mark.parametrize("address", ALLOWED)
def test_public_addresses_are_not(address: str) -> None:
    assert refusal_reason(ip_address(address)) is None


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "::1",
        "fd00::1",
        "::ffff:127.0.0.1",
    ],
)
def test_private_addresses_can_be_allowed(address: str) -> None:
    assert refusal_reason(ip_address(address), allow_private=True) is None


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "::",
        "169.254.169.254",
        "fe80::1",
        "224.0.0.1",
        "ff02::1",
        "240.0.0.1",
        "::ffff:169.254.169.254",
    ],
)
def test_allowing_private_addresses_allows_nothing_else(address: str) -> None:
    assert refusal_reason(ip_address(address), allow_private=True) is not None
