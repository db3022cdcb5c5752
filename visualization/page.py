"""What the report pages share: one HTML file that needs nothing but itself.

Everything on a page that comes from data (class names, file names) is escaped here, and a page
forbids itself scripts and the network.
"""

import base64
import html
from collections.abc import Mapping, Sequence

_STYLE = """
:root { color-scheme: light dark; --text: #202124; --quiet: #555b66; --line: #dadce0;
  --page: #fff; --tile: #f3f5f7; --warn: #fff3d6; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e8eb; --quiet: #a5abb5;
  --line: #3c4046; --page: #17191c; --tile: #24272b; --warn: #4a3a12; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page);
  max-width: 1180px; margin: 2em auto; padding: 0 1em; overflow-wrap: anywhere; }
h1 { font-size: 1.6em; } h2 { font-size: 1.2em; margin-top: 2em;
  border-bottom: 1px solid var(--line); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px;
  margin: 1em 0; overflow-wrap: normal; }
td, th { padding: .2em .7em; text-align: right; border-bottom: 1px solid var(--line); }
td { white-space: nowrap; } .text td { white-space: normal; }
td:first-child, th:first-child, .text td, .text th { text-align: left; }
pre { overflow-x: auto; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
figure { margin: 1em 0; } figcaption, .note { color: var(--quiet); font-size: 13px; }
.tiles, .columns, .thumbnails { display: grid; gap: .8em; align-items: start; }
.tiles { grid-template-columns: repeat(auto-fit, minmax(120px, 1fr)); }
.tiles div { background: var(--tile); border-radius: 6px; padding: .6em .9em; }
.tiles b { display: block; font-size: 1.5em; line-height: 1.2; }
.columns { grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); }
.columns figure { margin: 0; }
.thumbnails { grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); }
.thumbnails figure { margin: 0; } .thumbnails input { position: absolute; opacity: 0; }
.thumbnails img { cursor: zoom-in; }
.thumbnails input:focus-visible + img { outline: 3px solid #0072b2; }
.thumbnails input:checked + img { position: fixed; inset: 2vh 2vw; width: 96vw; height: 96vh;
  max-width: none; object-fit: contain; background: rgba(0, 0, 0, .85); cursor: zoom-out;
  z-index: 1; }
.warning { background: var(--warn); border-radius: 6px; padding: .6em .9em; }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def document(title: str, sections: Sequence[str]) -> str:
    """The whole page; `sections` are HTML, `title` is text."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        f"<h1>{html.escape(title)}</h1>\n" + "\n".join(sections) + "\n</body></html>\n"
    )


def figure(pngs: Mapping[str, bytes], name: str, caption: str) -> str:
    """The image `name` inside the page; `caption` is text."""
    return f"<figure>{_image(pngs[name], caption)}{_caption(caption)}</figure>"


def columns(*sections: str) -> str:
    """HTML side by side where there is room for two, else one below the other."""
    return f'<div class="columns">{"".join(f"<div>{section}</div>" for section in sections)}</div>'


def thumbnails(shown: Sequence[tuple[bytes, str]]) -> str:
    """PNG files with their captions in a grid; a click or the space bar enlarges one, and back."""
    figures = (
        f'<figure><label><input type="checkbox">{_image(png, caption)}</label>'
        f"{_caption(caption)}</figure>"
        for png, caption in shown
    )
    return f'<div class="thumbnails">{"".join(figures)}</div>'


def tiles(numbers: Sequence[tuple[str, object]]) -> str:
    """Key numbers at a glance: what it is, and the number."""
    cells = (f"<div><b>{_text(value)}</b>{_text(name)}</div>" for name, value in numbers)
    return f'<div class="tiles">{"".join(cells)}</div>'


def warning(text: str) -> str:
    """A paragraph that is not to be missed."""
    return f'<p class="warning">{_text(text)}</p>'


def table(
    headings: Sequence[str], rows: Sequence[Sequence[object]], *, of_text: bool = False
) -> str:
    """A table of numbers to the right of a name, or of texts."""
    lines = [_cells("th", headings), *(_cells("td", row) for row in rows)]
    kind = ' class="text"' if of_text else ""
    return f'<div class="scroll"><table{kind}>{"".join(lines)}</table></div>'


def note(text: str) -> str:
    """A paragraph in small letters."""
    return f'<p class="note">{html.escape(text)}</p>'


def number(value: float | None) -> str:
    """A share in a table: three decimals, or - where there is none."""
    return "-" if value is None else f"{value:.3f}"


def _image(png: bytes, caption: str) -> str:
    data = base64.b64encode(png).decode()
    return f'<img alt="{_text(caption)}" src="data:image/png;base64,{data}">'


def _caption(caption: str) -> str:
    return f"<figcaption>{_text(caption)}</figcaption>"


def _text(value: object) -> str:
    return html.escape(str(value))


def _cells(tag: str, values: Sequence[object]) -> str:
    cells = "".join(f"<{tag}>{html.escape(str(value))}</{tag}>" for value in values)
    return f"<tr>{cells}</tr>\n"
