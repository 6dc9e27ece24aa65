"""Whose address a request is counted for: nobody can invent one, and nobody is counted for somebody else."""

from __future__ import annotations

import logging

import pytest
from starlette.types import Scope

from holdfast.server.addresses import Addresses, read

PROXIES = ("10.0.0.0/8", "fd00::/8")


def scope(peer: str | None, *lines: str, header: str = "x-forwarded-for") -> Scope:
    headers = [(header.encode(), line.encode("latin-1")) for line in lines]
    return {"type": "http", "client": (peer, 4711) if peer is not None else None, "headers": headers}


@pytest.mark.parametrize(
    ("peer", "lines", "address"),
    [
        ("203.0.113.9", (), "203.0.113.9"),
        ("203.0.113.9", ("198.51.100.1",), "203.0.113.9"),  # not from a proxy: invented
        ("10.0.0.1", ("198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", ("1.1.1.1, 198.51.100.1",), "198.51.100.1"),  # 1.1.1.1 is what the client sent
        ("10.0.0.1", ("1.1.1.1", "198.51.100.1, 10.0.0.7"), "198.51.100.1"),
        ("10.0.0.1", ("198.51.100.1:4711",), "198.51.100.1"),
        ("10.0.0.1", ("1.1.1.1, nonsense",), "10.0.0.1"),
        ("10.0.0.1", ("1.1.1.1, nonsense, 10.0.0.7",), "10.0.0.7"),
        ("10.0.0.1", ("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("",), "10.0.0.1"),
        ("::ffff:10.0.0.1", ("::ffff:198.51.100.1",), "198.51.100.1"),
        ("fd00::1", ("2001:db8:1:2:3:4:5:6",), "2001:db8:1:2::/64"),
        ("10.0.0.1", ("[2001:db8:1:2::9]:443",), "2001:db8:1:2::/64"),
        (None, ("198.51.100.1",), "198.51.100.1"),  # a proxy on a unix socket
    ],
)
def test_the_last_address_that_is_no_proxys(peer: str | None, lines: tuple[str, ...], address: str) -> None:
    assert Addresses(PROXIES).of(scope(peer, *lines)) == address


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("for=198.51.100.1", "198.51.100.1"),
        ('for=1.1.1.1, for="198.51.100.1:80";proto=https;by=10.0.0.1', "198.51.100.1"),
        ('by=10.0.0.1;for="[2001:db8:1:2::9]:443"', "2001:db8:1:2::/64"),
        ("for=1.1.1.1, for=_hidden", "10.0.0.1"),
        ('for=1.1.1.1;note="a, for=2.2.2.2"', "1.1.1.1"),
        ("proto=https", "10.0.0.1"),
        ("For=198.51.100.1", "198.51.100.1"),
    ],
)
def test_the_header_of_rfc_7239(line: str, address: str) -> None:
    addresses = Addresses(PROXIES, "forwarded")
    assert addresses.of(scope("10.0.0.1", line, header="forwarded")) == address
    assert addresses.of(scope("10.0.0.1", "9.9.9.9", header="x-forwarded-for")) == "10.0.0.1"


def test_addresses_of_one_ipv6_site_are_one() -> None:
    found = {Addresses().of(scope(f"2001:db8:1:2::{number:x}")) for number in range(1, 50)}
    assert found == {"2001:db8:1:2::/64"}
    assert Addresses().of(scope("2001:db8:1:3::1")) not in found
    assert Addresses().of(scope("::1")) == "::1"


def test_a_proxy_that_nobody_named_hides_all_addresses(caplog: pytest.LogCaptureFixture) -> None:
    addresses = Addresses()
    with caplog.at_level(logging.WARNING):
        assert addresses.of(scope("127.0.0.1", "198.51.100.1")) == ""
        assert addresses.of(scope("10.1.2.3", "198.51.100.1")) == ""
    assert len(caplog.records) == 1
    assert "trusted_proxies" in caplog.text
    assert addresses.of(scope("127.0.0.1")) == "127.0.0.1"
    assert addresses.of(scope("9.9.9.9", "1.1.1.1")) == "9.9.9.9"  # from outside, it changes nothing


def test_a_long_header_is_read_from_its_end() -> None:
    line = "9.9.9.9, " * 5000 + "198.51.100.1"
    assert Addresses(PROXIES).of(scope("10.0.0.1", line)) == "198.51.100.1"


@pytest.mark.parametrize("text", ["", "unknown", "300.1.1.1", "1.2.3", "::g", "[", "[::1", "1.1.1.1;DROP", "\xff"])
def test_what_is_no_address(text: str) -> None:
    assert read(text) in (None, read("::1"))
