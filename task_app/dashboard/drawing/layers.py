"""Where the nodes of a family stand: in layers from left to right, with few crossings, nothing over anything else."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)
_SWEEPS = 8
#: A bend of a long edge takes so much of the room of a node.
_BEND = 0.35


@dataclass(frozen=True, slots=True)
class Layout(Generic[Name]):
    """`places`: node → (layer, height in rows from the top); `routes`: edge → the bends between its ends."""

    places: Mapping[Name, tuple[int, float]]
    routes: Mapping[tuple[Name, Name], Sequence[tuple[int, float]]]


def layout(nodes: Sequence[Name], edges: Iterable[tuple[Name, Name]]) -> Layout[Name]:
    """Place nodes so that every edge goes to the right; edges that would close a circle don't count."""
    kept = _acyclic(nodes, edges)
    layer = longest_paths(nodes, kept)
    points: dict[object, int] = {node: at for node, at in layer.items()}  # noqa: C416 - dict() would keep the narrower type
    links: list[tuple[object, object]] = []
    chains: dict[tuple[Name, Name], list[object]] = {}
    for edge in kept:
        bends: list[object] = [(*edge, at) for at in range(layer[edge[0]] + 1, layer[edge[1]])]
        points.update({bend: layer[edge[0]] + 1 + i for i, bend in enumerate(bends)})
        chains[edge] = bends
        links += pairwise([edge[0], *bends, edge[1]])
    room = {point: 1.0 if i < len(layer) else _BEND for i, point in enumerate(points)}
    heights = _heights(points, links, room)
    places = {node: (layer[node], heights[node]) for node in nodes}
    routes = {edge: [(points[bend], heights[bend]) for bend in bends] for edge, bends in chains.items()}
    return Layout(places, routes)


def _acyclic(nodes: Sequence[Name], edges: Iterable[tuple[Name, Name]]) -> list[tuple[Name, Name]]:
    """Leave out edges that lead back to where a walk came from."""
    after: dict[Name, list[Name]] = {node: [] for node in nodes}
    for source, target in dict.fromkeys(edges):
        after[source].append(target)
    kept, done, under = [], set[Name](), set[Name]()
    for root in nodes:
        walk = [(root, iter(after[root]))] if root not in done else []
        under.update([root] if walk else [])
        while walk:
            node, targets = walk[-1]
            for target in targets:
                if target in under:
                    continue
                kept.append((node, target))
                if target not in done:
                    under.add(target)
                    walk.append((target, iter(after[target])))
                    break
            else:
                walk.pop()
                under.discard(node)
                done.add(node)
    return kept


def longest_paths(nodes: Sequence[Name], edges: Sequence[tuple[Name, Name]]) -> dict[Name, int]:
    """Return the layer of each node: one more than the farthest of those that lead to it."""
    open_before = dict.fromkeys(nodes, 0)
    after = defaultdict(list)
    for source, target in edges:
        after[source].append(target)
        open_before[target] += 1
    layer = dict.fromkeys(nodes, 0)
    ready = [node for node in nodes if not open_before[node]]
    for node in ready:
        for target in after[node]:
            layer[target] = max(layer[target], layer[node] + 1)
            open_before[target] -= 1
            if not open_before[target]:
                ready.append(target)
    return layer


def _heights(
    points: Mapping[object, int], links: Sequence[tuple[object, object]], room: Mapping[object, float]
) -> dict[object, float]:
    """Order each layer by the middle of its neighbours, then pull every point as near to it as the order allows."""
    left, right = defaultdict(list), defaultdict(list)
    for source, target in links:
        left[target].append(source)
        right[source].append(target)
    columns: list[list[object]] = [[] for _ in range(max(points.values(), default=-1) + 1)]
    for point, at in points.items():
        columns[at].append(point)
    best = _best_order(columns, left, right, links)
    heights: dict[object, float] = {}
    for column in best:
        heights |= _spread([0.0] * len(column), column, room)
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for column in best if forward else reversed(best):
            near = left if forward else right
            wanted = [_middle(near[point], heights) for point in column]
            kept = [heights[point] if at is None else at for point, at in zip(column, wanted, strict=True)]
            heights |= _spread(kept, column, room)
    top = min(heights.values(), default=0.0)
    return {point: at - top for point, at in heights.items()}


def _middle(near: Sequence[object], heights: Mapping[object, float]) -> float | None:
    return fmean(heights[point] for point in near) if near else None


def _best_order(
    columns: Sequence[list[object]],
    left: Mapping[object, list[object]],
    right: Mapping[object, list[object]],
    links: Sequence[tuple[object, object]],
) -> list[list[object]]:
    """Sweep to and fro, sorting each layer by the barycentre of its neighbours; keep the order with least crossings."""
    now = [list(column) for column in columns]
    best, fewest = now, _crossings(now, links)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        forward = sweep % 2 == 0
        now = [list(column) for column in now]
        for column in now[1:] if forward else now[-2::-1]:
            rank = {point: float(i) for one in now for i, point in enumerate(one)}
            near = left if forward else right
            key = {point: _middle(near[point], rank) for point in column}
            column.sort(key=lambda point: rank[point] if key[point] is None else key[point])  # type: ignore[arg-type,return-value]
        crossings = _crossings(now, links)
        if crossings < fewest:
            best, fewest = now, crossings
    return best


def _crossings(columns: Sequence[Sequence[object]], links: Sequence[tuple[object, object]]) -> int:
    rank = {point: (at, i) for at, column in enumerate(columns) for i, point in enumerate(column)}
    between = defaultdict(list)
    for source, target in links:
        between[rank[source][0]].append((rank[source][1], rank[target][1]))
    total = 0
    for pairs in between.values():
        ends = [end for _, end in sorted(pairs)]
        total += sum(a > b for i, a in enumerate(ends) for b in ends[i + 1 :])
    return total


def _spread(wanted: Sequence[float], column: Sequence[object], room: Mapping[object, float]) -> dict[object, float]:
    """Return the places nearest to the wanted ones that keep the order and give each point its room."""
    offsets, at = [], 0.0
    for i, point in enumerate(column):
        at += (room[column[i - 1]] + room[point]) / 2 if i else 0.0
        offsets.append(at)
    blocks: list[tuple[float, int]] = []  # mean of what is wanted, and for how many: neighbours that push are averaged
    for target, offset in zip(wanted, offsets, strict=True):
        mean, size = target - offset, 1
        while blocks and blocks[-1][0] > mean:
            before, number = blocks.pop()
            mean, size = (before * number + mean * size) / (number + size), number + size
        blocks.append((mean, size))
    means = [mean for mean, size in blocks for _ in range(size)]
    return {point: mean + offset for point, mean, offset in zip(column, means, offsets, strict=True)}
