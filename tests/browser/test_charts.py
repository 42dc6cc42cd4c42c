"""Charts in a real browser, on a page of their own under the policy of the pages: read, follow, choose, stay."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from markupsafe import Markup
from playwright.sync_api import Browser, Locator, Page, Route, expect

from task_app import dashboard
from task_app.dashboard import drawing
from task_app.jobs.timeline import Box, Kind
from task_app.web.headers import PAGE_POLICY

STATIC = Path(dashboard.__file__).parent / "static"
SITE = "http://charts.test"
START = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
SCRIPTS = ("chart", "chart-times", "family")
#: What a live page does: new content in the place of the old.
SWAP = """() => {
  const region = document.querySelector("[data-live]");
  region.innerHTML = window.served;
  document.dispatchEvent(new CustomEvent("live:swapped"));
}"""


def link(since: str, until: str, state: str | None) -> str:
    return f"/jobs?finished_after={since}&finished_before={until}" + (f"&status={state}" if state else "")


def bars(start: datetime = START) -> Markup:
    """Sixty minutes with eight successes and two failures each; nobody looked at minutes 10 to 19."""
    seen = [not 10 <= minute < 20 for minute in range(60)]
    return drawing.throughput(
        drawing.Window(start=start, step=timedelta(minutes=1), count=60),
        succeeded=[8 if one else None for one in seen],
        failed=[2 if one else None for one in seen],
        revoked=[0 if one else None for one in seen],
        name="ended",
        link=link,
    )


def family() -> Markup:
    nodes = [drawing.Node(f"n{i}", f"task{i}", "SUCCESS") for i in range(30)]
    edges = [drawing.Edge(f"n{i}", f"n{i + 1}", "then") for i in range(29)]
    return drawing.family_graph(nodes, edges, "n20", lambda job: f"/jobs/{job}")


def past() -> Markup:
    runs = [drawing.Run(f"r{i}", "SUCCESS", START + timedelta(minutes=i), 1 + i % 3) for i in range(10)]
    return drawing.past_runs(runs, here="r4", link=lambda job: f"/jobs/{job}")


def timeline() -> Markup:
    now = START + timedelta(seconds=61)
    box = Box(kind=Kind.RUN, label="runs", start=START, end=now, attempt=1, state="STARTED", open=True)
    return drawing.lanes([box], now=now)


@pytest.fixture
def shown(page: Page) -> Callable[..., Page]:
    """Show a drawing on a page with the real scripts, stylesheets and Content-Security-Policy."""
    return lambda drawn, clock="local": show(page, drawn, clock)


def show(page: Page, drawn: Markup, clock: str) -> Page:
    scripts = "".join(f'<script type="module" src="/js/{name}.js"></script>' for name in SCRIPTS)
    body = (
        f'<!doctype html><html lang="en"><meta name="viewport" content="width=device-width">'
        f'<title>x</title><link rel="stylesheet" href="/app.css">'
        f'<link rel="stylesheet" href="/charts.css">{scripts}<main><label>Times<select data-clock>'
        f'<option>{clock}</option></select></label><h1>x</h1><section data-live id="charts">{drawn}</section></main>'
    )

    def answer(route: Route) -> None:
        file = STATIC / route.request.url.removeprefix(f"{SITE}/")
        if file.is_file():
            route.fulfill(path=file)
        else:
            policy = PAGE_POLICY.format(nonce="", styles="")
            route.fulfill(
                body=body, content_type="text/html; charset=utf-8", headers={"Content-Security-Policy": policy}
            )

    page.route(f"{SITE}/**", answer)
    page.goto(f"{SITE}/?task=add&window=1h")
    page.evaluate("html => { window.served = html; }", str(drawn))
    return page


def place(page: Page, minute: float, height: float = 0.5) -> tuple[float, float]:
    """Return where on the screen a minute of the bars is, and so high."""
    ground = page.locator(".chart-ground").bounding_box()
    assert ground is not None
    return ground["x"] + ground["width"] * (minute + 0.5) / 60, ground["y"] + ground["height"] * (1 - height)


def reading(page: Page) -> Locator:
    return page.locator(".chart-reading")


def drag(page: Page, first: int, last: int) -> None:
    page.mouse.move(*place(page, first))
    page.mouse.down()
    page.mouse.move(*place(page, last), steps=4)


def test_the_pointer_reads_a_span_in_the_clock_that_was_chosen(shown: Callable[..., Page]) -> None:
    page = shown(bars())
    page.mouse.move(*place(page, 30))
    expect(reading(page)).to_have_text("21 Nov 21:30 – 21:31succeeded8failed2revoked0")
    page.mouse.move(*place(page, 12))
    expect(reading(page)).to_have_text("21 Nov 21:12 – 21:13not recorded")
    page.mouse.move(0, 0)
    expect(reading(page)).to_be_hidden()
    page = shown(bars(), "utc")
    page.mouse.move(*place(page, 30))
    expect(reading(page)).to_contain_text("20:30 – 20:31 UTC")


def test_axes_are_in_the_clock_that_was_chosen(shown: Callable[..., Page]) -> None:
    ticks = ".tick:not(.fine) text"
    assert shown(bars()).locator(ticks).all_text_contents() == ["21:00", "21:30", "22:00"]
    assert shown(bars(), "utc").locator(ticks).all_text_contents() == ["20:00", "20:30", "21:00"]


def test_ticks_move_to_where_a_clock_of_half_hours_is_round(browser: Browser) -> None:
    context = browser.new_context(timezone_id="Asia/Kolkata", locale="en-GB")
    window = drawing.Window(start=START, step=timedelta(hours=1), count=24)
    values = [1.0] * 24
    page = show(
        context.new_page(),
        drawing.throughput(window, succeeded=values, failed=values, revoked=values, name="day"),
        "local",
    )
    labels = page.locator(".tick:not([hidden]) text").all_text_contents()
    assert all(label.endswith(":00") or " Nov" in label for label in labels)
    assert labels.count("22 Nov") + labels.count("23 Nov") == 1
    context.close()


def test_a_bar_leads_to_its_jobs_and_a_part_of_it_to_those(shown: Callable[..., Page]) -> None:
    page = shown(bars())
    page.mouse.click(*place(page, 30, 0.1))
    page.wait_for_url("**/jobs?**")
    assert page.url == f"{SITE}{link('2026-11-21T20%3A30%3A00Z', '2026-11-21T20%3A31%3A00Z', 'FAILURE')}"
    page = shown(bars())
    page.mouse.click(*place(page, 30, 0.99))
    page.wait_for_url("**/jobs?**SUCCESS")


def test_a_window_is_chosen_by_dragging(shown: Callable[..., Page]) -> None:
    page = shown(bars())
    drag(page, 40, 25)
    expect(reading(page)).to_contain_text("21:25 – 21:41")
    page.mouse.up()
    page.wait_for_url("**from=**")
    assert page.url == f"{SITE}/?task=add&from=2026-11-21T20%3A25%3A00Z&to=2026-11-21T20%3A41%3A00Z"


def test_escape_takes_a_choice_back(shown: Callable[..., Page]) -> None:
    page = shown(bars())
    drag(page, 40, 25)
    page.keyboard.press("Escape")
    expect(page.locator(".chart-choice")).to_be_hidden()
    page.mouse.up()
    page.mouse.move(*place(page, 3))
    expect(reading(page)).to_contain_text("21:03 – 21:04")
    assert "from=" not in page.url


def test_the_keyboard_reads_chooses_and_follows(shown: Callable[..., Page]) -> None:
    page = shown(bars())
    page.locator(".chart-reader").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    slider = page.get_by_role("slider")
    expect(slider).to_have_attribute("aria-valuetext", "21 Nov 21:01 – 21:02: succeeded 8, failed 2, revoked 0")
    page.keyboard.press("PageUp")
    expect(slider).to_have_attribute("aria-valuetext", "21 Nov 21:11 – 21:12: not recorded")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_url("**from=**")
    assert page.url.endswith("&from=2026-11-21T20%3A11%3A00Z&to=2026-11-21T20%3A14%3A00Z")
    page = shown(bars())
    page.locator(".chart-reader").focus()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs?**")
    assert page.url == f"{SITE}{link('2026-11-21T20%3A59%3A00Z', '2026-11-21T21%3A00%3A00Z', None)}"


def test_what_is_read_and_chosen_outlasts_a_swap(shown: Callable[..., Page]) -> None:
    page = shown(bars())
    page.mouse.move(*place(page, 30))
    page.evaluate(SWAP)
    expect(reading(page)).to_contain_text("21:30 – 21:31")
    page.locator(".chart-reader").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Shift+ArrowRight")
    page.evaluate(SWAP)
    expect(page.locator(".chart-reader")).to_be_focused()
    expect(page.locator(".chart-choice")).to_be_visible()
    page.keyboard.press("Enter")
    page.wait_for_url("**from=2026-11-21T20%3A00%3A00Z&to=2026-11-21T20%3A02%3A00Z")


def test_what_is_read_stays_with_its_time_when_the_window_moves_on(shown: Callable[..., Page]) -> None:
    page = shown(bars())
    drag(page, 40, 35)
    page.evaluate("html => { window.served = html; }", str(bars(START + timedelta(minutes=5))))
    page.evaluate(SWAP)
    expect(reading(page)).to_contain_text("21:35 – 21:41")
    page.mouse.up()
    page.wait_for_url("**from=2026-11-21T20%3A35%3A00Z&to=2026-11-21T20%3A41%3A00Z")


def test_a_swap_while_dragging_loses_nothing(shown: Callable[..., Page]) -> None:
    page = shown(bars())
    drag(page, 40, 30)
    page.evaluate(SWAP)
    page.mouse.move(*place(page, 25))
    page.mouse.up()
    page.wait_for_url("**from=2026-11-21T20%3A25%3A00Z&to=2026-11-21T20%3A41%3A00Z")


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, timezone_id="UTC", locale="en-GB"
    )
    yield context.new_page()
    context.close()


def test_a_finger_reads_first_and_follows_then(phone: Page) -> None:
    page = show(phone, bars(), "local")
    page.touchscreen.tap(*place(page, 30, 0.1))
    expect(reading(page)).to_contain_text("20:30 – 20:31")
    assert "/jobs" not in page.url
    page.touchscreen.tap(*place(page, 30, 0.1))
    page.wait_for_url("**/jobs?**")


@pytest.mark.parametrize("drawn", [bars, family, past, timeline])
def test_nothing_is_wider_than_a_phone(phone: Page, drawn: Callable[[], Markup]) -> None:
    page = show(phone, drawn(), "local")
    assert page.evaluate("document.documentElement.scrollWidth") == 360


OVERLAPS = """() => {
  const labels = [...document.querySelectorAll(".chart-plot text")].map((text) => text.getBoundingClientRect());
  const shown = labels.filter((box) => box.width);
  const meets = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  return shown.flatMap((a, i) => shown.slice(i + 1).filter((b) => meets(a, b)));
}"""


def test_labels_do_not_overlap(browser: Browser) -> None:
    values = [float(n) for n in range(60)]
    for width in (320, 360, 700, 1200, 2000):
        page = browser.new_page(viewport={"width": width, "height": 900})
        for minutes in (1 / 6, 1, 24, 24 * 7):
            window = drawing.Window(start=START, step=timedelta(minutes=minutes), count=60)
            drawn = drawing.depth(window, waiting=values, oldest=values, name="depth")
            show(page, drawn, "utc")
            assert page.evaluate(OVERLAPS) == [], (width, minutes)
        page.close()


def test_the_present_job_of_a_large_family_is_in_sight_and_scrolling_is_kept(shown: Callable[..., Page]) -> None:
    page = shown(family())
    expect(page.locator(".member[aria-current]")).to_be_in_viewport()
    page.locator(".family-scroll").evaluate("box => { box.scrollLeft = 17; }")
    page.wait_for_function("document.querySelector('.family-scroll').scrollLeft === 17")
    page.evaluate("new Promise(requestAnimationFrame)")
    page.evaluate(SWAP)
    assert page.locator(".family-scroll").evaluate("box => box.scrollLeft") == 17


def test_arrows_go_from_run_to_run_and_tab_stops_once(shown: Callable[..., Page]) -> None:
    page = shown(past())
    stops = page.locator("a[data-run][tabindex='0']")
    expect(stops).to_have_count(1)
    stops.focus()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "/jobs/r3"


def test_what_goes_on_counts_on(shown: Callable[..., Page]) -> None:
    page = shown(timeline())
    expect(page.locator(".box-time")).not_to_have_text("1 min 1 s")
