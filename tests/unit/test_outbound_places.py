"""Which URLs and addresses the service goes to."""

import pytest

from task_app.outbound import problem_with_url
from task_app.outbound.places import is_allowed

PUBLIC = ["8.8.8.8", "93.184.215.14", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
INTRANET = [
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "::1",
    "fc00::1",
    "fd12:3456::1",
    "::ffff:127.0.0.1",
    "::ffff:192.168.1.1",
    "64:ff9b::a00:1",
    "2002:7f00:1::1",
]
NEVER = [
    "0.0.0.0",
    "::",
    "::ffff:0.0.0.0",
    "169.254.1.1",
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%2",
    "224.0.0.1",
    "239.255.255.250",
    "ff02::1",
    "240.0.0.1",
    "255.255.255.255",
]
#: Neither public nor anybody's intranet: for documentation, given up, or not given out.
NOWHERE = [
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "198.18.0.1",
    "2001:db8::1",
    "3fff::1",
    "192.88.99.1",
    "::8.8.8.8",
    "2001:0:4136:e378::1",
    "fec0::1",
    "4000::1",
    "64:ff9b:1::1",
    "0.1.2.3",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_open(address: str) -> None:
    assert is_allowed(address)


@pytest.mark.parametrize("address", INTRANET + NEVER + NOWHERE)
def test_all_others_are_closed(address: str) -> None:
    assert not is_allowed(address)


@pytest.mark.parametrize("address", INTRANET)
def test_intranets_can_be_opened(address: str) -> None:
    assert is_allowed(address, private=True)


@pytest.mark.parametrize("address", NEVER)
def test_some_stay_closed(address: str) -> None:
    assert not is_allowed(address, private=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "https://example.com:443/x?y#z",
        "http://example.com:8080/",
        "http://[::1]/",
        "http://bücher.example/",
    ],
)
def test_urls_of_the_web(url: str) -> None:
    assert problem_with_url(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "/etc/passwd",
        "file:///etc/passwd",
        "ftp://example.com/",
        "gopher://example.com/",
        "http://",
        "http:///path",
        "http://user@example.com/",
        "http://user:password@example.com/",
        "http://example.com:22/",
        "http://example.com:0/",
        "http://example.com:70000/",
        "http://exa mple.com/",
        "http://[::1/",
        "http://example.com/\x00",
        "http://example.com/\r\nHost: other",
    ],
)
def test_other_urls(url: str) -> None:
    assert problem_with_url(url) is not None
