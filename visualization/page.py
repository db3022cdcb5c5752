"""What the report pages share: one HTML file that needs nothing but itself.

Everything on a page that comes from data (class names, file names) is escaped here, and a page
forbids itself scripts and the network.
"""

import base64
import html
from collections.abc import Mapping, Sequence

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #202124; max-width: 1000px; margin: 2em auto;
  padding: 0 1em; }
h1 { font-size: 1.6em; } h2 { font-size: 1.2em; margin-top: 2em; border-bottom: 1px solid #dadce0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px;
  margin: 1em 0; }
td, th { padding: .2em .7em; text-align: right; border-bottom: 1px solid #eceff1; }
td:first-child, th:first-child, .text td, .text th { text-align: left; }
img { max-width: 100%; height: auto; }
figure { margin: 1em 0; } figcaption { color: #555b66; font-size: 13px; overflow-wrap: anywhere; }
p.note { color: #555b66; font-size: 13px; }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def document(title: str, sections: Sequence[str]) -> str:
    """The whole page; `sections` are HTML, `title` is text."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        f"<h1>{html.escape(title)}</h1>\n" + "\n".join(sections) + "\n</body></html>\n"
    )


def figure(pngs: Mapping[str, bytes], name: str, caption: str) -> str:
    """The image `name` inside the page; `caption` is text."""
    data = base64.b64encode(pngs[name]).decode()
    caption = html.escape(caption)
    image = f'<img alt="{caption}" src="data:image/png;base64,{data}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def table(
    headings: Sequence[str], rows: Sequence[Sequence[object]], *, of_text: bool = False
) -> str:
    """A table of numbers to the right of a name, or of texts."""
    lines = [_cells("th", headings), *(_cells("td", row) for row in rows)]
    kind = ' class="text"' if of_text else ""
    return f"<table{kind}>{''.join(lines)}</table>"


def note(text: str) -> str:
    """A paragraph in small letters."""
    return f'<p class="note">{html.escape(text)}</p>'


def number(value: float | None) -> str:
    """A share in a table: three decimals, or - where there is none."""
    return "-" if value is None else f"{value:.3f}"


def _cells(tag: str, values: Sequence[object]) -> str:
    cells = "".join(f"<{tag}>{html.escape(str(value))}</{tag}>" for value in values)
    return f"<tr>{cells}</tr>\n"
