"""Access to the page: one-time link, host and origin checks, and CSRF tokens."""

from __future__ import annotations

from collections.abc import Callable

import pytest

HOST = "127.0.0.1:8765"
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize("path", ["/", "/?token=wrong", "/p/patients/columns", "/p/patients/files/synthetic.csv"])
def test_without_the_link_nothing_is_shown(make_client: Callable, path: str) -> None:
    answer = make_client().get(path)
    assert answer.status == 403
    assert "<form" not in answer.text


def test_a_link_opens_one_browser(make_client: Callable) -> None:
    client = make_client()
    token = client.tokens[-1]
    first, second = client.get(f"/?token={token}"), client.get(f"/?token={token}")
    assert (first.status, second.status) == (200, 403)
    cookie = first.header("set-cookie").lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.tokens[-1] != token
    client.open()  # the next link opens another browser
    assert client.get("/").status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example:8765", "0.0.0.0:8765", ""]
)
def test_another_host_name_is_refused(client, host: str) -> None:
    answer = client.request("GET", "/", headers={"host": host})
    assert answer.status == 403
    assert "token" not in answer.text


@pytest.mark.parametrize("host", ["localhost:8765", "localhost", "[::1]:8765", "127.0.0.1:9000"])
def test_names_of_this_machine_are_served(client, host: str) -> None:
    assert client.request("GET", "/", headers={"host": host}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example", "sec-fetch-site": "cross-site"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_form_of_another_site_is_refused(client, headers: dict[str, str]) -> None:
    body = f"csrf={client.csrf()}&sample=sklearn%3Airis".encode()
    answer = client.request("POST", "/new", body, {**FORM, "content-length": str(len(body)), **headers})
    assert answer.status == 403
    assert client.get("/p/iris/columns").status == 404


@pytest.mark.parametrize("csrf", ["", "csrf=&", "csrf=wrong&", "csrf=ä&"])
def test_a_form_without_the_token_of_the_page_is_refused(client, csrf: str) -> None:
    body = f"{csrf}sample=sklearn%3Airis".encode()
    answer = client.request(
        "POST", "/new", body, {**FORM, "origin": f"http://{HOST}", "content-length": str(len(body))}
    )
    assert answer.status == 403
    assert client.get("/p/iris/columns").status == 404


def test_every_form_asks_for_the_token(client) -> None:
    for route in client.app.routes:
        if "POST" in (route.methods or ()):
            path = route.path.replace("{slug}", "iris")
            assert client.request("POST", path, b"a=b", FORM).status == 403, path


def test_a_session_of_one_server_does_not_open_another(client, make_client: Callable) -> None:
    other = make_client()
    other.cookie = client.cookie
    assert other.get("/").status == 403


@pytest.mark.parametrize("announced", [True, False])
def test_large_bodies_are_refused(make_client: Callable, announced: bool) -> None:
    client = make_client(max_bytes=10_000)
    client.open()
    body = b"csrf=" + b"a" * 20_000
    size = {"content-length": str(len(body))} if announced else {}
    answer = client.request("POST", "/new", body, {**FORM, **size}, chunk=1000)
    assert answer.status == 413


def test_pages_run_and_load_nothing_from_elsewhere(client) -> None:
    answer = client.get("/")
    policy = answer.header("content-security-policy")
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("cache-control") == "no-store"
    for path in ("/static/style.css", "/static/web.css", "/static/web.js"):
        found = client.get(path)
        assert found.status == 200
        assert "//" not in found.text.replace("// ", "")
    assert client.get("/static/../app.py").status == 404


@pytest.mark.parametrize("slug", ["..", "%2e%2e", ".", "a/b", "x" * 60, "Iris"])
def test_projects_are_folders_of_the_root_only(client, slug: str) -> None:
    assert client.get(f"/p/{slug}/files/schema.json").status == 404
