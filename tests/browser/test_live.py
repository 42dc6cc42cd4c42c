"""Pages that keep themselves up to date, and a mark that says whether they do."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Page, Request, expect

from ..acceptance.stack import Stack, until
from ..chaos.proxy import Proxy

ENTRY = "tests.browser.probe:app"


class Board:
    """What the probe page shows."""

    def __init__(self, folder: Path, page: Page) -> None:
        self._path = folder / "probe.json"
        self.page = page
        self.url = ""
        self.fetches: list[float] = []
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        if "x-live" in request.headers:
            self.fetches.append(time.monotonic())

    def write(self, *, status: int = 200, title: str = "Probe", **regions: str) -> None:
        """Let the page have these regions."""
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps({"status": status, "title": title, "regions": regions}), encoding="utf-8")
        new.rename(self._path)

    def open(self, address: str, one: str, two: str = "") -> None:
        """Open the page and wait until it is live."""
        self.write(one=one, two=two)
        self.url = f"{address}/probe"
        self.page.goto(self.url)
        self.is_marked("live", "Live")

    def is_marked(self, state: str, words: str, patience: float = 30_000) -> None:
        """Wait until the mark says this."""
        mark = self.page.locator("#live-mark")
        expect(mark).to_have_attribute("data-state", state, timeout=patience)
        expect(mark).to_have_text(words)

    def gets(self, state: str, step: int) -> None:
        """Let the page's clock go on in steps until the mark says this."""
        for _ in range(30):
            self.page.clock.run_for(step)
            self.page.wait_for_timeout(500)
            if self.page.locator("#live-mark").get_attribute("data-state") == state:
                return
        raise AssertionError(f"the page did not get {state}")

    def shows(self, text: str, region: str = "one") -> None:
        """Wait until a region has this text."""
        expect(self.page.locator(f"#{region}")).to_contain_text(text, timeout=15_000)


@pytest.fixture
def board(stack: Stack, page: Page) -> Board:
    return Board(stack.folder, page)


@pytest.fixture(scope="module")
def probe(stack: Stack) -> str:
    """The address of the service with the probe page."""
    return stack.start_web(ENTRY)


@pytest.fixture
def network(probe: str) -> Iterator[Proxy]:
    """What is between the browser and the service."""
    parts = urlsplit(probe)
    assert parts.hostname and parts.port
    proxy = Proxy(parts.hostname, parts.port)
    proxy.start()
    yield proxy
    proxy.close()


def hide(page: Page, hidden: bool = True) -> None:
    """Let the page believe that another tab is in front of it: headless chromium shows all of them."""
    page.evaluate(
        "hidden => { Object.defineProperty(document, 'hidden', { get: () => hidden, configurable: true });"
        "document.dispatchEvent(new Event('visibilitychange')) }",
        hidden,
    )


@contextmanager
def one_place(stack: Stack) -> Iterator[tuple[str, str]]:
    """Yield the addresses of a service with one place for watchers, and of a stream to take it with."""
    address = stack.start_web(ENTRY, FLASK_WATCH_LIMIT="1")
    server = stack.processes[-1]
    yield address, f"{address}/live/probe"
    stack.kill(server)


def has_place(url: str) -> bool:
    with httpx.stream("GET", url) as response:
        return response.status_code == 200


# -- what changes -----------------------------------------------------------------------------------------------------


def test_a_change_is_on_the_screen_within_a_second(board: Board, probe: str) -> None:
    board.open(probe, one="first", two="stays")
    assert board.fetches == [], "what was just served is not fetched again"
    board.page.evaluate("document.addEventListener('live:swapped', e => { swapped = e.detail.regions.map(r => r.id) })")
    board.write(one="<b>second</b>", two="stays", title="New title")
    began = time.monotonic()
    board.shows("second")
    assert time.monotonic() - began < 1
    assert board.page.evaluate("window.swapped") == ["one"]
    assert board.page.title() == "New title"
    board.is_marked("live", "Live")


def test_attributes_of_a_region_follow(board: Board, probe: str) -> None:
    board.open(probe, one="first")
    board.page.evaluate("document.querySelector('#one').setAttribute('data-old', '1')")
    board.write(one="second")
    board.shows("second")
    assert board.page.locator("#one").get_attribute("data-old") is None


def test_the_last_of_many_changes_is_shown_and_few_are_fetched(board: Board, probe: str) -> None:
    board.open(probe, one="first")
    began = time.monotonic()
    for number in range(40):
        board.write(one=f"number {number}")
        board.page.evaluate("document.body.dataset.paused = 'yes'")
        board.page.wait_for_timeout(25)
        board.page.evaluate("delete document.body.dataset.paused")  # asks for a fetch at once
    board.shows("number 39")
    assert len(board.fetches) <= (time.monotonic() - began) / 0.25 + 2


# -- what a person is doing -------------------------------------------------------------------------------------------

RICH = """
<details id="d"><summary>more</summary>{0}</details><details><summary>no id</summary>{0}</details>
<table><tbody>{rows}</tbody></table><input type="checkbox" id="c" aria-label="check">
<select id="s" aria-label="s"><option>a<option>b</select>
<input name="q" aria-label="q" value="x"><span>{0}</span>
"""


def rich(word: str, *rows: str) -> str:
    links = "".join(f'<tr data-row="{row}"><td><a href="#{row}">{row}</a></td></tr>' for row in rows)
    return RICH.format(word, rows=links)


def test_focus_details_scroll_and_inputs_stay(board: Board, probe: str) -> None:
    page = board.page
    board.open(probe, one=rich("first", "a", "b"))
    page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
    page.locator("#c").check()
    page.locator("#s").select_option("b")
    page.locator("[name=q]").fill("edited")
    page.locator("[data-row=b] a").focus()
    board.write(one=rich("second", "new", "a", "b"))
    board.shows("second")
    assert page.evaluate("[...document.querySelectorAll('details')].map(d => d.open)") == [True, True]
    assert page.locator("#c").is_checked()
    assert page.locator("#s").input_value() == "b"
    assert page.locator("[name=q]").input_value() == "edited"
    assert page.evaluate("document.activeElement.textContent") == "b", "the row has moved, the focus is on it still"


def test_scrolled_boxes_and_the_page_stay_where_they_are(board: Board, probe: str) -> None:
    page = board.page
    tall = '<svg width="10" height="3000"></svg>'
    # No inline styles here: a region has its size from what is in it, a textarea scrolls by itself.
    text = "\n".join(str(n) for n in range(100))
    board.open(probe, one=f'<textarea id="t" aria-label="t">{text}</textarea><p>first</p>{tall}')
    page.evaluate("document.querySelector('#t').scrollTop = 200; scrollTo(0, 300)")
    board.write(one=f'<textarea id="t" aria-label="t">{text}</textarea><p>second</p>{tall}')
    board.shows("second")
    assert page.evaluate("[document.querySelector('#t').scrollTop, scrollY]") == [200, 300]


def test_a_region_in_which_somebody_types_waits(board: Board, probe: str) -> None:
    page = board.page
    board.open(probe, one='<input name="n" aria-label="n"><p>first</p>', two="first")
    page.locator("[name=n]").press_sequentially("abc")
    board.write(one='<input name="n" aria-label="n"><p>second</p>', two="second")
    board.shows("second", "two")
    board.shows("first")
    board.is_marked("paused", "Paused while you edit")
    page.locator("#outside").focus()
    board.shows("second")
    assert page.locator("[name=n]").input_value() == "abc"
    board.is_marked("live", "Live")


def test_selected_text_stays_selected(board: Board, probe: str) -> None:
    page = board.page
    board.open(probe, one='<p id="p">copy me</p>', two="first")
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#p'))")
    board.write(one='<p id="p">something else</p>', two="second")
    board.shows("second", "two")
    board.is_marked("paused", "Paused while text is selected")
    assert page.evaluate("String(getSelection())") == "copy me"
    page.evaluate("getSelection().removeAllRanges()")
    board.shows("something else")
    board.is_marked("live", "Live")


def test_what_is_pressed_is_there_when_it_is_let_go(board: Board, probe: str) -> None:
    page = board.page
    board.open(probe, one="<button>first</button>")
    page.evaluate("document.addEventListener('click', e => window.clicked = e.target.tagName)")
    page.locator("#one button").hover()
    page.mouse.down()
    board.write(one="<button>second</button>")
    page.wait_for_timeout(1000)
    assert page.locator("#one").text_content() == "first"
    page.mouse.up()
    board.shows("second")
    assert page.evaluate("window.clicked") == "BUTTON"


def test_nothing_moves_while_paused(board: Board, probe: str) -> None:
    page = board.page
    board.open(probe, one="first")
    page.evaluate("document.body.dataset.paused = 'yes'")
    board.is_marked("paused", "Paused while rows are selected")
    board.write(one="second")
    page.wait_for_timeout(1000)
    assert page.locator("#one").text_content() == "first" and board.fetches == []
    page.evaluate("delete document.body.dataset.paused")
    board.shows("second")
    board.is_marked("live", "Live")


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_lost_connection_is_shown_and_comes_back(board: Board, network: Proxy) -> None:
    board.open(f"http://127.0.0.1:{network.port}", one="first")
    network.refuse()
    network.cut()
    board.is_marked("lost", "Connection lost, trying again")
    board.write(one="second")
    network.refuse(False)
    board.shows("second")
    board.is_marked("live", "Live")
    board.write(one="third")
    board.shows("third")


def test_a_server_that_was_away_for_long_is_found_again(board: Board, network: Proxy) -> None:
    board.page.clock.install()
    board.open(f"http://127.0.0.1:{network.port}", one="first")
    network.refuse()
    network.cut()
    for _ in range(3):  # tries to get a stream, then polls; the next stream is tried much later
        board.is_marked("lost", "Connection lost, trying again")
        board.page.wait_for_timeout(300)
        board.page.clock.run_for(5000)
    board.write(one="second")
    network.refuse(False)
    board.page.clock.run_for(6000)
    board.shows("second")
    board.is_marked("live", "Live", patience=5_000)  # a poll has found it, so the stream is not waited for


def test_a_connection_that_is_dead_without_a_word_is_noticed(board: Board, network: Proxy) -> None:
    board.page.clock.install()
    board.open(f"http://127.0.0.1:{network.port}", one="first")
    network.freeze()
    board.write(one="second")
    board.page.clock.run_for(14_000)
    board.is_marked("live", "Live")
    board.page.clock.run_for(1_500)
    board.is_marked("lost", "Connection lost, trying again")
    board.page.clock.run_for(2_000)
    board.shows("second")
    board.is_marked("live", "Live")


def test_without_streams_the_page_polls_and_goes_on_trying(board: Board, stack: Stack) -> None:
    page = board.page
    with one_place(stack) as (address, stream):
        board.write(one="first")
        page.clock.install()
        with httpx.stream("GET", stream) as taken:
            assert taken.status_code == 200
            page.goto(f"{address}/probe")
            board.is_marked("lost", "Connection lost, trying again")
            board.gets("polling", 2_000)
            board.is_marked("polling", "Updates every 5 s")
            board.write(one="second")
            page.clock.run_for(5_000)
            board.shows("second")
            board.is_marked("polling", "Updates every 5 s")
        board.gets("live", 30_000)
        board.write(one="third")
        page.wait_for_timeout(1_000)
        page.clock.run_for(1_000)
        board.shows("third")


def test_a_page_that_cannot_be_made_is_not_called_live(board: Board, probe: str) -> None:
    board.open(probe, one="first")
    board.write(status=503, one="second")
    board.is_marked("lost", "Connection lost, trying again")
    board.shows("first")
    board.write(one="third")
    board.shows("third")
    board.is_marked("live", "Live")


@pytest.mark.parametrize("status", [401, 403, 404])
def test_who_may_not_see_the_page_any_more_is_told_by_the_page(board: Board, probe: str, status: int) -> None:
    board.open(probe, one="first")
    with board.page.expect_navigation():
        board.write(status=status, one="second")
    board.shows("second")


# -- tabs -------------------------------------------------------------------------------------------------------------


def test_a_hidden_page_gives_its_place_back_and_wakes_up_with_the_news(board: Board, stack: Stack) -> None:
    page = board.page
    with one_place(stack) as (address, stream):
        page.clock.install()
        board.open(address, one="first")
        hide(page)
        page.clock.run_for(59_000)
        assert not has_place(stream)
        page.clock.run_for(2_000)
        until(lambda: has_place(stream), "the place")
        board.write(one="second")
        page.clock.run_for(2_000)
        board.shows("first")
        hide(page, False)
        board.gets("live", 2_000)
        page.clock.run_for(1_000)
        board.shows("second")
        assert not has_place(stream)


def test_the_tab_in_front_takes_the_connection_of_those_behind(board: Board, probe: str) -> None:
    board.open(probe, one="first")
    tabs = [board.page]
    for _ in range(7):  # a browser makes six connections to a server; the next request waits for ever
        hide(tabs[-1])
        tabs.append(board.page.context.new_page())
        tabs[-1].goto(board.url)
        expect(tabs[-1].locator("#live-mark")).to_have_attribute("data-state", "live")
    board.write(one="second")
    expect(tabs[-1].locator("#one")).to_have_text("second")


def test_the_mark_says_so_where_scripts_are_off(board: Board, probe: str) -> None:
    browser = board.page.context.browser
    assert browser is not None
    board.write(one="first")
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(f"{probe}/probe")
    expect(plain.locator("#live-mark")).to_have_text("Not live")
    context.close()
