"""Everything that is drawn: SVG and HTML made of plain data, which needs no script to be seen.

| file | draws |
|---|---|
| `bars` | how many jobs ended per span of time, and how: `throughput` |
| `lines` | percentiles of waits and runs, and how many wait: `percentiles`, `depth` |
| `sparkline` | a line of the size of a word |
| `past_runs` | earlier runs of a task, each a link to its job |
| `lanes` | the timeline of a job, a lane per attempt |
| `family` | parent, children, chains and chords as a graph; `layers` places its nodes |
| `progress` | a progress bar with what is left |
| `frame` | what charts over time share: legend, axes, unknown time, words, table; `window` is their data |
| `scales`, `amounts`, `states`, `svg` | places, numbers in words, colours, markup |

`static/charts.css` colours it; `static/js/chart.js` adds reading by pointer and keyboard, and windows to drag.
"""

from .bars import throughput
from .family import Edge, Node, family_graph
from .lanes import Box, lanes
from .lines import depth, percentiles
from .past_runs import Run, past_runs
from .progress import progress
from .sparkline import sparkline
from .window import Link, Window

__all__ = [
    "Box",
    "Edge",
    "Link",
    "Node",
    "Run",
    "Window",
    "depth",
    "family_graph",
    "lanes",
    "past_runs",
    "percentiles",
    "progress",
    "sparkline",
    "throughput",
]
