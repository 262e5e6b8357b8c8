"""Points of a figure that say which row of a table they are, so that the page can show and filter them."""

import html
from collections.abc import Mapping, Sequence

# by the group's name in the figure: the number of the row of each of its points, in order
Points = dict[str, list[int]]


def number_points(svg: str, figure: str, points: Mapping[str, Sequence[int]], words: Sequence[str]) -> str:
    """Give each marker of the named groups its row's number and words. Raises ValueError where a marker is missing."""
    out, done = [], 0
    for name, rows in sorted(points.items(), key=lambda item: svg.index(f'id="{figure}-{item[0]}"')):
        place = svg.index(f'id="{figure}-{name}"')
        for row in rows:
            place = svg.index("<use ", place) + len("<use ")
            label = html.escape(words[row], quote=True)
            out.append(svg[done:place] + f'class="run" data-i="{row}" tabindex="-1" role="img" aria-label="{label}" ')
            done = place
    return "".join(out) + svg[done:]
