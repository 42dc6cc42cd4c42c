"""The family of a job as a graph: who sent whom, what follows what, which parts a chord's body waits for."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from .layers import Layout, layout
from .states import kind_of
from .svg import short, tag, void

WIDTH, HEIGHT = 196, 40
_GAP_X, _ROW = 56, 54
_EDGE = 10
#: So many alike are drawn as one.
ALIKE = 4
#: More than this can't be read; those nearest to the present job are drawn.
MOST = 200
_TASK_LENGTH = 22


@dataclass(frozen=True, slots=True)
class Node:
    """A job of the family."""

    id: str
    task: str
    state: str


@dataclass(frozen=True, slots=True)
class Edge:
    """`source` comes before `target`. kind: `sent` by it, `then` in a chain, or `part` of the chord of that body."""

    source: str
    target: str
    kind: str


@dataclass(frozen=True, slots=True)
class Bunch:
    """What is drawn as one: a job, or several alike."""

    members: tuple[Node, ...]

    @property
    def id(self) -> str:
        """The id that stands for all."""
        return self.members[0].id

    @property
    def title(self) -> str:
        """The task, and how many."""
        first = self.members[0].task
        return first if len(self.members) == 1 else f"{len(self.members)} × {first}"

    @property
    def state(self) -> str:
        """The state of all of them."""
        return self.members[0].state


Many = Callable[[Sequence[Node]], str | None]


def family_graph(
    nodes: Iterable[Node],
    edges: Iterable[Edge],
    here: str,
    link: Callable[[str], str],
    *,
    link_many: Many | None = None,
    name: str = "family",
) -> Markup:
    """Draw a family from left to right, the job with the id `here` marked.

    `link` gives the address of a job, `link_many` that of a list of jobs that are drawn as one, or None. Under the
    graph is the same as a list.
    """
    found = {node.id: node for node in nodes}
    known = [edge for edge in dict.fromkeys(edges) if edge.source in found and edge.target in found]
    bunches, joined = collapse(list(found.values()), known, here)
    kept = _nearest(bunches, joined, here)
    shown = [bunch for bunch in bunches if bunch.id in kept]
    lines = [edge for edge in joined if edge.source in kept and edge.target in kept and edge.source != edge.target]
    placed = layout([bunch.id for bunch in shown], [(edge.source, edge.target) for edge in lines])
    hrefs = {bunch.id: _href(bunch, link, link_many) for bunch in shown}
    picture = tag(
        "div",
        _picture(shown, lines, placed, here, hrefs, name),
        class_="family-scroll",
        role="region",
        aria_labelledby=f"{name}-words",
        tabindex=0,  # so that arrow keys can scroll it
    )
    words = tag("p", _words(found, len(bunches) - len(shown)), class_="chart-words", id=f"{name}-words")
    listed = tag("ul", *_list(shown, placed, lines, here, hrefs))
    text = tag("details", tag("summary", "The family as a list"), listed, class_="chart-table", id=f"{name}-list")
    return tag("figure", words, picture, _legend(lines), text, class_="family", id=name)


def collapse(nodes: Sequence[Node], edges: Sequence[Edge], here: str) -> tuple[list[Bunch], list[Edge]]:
    """Put jobs of the same task and state together that have the same neighbours; never the present one."""
    near: dict[str, set[tuple[str, str, str]]] = defaultdict(set)
    for edge in edges:
        near[edge.source].add(("to", edge.target, edge.kind))
        near[edge.target].add(("from", edge.source, edge.kind))
    alike: dict[object, list[Node]] = defaultdict(list)
    for node in nodes:
        alone = node.id == here or not near[node.id]
        alike[node.id if alone else (node.task, node.state, frozenset(near[node.id]))].append(node)
    bunches = []
    for members in alike.values():
        bunches += [Bunch(tuple(members))] if len(members) >= ALIKE else [Bunch((node,)) for node in members]
    stands = {node.id: bunch.id for bunch in bunches for node in bunch.members}
    joined = dict.fromkeys(Edge(stands[edge.source], stands[edge.target], edge.kind) for edge in edges)
    return bunches, list(joined)


def _nearest(bunches: Sequence[Bunch], edges: Sequence[Edge], here: str) -> set[str]:
    """Return up to `MOST`, those with the fewest steps to the present job first."""
    if len(bunches) <= MOST:
        return {bunch.id for bunch in bunches}
    near: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        near[edge.source].append(edge.target)
        near[edge.target].append(edge.source)
    found, waiting = {here}, deque([here])
    while waiting and len(found) < MOST:
        for node in near[waiting.popleft()]:
            if node not in found and len(found) < MOST:
                found.add(node)
                waiting.append(node)
    return found


def _href(bunch: Bunch, link: Callable[[str], str], link_many: Many | None) -> str | None:
    if len(bunch.members) == 1:
        return link(bunch.id)
    return link_many(bunch.members) if link_many else None


def _words(found: dict[str, Node], left_out: int) -> str:
    states: dict[str, int] = defaultdict(int)
    for node in found.values():
        states[node.state] += 1
    counted = ", ".join(f"{number} {state}" for state, number in states.items())
    more = f" The {left_out} farthest are not drawn." if left_out > 0 else ""
    return f"{len(found)} job{'s' if len(found) != 1 else ''}: {counted}.{more}"


def _picture(
    bunches: Sequence[Bunch],
    edges: Sequence[Edge],
    placed: Layout[str],
    here: str,
    hrefs: dict[str, str | None],
    name: str,
) -> Markup:
    points = [*placed.places.values(), *(bend for route in placed.routes.values() for bend in route)]
    width = max(layer for layer, _ in points) * (WIDTH + _GAP_X) + WIDTH + 2 * _EDGE
    height = round(max(row for _, row in points) * _ROW) + HEIGHT + 2 * _EDGE
    head = f"{name}-head"
    arrow = tag(
        "marker",
        void("path", d="M0 0L8 4L0 8z"),
        id=head,
        class_="head",
        view_box="0 0 8 8",
        refX=8,
        refY=4,
        markerWidth=7,
        markerHeight=7,
        orient="auto",
    )
    return tag(
        "svg",
        tag("defs", arrow),
        tag("g", *(_edge(edge, placed, head) for edge in edges), class_="edges", aria_hidden="true"),
        *(_node(bunch, placed, bunch.id == here, hrefs[bunch.id]) for bunch in bunches),
        class_="family-graph",
        width=width,
        height=height,
        view_box=f"0 0 {width} {height}",
        role="group",
        aria_labelledby=f"{name}-words",
    )


def _corner(place: tuple[int, float]) -> tuple[float, float]:
    return _EDGE + place[0] * (WIDTH + _GAP_X), _EDGE + place[1] * _ROW


def _edge(edge: Edge, placed: Layout[str], head: str) -> Markup | None:
    """Draw from the right of one node to the left of the next, through the bends; None for one that led back."""
    route = placed.routes.get((edge.source, edge.target))
    if route is None:
        return None
    x, y = _corner(placed.places[edge.source])
    x, y = x + WIDTH, y + HEIGHT / 2
    d = f"M{short(x)} {short(y, 1)}"
    for bend in [*route, placed.places[edge.target]]:
        left, top = _corner(bend)
        middle, at = (x + left) / 2, top + HEIGHT / 2
        d += f"C{short(middle)} {short(y, 1)} {short(middle)} {short(at, 1)} {short(left)} {short(at, 1)}"
        x, y = left, at
        if bend in route:  # straight on behind the column
            x += WIDTH
            d += f"H{short(x)}"
    return void("path", d=d, data_kind=edge.kind, marker_end=f"url(#{head})")


def _node(bunch: Bunch, placed: Layout[str], is_here: bool, href: str | None) -> Markup:
    x, y = _corner(placed.places[bunch.id])
    words = f"{bunch.title} {bunch.state}"
    drawn = Markup("").join(
        [
            tag("title", f"{words}\n{bunch.id}" if len(bunch.members) == 1 else words),
            void("rect", class_="more", x=4, y=4, width=WIDTH, height=HEIGHT, rx=6) if len(bunch.members) > 1 else "",
            void("rect", class_="node", width=WIDTH, height=HEIGHT, rx=6),
            void("path", class_="edge", d=f"M6 0H4V{HEIGHT}H6a6 6 0 0 1-6-6V6a6 6 0 0 1 6-6z"),
            # In an svg of its own, which cuts off what a wide font makes too long.
            tag("svg", tag("text", cut(bunch.title), x=14, y=17, class_="task"), width=WIDTH - 4, height=HEIGHT),
            tag("text", bunch.state + (" · this job" if is_here else ""), x=14, y=32, class_="job-state"),
        ]
    )
    return tag(
        "a" if href else "g",
        drawn,
        href=href,
        transform=f"translate({short(x)} {short(y)})",
        class_="member",
        data_kind=kind_of(bunch.state),
        aria_label=words + (" (this job)" if is_here else "") if href else None,
        aria_current="true" if is_here else None,
    )


def cut(text: str, length: int = _TASK_LENGTH) -> str:
    """Shorten a name in its middle: both ends tell tasks apart. Control characters would break the drawing."""
    text = "".join(c if c.isprintable() else "\ufffd" for c in text)
    if len(text) <= length:
        return text
    head = length // 3
    return f"{text[:head]}…{text[head + 1 - length :]}"


def _legend(edges: Sequence[Edge]) -> Markup | None:
    names = {"sent": "sent", "then": "then, in a chain", "part": "part of a chord, then its body"}
    keys = [tag("li", names.get(kind, kind), data_edge=kind) for kind in dict.fromkeys(edge.kind for edge in edges)]
    return tag("ul", *keys, class_="chart-keys", aria_hidden="true") if keys else None


def _list(
    bunches: Sequence[Bunch],
    placed: Layout[str],
    edges: Sequence[Edge],
    here: str,
    hrefs: dict[str, str | None],
) -> list[Markup]:
    """Write the graph as nested lists: each under the first that leads to it."""
    by_id = {bunch.id: bunch for bunch in bunches}
    above: dict[str, Edge] = {}
    for edge in edges:
        if (edge.source, edge.target) in placed.routes:
            above.setdefault(edge.target, edge)
    under: dict[str, list[str]] = defaultdict(list)
    for target, edge in above.items():
        under[edge.source].append(target)

    def item(bunch: Bunch) -> Markup:
        how = (
            {"then": "then ", "part": "then, when all parts have ended, "}.get(above[bunch.id].kind, "")
            if (bunch.id in above)
            else ""
        )
        title = tag("a" if hrefs[bunch.id] else "span", tag("bdi", bunch.title), href=hrefs[bunch.id])
        state = tag("span", bunch.state, class_="state", data_state=bunch.state)
        mark = " (this job)" if bunch.id == here else ""
        inside = [item(by_id[target]) for target in under[bunch.id]]
        return tag("li", how, title, " ", state, mark, tag("ul", *inside) if inside else None)

    return [item(bunch) for bunch in bunches if bunch.id not in above]
