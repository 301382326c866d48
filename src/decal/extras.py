"""How an optional part of Decal (an extra of its package) is added to the installation that is running.

Decal is installed from a copy of its repository, from a wheel or from an index; the record that pip leaves says which (PEP 610), and an
extra comes the same way. Whoever misses one says `add("ocr")`.
"""

import json
import os
import sys
from importlib import metadata
from pathlib import Path
from shlex import quote
from urllib.parse import unquote, urlsplit


def add(*extras: str) -> str:
    """The command that adds these extras to the installation that is running, to be typed as it is."""
    pip = Path(sys.prefix, "bin", "pip")
    is_active = os.environ.get("VIRTUAL_ENV") == sys.prefix or not pip.is_file()
    return (
        f"{'pip' if is_active else quote(_near(pip))} install {spec(extras, metadata.distribution('decal').read_text('direct_url.json'))}"
    )


def spec(extras: tuple[str, ...], direct_url: str | None) -> str:
    """What pip is told to install. direct_url: what `direct_url.json` of the installation holds; None where it came from an index."""
    named = f"[{','.join(extras)}]"
    if direct_url is None:
        return quote(f"decal{named}")
    told = json.loads(direct_url)
    url = told["url"]
    if "dir_info" in told:
        is_editable = told["dir_info"].get("editable", False)
        return ("-e " if is_editable else "") + quote(_near(Path(unquote(urlsplit(url).path))) + named)
    if "vcs_info" in told:
        url = f"{told['vcs_info']['vcs']}+{url}@{told['vcs_info']['commit_id']}"
    return quote(f"decal{named} @ {url}")


def _near(path: Path) -> str:
    """A path from here where it lies below, else whole."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
