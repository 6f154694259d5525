# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks write: tables in Markdown, and line charts in SVG, for which no library is needed."""

from dataclasses import dataclass, field
from xml.sax.saxutils import escape

# Told apart by people who don't see all colours too (Okabe and Ito), and by their dashes on paper.
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]
DASHES = ["", "8 4", "2 3", "10 3 2 3", "5 2", "1 5"]

WIDTH, HEIGHT = 860, 300  # of one panel, in pixels
LEFT, RIGHT, TOP, BOTTOM = 60, 290, 40, 46  # around the curves; the legend is at the right
TICKS = 6  # at most, per axis


def markdown(table):
    """The lines of a table, columns aligned so that it can be read as it is."""
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in table]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


@dataclass
class Curve:
    """POINTS are (x, y); a dot is drawn where the curve passes x = MARK, if that is known."""

    name: str
    points: list
    mark: float = None


@dataclass
class Panel:
    """One chart. The y axis goes from 0 to Y_MAX, the x axis from 0 to the last point of all curves."""

    title: str
    x_label: str
    y_label: str
    y_max: float
    curves: list = field(default_factory=list)


def ticks(maximum):
    """Round numbers from 0 to MAXIMUM, few enough to be read."""
    step = 1.0
    while maximum / step > TICKS:
        for factor in (2, 2.5, 2):  # 1, 2, 5, 10
            step *= factor
            if maximum / step <= TICKS:
                break
    while maximum and maximum / step < TICKS / 3:
        step /= 2
    return [step * number for number in range(int(maximum / step + 1e-9) + 1)]


def height_at(points, x):
    """The y of a curve at X, which may lie between two points; before the first and after the last one it is theirs."""
    for (x1, y1), (x2, y2) in zip(points, points[1:]):
        if x1 <= x <= x2 and x2 > x1:
            return y1 + (y2 - y1) * (x - x1) / (x2 - x1)
    return points[0][1] if x < points[0][0] else points[-1][1]


def svg(panels):
    """The panels below each other, as the text of one SVG file."""
    height = HEIGHT * len(panels)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">'
    )
    body = [f'<rect width="{WIDTH}" height="{height}" fill="white"/>']
    for number, panel in enumerate(panels):
        body.append(f'<g transform="translate(0 {number * HEIGHT})">')
        body += _panel(panel)
        body.append("</g>")
    return "\n".join([head, *body, "</svg>", ""])


def _panel(panel):
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    x_max = max((x for curve in panel.curves for x, _ in curve.points), default=0) or 1

    def at(x, y):
        return LEFT + (right - LEFT) * x / x_max, bottom - (bottom - TOP) * min(y, panel.y_max) / panel.y_max

    lines = [f'<text x="{LEFT}" y="{TOP - 16}" font-size="14" font-weight="bold">{escape(panel.title)}</text>']
    for x in ticks(x_max):
        px, _ = at(x, 0)
        lines.append(f'<line x1="{px:.1f}" y1="{TOP}" x2="{px:.1f}" y2="{bottom}" stroke="#dddddd"/>')
        lines.append(f'<text x="{px:.1f}" y="{bottom + 16}" text-anchor="middle">{x:g}</text>')
    for y in ticks(panel.y_max):
        _, py = at(0, y)
        lines.append(f'<line x1="{LEFT}" y1="{py:.1f}" x2="{right}" y2="{py:.1f}" stroke="#dddddd"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{py + 4:.1f}" text-anchor="end">{y:g}</text>')
    lines.append(f'<path d="M{LEFT} {TOP} V{bottom} H{right}" fill="none" stroke="black"/>')
    middle = (LEFT + right) / 2, (TOP + bottom) / 2
    lines.append(f'<text x="{middle[0]}" y="{bottom + 36}" text-anchor="middle">{escape(panel.x_label)}</text>')
    lines.append(
        f'<text transform="translate(16 {middle[1]}) rotate(-90)" text-anchor="middle">{escape(panel.y_label)}</text>'
    )
    for number, curve in enumerate(panel.curves):
        lines += _curve(curve, number, right, at)
    return lines


def _curve(curve, number, right, at):
    colour = COLOURS[number % len(COLOURS)]
    style = f'stroke="{colour}" stroke-width="2" fill="none"'
    if DASHES[number % len(DASHES)]:
        style += f' stroke-dasharray="{DASHES[number % len(DASHES)]}"'
    y = TOP + 8 + 20 * number
    lines = [
        f'<line x1="{right + 16}" y1="{y}" x2="{right + 48}" y2="{y}" {style}/>',
        f'<text x="{right + 54}" y="{y + 4}">{escape(curve.name)}</text>',
    ]
    if curve.points:
        places = " ".join("{:.1f},{:.1f}".format(*at(*point)) for point in curve.points)
        lines.append(f'<polyline points="{places}" {style}/>')
        if curve.mark is not None:
            x, y = at(curve.mark, height_at(curve.points, curve.mark))
            lines.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}" stroke="white"/>')
    return lines
