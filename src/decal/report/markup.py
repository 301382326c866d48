"""HTML and SVG that nobody's words can break out of.

Text goes in, `Markup` comes out; whatever is not `Markup` is escaped on its way in, so a caption of tags and quotes is shown as it stands.
There is no way to put a string in unescaped but to call it `Markup`, which only this room's own constants do.
"""

from html import escape

from decal.wording import printable

HTML_VOID = frozenset({"br", "img", "input", "link", "meta"})
VOID = HTML_VOID | {"circle", "line", "path", "rect"}
"""Elements that have no content; those of SVG are closed by a slash."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(words: str) -> Markup:
    """Words as HTML: escaped, and without characters that could turn the direction of a line or are no valid text."""
    return words if isinstance(words, Markup) else Markup(escape(printable(words)))


def join(*parts: str) -> Markup:
    """Parts one after the other."""
    return Markup("".join(text(part) for part in parts))


def element(name: str, *children: str, **attributes: str | float | None) -> Markup:
    """One element with its children.

    attributes: an underscore stands for a hyphen, and one at the end is dropped (`class_`). None leaves the attribute out, "" its value.
    """
    told = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + (f'="{text(_said(value))}"' if value != "" or key == "alt" else "")
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        assert not children, f"{name} has no content"
        return Markup(f"<{name}{told}>" if name in HTML_VOID else f"<{name}{told}/>")
    return Markup(f"<{name}{told}>{join(*children)}</{name}>")


def _said(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
