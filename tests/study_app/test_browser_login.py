"""The owner signs in with an OpenID Connect provider, a real one on this machine, in Chromium."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest

from tests.study_app.accessibility import violations
from tests.study_app.browser import RaterWindow, chromium
from tests.study_app.conftest import free_port

pytestmark = pytest.mark.browser

PEOPLE = [
    {"sub": "ada", "email": "Ada@example.org", "email_verified": True},
    {"sub": "eve", "email": "eve@example.org", "email_verified": True},
    {"sub": "mallory", "email": "ada@example.org", "email_verified": False},
]
SECRETS = """
[auth]
redirect_uri = "{address}/oauth2callback"
cookie_secret = "a long random text, of this test alone"
client_id = "study"
client_secret = "as good as any"
server_metadata_url = "{provider}/.well-known/openid-configuration"
"""


@pytest.fixture
def provider() -> Iterator[str]:
    """The address of a provider that knows `PEOPLE`."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)]
    for person in PEOPLE:
        command += ["--user-claims", json.dumps(person)]
    process = subprocess.Popen(command, stdout=-3, stderr=-3, env=os.environ | {"NO_COLOR": "1"})
    address = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{address}/jwks", timeout=5).close()
            break
        except OSError:
            time.sleep(0.1)
    yield address
    process.kill()
    process.wait(20)


def test_owners_sign_in_elsewhere_others_are_refused_and_all_can_sign_out(
    sqlite_study, serving, provider, tmp_path
):
    port = free_port()
    (tmp_path / ".streamlit").mkdir()
    secrets = SECRETS.format(address=f"http://127.0.0.1:{port}", provider=provider)
    (tmp_path / ".streamlit" / "secrets.toml").write_text(secrets)
    server = serving(
        sqlite_study.database.url,
        port=port,
        folder=tmp_path,
        GLIDE_EVAL_OWNER_EMAILS="ada@example.org, grace@example.org",
    )
    # the provider's own page asks another site for its style; there is no other site here
    flags = ("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",)
    browser = chromium(tmp_path / "profile", flags=flags)
    window = RaterWindow(browser, server.address)

    def press(label: str) -> None:
        window.wait(lambda: [b for b in window.all("button") if b.text == label])[0].click()

    def sign_in(who: str) -> None:
        browser.get(f"{server.address}/owner")
        press("Sign in")
        window.wait(lambda: browser.current_url.startswith(provider))
        press(who)
        # back, and past the callback that sets the cookie: another address now would cut it off
        window.wait(lambda: browser.current_url.rstrip("/") == server.address)
        browser.get(f"{server.address}/owner")

    try:
        browser.get(f"{server.address}/owner")
        window.wait(lambda: [b for b in window.all("button") if b.text == "Sign in"])
        assert not window.all("input[type=password]"), "the password opens nothing now"
        assert not violations(browser)
        for stranger in ("eve", "mallory"):
            sign_in(stranger)
            window.wait(lambda: window.says("not as an owner of this study"))
            assert not window.says("Votes by people")
            assert not violations(browser)
            press("Sign in as somebody else")
            window.wait(lambda: not window.says("not as an owner of this study"))
        sign_in("ada")
        window.wait(lambda: window.says("Votes by people"))
        press("Sign out")
        window.wait(lambda: not window.says("Votes by people"))
        browser.get(f"{server.address}/owner")
        window.wait(lambda: [b for b in window.all("button") if b.text == "Sign in"])
        assert not window.says("Votes by people")
    finally:
        browser.quit()
