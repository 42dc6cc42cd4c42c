"""`crawl` against a real web server: what it reads, what it leaves, and what it says of what it could not read."""

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from task_app.jobs import service
from task_app.jobs.view import JobView
from task_app.tasks.crawling import crawl, crawler

from ..inprocess import run_attempt
from ..website import Website, answer, redirect, status, website


@pytest.fixture
def site() -> Iterator[Website]:
    with website() as site:
        yield site


@pytest.fixture(autouse=True)
def open_and_fast(app: Flask) -> None:
    app.config |= {"CRAWL_PRIVATE": True, "CRAWL_RATE": 1000.0, "CRAWL_USER_AGENT": "tester/1.0 (+http://example.com)"}


def run(app: Flask, url: str, **options: Any) -> JobView:
    return run_attempt(app, crawl.delay(url, **options).id)


def result_of(app: Flask, url: str, **options: Any) -> dict[str, Any]:
    job = run(app, url, **options)
    assert job.state == "SUCCESS", job.error
    result: dict[str, Any] = job.result
    return result


def by_path(site: Website, result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {page["url"].removeprefix(site.url("")): page for page in result["pages"]}


def links(*paths: str, title: str = "page") -> str:
    return f"<title>{title}</title>" + "".join(f'<a href="{path}">x</a>' for path in paths)


# -- what is read ------------------------------------------------------------------------------------------------


def test_a_site_is_read_breadth_first(app: Flask, site: Website) -> None:
    site.pages |= {
        "/": links("/a", "b?x=1#part", "/a#other", "mailto:x@example.com", "javascript:void(0)", title="Home"),
        "/a": links("/", "/c", f"{site.url('/a')}"),
        "/b?x=1": links("//127.0.0.1:" + str(site.port) + "/c"),
        "/c": links(title="  The \n\t end  "),
    }
    result = result_of(app, site.url("#top"))
    assert [page["url"] for page in result["pages"]] == [site.url(path) for path in ("/", "/a", "/b?x=1", "/c")]
    assert result["pages"][0] == {
        "url": site.url("/"),
        "status": 200,
        "title": "Home",
        "links": [site.url("/a"), site.url("/b?x=1")],
        "link_count": 2,
        "error": None,
    }
    assert result["pages"][3]["title"] == "The end"
    assert (result["stopped"], result["urls_known"]) == (None, 4)
    assert site.asked == ["/robots.txt", "/", "/a", "/b?x=1", "/c"]
    assert site.headers[1]["user-agent"].startswith("tester/1.0")


def test_no_more_pages_than_asked_for(app: Flask, site: Website) -> None:
    def page(handler: BaseHTTPRequestHandler) -> None:
        number = int(handler.path.strip("/") or 0)
        answer(handler, links(f"/{number + 1}", f"/{number + 2}").encode())

    site.pages |= {f"/{number}": page for number in range(1, 50)} | {"/": page}
    result = result_of(app, site.url(), max_pages=7)
    assert len(result["pages"]) == 7
    assert result["stopped"] == "max_pages"
    assert len(site.asked) == 8


def test_progress_is_told_page_by_page(app: Flask, site: Website) -> None:
    app.config["PROGRESS_INTERVAL"] = 0.0
    seen: list[Any] = []

    def look(handler: BaseHTTPRequestHandler) -> None:
        with app.app_context():
            seen.append(service.get(job_id).progress)
        answer(handler, b"")

    site.pages |= {"/": links("/a"), "/a": look}
    job_id = crawl.delay(site.url(), max_pages=5).id
    job = run_attempt(app, job_id)
    assert seen == [{"current": 1, "total": 5, "percent": 20.0, "message": site.url("/a")}]
    assert job.progress == {"current": 2, "total": 5, "percent": 100.0, "message": "done"}


def test_the_base_of_a_page_counts(app: Flask, site: Website) -> None:
    site.pages |= {"/": '<base href="/deep/er/"><a href="../x">', "/deep/x": "there"}
    assert list(by_path(site, result_of(app, site.url()))) == ["/", "/deep/x"]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html; charset=iso-8859-1", "<title>Grüße</title>".encode("latin-1")),
        ("text/html", "<title>Grüße</title>".encode("cp1252")),
        ("text/html", "<title>Grüße</title>".encode()),
        ("text/html; charset=nonsense", "<title>Grüße</title>".encode()),
        ("text/html; charset=unicode_escape", "<title>Grüße</title>".encode()),
        ("text/html", "\ufeff<title>Grüße</title>".encode("utf-16-le")),
        ("text/html", "<meta charset='windows-1251'><title>Привет</title>".encode("cp1251")),
        ("application/xhtml+xml", "<meta charset='shift_jis'><title>日本</title>".encode("shift_jis")),
    ],
)
def test_titles_are_read_in_any_encoding(app: Flask, site: Website, content_type: str, body: bytes) -> None:
    site.pages["/"] = lambda handler: answer(handler, body, headers={"Content-Type": content_type})
    assert result_of(app, site.url())["pages"][0]["title"] in ("Grüße", "Привет", "日本")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\xff\xfe\x00",
        b"<title>never closed <a href=/x",
        b"<a href=/x><b><a href='/y'><title>late",
        b"<a href='http://[bad/'><a href='http://a:99999/'><a href=' /x '><a href><area href=/y>",
        b"<title>\x00\x1b[31m</title>" + b"<table>" * 500,
        b"<!--" * 1000,
    ],
)
def test_broken_html_is_read_as_far_as_it_goes(app: Flask, site: Website, body: bytes) -> None:
    site.pages["/"] = body
    page = result_of(app, site.url(), max_pages=1)["pages"][0]
    assert (page["status"], page["error"]) == (200, None)
    assert {link.removeprefix(site.url("")) for link in page["links"]} <= {"/x", "/y"}
    assert page["title"] is None or page["title"].isprintable()


def test_only_html_is_parsed(app: Flask, site: Website) -> None:
    site.pages |= {
        "/": links("/data", "/picture"),
        "/data": lambda handler: answer(handler, b"<a href=/x>", headers={"Content-Type": "text/csv"}),
        "/picture": lambda handler: endless(handler, "image/png"),
    }
    pages = by_path(site, result_of(app, site.url()))
    assert list(pages) == ["/", "/data", "/picture"]
    assert (pages["/data"]["status"], pages["/data"]["links"]) == (200, [])
    assert (pages["/picture"]["status"], pages["/picture"]["error"]) == (200, None)


def endless(handler: BaseHTTPRequestHandler, kind: str = "text/html") -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", kind)
    handler.end_headers()
    while True:
        handler.wfile.write(b"x" * 65536)


# -- manners -----------------------------------------------------------------------------------------------------

ROBOTS = """
User-agent: other
Disallow: /

User-agent: tester
Disallow: /private
Allow: /private/open
Disallow: /*.pdf$
"""


def test_robots_txt_is_obeyed(app: Flask, site: Website) -> None:
    site.pages |= {
        "/robots.txt": ROBOTS,
        "/": links("/private/x", "/private/open", "/a.pdf", "/b"),
        "/private/open": "open",
        "/b": "b",
    }
    pages = by_path(site, result_of(app, site.url()))
    assert {path: page["error"] for path, page in pages.items()} == {
        "/": None,
        "/private/x": "robots.txt forbids it",
        "/private/open": None,
        "/a.pdf": "robots.txt forbids it",
        "/b": None,
    }
    assert site.asked == ["/robots.txt", "/", "/private/open", "/b"]


def test_a_redirect_into_what_is_forbidden_is_not_followed(app: Flask, site: Website) -> None:
    site.pages |= {"/robots.txt": ROBOTS, "/": links("/a"), "/a": redirect("/private/x"), "/private/x": "secret"}
    assert by_path(site, result_of(app, site.url()))["/a"]["error"] == "robots.txt forbids it"
    assert "/private/x" not in site.asked


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_without_robots_txt_everything_may_be_read(app: Flask, site: Website, code: int) -> None:
    site.pages |= {"/robots.txt": status(code), "/": "hello"}
    assert result_of(app, site.url())["pages"][0]["status"] == 200


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_robots_txt_that_cannot_be_read_forbids_everything(app: Flask, site: Website, code: int) -> None:
    site.pages |= {"/robots.txt": status(code), "/": "hello"}
    job = run(app, site.url())
    assert (job.state, site.asked) == ("RETRY", ["/robots.txt"])
    assert job.error is not None and f"answers {code}" in job.error["message"]


def test_a_robots_txt_may_be_elsewhere(app: Flask, site: Website) -> None:
    with website() as other:
        other.pages["/rules"] = "User-agent: *\nDisallow: /"
        site.pages |= {"/robots.txt": redirect(other.url("/rules")), "/": "hello"}
        (page,) = result_of(app, site.url())["pages"]
    assert page["error"] == "robots.txt forbids it"


def test_each_host_has_its_own_robots_txt(app: Flask, site: Website) -> None:
    with website() as other:
        other.pages["/robots.txt"] = "User-agent: *\nDisallow: /"
        site.pages["/"] = links(other.url("/x", "localhost"))
        pages = result_of(app, site.url(), same_host=False)["pages"]
    assert pages[1]["error"] == "robots.txt forbids it"
    assert other.asked == ["/robots.txt"]


@pytest.mark.parametrize("robots", ["\x00\x01", "Disallow", "User-agent: *\nCrawl-delay: never\nDisallow: [", "<html>"])
def test_a_robots_txt_of_nonsense_forbids_nothing(app: Flask, site: Website, robots: str) -> None:
    site.pages |= {"/robots.txt": robots, "/": "hello"}
    assert result_of(app, site.url())["pages"][0]["status"] == 200


def test_a_robots_txt_that_would_fill_the_memory_forbids_everything(app: Flask, site: Website) -> None:
    many = range(1500)
    site.pages |= {
        "/robots.txt": "".join(f"User-agent: a{n}\n" for n in many) + "".join(f"Disallow: /{n}\n" for n in many),
        "/": "hello",
    }
    job = run(app, site.url())
    assert (job.state, site.asked) == ("FAILURE", ["/robots.txt"])
    assert job.error is not None and "too many rules" in job.error["message"]


def gaps(site: Website) -> list[float]:
    return [after - before for before, after in zip(site.asked_at, site.asked_at[1:], strict=False)]


def test_a_host_is_asked_no_more_often_than_allowed(app: Flask, site: Website) -> None:
    app.config["CRAWL_RATE"] = 5.0
    site.pages |= {"/": links("/a"), "/a": redirect("/b"), "/b": "b"}
    result_of(app, site.url())
    assert site.asked == ["/robots.txt", "/", "/a", "/b"]
    assert sum(gaps(site)) > 0.55


@pytest.mark.parametrize("wish", ["Crawl-delay: 0.3", "Request-rate: 10/3"])
def test_a_host_that_asks_for_patience_gets_it(app: Flask, site: Website, wish: str) -> None:
    site.pages |= {"/robots.txt": f"User-agent: *\n{wish}", "/": links("/a"), "/a": ""}
    result_of(app, site.url())
    assert gaps(site)[1] > 0.25


def test_a_host_that_says_too_much_is_asked_less_often(app: Flask, site: Website) -> None:
    app.config["CRAWL_RATE"] = 10.0
    site.pages |= {"/": links("/a", "/b", "/c"), "/a": status(429), "/b": "b", "/c": "c"}
    result_of(app, site.url())
    assert sum(gaps(site)[2:]) > 0.35


def test_links_to_other_hosts(app: Flask, site: Website) -> None:
    with website() as other:
        other.pages["/x"] = links(title="other")
        site.pages["/"] = links(other.url("/x", "localhost"))
        alone = result_of(app, site.url())
        assert len(alone["pages"]) == 1 and alone["pages"][0]["link_count"] == 1
        assert other.asked == []
        both = result_of(app, site.url(), same_host=False)
    assert [page["title"] for page in both["pages"]] == ["page", "other"]


def test_a_start_that_redirects_is_at_home_there(app: Flask, site: Website) -> None:
    site.pages |= {"/old": redirect(site.url("/new", "localhost"), 301), "/new": links("/more"), "/more": ""}
    first, second = result_of(app, site.url("/old"))["pages"]
    assert first["redirected_to"] == site.url("/new", "localhost")
    assert second["url"] == site.url("/more", "localhost")


def test_redirects_in_circles(app: Flask, site: Website) -> None:
    site.pages |= {"/": links("/a", "/b"), "/a": redirect("/a2"), "/a2": redirect("/a"), "/b": redirect("/")}
    site.pages |= {f"/c{n}": redirect(f"/c{n + 1}") for n in range(20)} | {"/c": redirect("/c0")}
    pages = by_path(site, result_of(app, site.url()))
    assert pages["/a"]["error"].endswith(f"known already: {site.url('/a')}")
    assert pages["/b"]["error"].endswith(f"known already: {site.url('/')}")
    job = run(app, site.url("/c"))
    assert job.state == "FAILURE" and "redirected more than 5 times" in str(job.error)


# -- what cannot be read -----------------------------------------------------------------------------------------


def test_a_page_that_cannot_be_read_is_told_and_the_rest_goes_on(app: Flask, site: Website) -> None:
    def hang_up(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True

    site.pages |= {
        "/": links("/gone", "/broken", "/busy", "/large", "/bomb", "/good"),
        "/gone": status(410),
        "/broken": hang_up,
        "/busy": status(503),
        "/large": endless,
        "/bomb": lambda handler: answer(handler, b"nonsense", headers={"Content-Encoding": "gzip"}),
        "/good": "good",
    }
    pages = by_path(site, result_of(app, site.url()))
    assert {path: page["status"] for path, page in pages.items()} == {
        "/": 200,
        "/gone": 410,
        "/broken": None,
        "/busy": 503,
        "/large": None,
        "/bomb": None,
        "/good": 200,
    }
    assert "more than the 1048576 bytes allowed" in pages["/large"]["error"]
    assert "can't be decompressed" in pages["/bomb"]["error"]
    assert pages["/broken"]["error"]


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_start_that_is_not_well_is_tried_again(app: Flask, site: Website, code: int) -> None:
    site.pages["/"] = status(code)
    job_id = crawl.delay(site.url()).id
    assert run_attempt(app, job_id).state == "RETRY"
    site.pages["/"] = "well"
    assert run_attempt(app, job_id).state == "SUCCESS"


def test_a_start_that_is_away_fails_in_the_end(app: Flask, site: Website) -> None:
    url = site.url().replace(str(site.port), "1025")
    job_id = crawl.delay(url).id
    states = [run_attempt(app, job_id).state for _ in range(7)]
    assert states == ["RETRY"] * 6 + ["FAILURE"]


def test_no_address_of_ours_is_read(app: Flask, site: Website) -> None:
    app.config["CRAWL_PRIVATE"] = False
    job = run(app, site.url())
    assert (job.state, site.asked) == ("FAILURE", [])
    assert job.error is not None
    assert job.error["message"].endswith("127.0.0.1 leads to 127.0.0.1, where this service doesn't go")


def test_no_link_leads_where_nobody_may_go(app: Flask, site: Website) -> None:
    site.pages |= {"/": links("http://169.254.169.254/secret", "/a"), "/a": redirect("http://169.254.169.254/x")}
    pages = result_of(app, site.url(), same_host=False)["pages"]
    assert [page["error"] is None for page in pages] == [True, False, False]
    assert "where this service doesn't go" in pages[1]["error"] and "where this service doesn't go" in pages[2]["error"]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "http://user:secret@example.com/"}, "url"),
        ({"url": "example.com"}, "url"),
        ({"url": "http://example.com/" + "x" * 2000}, "url"),
        ({}, "url"),
        ({"url": "http://example.com/", "max_pages": 0}, "max_pages"),
        ({"url": "http://example.com/", "max_pages": 1001}, "max_pages"),
        ({"url": "http://example.com/", "max_seconds": 0}, "max_seconds"),
        ({"url": "http://example.com/", "same_host": "yes"}, "same_host"),
    ],
)
def test_bad_arguments_are_refused_at_the_door(client: FlaskClient, arguments: dict[str, Any], field: str) -> None:
    answer = client.post("/tasks/crawl", json=arguments)
    assert answer.status_code == 422
    assert field in json.dumps(answer.json)


# -- limits ------------------------------------------------------------------------------------------------------


def test_a_crawl_ends_in_time(app: Flask, site: Website) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not site.is_over.wait(0.05):
            handler.wfile.write(b"x")

    site.pages |= {"/": links("/slow", "/more"), "/slow": drip, "/more": "more"}
    began = time.monotonic()
    result = result_of(app, site.url(), max_seconds=3)
    assert time.monotonic() - began < 15
    assert result["stopped"] == "max_seconds"
    assert [page["status"] for page in result["pages"]] == [200, None]


def test_patience_that_was_asked_for_counts_as_time(app: Flask, site: Website) -> None:
    site.pages |= {"/robots.txt": "User-agent: *\nCrawl-delay: 86400", "/": links("/a")}
    began = time.monotonic()
    result = result_of(app, site.url(), max_seconds=3)
    assert (len(result["pages"]), result["stopped"]) == (1, "max_seconds")
    assert time.monotonic() - began < 2.5  # nobody waits for what won't come


def test_a_result_stays_within_its_limit(app: Flask, site: Website) -> None:
    app.config["JOB_RESULT_LIMIT"] = 20_000
    every = [f"/{n}?{'x' * 100}" for n in range(300)]
    site.pages |= {"/": links(*every)} | {path: links(*every[:100]) for path in every}
    result = result_of(app, site.url(), max_pages=300)
    assert result["stopped"] == "result_limit"
    assert 15_000 < len(json.dumps(result)) < 20_000
    assert [len(page["links"]) for page in result["pages"]][:2] == [0, 100]
    assert result["pages"][0]["link_count"] == 300


def test_urls_that_are_remembered_are_limited(app: Flask, site: Website, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crawler, "URLS_KNOWN", 50)
    site.pages |= {"/": links(*(f"/{n}" for n in range(1000)))}
    result = result_of(app, site.url(), max_pages=1000)
    assert (result["urls_known"], len(result["pages"])) == (50, 50)


def test_a_page_nested_without_end_holds_nobody_up(app: Flask, site: Website) -> None:
    site.pages |= {"/": links("/deep", "/normal"), "/deep": "<div>" * 200_000, "/normal": "<div>" * 1000 + "x"}
    began = time.monotonic()
    pages = by_path(site, result_of(app, site.url()))
    assert time.monotonic() - began < 20
    assert "elements within each other" in pages["/deep"]["error"]
    assert pages["/normal"]["error"] is None


def test_a_cancel_is_heard_between_pages(app: Flask, site: Website) -> None:
    app.config |= {"PROGRESS_INTERVAL": 0.0}

    def cancel(handler: BaseHTTPRequestHandler) -> None:
        with app.app_context():
            service.cancel(job_id)
        answer(handler, links("/b").encode())

    site.pages |= {"/": links("/a"), "/a": cancel, "/b": "b"}
    job_id = crawl.delay(site.url()).id
    assert run_attempt(app, job_id).state == "REVOKED"
    assert site.asked[-1] == "/a"


def test_a_cancel_is_heard_in_a_page_without_end(app: Flask, site: Website) -> None:
    app.config |= {"PROGRESS_INTERVAL": 0.0}

    def cancel(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"x")
        with app.app_context():
            service.cancel(job_id)
        while not site.is_over.wait(0.01):
            handler.wfile.write(b"x")

    site.pages["/"] = cancel
    job_id = crawl.delay(site.url()).id
    assert run_attempt(app, job_id).state == "REVOKED"
