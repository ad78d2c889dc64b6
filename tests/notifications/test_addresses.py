"""Where webhooks may go: what a stranger's URL must not reach, however it is written."""

import ipaddress

import pytest

from notifications.addresses import BadAddress, allowed, is_public, resolve, target_of

PRIVATE = [
    *("0.0.0.1", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254"),
    *("169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1"),
    *("198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::808:808"),
    *("64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::1", "3fff::1", "fc00::1", "fd12::1"),
    *("fe80::1", "fec0::1", "ff02::1", "5f00::1"),
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "192.0.1.1", "2606:4700::1111"]
# Ways to write 127.0.0.1 and 169.254.169.254 that C libraries read, and browsers.
DISGUISED = [
    *("2130706433", "017700000001", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.1", "127.0.1", "127.0.0.1."),
    *("2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "1.0x", "example.0x7f"),
]


@pytest.fixture
def live(settings):
    settings.RAKO_WEBHOOK_LOOPBACK = False


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_never_sent_to(live, address):
    literal = f"[{address}]" if ":" in address else address

    assert not is_public(ipaddress.ip_address(address))
    with pytest.raises(BadAddress):
        target_of(f"https://{literal}/")
    with pytest.raises(BadAddress):
        allowed(target_of("https://hooks.example/"), [address])


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_sent_to(live, address):
    literal = f"[{address}]" if ":" in address else address

    target = target_of(f"https://{literal}/hooks?x=1")

    assert target == (True, address, 443, "/hooks?x=1")
    assert allowed(target, [address]) == [address]


@pytest.mark.parametrize("host", DISGUISED)
def test_an_address_in_disguise_is_refused(live, host):
    with pytest.raises(BadAddress):
        target_of(f"https://{host}/")


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "0177.0.0.1"])
def test_what_the_system_reads_as_loopback_is_not_sent_to_whatever_the_name_looked_like(live, host):
    read = resolve(host, 443)

    assert read == ["127.0.0.1"]
    with pytest.raises(BadAddress):
        allowed(target_of("https://hooks.example/"), read)


def test_one_private_address_among_public_ones_spoils_all(live):
    with pytest.raises(BadAddress):
        allowed(target_of("https://hooks.example/"), ["1.1.1.1", "10.0.0.1"])


@pytest.mark.parametrize("address", ["fe80::1%eth0", "2606:4700::1111%1", "", "x"])
def test_an_address_with_a_zone_or_none_at_all_is_refused(address):
    with pytest.raises(BadAddress):
        allowed(target_of("https://hooks.example/"), [address])


@pytest.mark.parametrize(
    "url",
    [
        *("http://hooks.example/", "ftp://hooks.example/", "file:///etc/passwd", "gopher://x.example/", "//x.example"),
        *("https://user:pass@hooks.example/", "https://user@hooks.example/", "https://@hooks.example/", "https://"),
        *("https://hooks.example:22/", "https://hooks.example:80/", "https://hooks.example:0/", "https:///path"),
        *("https://hooks.example:x/", "https://hooks.example:99999/", "https://hooks.example/#part", "hooks.example"),
        *("https://intranet/", "https://localhost/", "https://hooks..example/", "https://-x.example/", "https://.example/"),
        *("https://hooks.example\\@127.0.0.1/", "https://hooks.example/\r\nX: y", "https://hooks.exämple/", "https://[::1"),
        *("https://hooks.example/ x", "https://ho\toks.example/", "", " https://hooks.example/", "https://[v1.x]/"),
        "https://hooks.example/" + "x" * 500,
        "https://" + "x." * 200 + "example/",
    ],
)  # fmt: skip
def test_a_url_that_is_no_plain_https_address_is_refused(live, url):
    with pytest.raises(BadAddress):
        target_of(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/", "http://localhost:3000/h", "http://[::1]:9/", "https://localhost/"]
)
def test_in_the_sandbox_this_machine_may_be_sent_to(url):
    assert target_of(url).host in {"127.0.0.1", "localhost", "::1"}


def test_even_in_the_sandbox_nothing_else_is_sent_to_without_tls():
    with pytest.raises(BadAddress):
        allowed(target_of("http://localhost/"), ["1.1.1.1"])
    with pytest.raises(BadAddress):
        target_of("http://10.0.0.1/")
