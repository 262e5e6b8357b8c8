"""Tables on a terminal that cut no word: columns are as wide as their longest word, and the rest wraps."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

GAP, NARROW_GAP = 3, 1  # columns of the terminal between two columns of a table
UNIT = 2  # columns of a blank and a unit of one letter


class WordTable:
    """A table of plain text. The first `left` columns are aligned to the left, and all others to the right."""

    def __init__(self, title: str, heads: Sequence[str], *, left: int) -> None:
        self.title, self.heads, self.left = title, heads, left
        self.rows: list[tuple[str, ...]] = []
        self.ends: set[int] = set()

    def add_row(self, *cells: str) -> None:
        """Add a row with one text for each column."""
        self.rows.append(cells)

    def add_section(self) -> None:
        """Leave a line empty below the last row."""
        self.ends.add(len(self.rows) - 1)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = list(zip(self.heads, *self.rows, strict=True))
        natural = [max(map(cell_len, column)) for column in columns]
        fits = sum(natural) + GAP * (len(columns) - 1) <= options.max_width
        gap = GAP if fits else NARROW_GAP
        widths = word_widths(columns, options.max_width - gap * (len(columns) - 1))
        table = Table(
            title=Text(self.title),
            title_justify="left",
            title_style="italic",
            box=SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            padding=(0, gap // 2),
            collapse_padding=False,
        )
        for place, (head, width) in enumerate(zip(self.heads, widths, strict=True)):
            justify = "left" if place < self.left else "right"
            table.add_column(Text(head), justify=justify, overflow="fold", min_width=width, max_width=width)  # type: ignore[arg-type]
        for place, row in enumerate(self.rows):
            table.add_row(*map(Text, row), end_section=place in self.ends)
        yield table


def word_widths(columns: Sequence[Sequence[str]], width: int) -> list[int]:
    """Widths of columns of texts that together are at most `width`, and cut no word if `width` is enough for that."""
    natural = [max([1, *map(cell_len, column)]) for column in columns]
    widths = [max([1, *(cell_len(word) for text in column for word in text.split())]) for column in columns]
    while sum(widths) > width and max(widths) > 1:
        widths[widths.index(max(widths))] -= 1  # the longest words are broken, and nothing of them is lost
    while sum(widths) < width and widths != natural:
        widths[max(range(len(widths)), key=lambda place: _need(natural[place], widths[place]))] += 1
    return widths


def _need(natural: int, width: int) -> tuple[bool, float]:
    """How much a column gains by one more character: most if it lacks only the unit of its numbers, then by ratio."""
    return 0 < natural - width <= UNIT, natural / width
