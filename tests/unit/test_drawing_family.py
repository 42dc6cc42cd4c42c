"""The graph of a family: edges go right, nothing lies over anything else, many alike are one, and names stay text."""

import time
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from task_app.dashboard.drawing import Edge, Node, family_graph
from task_app.dashboard.drawing.family import MOST, collapse, cut
from task_app.dashboard.drawing.layers import layout

graphs = st.integers(1, 25).flatmap(
    lambda n: st.tuples(
        st.just(list(range(n))),
        st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda e: e[0] != e[1]), max_size=60),
    )
)


@given(graphs)
def test_edges_go_to_the_right_and_nothing_lies_over_anything_else(
    graph: tuple[list[int], list[tuple[int, int]]],
) -> None:
    placed = layout(*graph)
    columns = defaultdict(list)
    for layer, row in placed.places.values():
        columns[layer].append(row)
    for rows in columns.values():
        assert all(below - above >= 1 - 1e-6 for above, below in pairwise(sorted(rows)))
    for (source, target), bends in placed.routes.items():
        way = [placed.places[source], *bends, placed.places[target]]
        assert [layer for layer, _ in way] == list(range(way[0][0], way[-1][0] + 1))
        for layer, row in bends:
            assert all(abs(row - node) >= 0.6 for node in columns[layer])
    assert min(row for _, row in placed.places.values()) >= -1e-6


@given(graphs)
def test_only_edges_that_close_a_circle_are_left_out(graph: tuple[list[int], list[tuple[int, int]]]) -> None:
    nodes, edges = graph
    forward = [(source, target) for source, target in edges if source < target]
    assert set(layout(nodes, forward).routes) == set(forward)


def test_crossings_that_can_be_avoided_are() -> None:
    placed = layout(["a", "b", "x", "y"], [("a", "y"), ("b", "x")]).places
    assert (placed["a"][1] < placed["b"][1]) == (placed["y"][1] < placed["x"][1])


def chord(parts: int, *, here: str = "p0") -> tuple[list[Node], list[Edge]]:
    nodes = [Node("root", "start", "SUCCESS"), Node("body", "sum_up", "PENDING")]
    nodes += [Node(f"p{i}", "add", "SUCCESS") for i in range(parts)]
    edges = [Edge("root", f"p{i}", "sent") for i in range(parts)] + [
        Edge(f"p{i}", "body", "part") for i in range(parts)
    ]
    return nodes, edges


def drawn(nodes: Sequence[Node], edges: Sequence[Edge], here: str) -> ElementTree.Element:
    return ElementTree.fromstring(
        family_graph(nodes, edges, here, lambda job: f"/jobs/{job}", link_many=lambda some: f"/jobs?n={len(some)}")
    )


def test_many_alike_are_one_but_the_present_job_stands_alone() -> None:
    bunches, edges = collapse(*chord(49), here="p7")
    assert sorted(bunch.title for bunch in bunches) == ["48 × add", "add", "start", "sum_up"]
    assert len(edges) == 4
    tree = drawn(*chord(49), here="p7")
    links = {one.get("href"): one.get("aria-label") for one in tree.iter("a") if one.get("class") == "member"}
    assert links == {
        "/jobs/root": "start SUCCESS",
        "/jobs/body": "sum_up PENDING",
        "/jobs?n=48": "48 × add SUCCESS",
        "/jobs/p7": "add SUCCESS (this job)",
    }
    assert [one.get("href") for one in tree.iter("a") if one.get("aria-current")] == ["/jobs/p7"]


def test_alike_means_the_same_task_state_and_neighbours() -> None:
    nodes, edges = chord(6)
    nodes[3] = Node("p1", "add", "FAILURE")
    bunches, _ = collapse(nodes, [*edges, Edge("p2", "body", "then")], here="root")
    assert sorted(len(bunch.members) for bunch in bunches if bunch.title.endswith("add")) == [1, 1, 4]


def test_the_list_says_what_the_graph_shows() -> None:
    tree = drawn(*chord(3), here="p0")
    (details,) = list(tree.iter("details"))
    assert "".join(details.itertext()).count("add SUCCESS") == 3
    assert "then, when all parts have ended, sum_up PENDING" in "".join(details.itertext())
    assert {one.get("href") for one in details.iter("a")} == {
        one.get("href") for one in tree.iter("a") if one.get("class") == "member"
    }


def test_names_stay_text() -> None:
    evil = "<script>alert('1')</script>\"&"
    tree = drawn([Node("a", evil, evil), Node("b", "שלום", "SUCCESS")], [Edge("a", "b", "sent")], here="a")
    assert f"{evil} {evil} (this job)" in [one.get("aria-label") for one in tree.iter("a")]


def test_long_names_keep_both_ends_and_control_characters_go() -> None:
    assert cut("add") == "add"
    assert cut("a\x1b[31m\n") == "a\ufffd[31m\ufffd"
    short = cut("reports.yearly.customers.render_pdf")
    assert len(short) == 22
    assert short.startswith("reports") and short.endswith("render_pdf")


def test_a_large_family_shows_what_is_near_and_says_what_is_not() -> None:
    nodes = [Node(f"n{i}", f"task{i}", "SUCCESS") for i in range(1_000)]
    began = time.perf_counter()
    tree = drawn(nodes, [Edge(f"n{(i - 1) // 3}", f"n{i}", "sent") for i in range(1, 1_000)], here="n500")
    assert time.perf_counter() - began < 5
    members = [one.get("href") for one in tree.iter("a") if one.get("class") == "member"]
    assert len(members) == MOST
    assert "/jobs/n500" in members
    assert f"The {1_000 - MOST} farthest are not drawn." in "".join(tree.itertext())


def test_a_long_chain_and_a_job_without_family_are_drawn() -> None:
    steps = [Node(f"n{i}", "step", "PENDING") for i in range(MOST)]
    tree = drawn(steps, [Edge(f"n{i}", f"n{i + 1}", "then") for i in range(MOST - 1)], here="n0")
    assert len([one for one in tree.iter("a") if one.get("class") == "member"]) == MOST
    assert "1 job: 1 SUCCESS." in "".join(drawn([Node("a", "add", "SUCCESS")], [], here="a").itertext())


def test_edges_to_strangers_and_circles_do_no_harm() -> None:
    nodes = [Node("a", "add", "SUCCESS"), Node("b", "add", "SUCCESS")]
    edges = [Edge("a", "b", "sent"), Edge("b", "a", "then"), Edge("a", "a", "sent"), Edge("a", "gone", "sent")]
    tree = drawn(nodes, edges, here="a")
    assert len([one for one in tree.iter("path") if one.get("marker-end")]) == 1
