"""Gives each point of a figure the number of its row in a table, so that the page can show and filter points."""

import html
from collections.abc import Mapping, Sequence

# name of a group of points in the figure -> the row of each of its points, in order
Points = dict[str, list[int]]


def number_points(svg: str, figure: str, points: Mapping[str, Sequence[int]], words: Sequence[str]) -> str:
    """The SVG in which each point of the named groups has the number of its row and a description, `words` of the row.

    `figure` is the name of the figure. Raises ValueError if a group has fewer points than rows.
    """
    out, done = [], 0
    for name, rows in sorted(points.items(), key=lambda item: svg.index(f'id="{figure}-{item[0]}"')):
        place = svg.index(f'id="{figure}-{name}"')
        for row in rows:
            place = svg.index("<use ", place) + len("<use ")
            label = html.escape(words[row], quote=True)
            out.append(svg[done:place] + f'class="run" data-i="{row}" tabindex="-1" role="img" aria-label="{label}" ')
            done = place
    return "".join(out) + svg[done:]
