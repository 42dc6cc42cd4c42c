"""A polite crawl: robots.txt is obeyed, hosts are asked seldom, and every page is bounded in time and size.

A page that can't be read is told in its entry; only a start URL that can't be read is tried again, then fails the job.
A job that is run again reads everything again, which does no harm.
"""

from typing import Annotated, Any

from celery import shared_task
from flask import current_app
from marshmallow.validate import Range

from ...errors import NotReached
from ...outbound import WebAddress, http_client
from .crawler import Crawler

#: The longest that a crawl may be asked to take, and when a process that hangs in a page is killed: seconds.
MAX_SECONDS = 3600
TIME_LIMIT = MAX_SECONDS + 300


@shared_task(
    autoretry_for=(NotReached,),
    retry_backoff=2,
    retry_backoff_max=600,
    retry_jitter=True,
    max_retries=6,
    time_limit=TIME_LIMIT,
)
def crawl(
    url: Annotated[WebAddress, "Where to begin."],
    max_pages: Annotated[int, Range(min=1, max=1000), "How many pages to read at most."] = 20,
    same_host: Annotated[bool, "Follow no link to another host."] = True,
    max_seconds: Annotated[float, Range(min=1, max=MAX_SECONDS), "How long to go on at most."] = 600,
) -> dict[str, Any]:
    """Read a web page and what it links to, breadth first: titles, statuses, links."""
    with http_client(current_app.config) as client:
        crawler = Crawler(client, current_app.config, same_host=same_host, max_seconds=max_seconds)
        return crawler.run(url, max_pages)
