"""A report as a PDF: A4, a head, numbers, charts, and tables that go on over pages."""

import io
import logging
from pathlib import Path

import matplotlib as mpl
from fpdf import FPDF, FontFace
from fpdf.enums import TableBordersLayout, TextEmphasis
from PIL import Image

from .charts import draw_all
from .contents import CHARTS, Number, Table, contents
from .figures import Report
from .words import line, moment, period

MARGIN, WIDTH = 15.0, 180.0  # mm
TEXT, MUTED, RULE = (27, 36, 48), (86, 97, 114), (223, 227, 232)
ACCENT, SOFT = (31, 95, 191), (246, 247, 249)
TONES = {"": TEXT, "ok": (25, 118, 63), "bad": (179, 38, 30)}
SANS = "DejaVu"

# For each character that the font lacks it would write a line; the page shows a box there.
logging.getLogger("fpdf.output").setLevel(logging.ERROR)
logging.getLogger("fontTools").setLevel(logging.WARNING)


def as_pdf(report: Report) -> bytes:
    """Write a report as a PDF."""
    pages = _Pages(report)
    pages.add_page()
    pages.opening()
    shown = contents(report)
    pages.numbers(shown["numbers"])
    for name, png in draw_all(report, "png").items():
        pages.chart(*CHARTS[name], png)
    for table in shown["tables"]:
        pages.listing(table)
    pages.conditions(shown["conditions"])
    return bytes(pages.output())


class _Pages(FPDF):
    """The pages, with what stands on each."""

    def __init__(self, report: Report) -> None:
        super().__init__(format="A4")
        self._report = report
        self.set_margins(MARGIN, MARGIN)
        self.c_margin = 0  # text begins where pictures do
        self.set_auto_page_break(auto=True, margin=20)
        self.set_title(line(report.title))
        self.set_creator("task_app")
        self.set_creation_date(report.made_at)
        self.set_lang("en")
        # matplotlib brings these: they have the letters of most alphabets, and no other package is needed.
        fonts = Path(mpl.get_data_path(), "fonts", "ttf")
        self.add_font(SANS, "", fonts / "DejaVuSans.ttf")
        self.add_font(SANS, "B", fonts / "DejaVuSans-Bold.ttf")

    def header(self) -> None:
        """Say on every page but the first what this is."""
        if self.page_no() == 1:
            return
        self._write_in(7.5, MUTED)
        self.set_xy(MARGIN, 9)
        self.cell(WIDTH, 4, self._fitting(line(self._report.title), WIDTH), align="L")
        self.set_y(MARGIN + 3)

    def footer(self) -> None:
        """Number the pages."""
        self._write_in(7.5, MUTED)
        self.set_xy(MARGIN, -13)
        self.cell(WIDTH / 2, 4, period(self._report.start, self._report.end), align="L")
        self.cell(WIDTH / 2, 4, f"{self.page_no()} / {{nb}}", align="R")

    def opening(self) -> None:
        """Write the title and the period, with a bar beside."""
        top = self.get_y()
        self._write_in(18, TEXT, "B")
        self.set_x(MARGIN + 5)
        self.multi_cell(WIDTH - 5, 8, line(self._report.title, 200), align="L", new_x="LMARGIN", new_y="NEXT")
        self._write_in(9.5, MUTED)
        self.set_x(MARGIN + 5)
        self.cell(WIDTH - 5, 6, period(self._report.start, self._report.end), new_x="LMARGIN", new_y="NEXT")
        self.set_fill_color(*ACCENT)
        self.rect(MARGIN, top + 0.5, 1.2, self.get_y() - top - 1, style="F")
        self.ln(5)

    def numbers(self, numbers: list[Number]) -> None:
        """Write the numbers that are seen first, side by side."""
        gap, top, high = 3.0, self.get_y(), 20.0
        width = (WIDTH - gap * (len(numbers) - 1)) / len(numbers)
        for place, one in enumerate(numbers):
            left = MARGIN + place * (width + gap)
            self.set_fill_color(*SOFT)
            self.set_draw_color(*RULE)
            self.rect(left, top, width, high, style="DF", round_corners=True, corner_radius=1.5)
            for below, tall, size, colour, style, text in (
                (2.2, 4, 7, MUTED, "", one.label),
                (6.6, 7, 13.5, TONES[one.tone], "B", one.value),
                (14, 4, 7, MUTED, "", one.detail),
            ):
                self._write_in(size, colour, style)
                self.set_xy(left + 2.5, top + below)
                self._shrink_to(text, width - 4)
                self.cell(width - 4, tall, text)
        self.set_xy(MARGIN, top + high)
        self.ln(6)

    def chart(self, title: str, about: str, png: bytes) -> None:
        """Place a chart under its title; the three stay together."""
        with Image.open(io.BytesIO(png)) as image:
            high = WIDTH * image.height / image.width
        self._go_on_if_room(high + 12)
        self._heading(title, about)
        self.image(io.BytesIO(png), x=MARGIN, w=WIDTH, alt_text=f"{title}: {about}")
        self.ln(4)

    def listing(self, table: Table) -> None:
        """Write a table; its head is repeated where it goes on on another page."""
        self._go_on_if_room(34)
        self._heading(table.title, "")
        self._write_in(8, TEXT)
        self.set_draw_color(*RULE)
        self.set_fill_color(255)
        self.set_line_width(0.2)
        if table.rows:
            with self.table(
                borders_layout=TableBordersLayout.HORIZONTAL_LINES,
                headings_style=FontFace(emphasis=TextEmphasis.B, color=MUTED, size_pt=7.5),
                col_widths=tuple(column.width for column in table.columns),
                text_align=tuple("RIGHT" if column.is_number else "LEFT" for column in table.columns),
                line_height=4.2,
                padding=(1.1, 1.2),
                width=WIDTH,
                v_align="TOP",
            ) as grid:
                for cells in ([column.title for column in table.columns], *table.rows):
                    row = grid.row()
                    for cell in cells:
                        row.cell(cell)
        if table.note:
            self._write_in(8, MUTED)
            self.multi_cell(WIDTH, 5, table.note, new_x="LMARGIN", new_y="NEXT")
        self.ln(6)

    def conditions(self, lines: list[str]) -> None:
        """Write at the end what a reader must know."""
        self._write_in(7.5, MUTED)
        self._go_on_if_room(5.0 * (len(lines) + 1))
        for text in (*lines, f"Made {moment(self._report.made_at)} UTC."):
            self.multi_cell(WIDTH, 4.2, text, new_x="LMARGIN", new_y="NEXT")

    def _heading(self, title: str, about: str) -> None:
        self._write_in(11, TEXT, "B")
        self.cell(WIDTH, 6, title, new_x="LMARGIN", new_y="NEXT")
        if about:
            self._write_in(8, MUTED)
            self.cell(WIDTH, 4.5, about, new_x="LMARGIN", new_y="NEXT")
        self.ln(1)

    def _go_on_if_room(self, high: float) -> None:
        if self.will_page_break(high):
            self.add_page()

    def _write_in(self, size: float, colour: tuple[int, int, int], style: str = "") -> None:
        self.set_font(SANS, style, size)
        self.set_text_color(*colour)

    def _shrink_to(self, text: str, width: float) -> None:
        """Take a smaller letter for a text that would not fit."""
        wide = self.get_string_width(text)
        if wide > width:
            self.set_font_size(self.font_size_pt * width / wide)

    def _fitting(self, text: str, width: float) -> str:
        while text and self.get_string_width(text) > width:
            text = text[:-2].rstrip("…") + "…"
        return text
