"""A large SVG for resvg: gradients, paths, strokes, transparency, clips and a blur, from a fixed seed."""

from __future__ import annotations

import math
import random


def _path(choose: random.Random, width: float, height: float) -> str:
    x, y = choose.uniform(0, width), choose.uniform(0, height)
    parts = [f"M{x:.1f} {y:.1f}"]
    for _ in range(choose.randrange(3, 8)):
        points = [f"{x + choose.gauss(0, 60):.1f} {y + choose.gauss(0, 60):.1f}" for _ in range(3)]
        parts.append(f"C{' '.join(points)}")
    return "".join(parts)


def _star(choose: random.Random, width: float, height: float) -> str:
    x, y, radius = choose.uniform(0, width), choose.uniform(0, height), choose.uniform(8, 40)
    count = 2 * choose.randrange(4, 9)
    points = []
    for i in range(count):
        length, angle = radius * (1 if i % 2 else 0.45), math.tau * i / count
        points.append(f"{x + length * math.cos(angle):.1f},{y + length * math.sin(angle):.1f}")
    return f'<polygon points="{" ".join(points)}"'


def drawing(shapes: int, width: int, height: int) -> str:
    choose = random.Random(shapes)
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"><defs>']
    for i in range(12):
        hue = 30 * i
        kind = "linearGradient" if i % 2 else "radialGradient"
        lines.append(f'<{kind} id="g{i}"><stop offset="0" stop-color="hsl({hue},80%,60%)"/>')
        lines.append(f'<stop offset="1" stop-color="hsl({hue + 50},70%,30%)"/></{kind}>')
    lines.append(f'<clipPath id="clip"><circle cx="{width // 2}" cy="{height // 2}" r="{height // 2}"/></clipPath>')
    lines.append('<filter id="blur"><feGaussianBlur stdDeviation="3"/></filter></defs>')
    lines.append('<rect width="100%" height="100%" fill="#f4f1e8"/>')
    for i in range(shapes):
        paint = f'fill="url(#g{choose.randrange(12)})" opacity="{choose.uniform(0.3, 1):.2f}"'
        match i % 4:
            case 0:
                lines.append(f'<path d="{_path(choose, width, height)}" {paint}/>')
            case 1:
                lines.append(f"{_star(choose, width, height)} {paint}/>")
            case 2:
                stroke = f'fill="none" stroke="hsl({choose.randrange(360)},60%,40%)" stroke-width="{choose.uniform(0.5, 6):.1f}"'
                dashes = 'stroke-dasharray="7 3"' if choose.random() < 0.5 else ""
                lines.append(f'<path d="{_path(choose, width, height)}" {stroke} {dashes}/>')
            case _:
                x, y, radius = choose.uniform(0, width), choose.uniform(0, height), choose.uniform(4, 60)
                effect = 'filter="url(#blur)"' if choose.random() < 0.05 else 'clip-path="url(#clip)"' if choose.random() < 0.1 else ""
                lines.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" {paint} {effect}/>')
    return "\n".join([*lines, "</svg>"])
