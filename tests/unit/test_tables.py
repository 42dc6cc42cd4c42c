"""Tables in files: how they are read, what their columns are taken for, and what is told of them."""

import json
import math
import statistics
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("polars")

from task_app.errors import JobCancelled, UnusableInput
from task_app.gallery.tables import source
from task_app.gallery.tables.analysis import analyse

from ..gallery import CancelAt, megabytes_for


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


def told(path: Path, content: bytes | str, **options: Any) -> dict[str, Any]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = analyse(path, lambda *_: None, **options)
    json.dumps(found, allow_nan=False)  # whatever comes in, what comes out is JSON
    return found


def column(path: Path, *values: str) -> dict[str, Any]:
    """Analyse a table with one column of these values, beside one that keeps empty lines from being left out."""
    found = told(path, "x,y\n" + "".join(f"{value},k\n" for value in values))
    assert found["rows"] == len(values)
    return dict(found["columns"][0])


# -- types -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-20", "+3"], "int"),
        (["1", "2.5"], "float"),
        (["1", "2e400"], "float"),
        (["1", "12345678901234567890"], "float"),
        (["1", "x"], "text"),
        (["01234", "99999"], "text"),
        (["99999", "01234"], "text"),
        (["true", "No"], "bool"),
        (["true", "1"], "text"),
        (["2024-02-29", "2025-01-01"], "date"),
        (["2024-02-29", "2025-01-01T10:00:00Z"], "datetime"),
        (["2024-02-29 10:00", "2024-02-29T10:00:00.5+02:00"], "datetime"),
        (["2024-02-29", "2023-02-29"], "text"),
        (["2024-02-29", "7"], "text"),
        (["0001-01-01", "9999-12-31"], "date"),
        (["0000-01-01", "2024-01-01"], "text"),
        (["9999-12-31 23:59", "9999-12-31 23:59-05:00"], "text"),
        (["-2024-01-01 00:00", "2024-01-01"], "text"),
        (["1", "NA", "", "null"], "int"),
        (["x", "NA"], "text"),
        (["", "NA"], "empty"),
        (["5", "inf", "nan"], "float"),
        (["1_000", "0x10"], "text"),
    ],
)
def test_a_column_is_what_all_its_values_are(table: Path, values: list[str], kind: str) -> None:
    assert column(table, *values)["type"] == kind


def test_a_type_is_widened_by_the_last_row_too(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BLOCK", 64)
    found = column(table, *map(str, range(1000)), "0.5")
    assert (found["type"], found["min"], found["max"]) == ("float", 0.0, 999.0)
    assert column(table, *map(str, range(1000)), "x")["distinct"] == 1001


def test_words_for_missing_are_text_among_texts(table: Path) -> None:
    assert column(table, "1", "NA", "", "-")["missing"] == 3
    text = column(table, "x", "NA", "", "NA")
    assert text["missing"] == 1
    assert text["top"][0] == {"value": "NA", "count": 2}


# -- statistics --------------------------------------------------------------------------------------------------


def test_numbers_are_described_as_pythons_statistics_does(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BLOCK", 512)
    random = Random(7)
    values = [round(random.gauss(1e6, 3), 3) for _ in range(2_000)]
    found = column(table, *map(str, values))
    assert (found["min"], found["max"]) == (min(values), max(values))
    assert found["mean"] == pytest.approx(statistics.fmean(values))
    assert found["std"] == pytest.approx(statistics.stdev(values), rel=1e-6)
    assert found["quantiles"]["p50"] == pytest.approx(statistics.median(values))
    assert sum(found["histogram"]["counts"]) == 2_000
    assert len(found["histogram"]["counts"]) == 20


def test_quantiles_of_a_large_table_are_close_and_say_so(table: Path) -> None:
    found = told(table, "x\n" + "\n".join(map(str, range(100_000))))
    assert found["quantiles_are_approximate"]
    quantiles = found["columns"][0]["quantiles"]
    assert quantiles["p50"] == pytest.approx(50_000, abs=2_000)
    assert quantiles["p95"] == pytest.approx(95_000, abs=2_000)


def test_few_whole_numbers_have_a_bar_each(table: Path) -> None:
    histogram = column(table, *"1123")["histogram"]
    assert histogram == {"from": 0.5, "to": 3.5, "counts": [2, 1, 1]}


@pytest.mark.parametrize(
    ("values", "least", "most"),
    [
        (["1e308", "-1e308", "1.5"], -1e308, 1e308),
        (["7.5", "7.5"], 7.5, 7.5),
        (["1e-320", "2e-320"], 1e-320, 2e-320),
        (["1.0", "1.0000000000000002"], 1.0, 1.0000000000000002),
        (["inf", "1.5", "nan"], 1.5, 1.5),
    ],
)
def test_numbers_at_the_edge_of_what_numbers_are(table: Path, values: list[str], least: float, most: float) -> None:
    found = column(table, *values)
    assert (found["min"], found["max"]) == (least, most)
    assert sum(found["histogram"]["counts"]) == sum(math.isfinite(float(value)) for value in values)


def test_infinite_numbers_are_counted_and_nan_is_missing(table: Path) -> None:
    found = column(table, "inf", "-inf", "nan", "2.0")
    assert (found["infinite"], found["missing"], found["mean"]) == (2, 1, 2.0)
    assert column(table, "inf")["infinite"] == 1


def test_large_whole_numbers_keep_every_digit(table: Path) -> None:
    assert column(table, "900719925474099301", "900719925474099303")["max"] == 900719925474099303


def test_texts_are_counted_exactly_where_few(table: Path) -> None:
    found = column(table, *["b"] * 3, *["a"] * 5, "ccc")
    assert found["top"] == [{"value": "a", "count": 5}, {"value": "b", "count": 3}, {"value": "ccc", "count": 1}]
    assert (found["distinct"], found["longest"]) == (3, 3)
    assert not found["distinct_is_approximate"]
    assert not found["top_is_approximate"]


def test_many_different_texts_are_estimated_and_say_so(table: Path) -> None:
    rows = [f"text-{number}" for number in range(60_000)] + ["often"] * 5_000
    Random(1).shuffle(rows)
    found = told(table, "x\n" + "\n".join(rows))["columns"][0]
    assert found["distinct"] == pytest.approx(60_001, rel=0.06)
    assert found["distinct_is_approximate"]
    assert found["top_is_approximate"]
    assert found["top"][0]["value"] == "often"


def test_dates_and_truths(table: Path) -> None:
    found = column(table, "2024-05-01", "2023-01-31")
    assert (found["min"], found["max"]) == ("2023-01-31", "2024-05-01")
    found = column(table, "2024-05-01T12:00:00+02:00", "2024-05-01")
    assert (found["min"], found["max"]) == ("2024-05-01T00:00:00Z", "2024-05-01T10:00:00Z")
    found = column(table, "yes", "no", "yes", "")
    assert (found["true"], found["false"], found["missing"]) == (2, 1, 1)


# -- how files are written ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings_are_found_out(table: Path, encoding: str) -> None:
    found = told(table, "name,size\nMüller,1\nJosé,2\n".encode(encoding))
    assert [one["value"] for one in found["columns"][0]["top"]] == ["Müller", "José"]
    assert found["encoding"] == encoding.removesuffix("-sig")


def test_an_encoding_that_shows_late_is_found_out(table: Path) -> None:
    rows = "name\n" + "plain\n" * (source.MOST_OF_A_ROW // 4)
    found = told(table, rows.encode() + "Müller\n".encode("cp1252"))
    assert found["encoding"] == "cp1252"
    assert found["columns"][0]["top"][1] == {"value": "Müller", "count": 1}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends_are_found_out(table: Path, delimiter: str, end: str) -> None:
    rows = [["a", "b", "c"], ["1", "x y", "2.5"], ["2", "z", "3"]]
    found = told(table, end.join(delimiter.join(row) for row in rows))
    assert found["rows"] == 2
    assert found["delimiter"] == delimiter
    assert [one["type"] for one in found["columns"]] == ["int", "text", "float"]


@pytest.mark.parametrize("block", [3, 7, 16, 64, 4096])
def test_blocks_end_anywhere(table: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(source, "BLOCK", block)
    found = told(table, 'a,b\r\n1,"one\r\ntwo, ""three"""\r\n2,ä\r\n\r\n3,"x"\r\n', delimiter=",")
    assert found["rows"] == 3
    assert [one["value"] for one in found["columns"][1]["top"]] == ['one\ntwo, "three"', "ä", "x"]


def test_quotes_within_values_are_taken_as_they_are(table: Path) -> None:
    found = told(table, 'size,n\n5" pipe,1\n3" pipe,2\nrod,3\n')
    assert found["rows"] == 3
    assert found["columns"][0]["top"][0]["value"] == '5" pipe'


def test_a_stray_quote_in_a_large_table_loses_no_row(table: Path) -> None:
    rows = "".join(f"{number},some text to fill the line\n" for number in range(300_000))
    found = told(table, 'n,text\n0,5" pipe\n' + rows)
    assert found["rows"] == 300_001
    assert found["columns"][0]["type"] == "int"


def test_names_are_told_apart(table: Path) -> None:
    found = told(table, "a,a,,a_2,a\n1,2,3,4,5\n")
    names = [one["name"] for one in found["columns"]]
    assert len(set(names)) == 5
    assert names[:3] == ["a", "a_2", "column_3"]


def test_a_header_alone_and_no_header(table: Path) -> None:
    found = told(table, "a,b\n")
    assert (found["rows"], [one["type"] for one in found["columns"]]) == (0, ["empty", "empty"])
    found = told(table, "1,2\n3,4\n", header=False)
    assert (found["rows"], [one["name"] for one in found["columns"]]) == (2, ["column_1", "column_2"])


@pytest.mark.parametrize("block", [source.BLOCK, 5])
def test_rows_without_any_value_are_rows(table: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(source, "BLOCK", block)
    found = told(table, "a,b\n1,2\n,\n,\n3,4\n")
    assert (found["rows"], [one["missing"] for one in found["columns"]]) == (4, [2, 2])
    found = told(table, ",\n\n,,,\na,b\n1,2\n")  # what is above the header is none
    assert (found["rows"], [one["name"] for one in found["columns"]]) == (1, ["a", "b"])
    found = told(table, "a\tb\n1\t2\n\t\n3\t4\n")
    assert (found["rows"], found["columns"][0]["missing"]) == (3, 1)


@pytest.mark.parametrize("block", [source.BLOCK, 5])
def test_blank_lines_are_no_rows_of_wider_tables(table: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(source, "BLOCK", block)
    found = told(table, '\na,b\n\n1,2\r\n\r\n  \n3,"x\n\n\ny"\n\n"4",5\n\n\n')
    assert (found["rows"], [one["missing"] for one in found["columns"]]) == (3, [0, 0])
    assert "x\n\n\ny" in [value["value"] for value in found["columns"][1]["top"]]


@pytest.mark.parametrize("block", [source.BLOCK, 2])
@pytest.mark.parametrize(
    ("end", "rows"), [("", 4), ("\n", 4), ("\n\n", 4), ("\n\n\n", 5)], ids=["no end", "end", "blank", "two blank"]
)
def test_blank_lines_in_a_single_column_are_missing_values_but_for_the_last(
    table: Path, monkeypatch: pytest.MonkeyPatch, block: int, end: str, rows: int
) -> None:
    monkeypatch.setattr(source, "BLOCK", block)
    found = told(table, f"a\n1\n\n\n2{end}")
    assert (found["rows"], found["columns"][0]["missing"]) == (rows, rows - 2)


def test_rows_that_are_too_long_are_counted(table: Path) -> None:
    found = told(table, "a,b\n" + "1,2\n" * 20 + "1,2,3\n" + "1\n")
    assert (found["rows"], found["rows_too_long"], found["first_row_too_long"]) == (22, 1, 21)
    assert found["columns"][1]["missing"] == 1


def test_a_wide_table(table: Path) -> None:
    row = ",".join(map(str, range(source.MOST_COLUMNS)))
    found = told(table, f"{row}\n{row}\n")
    assert len(found["columns"]) == source.MOST_COLUMNS


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the file is empty"),
        (b" \r\n\n", "the file is empty"),
        (b",,,\n", "only delimiters"),
        (b"PK\x03\x04rest", "a zip file or a workbook"),
        (b"\x1f\x8b\x08", "compressed"),
        (b"<!DOCTYPE html><p>", "HTML"),
        (b"a,b\n1,\0\n", "NUL"),
        (b"a,b\n" + b"1,2\n" * 400_000 + b"\0,2\n", "NUL"),
        (b"x" * 3_000_000, "the first row is longer"),
        (b"a,b\n1,2\n" + b"x" * 9_000_000, "a row is longer"),
        (b"a,b\n1,2\n" * 400_000 + b'1,"' + b"x\n" * 9_000_000, "does not end"),
        (b'a,b\n1,"two\n3,4\n', "does not end"),
        (",".join(f"c{n}" for n in range(10_000)).encode(), "10,000 columns"),
        (b"a\n" + b"1,2,3\n" * 10, "not a table: 10 of 10 rows"),
        (b"\xff\xfea\0,\0b\0\n\0\x00\xd8", "begins as utf-16"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_table_is_refused_with_the_reason(table: Path, content: bytes, problem: str) -> None:
    with pytest.raises(UnusableInput, match=problem):
        told(table, content)


# -- going on, or not --------------------------------------------------------------------------------------------


def test_progress_goes_from_nothing_to_all(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BLOCK", 100)
    table.write_text("a,b\n" + "1,2\n" * 500)
    reports: list[tuple[float, float | None]] = []
    analyse(table, lambda current, total=None, message=None: reports.append((current, total)))
    assert reports == sorted(reports)
    assert len(reports) > 20
    assert reports[0][0] <= 200
    assert reports[-1] == (2 * table.stat().st_size, 2 * table.stat().st_size)


def test_a_cancel_ends_the_work_at_the_next_batch(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "BLOCK", 100)
    table.write_text("a,b\n" + "1,2\n" * 500)
    tick = CancelAt(3)
    with pytest.raises(JobCancelled):
        analyse(table, tick)
    assert tick.reports == 3


def rows_of_a_large_table(rows: int) -> Iterator[str]:
    random = Random(1)
    yield "id,price,name,when,note\n"
    for n in range(rows):
        yield f"{n},{random.random():.6f},{'abc'[n % 3]},2024-01-{n % 28 + 1:02}T10:00:00Z,note number {n}\n"


def test_a_million_rows_take_no_more_memory_than_some_blocks(table: Path) -> None:
    with table.open("w") as file:
        file.writelines(rows_of_a_large_table(1_000_000))
    assert table.stat().st_size > 55_000_000
    preparation = "from task_app.gallery.tables.analysis import analyse"
    work = 'assert analyse(Path(sys.argv[1]), lambda *_: None)["rows"] == 1_000_000'
    assert megabytes_for(preparation, work, str(table)) < 250


@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(alphabet='ab1,;"\n\r\t .-0:TZ\x85ä', max_size=200).map(str.encode),
        st.lists(
            st.lists(st.sampled_from(["1", "-0", "2024-01-01", '"', "", "nan", "1e999", "yes", "x,y"]), max_size=4)
        ).map(lambda rows: "\n".join(",".join(row) for row in rows).encode()),
    )
)
def test_whatever_comes_is_told_of_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    with suppress(UnusableInput):
        told(tmp_path_factory.getbasetemp() / "any.csv", content)
