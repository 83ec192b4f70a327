"""What a journey asks for: the network, a browser, Samtal; and what is kept of a journey that failed."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from benchmarks.at_network import PDS, Account, AtNetwork
from tests.e2e.colleague import Colleague
from tests.e2e.feed import Feed
from tests.e2e.samtal import ROOT, Samtal

UP = ROOT.parent / "shared" / "tools" / "at-network" / "up"
FIRST_START = 600
"""Seconds that the network may take where it has to be compiled first."""
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip
WIDE = {"width": 1360, "height": 860}
PATIENCE = 20_000
"""Milliseconds for what a page does by itself; two busy cores may need a good part of it for a page's first run."""
_outcome = pytest.StashKey[bool]()

Started = Callable[..., Samtal]
Comes = Callable[..., Colleague]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(420))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    item.stash[_outcome] = item.stash.get(_outcome, True) and not report.failed  # type: ignore[attr-defined]
    return report


# The world ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def network() -> Iterator[AtNetwork]:
    """The real Bluesky network of this machine; started where it does not run, and then left running."""
    network = AtNetwork()
    if not network.is_up():
        if not UP.exists():
            pytest.skip(f"no Bluesky network answers at {PDS}, and ../shared is not beside this checkout to start one")
        if shutil.which("node") is None:
            pytest.skip("node is absent, which the Bluesky network needs")
        subprocess.run([str(UP)], check=True, timeout=FIRST_START)
    yield network
    network.close()


@pytest.fixture
def company(network: AtNetwork) -> Account:
    """Our own account on the network."""
    return network.account("fjordcycles", display_name="Fjord Cycles")


@pytest.fixture
def jane(network: AtNetwork) -> Account:
    """Somebody on the network who speaks of us."""
    return network.account("jane", display_name="Jane Lind")


@pytest.fixture
def word() -> str:
    """A word that nobody on the network has written before."""
    return f"fjord{secrets.token_hex(5)}"


@pytest.fixture
def feed() -> Iterator[Feed]:
    feed = Feed()
    yield feed
    feed.close()


# Samtal and its colleagues --------------------------------------------------------------------------------------------


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Started]:
    """Starts a Samtal with settings by keyword; it is stopped after the test."""
    with ExitStack() as stack:

        def start(**environment: str) -> Samtal:
            samtal = Samtal(tmp_path, **environment)
            stack.callback(samtal.stops)
            samtal.starts()
            return samtal

        yield start


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("chromium is absent: apt-get install chromium")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def comes(browser: Browser, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Comes]:
    """Somebody sits down before a browser of their own: `comes(samtal)`."""
    people: list[BrowserContext] = []

    def comes(samtal: Samtal) -> Colleague:
        person = browser.new_context(viewport=WIDE, locale="en-GB", timezone_id="Europe/Stockholm")
        person.set_default_timeout(PATIENCE)
        people.append(person)
        return Colleague(person.new_page(), samtal)

    yield comes
    if not request.node.stash.get(_outcome, True):
        _keep(request.node.name, people, tmp_path)
    for person in people:
        person.close()


def _keep(name: str, people: list[BrowserContext], folder: Path) -> None:
    """Pictures of every tab and the logs of every process, where they outlive the test."""
    kept = Path(tempfile.mkdtemp(prefix=f"samtal-{name[:60]}-"))
    tabs = [page for person in people for page in person.pages]
    for number, page in enumerate(tabs, 1):
        page.screenshot(path=kept / f"tab-{number}.png", full_page=True)
        (kept / f"tab-{number}.txt").write_text(f"{page.url}\n\n{page.inner_text('body')}", "utf-8")
    for log in folder.glob("*.log"):
        shutil.copy(log, kept)
    print(f"\nWhat the screen and the logs showed is kept in {kept}")
