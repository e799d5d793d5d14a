"""Where deliveries may go, and what tries to look like a place where they may."""

import pytest

from events.services import addresses

PUBLIC = "https://hooks.example.com/holdfast"


@pytest.fixture(autouse=True)
def production(settings):
    settings.HOLDFAST_DEMO = False
    settings.WEBHOOK_INSIDE_HOSTS = []


@pytest.mark.parametrize(
    ("url", "target"),
    [
        (PUBLIC, ("https", "hooks.example.com", 443, "/holdfast")),
        ("https://hooks.example.com", ("https", "hooks.example.com", 443, "/")),
        ("https://hooks.example.com?a=b/c", ("https", "hooks.example.com", 443, "/?a=b/c")),
        ("HTTPS://Hooks.Example.com:8443/A?b=@c", ("https", "hooks.example.com", 8443, "/A?b=@c")),
        ("https://8.8.8.8/", ("https", "8.8.8.8", 443, "/")),
        ("https://[2606:4700::1111]/", ("https", "2606:4700::1111", 443, "/")),
        ("https://xn--bcher-kva.example/", ("https", "xn--bcher-kva.example", 443, "/")),
        ("https://1password.com/", ("https", "1password.com", 443, "/")),
    ],
)
def test_a_url_is_read_into_its_parts(url: str, target: tuple[str, str, int, str]):
    assert addresses.fault_of(url) == ""
    assert addresses.target_of(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://",
        "https:///path",
        "https:hooks.example.com",
        "//hooks.example.com",
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        # What some libraries take for the host, others do not.
        "https://hooks.example.com@127.0.0.1/",
        "https://user:password@hooks.example.com/",
        "https://hooks.example.com\\@127.0.0.1/",
        "https://hooks.example.com#@127.0.0.1/",
        "https://127.0.0.1#.example.com/",
        "https://hooks.example.com:80:443/",
        "https://hooks.example.com:/",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:65536/",
        "https://hooks.example.com:-1/",
        "https://hooks.example.com:443a/",
        "https://hooks.exa mple.com/",
        "https://hooks.example.com/\r\nX-Other: header",
        "https://hooks.example.com/\x00",
        "https://hooks.example.com/ä",
        "https://bücher.example/",
        # Full-width digits, which are digits after normalization, and a full stop of its kind.
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://127\u30020.0.1/",
        "https://hooks.example.com./",
        "https://127.0.0.1./",
        "https://-hooks.example.com/",
        "https://hooks..example.com/",
        "https://" + "a" * 64 + ".example.com/",
        "https://hooks.example.com/" + "a" * 2000,
        # 127.0.0.1, as only some read it.
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://017700000001/",
        "https://127.1/",
        "https://127.0.0.01/",
        "https://127.0.0.0x1/",
        "https://1.2.3.4.5/",
        "https://256.1.1.1/",
        "https://[::1%25eth0]/",
        "https://[fe80::1%eth0]/",
        "https://[::1/",
        "https://::1/",
        "https://[127.0.0.1]/",
        "https://[not.an.address]/",
        "https://localhost/",
        "https://LOCALHOST/",
        "https://metadata.localhost/",
        "https://intranet/",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.8:5432/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.8]/",
        "https://[fd00:ec2::254]/",
    ],
)
def test_what_is_unclear_or_inside_is_refused_as_it_is_written(url: str):
    assert addresses.fault_of(url).endswith(".")


def test_a_host_that_is_named_may_be_inside(settings):
    settings.WEBHOOK_INSIDE_HOSTS = ["Shipping", "10.0.0.8", "[::1]"]

    for url in ("https://shipping:8443/", "https://10.0.0.8/", "https://[0:0::1]/"):
        assert addresses.fault_of(url) == ""
    for url in ("https://10.0.0.9/", "http://shipping/", "https://other/"):
        assert addresses.fault_of(url) != ""


def test_plain_http_is_for_the_demo_alone(settings):
    assert addresses.fault_of("http://hooks.example.com/") == "The URL must begin with https://."

    settings.HOLDFAST_DEMO = True
    assert addresses.fault_of("http://hooks.example.com/") == ""
    assert addresses.target_of("http://hooks.example.com/").port == 80


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.1.2.3", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.1"),
        *("127.255.0.3", "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255"),
        *("192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.7"),
        *("203.0.113.9", "224.0.0.251", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "::ffff:0:10.0.0.1"),
        # An IPv4 address through a translator, or a tunnel, of this network.
        *("64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::1", "2002:0a00:0001::1"),
        *("2001::1", "2001:2::1", "2001:10::1", "2001:db8::1", "3fff::1", "100::1"),
        *("fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "5f00::1"),
        *("", "hooks.example.com", "1.2.3", "0x7f.0.0.1"),
    ],
)
def test_an_address_that_is_not_public_is_inside(address: str):
    assert addresses.is_inside(address)


@pytest.mark.parametrize(
    "address",
    [
        *("8.8.8.8", "1.1.1.1", "9.255.255.255", "100.63.255.255", "100.128.0.1", "172.15.0.1"),
        *("172.32.0.1", "169.253.0.1", "192.0.1.1", "198.17.0.1", "198.20.0.1", "223.255.255.1"),
        *("2606:4700::1111", "2a00:1450::1", "2001:4860:4860::8888", "::ffff:8.8.8.8"),
        "64:ff9b::8.8.8.8",
    ],
)
def test_a_public_address_is_not(address: str):
    assert not addresses.is_inside(address)
