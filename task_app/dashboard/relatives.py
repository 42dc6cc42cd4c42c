"""What stands beside a job: earlier runs of its task, and its family."""

from collections.abc import Sequence
from datetime import datetime

from flask import url_for
from markupsafe import Markup

from ..jobs import service
from ..jobs.family import Family
from ..jobs.view import JobView
from . import drawing
from .links import jobs_url
from .words import seconds_run


def earlier_runs(job: JobView, now: datetime) -> Markup:
    """Draw how long earlier runs of the same task took, and this one: is it unusual?"""
    before = reversed(service.earlier_runs(job).runs)
    runs = [drawing.Run(run.id, run.state, run.finished_at, run.seconds) for run in before]
    this = drawing.Run(job.id, job.state, job.created_at, seconds_run(job, now), is_open=job.finished_at is None)
    return drawing.past_runs([*runs, this], here=job.id, link=_link)


def family(found: Family) -> Markup | None:
    """Draw the family of a job; None where it has no relatives."""
    if len(found.nodes) < 2:
        return None
    nodes = [drawing.Node(node.id, node.task, node.state) for node in found.nodes]
    edges = [drawing.Edge(edge.source, edge.target, str(edge.kind)) for edge in found.edges]
    of = {node.id: node for node in found.nodes}

    def list_of(alike: Sequence[drawing.Node]) -> str | None:
        """Return the list that holds these, if one filter says it."""
        groups = {of[node.id].group_id for node in alike}
        parents = {of[node.id].parent_id for node in alike}
        first = alike[0]
        wanted = {"task": first.task, "status": first.state}
        if len(groups) == 1 and None not in groups:
            return jobs_url(group=groups.pop(), **wanted)
        if len(parents) == 1 and None not in parents:
            return jobs_url(parent=parents.pop(), **wanted)
        return None

    drawn = drawing.family_graph(nodes, edges, found.job_id, _link, link_many=list_of, name="family-graph")
    more = Markup('<p class="muted">There are more; the nearest {} are shown.</p>').format(len(nodes))
    return drawn + more if found.is_cut else drawn


def _link(job_id: str) -> str:
    return url_for("dashboard.job", job_id=job_id)
