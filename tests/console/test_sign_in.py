from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serve.access.keys import Role, format_key
from tests.console.conftest import watch
from tests.console.models import scores_model
from tests.serve.models import put
from tests.serve.process import ServerProcess

pytestmark = [pytest.mark.browser, pytest.mark.slow]

KEYS: dict[str, frozenset[Role]] = {
    "looker": frozenset({"infer"}),
    "ops": frozenset({"infer", "metrics", "admin"}),
    "meter": frozenset({"metrics"}),
    "reporter": frozenset({"feedback"}),
    "auditor": frozenset({"admin"}),
    "leaver": frozenset({"infer", "metrics"}),
}


def _write_keys(path: Path, keys: dict[str, frozenset[Role]]) -> None:
    path.write_text("".join(format_key(name, name, roles) for name, roles in keys.items()))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The keys file of the server."""
    return tmp_path_factory.mktemp("locked") / "keys.toml"


@pytest.fixture(scope="module")
def locked(keys: Path) -> Iterator[ServerProcess]:
    """A server with keys, each of which is its name."""
    models, audit = keys.with_name("models"), keys.with_name("audit.jsonl")
    put(models, "scores", scores_model())
    _write_keys(keys, KEYS)
    options = {"--models": models, "--keys": keys, "--audit-log": audit}
    with ServerProcess(*(str(part) for pair in options.items() for part in pair)) as started:
        yield started


@pytest.fixture
def door(context: Any, locked: ServerProcess) -> Iterator[Any]:
    """The page that a reader without a key gets."""
    page = context.new_page()
    complaints: list[str] = []
    watch(page, complaints)
    page.goto(f"{locked.url}/console")
    page.get_by_role("heading", name="Sign in").wait_for()
    yield page
    assert complaints == []


def _sign_in(page: Any, key: str) -> None:
    page.get_by_label("Key").fill(key)
    page.get_by_role("button", name="Sign in").click()


def test_a_key_opens_the_console_for_this_tab_until_it_is_forgotten(door: Any) -> None:
    assert "This server needs a key" in door.locator("main").inner_text()
    _sign_in(door, "ops")
    door.get_by_role("button", name="Unload scores").wait_for()
    assert door.evaluate("[localStorage.length, document.cookie]") == [0, ""]
    door.reload()
    door.get_by_role("button", name="Unload scores").wait_for()
    door.get_by_role("button", name="Sign out").click()
    door.get_by_role("heading", name="Sign in").wait_for()
    assert door.evaluate("sessionStorage.length") == 0


def test_a_wrong_key_is_told_and_another_can_be_tried(door: Any) -> None:
    _sign_in(door, "guess")
    door.get_by_role("alert").wait_for()
    assert "does not know the key" in door.get_by_role("alert").inner_text()
    _sign_in(door, "looker")
    door.get_by_role("link", name="scores").wait_for()


def test_a_key_sees_only_what_its_roles_allow(door: Any) -> None:
    _sign_in(door, "looker")
    door.get_by_role("link", name="Try").wait_for()
    assert door.get_by_role("button", name="Load scores").count() == 0
    assert door.get_by_role("link", name="Live").count() == 0


def test_the_first_page_is_one_that_the_key_may_read(door: Any) -> None:
    _sign_in(door, "meter")
    door.get_by_role("heading", name="Live").wait_for()
    assert door.get_by_role("link", name="Models").count() == 0


@pytest.mark.parametrize(
    ("key", "own", "closed", "role"),
    [
        ("meter", "Live", "models", "infer"),
        ("auditor", "Audit", "live", "metrics"),
        ("looker", "Models", "audit", "admin"),
    ],
)
def test_a_page_that_the_key_may_not_read_says_so_and_the_others_go_on(
    door: Any, key: str, own: str, closed: str, role: str
) -> None:
    door.evaluate("place => location.hash = place", f"#/{closed}")
    _sign_in(door, key)
    door.get_by_role("alert").wait_for()
    assert f"The key {key} does not have the role {role}." in door.get_by_role("alert").inner_text()
    door.get_by_label("Language").select_option("ja")
    door.get_by_role("alert").get_by_text(f"キー {key} にはロール {role} がありません。").wait_for()
    door.get_by_label("言語").select_option("en")
    door.get_by_role("link", name=own, exact=True).click()
    door.get_by_role("heading", name=own).wait_for()
    assert door.get_by_role("alert").count() == 0


def test_a_key_that_opens_no_page_is_told_each_time(door: Any) -> None:
    told = door.get_by_text("This key opens no page: its roles are feedback")
    _sign_in(door, "reporter")
    told.wait_for()
    with door.expect_response("**/adaptact/v1/me"):
        _sign_in(door, "reporter")
    told.wait_for()
    door.get_by_role("button", name="Sign out").click()
    told.wait_for(state="detached")


def test_a_role_or_key_that_is_taken_away_closes_what_needs_it(
    door: Any, locked: ServerProcess, keys: Path
) -> None:
    _sign_in(door, "leaver")
    door.get_by_role("link", name="Live").click()
    door.locator(".line-chart").first.wait_for()
    _write_keys(keys, {**KEYS, "leaver": frozenset({"infer"})})
    door.get_by_text("The key leaver does not have the role metrics.").wait_for()
    assert door.get_by_role("link", name="Live").count() == 0
    door.get_by_role("link", name="Models").click()
    door.get_by_role("link", name="scores").wait_for()
    _write_keys(keys, {name: roles for name, roles in KEYS.items() if name != "leaver"})
    door.get_by_text("This server does not know the key.").wait_for()


def test_the_key_is_in_no_command_to_copy(door: Any, locked: ServerProcess) -> None:
    _sign_in(door, "ops")
    door.get_by_role("link", name="Try").click()
    door.get_by_label("curl", exact=True).wait_for()
    assert "Bearer $ADAPTACT_API_KEY" in door.get_by_label("curl", exact=True).inner_text()
    assert 'api_key=os.environ["ADAPTACT_API_KEY"]' in door.get_by_label("Python", exact=True).inner_text()


def test_the_key_is_sent_to_this_server_alone_and_no_cookie_is(door: Any) -> None:
    sent: list[dict[str, str]] = []
    door.on("request", lambda request: sent.append({"url": request.url, **request.all_headers()}))
    _sign_in(door, "ops")
    door.get_by_role("link", name="Live").click()
    door.locator(".line-chart").first.wait_for()
    assert all("cookie" not in request for request in sent)
    bearers = [request["url"] for request in sent if "authorization" in request]
    assert any(url.endswith("/adaptact/v1/live") for url in bearers)


NOTHING_KEPT = """for (const name of ["localStorage", "sessionStorage"])
  Object.defineProperty(window, name, { get() { throw new DOMException("denied", "SecurityError"); } });"""


def test_a_browser_that_keeps_nothing_for_sites_shows_the_console_all_the_same(
    context: Any, locked: ServerProcess
) -> None:
    page = context.new_page()
    complaints: list[str] = []
    watch(page, complaints)
    page.add_init_script(NOTHING_KEPT)
    page.goto(f"{locked.url}/console")
    page.get_by_role("heading", name="Sign in").wait_for()
    _sign_in(page, "ops")
    page.get_by_role("button", name="Unload scores").wait_for()
    assert complaints == []
