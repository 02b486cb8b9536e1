"""The picture of a history: a row for each program, with what was done to it, what it served, and where it was wrong."""
from html import escape

WIDTH, LEFT, ROW, TOP = 1600, 90, 22, 60
COLOURS = {"kill": "#c0392b", "restart": "#e67e22", "pause": "#8e44ad", "cut": "#2c3e50", "split": "#16a085", "compact": "#7f8c8d", "upgrade": "#27ae60"}


def rectangle(x, y, width, height, colour, title):
    return f'<rect x="{x:.1f}" y="{y}" width="{max(width, 1):.1f}" height="{height}" fill="{colour}"><title>{escape(title)}</title></rect>'


def text(x, y, words, colour="#333", size=11):
    return f'<text x="{x:.1f}" y="{y}" font-size="{size}" font-family="sans-serif" fill="{colour}">{escape(words)}</text>'


def svg(events, rows, violations):
    """Of events of history.py; rows: names of programs, from above."""
    events = [event for event in events if "t" in event]
    begin = min((event["t"] for event in events), default=0)
    end = max((event.get("undone", event["t"]) for event in events), default=1)
    scale = (WIDTH - LEFT - 10) / max(end - begin, 1)
    place = {name: TOP + ROW * number for number, name in enumerate(rows)}
    height = TOP + ROW * (len(rows) + 1) + 16 * len(violations) + 20

    def at(moment):
        return LEFT + (moment - begin) * scale

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}">',
             f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>']
    for number, (what, colour) in enumerate(COLOURS.items()):
        parts += [rectangle(LEFT + 75 * number, 12, 12, 12, colour, what), text(LEFT + 75 * number + 16, 22, what)]
    parts += [text(LEFT + 560, 22, "publish: acknowledged", "#27ae60"), text(LEFT + 700, 22, "outcome unknown", "#f39c12"),
              text(LEFT + 810, 22, "requests failed", "#ff0000"), text(LEFT + 920, 22, "| agents: a revision applied", "#2980b9")]
    for second in range(0, int(end - begin) + 1, max(int((end - begin) / 20), 1)):
        parts.append(text(at(begin + second), TOP - 14, f"{second} s", "#999", 9))
    for name, y in place.items():
        parts += [text(4, y + 14, name), f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y + ROW - 2}" y2="{y + ROW - 2}" stroke="#eee"/>']
    for event in events:
        if event["kind"] == "fault":
            for who in event["who"]:
                parts.append(rectangle(at(event["t"]), place[who], (event["undone"] - event["t"]) * scale, ROW - 4,
                                       COLOURS[event["what"]], f"{event['what']} {who} at {event['t'] - begin:.1f} s"))
        elif event["kind"] == "publish":
            colour = "#27ae60" if event["outcome"] == "ok" else "#f39c12"
            parts.append(rectangle(at(event["t"]), place["publish"] + 2, (event["end"] - event["t"]) * scale, ROW - 8, colour,
                                   f"{event['key']} {event['version']} {event.get('text', '')}"))
        elif event["kind"] == "failure":
            parts.append(rectangle(at(event["t"]), place[event["agent"]] + ROW - 6, (event["end"] - event["t"]) * scale, 4,
                                   "#ff0000", event["text"]))
        elif event["kind"] == "revision":
            parts.append(rectangle(at(event["t"]), place[event["agent"]] + ROW - 9, 1, 5, "#2980b9", str(event["revision"])))
    for number, line in enumerate(violations):
        parts.append(text(LEFT, TOP + ROW * (len(rows) + 1) + 16 * number, line, "#c0392b"))
    return "\n".join([*parts, "</svg>"])
