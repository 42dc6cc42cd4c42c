"""Charts: gaps are gaps, what nobody looked at is no zero, names stay text, many points stay small."""

import random
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from task_app.dashboard import drawing
from task_app.dashboard.drawing import Run, Window, depth, past_runs, percentiles, sparkline, throughput
from task_app.dashboard.drawing.bars import HEIGHT, LEAST, outline
from task_app.dashboard.drawing.frame import FINE
from task_app.dashboard.drawing.lines import ring, trace
from task_app.dashboard.drawing.past_runs import typical

START = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
EVIL = "<script>alert('1')</script>\"&"
Maybe = Sequence[float | None]


def minutes(count: int, now: datetime | None = None, seen: Sequence[bool] | None = None) -> Window:
    return Window(start=START, step=timedelta(minutes=1), count=count, now=now, seen=seen)


def link(since: str, until: str, state: str | None) -> str:
    return f"/jobs?finished_after={since}&finished_before={until}&status={state or ''}"


def ended(
    succeeded: Maybe, failed: Maybe | None = None, window: Window | None = None, title: str = "Jobs"
) -> ElementTree.Element:
    """Draw throughput, and read it as XML: whatever isn't well-formed fails here."""
    failed = failed or [None if value is None else 0 for value in succeeded]
    revoked = [None if value is None else 0 for value in succeeded]
    window = window or minutes(len(succeeded))
    drawn = throughput(
        window, succeeded=succeeded, failed=failed, revoked=revoked, name="ended", title=title, link=link
    )
    return ElementTree.fromstring(drawn)


def all_of(tree: ElementTree.Element, name: str, **wanted: str) -> list[ElementTree.Element]:
    wanted = {key.rstrip("_").replace("_", "-"): value for key, value in wanted.items()}
    return [one for one in tree.iter(name) if all(one.get(key) == value for key, value in wanted.items())]


def text(tree: ElementTree.Element) -> str:
    return "".join(tree.itertext())


def heights(tree: ElementTree.Element, kind: str) -> list[float]:
    """Return the heights of the bars of a kind, in pixels."""
    return [
        int(n) / FINE
        for path in all_of(tree, "path", class_="bar", data_kind=kind)
        for n in re.findall(r"V(\d+)", path.get("d", ""))
        if n != "0"
    ]


def test_bars_stand_on_each_other_and_one_failure_among_thousands_is_seen() -> None:
    tree = ended([20_000, 10_000], [0, 1])
    assert heights(tree, "bad") == [LEAST]
    first, second = heights(tree, "ok")
    assert first == HEIGHT
    assert second == HEIGHT / 2 + LEAST or second == HEIGHT / 2


def test_time_that_nobody_looked_at_is_hatched_and_named_and_no_zero() -> None:
    tree = ended([3, None, None, 0])
    (gaps,) = all_of(tree, "clipPath")
    assert gaps[0].get("d") == "M1 0h2v1h-2z"
    assert "not recorded" in text(tree)
    assert "Nothing was recorded for 2 of 4 spans" in text(all_of(tree, "desc")[0])
    assert all_of(tree, "li", data_kind="ok")[0].get("data-values") == "3 - - 0"
    assert not all_of(ended([3, 0, 0, 0]), "clipPath")


def test_the_span_that_is_not_over_is_veiled_and_what_is_to_come_is_not_unknown() -> None:
    tree = ended([3, 2, None], window=minutes(3, now=START + timedelta(seconds=90)))
    assert [(one.get("x"), one.get("width")) for one in all_of(tree, "rect", class_="unfinished")] == [
        ("33.33%", "33.33%")
    ]
    assert not all_of(tree, "clipPath")


def test_nothing_and_unknown_are_told_apart_in_words() -> None:
    assert "No job ended in this time." in text(ended([0, 0]))
    assert "Nothing was recorded in this time." in text(ended([None, None]))


def test_every_number_is_a_link_to_its_jobs() -> None:
    tree = ended([3, 4], [1, 0])
    (failed,) = all_of(tree, "li", data_kind="bad")
    whole = link("2026-11-21T20:00:00Z", "2026-11-21T20:02:00Z", "FAILURE")
    assert failed[0].get("href") == whole
    assert failed.get("data-link") == link("__from__", "__until__", "FAILURE")
    assert tree.get("data-link") == link("__from__", "__until__", None)
    (first, _) = [a.get("href") for th in all_of(tree, "th", scope="row") for a in th]
    assert first == link("2026-11-21T20:00:00Z", "2026-11-21T20:01:00Z", None)


def test_the_picture_has_a_name_and_words() -> None:
    tree = ended([3, 4], [1, 0])
    (plot,) = all_of(tree, "svg", role="img")
    ids = {one.get("id"): text(one) for one in tree.iter() if one.get("id")}
    assert ids[plot.get("aria-labelledby")] == "Jobs"
    words = ids[plot.get("aria-describedby")]
    assert words.startswith("21 Nov 2026 20:00 to 20:02 UTC: 7 succeeded, 1 failed, 0 revoked, at most 4 in 1 min")


def test_names_stay_text() -> None:
    tree = ended([1], title=EVIL)
    assert text(all_of(tree, "span", class_="chart-title")[0]) == EVIL
    run = Run(EVIL, EVIL, START, 1.0)
    runs = ElementTree.fromstring(past_runs([run], here=EVIL, link=lambda job: f"/jobs/{job}"))
    assert all_of(runs, "a")[0].get("href") == f"/jobs/{EVIL}"
    assert ElementTree.fromstring(sparkline([1], label=EVIL)).get("aria-label") == EVIL


@pytest.mark.parametrize("draw", ["throughput", "percentiles", "depth"])
def test_many_points_stay_small(draw: str) -> None:
    noise = random.Random(4)
    window = Window(start=START, step=timedelta(seconds=10), count=360)
    some = [[noise.lognormvariate(0, 1) for _ in range(360)] for _ in range(3)]
    counts = [[float(noise.randrange(500)) for _ in range(360)] for _ in range(3)]
    drawn: Markup = {
        "throughput": lambda: throughput(window, succeeded=counts[0], failed=counts[1], revoked=counts[2], name="x"),
        "percentiles": lambda: percentiles(window, p50=some[0], p95=some[1], p99=some[2], name="x"),
        "depth": lambda: depth(window, waiting=counts[0], oldest=some[0], name="x"),
    }[draw]()
    picture = str(drawn)[str(drawn).index("<svg") : str(drawn).rindex("</svg>")]
    assert len(picture) < 12_500
    assert len(drawn) < 21_000


def test_the_policy_of_the_pages_is_kept() -> None:
    drawn = str(throughput(minutes(2), succeeded=[1, 2], failed=[0, 0], revoked=[0, 0], name="x"))
    drawn += str(past_runs([Run("a", "SUCCESS", START, 1)], here="a", link=str)) + str(sparkline([1, 2], label="x"))
    assert not re.search(r"\s(style|on\w+)=", drawn)


def test_a_line_is_broken_where_no_job_was() -> None:
    tree = ElementTree.fromstring(
        percentiles(
            minutes(5), p50=[1, 2, None, 3, None], p95=[2, 3, None, 4, None], p99=[4, 4, None, 4, None], name="x"
        )
    )
    (line,) = all_of(tree, "path", class_="line", data_kind="p50")
    (dot,) = all_of(tree, "path", class_="dot", data_kind="p50")
    assert line.get("d", "").count("M") == dot.get("d", "").count("M") == 1
    assert not all_of(tree, "clipPath")


def test_percentiles_tell_no_jobs_from_no_record() -> None:
    none: Maybe = [None, None]
    assert "No job ran" in percentiles(minutes(2), p50=none, p95=none, p99=none, name="x")
    unseen = minutes(2, seen=[False, False])
    assert "Nothing was recorded" in percentiles(unseen, p50=none, p95=none, p99=none, name="x")
    assert "<clipPath" in percentiles(minutes(2, seen=[False, True]), p50=[None, 1], p95=none, p99=none, name="x")


def test_depth_shows_an_empty_queue_as_a_line_on_the_ground_and_no_record_as_a_gap() -> None:
    tree = ElementTree.fromstring(depth(minutes(3), waiting=[0, 0, None], oldest=[None, None, None], name="x"))
    lines = all_of(tree, "path", class_="line")
    assert [one.get("data-kind") for one in lines] == ["wait", "age"]
    assert all(one.get("d") == "M2 0l4 0" for one in lines)
    assert len(all_of(tree, "clipPath")) == 1


@given(st.lists(st.integers(0, 300), min_size=1, max_size=300))
def test_an_outline_is_as_wide_as_its_bars(tops: list[int]) -> None:
    d = outline(tops, len(tops))
    assert sum(int(n) for n in re.findall(r"h(\d+)", d)) == 4 * len(tops)
    assert max([int(n) for n in re.findall(r"V(\d+)", d)]) == max(tops)


def walked(d: str) -> list[tuple[int, int]]:
    """Return the points of a path of the commands M, l and V."""
    points: list[tuple[int, int]] = []
    for command, text in re.findall(r"([MlV])([-\d ]+)", d):
        numbers = [int(n) for n in re.findall(r"-?\d+", text)]
        if command == "M":
            points.append((numbers[0], numbers[1]))
        elif command == "V":
            points.append((points[-1][0], numbers[0]))
        else:
            for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
                points.append((points[-1][0] + dx, points[-1][1] + dy))
    return points


@given(st.lists(st.integers(0, 320), min_size=2, max_size=50))
def test_a_line_goes_through_its_points(ys: list[int]) -> None:
    assert walked(trace(ys, range(len(ys)))) == [(4 * i + 2, one) for i, one in enumerate(ys)]


@given(st.lists(st.tuples(st.integers(0, 160), st.integers(0, 160)), min_size=2, max_size=50))
def test_a_band_goes_along_one_line_and_back_along_the_other(pairs: list[tuple[int, int]]) -> None:
    low, high = [a for a, _ in pairs], [b for _, b in pairs]
    there = [(4 * i + 2, one) for i, one in enumerate(high)]
    back = [(4 * i + 2, one) for i, one in enumerate(low)]
    assert walked(ring(low, high, range(len(pairs)))) == there + back[::-1]


@given(st.lists(st.one_of(st.none(), st.floats(0, 10**9)), max_size=40))
def test_a_sparkline_can_be_drawn_of_anything(values: list[float | None]) -> None:
    tree = ElementTree.fromstring(sparkline(values, label="x"))
    assert tree.get("viewBox") == f"0 0 {max(1, len(values)) * 4} 40"
    assert "nan" not in ElementTree.tostring(tree, encoding="unicode")


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 10**12)), min_size=1, max_size=40),
    st.lists(st.one_of(st.none(), st.floats(0, 10**9)), min_size=40, max_size=40),
)
def test_every_chart_can_be_drawn_of_anything(counts: list[int | None], spans: list[float | None]) -> None:
    window, spans = minutes(len(counts)), spans[: len(counts)]
    for drawn in (
        throughput(window, succeeded=counts, failed=counts, revoked=counts, name="x", link=link),
        percentiles(window, p50=spans, p95=spans, p99=spans, name="x"),
        depth(window, waiting=counts, oldest=spans, name="x"),
    ):
        ElementTree.fromstring(drawn)
        assert "nan" not in drawn


def runs_of(*seconds: float, state: str = "SUCCESS") -> list[Run]:
    return [Run(f"run{i}", state, START + timedelta(minutes=i), took) for i, took in enumerate(seconds)]


def test_what_is_typical_needs_some_successful_runs() -> None:
    assert typical(runs_of(1, 2, 3, 4)) is None
    assert typical(runs_of(*range(1, 12))) == (2, 10)
    assert typical(runs_of(*range(1, 12), state="FAILURE")) is None


@pytest.mark.parametrize(
    ("took", "said"),
    [
        (2.5, "this one took 2.5 s, as usual."),
        (9, "3 times as long."),
        (3.2, "a little longer."),
        (1, "less than usual."),
    ],
)
def test_it_says_whether_this_run_is_unusual(took: float, said: str) -> None:
    runs = [*runs_of(2, 2, 3, 3, 3), Run("this", "SUCCESS", START, took)]
    tree = ElementTree.fromstring(past_runs(runs, here="this", link=lambda job: f"/jobs/{job}"))
    assert said in text(all_of(tree, "span", class_="chart-words")[0])
    marked = [bar for bar in all_of(tree, "a") if bar.get("aria-current")]
    assert [bar.get("href") for bar in marked] == ["/jobs/this"]


def test_every_width_that_a_box_can_have_is_in_the_stylesheet() -> None:
    css = (Path(drawing.__file__).parents[1] / "static" / "charts.css").read_text()
    assert {int(n) for n in re.findall(r"\.wide-(\d+) \{ --wide: \1%; \}", css)} == set(range(1, 101))
