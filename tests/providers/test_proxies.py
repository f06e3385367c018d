"""Which proxy counts for which address."""

from __future__ import annotations

import base64

import pytest

from providers.proxies import DIRECT, Proxies

UPSTREAM = "https://openrouter.ai/api/v1"


def variable(env: dict[str, str], url: str = UPSTREAM) -> str | None:
    proxy = Proxies.from_env(env).of(url)
    return proxy and proxy.variable


def test_without_settings_everything_is_direct() -> None:
    assert Proxies.from_env({}) == Proxies.from_env({"HTTPS_PROXY": " ", "no_proxy": ""}) == DIRECT
    assert DIRECT.of(UPSTREAM) is None and DIRECT.secrets() == ()


def test_each_scheme_has_its_own_and_all_proxy_stands_in_for_both() -> None:
    both = {"HTTPS_PROXY": "http://a:1", "ALL_PROXY": "http://c:3"}
    assert (variable(both), variable(both, "http://openrouter.ai")) == ("HTTPS_PROXY", "ALL_PROXY")
    assert variable({"HTTP_PROXY": "http://b:2"}) is None
    assert variable({"HTTP_PROXY": "http://b:2"}, "http://openrouter.ai") == "HTTP_PROXY"
    assert variable({"HTTPS_PROXY": "http://a:1"}, "ftp://openrouter.ai") is None


def test_lower_case_wins() -> None:
    assert variable({"HTTPS_PROXY": "http://a:1", "https_proxy": "http://b:2"}) == "https_proxy"
    assert variable({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "", "no_proxy": "openrouter.ai"}) is None
    assert variable({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "openrouter.ai", "no_proxy": "x"}) == "HTTPS_PROXY"


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("http://Proxy.example:3128/", "http://proxy.example:3128"),
        ("proxy.example:3128", "http://proxy.example:3128"),
        ("me:word@proxy.example:3128", "http://proxy.example:3128"),
        ("http://proxy.example", "http://proxy.example:80"),
        ("https://proxy.example", "https://proxy.example:443"),
        ("http://[2001:db8::7]:3128", "http://[2001:db8::7]:3128"),
    ],
)
def test_the_forms_an_address_may_have(value: str, address: str) -> None:
    proxy = Proxies.from_env({"HTTPS_PROXY": value}).of(UPSTREAM)
    assert proxy is not None and proxy.address == address


@pytest.mark.parametrize(
    ("credentials", "sent"),
    [
        ("me:planted-word", "me:planted-word"),
        ("me%40home:planted%2Fword%21", "me@home:planted/word!"),
        ("me:planted@word", "me:planted@word"),
        ("planted-token", "planted-token:"),
    ],
)
def test_credentials_go_into_a_header_and_are_secrets_in_every_form(credentials: str, sent: str) -> None:
    proxies = Proxies.from_env({"HTTPS_PROXY": f"http://{credentials}@proxy.example:3128"})
    proxy = proxies.of(UPSTREAM)
    assert proxy is not None
    token = base64.b64encode(sent.encode()).decode()
    assert proxy.headers == {"Proxy-Authorization": f"Basic {token}"}
    user, _, password = sent.partition(":")
    written = credentials.rpartition(":")[2]
    assert {token, password or user, written} <= set(proxies.secrets())
    shown = f"{proxies!r} {proxy!r} {proxy.hint} {proxy.refusal(407)} {proxy.refusal(403)} {proxies.model_dump_json()}"
    assert not [secret for secret in proxies.secrets() if secret in shown]


def test_the_refusals_say_what_to_do() -> None:
    def refusal(value: str, status: int) -> tuple[str, str]:
        proxy = Proxies.from_env({"HTTPS_PROXY": value}).of(UPSTREAM)
        assert proxy is not None and "proxy.example" not in str(proxy.refusal(status))
        return proxy.refusal(status)

    asked, how = refusal("http://proxy.example:1", 407)
    assert asked == "the proxy of HTTPS_PROXY asks for a user name and password (HTTP 407)" and "HTTPS_PROXY to http://user:" in how
    assert "does not accept the user name" in refusal("http://a:b@proxy.example:1", 407)[0]
    assert refusal("http://proxy.example:1", 502) == (
        "the proxy of HTTPS_PROXY opened no tunnel (HTTP 502)",
        "Check the proxy in HTTPS_PROXY, or name the host in NO_PROXY to ask it directly.",
    )


@pytest.mark.parametrize(
    "value",
    ["http://", "http://host:port", "http://host:0", "http://host:1/path", "http://host:1?q", "http://host:1#f", "http://u:hunter2/3@host:1",
     "http://u:hunter2@ho st", "http://u:hunter2\u00e9@host:1", "http://[::1:3128"],
)  # fmt: skip
def test_what_is_no_address_is_an_error_that_does_not_repeat_it(value: str) -> None:
    with pytest.raises(ValueError, match=r"^HTTPS_PROXY must be an address such as http://proxy\.example:3128") as caught:
        Proxies.from_env({"HTTPS_PROXY": value})
    assert "hunter2" not in str(caught.value) and "\n" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_socks_proxy_is_passed_over_with_a_word() -> None:
    proxies = Proxies.from_env({"ALL_PROXY": "socks5h://u:hunter2@127.0.0.1:1080", "HTTP_PROXY": "http://a:1"})
    assert proxies.ignored == ("ALL_PROXY is ignored: only http:// and https:// proxies are supported, not socks5h://",)
    assert proxies.of(UPSTREAM) is None and proxies.of("http://openrouter.ai") is not None
    assert variable({"HTTPS_PROXY": "socks5://a:1", "ALL_PROXY": "http://b:2"}) == "ALL_PROXY"
    assert Proxies.from_env({"HTTPS_PROXY": "http://a:1", "HTTP_PROXY": "http://a:1", "ALL_PROXY": "socks5://b:2"}).ignored == ()
    assert len(Proxies.from_env({"ALL_PROXY": "socks5://b:2", "all_proxy": "socks4://b:2"}).ignored) == 2


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST", "localhost.", "api.localhost", "127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]"],
)
def test_this_machine_is_always_direct(host: str) -> None:
    proxies = Proxies.from_env({"ALL_PROXY": "http://proxy.example:1"})
    assert proxies.of(f"http://{host}:9000/v1") is None and proxies.of(f"https://{host}/v1") is None


@pytest.mark.parametrize("host", ["10.0.0.1", "[2001:db8::1]", "notlocalhost", "localhost.example", "127.0.0.1.example"])
def test_other_hosts_are_not_this_machine(host: str) -> None:
    assert Proxies.from_env({"ALL_PROXY": "http://proxy.example:1"}).of(f"http://{host}:9000/v1") is not None


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("*", UPSTREAM, True),
        (" * ", UPSTREAM, True),
        ("*,x", UPSTREAM, False),
        ("openrouter.ai", UPSTREAM, True),
        ("OpenRouter.AI", UPSTREAM, True),
        ("openrouter.ai", "https://openrouter.ai./", True),
        ("x, .openrouter.ai ,y", UPSTREAM, True),
        (".ai", UPSTREAM, True),
        ("router.ai", UPSTREAM, False),
        ("openrouter.ai", "https://api.openrouter.ai", True),
        ("openrouter.ai", "https://openrouter.ai.example", False),
        ("openrouter.ai:443", UPSTREAM, True),
        ("openrouter.ai:8443", UPSTREAM, False),
        ("openrouter.ai:8443", "https://openrouter.ai:8443", True),
        ("ai:8443", "https://openrouter.ai:8443", True),
        ("openrouter.ai", "https://openrouter.ai:8443", True),
        ("10.0.0.1", "http://10.0.0.1:9", True),
        ("10.0.0.1:80", "http://10.0.0.1", True),
        ("2001:db8::1", "http://[2001:db8::1]", True),
        ("[2001:db8::1]", "http://[2001:db8::1]:9", True),
        ("[2001:db8::1]:9", "http://[2001:db8::1]:9", True),
        (",, ,", UPSTREAM, False),
        (".", UPSTREAM, False),
    ],
)
def test_no_proxy_names_hosts_endings_and_ports(no_proxy: str, url: str, direct: bool) -> None:
    proxies = Proxies.from_env({"ALL_PROXY": "http://proxy.example:1", "NO_PROXY": no_proxy})
    assert (proxies.of(url) is None) is direct
