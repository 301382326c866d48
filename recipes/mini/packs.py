"""The emoji packs that the embedded base is taught on: pinned, fetched from npm and checked.

Each is an `icons.json` of SVG bodies, as the Iconify project publishes it; the drawings belong to the sets named here (see ATTRIBUTION.md).
Icons are named by the slug of their Unicode name, except where `renamed` says otherwise. OpenMoji, CC-BY-SA, is for looking at only.
"""

import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Names that an emoji had in older versions of Unicode or has in one of the packs, tried in this order after its own.
FORMER_NAMES: Mapping[str, tuple[str, ...]] = {
    "bear": ("bear-face",),
    "enraged-face": ("pouting-face",),
    "face-with-crossed-out-eyes": ("dizzy-face", "knocked-out-face"),
    "ewe": ("sheep",),
    "fox": ("fox-face",),
    "lion": ("lion-face",),
    "panda": ("panda-face",),
    "robot": ("robot-face",),
    "smiling-cat-with-heart-eyes": ("smiling-cat-face-with-heart-eyes",),
    "smiling-face-with-open-hands": ("hugging-face", "smiling-face-with-open-hands-hugs"),
    "unicorn": ("unicorn-face",),
}

# FxEmojis has names of its own, for which removing the hyphens of the Unicode name is not enough. An empty name: it has no such
# picture though it uses the word for another one, or one that lies outside its view box (heartblue).
FIREFOX_NAMES: Mapping[str, str] = {
    "angry-face": "pouting",
    "angry-face-with-horns": "imp",
    "anguished-face": "anguish",
    "anxious-face-with-sweat": "coldsweat",
    "astonished-face": "",
    "basketball": "",
    "bell-pepper": "",
    "blue-circle": "largebluecircle",
    "bird": "",
    "blue-heart": "",
    "camel": "dromedarycamel",
    "castle": "europeancastle",
    "cat": "catside",
    "cat-face": "cat",
    "cloud-with-lightning": "stormcloud",
    "cloud-with-rain": "raincloud",
    "confounded-face": "confounded",
    "confused-face": "confused",
    "crying-face": "crying",
    "disappointed-face": "disappointed",
    "dog": "dogside",
    "dog-face": "dog",
    "downcast-face-with-sweat": "sweat",
    "dragon": "dragonside",
    "dragon-face": "dragonhead",
    "ear-of-corn": "earofmaize",
    "eggplant": "aubergine",
    "enraged-face": "angry",
    "evergreen-tree": "evergreen",
    "ewe": "sheep",
    "expressionless-face": "expressionless",
    "face-blowing-a-kiss": "kissing",
    "face-savoring-food": "smiletongue",
    "face-screaming-in-fear": "screamfear",
    "face-with-crossed-out-eyes": "dizzyface",
    "face-with-medical-mask": "medicalmask",
    "face-with-open-mouth": "openmouth",
    "face-with-steam-from-nose": "triumph",
    "face-with-tears-of-joy": "grintears",
    "face-with-tongue": "tongueout",
    "face-without-mouth": "nomouth",
    "fallen-leaf": "fallingleaf",
    "fearful-face": "fearful",
    "flushed-face": "flushed",
    "frowning-face": "",
    "full-moon-face": "fullmoonwithface",
    "gem-stone": "gem",
    "globe-showing-europe-africa": "europeafricaglobe",
    "glowing-star": "star",
    "green-heart": "heartgreen",
    "grimacing-face": "grimacing",
    "grinning-face": "grin",
    "grinning-face-with-big-eyes": "grinwide",
    "grinning-face-with-smiling-eyes": "grineyes",
    "grinning-face-with-sweat": "grinsweat",
    "grinning-squinting-face": "grinsquint",
    "hamster": "hampster",
    "heart-with-arrow": "heartarrow",
    "heart-with-ribbon": "heartribbon",
    "high-voltage": "lightningmood",
    "hot-pepper": "chilipepper",
    "house": "housebuilding",
    "hushed-face": "hushed",
    "kissing-face": "kiss",
    "kissing-face-with-closed-eyes": "kissclosedeyes",
    "locked": "lock",
    "loudly-crying-face": "loudlycrying",
    "magnifying-glass-tilted-left": "leftmagnifyingglass",
    "mouse": "mouseside",
    "mouse-face": "mouse",
    "neutral-face": "neutral",
    "panda": "pandaface",
    "pensive-face": "pensive",
    "pig": "pigside",
    "pig-face": "pig",
    "pile-of-poo": "poo",
    "pizza": "sliceofpizza",
    "purple-heart": "heartpurple",
    "rabbit": "bunnyside",
    "rabbit-face": "bunny",
    "red-circle": "largeredcircle",
    "relieved-face": "relieved",
    "sad-but-relieved-face": "dissapointedrelief",
    "scissors": "blackscissors",
    "see-no-evil-monkey": "monkeysee",
    "sleeping-face": "sleeping",
    "sleepy-face": "sleepy",
    "slightly-frowning-face": "smallfrown",
    "slightly-smiling-face": "smallsmile",
    "smiling-face-with-halo": "halo",
    "smiling-face-with-heart-eyes": "hearteyes",
    "smiling-face-with-horns": "devilhorns",
    "smiling-face-with-smiling-eyes": "smileeyes",
    "smiling-face-with-sunglasses": "sunglasses",
    "smirking-face": "smirk",
    "snow-capped-mountain": "snowmountains",
    "speech-balloon": "leftspeechbubble",
    "squinting-face-with-tongue": "tongueoutwink2",
    "star": "",
    "sun": "whitesun",
    "sunglasses": "darksunglasses",
    "tiger": "tigerside",
    "tiger-face": "tiger",
    "tired-face": "tired",
    "two-hearts": "2hearts",
    "unamused-face": "unamused",
    "weary-face": "weary",
    "winking-face": "winking",
    "winking-face-with-tongue": "tongueoutwink",
    "worried-face": "worried",
    "wrapped-gift": "present",
    "yellow-heart": "heartyellow",
}


@dataclass(frozen=True)
class Pack:
    """One emoji set as it is on npm. style: the word for it in captions; upstream: where the drawings come from."""

    name: str
    version: str
    sha256: str
    style: str
    title: str
    by: str
    licence: str
    upstream: str
    renamed: Mapping[str, str] = field(default_factory=dict)


PACKS = (
    Pack(
        name="@iconify-json/noto",
        version="1.2.9",
        sha256="3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
        style="noto",
        title="Noto Emoji",
        by="Google",
        licence="Apache-2.0",
        upstream="https://github.com/googlefonts/noto-emoji",
    ),
    Pack(
        name="@iconify-json/noto-v1",
        version="1.2.5",
        sha256="2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37",
        style="blob",
        title="Noto Emoji (v1)",
        by="Google",
        licence="Apache-2.0",
        upstream="https://github.com/googlefonts/noto-emoji",
    ),
    Pack(
        name="@iconify-json/fluent-emoji",
        version="1.2.7",
        sha256="8044210dbf11e016d4de85f15d01a243423bd832457e7e2491df1b751c0e272b",
        style="glossy",
        title="Fluent Emoji",
        by="Microsoft Corporation",
        licence="MIT",
        upstream="https://github.com/microsoft/fluentui-emoji",
    ),
    Pack(
        name="@iconify-json/fluent-emoji-flat",
        version="1.2.6",
        sha256="7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
        style="flat",
        title="Fluent Emoji Flat",
        by="Microsoft Corporation",
        licence="MIT",
        upstream="https://github.com/microsoft/fluentui-emoji",
    ),
    Pack(
        name="@iconify-json/twemoji",
        version="1.2.5",
        sha256="19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7",
        style="twemoji",
        title="Twemoji",
        by="Twitter and contributors",
        licence="CC-BY-4.0",
        upstream="https://github.com/jdecked/twemoji",
    ),
    Pack(
        name="@iconify-json/emojione",
        version="1.2.3",
        sha256="26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e",
        style="emojione",
        title="EmojiOne 2",
        by="EmojiOne and the EmojiTwo contributors",
        licence="CC-BY-4.0",
        upstream="https://github.com/EmojiTwo/emojitwo",
    ),
    Pack(
        name="@iconify-json/fxemoji",
        version="1.2.2",
        sha256="f3e72b3c59d05e1db03b7e308d55c0d05bd7ba3f625a90da1b79313c12858eef",
        style="firefox",
        title="FxEmojis",
        by="Mozilla",
        licence="Apache-2.0",
        upstream="https://github.com/mozilla/fxemoji",
        renamed=FIREFOX_NAMES,
    ),
)

# Never in the data that weights are trained on: share-alike. Its style stands for one that the base has not seen.
DEVELOPMENT_PACK = Pack(
    name="@iconify-json/openmoji",
    version="1.2.29",
    sha256="03181e2c156cab35cf4a62f1f7886bd971d59212e75ac3f189d5a4cae3930fc5",
    style="openmoji",
    title="OpenMoji",
    by="the OpenMoji project",
    licence="CC-BY-SA-4.0",
    upstream="https://github.com/hfg-gmuend/openmoji",
)


class Icons:
    """The drawings of one pack, as SVG."""

    def __init__(self, pack: Pack, content: Mapping[str, Any]) -> None:
        self._pack = pack
        self._content = content
        self._joined = {name.replace("-", ""): name for name in content["icons"]} if pack.renamed else {}

    def svg(self, slug: str, margin: float) -> str | None:
        """The drawing of an emoji on its own view box with a margin around it, or None where the pack has none.

        margin: share of the picture's side that stays free at each edge, 0..0.5.
        """
        name = self._find(slug)
        if name is None:
            return None
        icon = {**{key: self._content[key] for key in ("width", "height") if key in self._content}, **self._content["icons"][name]}
        side = max(icon["width"], icon["height"])
        border = side * margin / (1 - 2 * margin)
        left = icon.get("left", 0) - (side - icon["width"]) / 2 - border
        top = icon.get("top", 0) - (side - icon["height"]) / 2 - border
        box = f"{left:g} {top:g} {side + 2 * border:g} {side + 2 * border:g}"
        return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">{icon["body"]}</svg>'

    def _find(self, slug: str) -> str | None:
        if self._pack.renamed:
            return self._joined.get(self._pack.renamed.get(slug, slug).replace("-", ""))
        icons, aliases = self._content["icons"], self._content.get("aliases", {})
        for name in (slug, *FORMER_NAMES.get(slug, ())):
            if name in icons:
                return name
            # An alias that also turns or flips its parent is not the same picture.
            if set(aliases.get(name, ())) == {"parent"} and aliases[name]["parent"] in icons:
                return str(aliases[name]["parent"])
        return None


def fetch(pack: Pack) -> Icons:
    """Return the drawings of a pack from npm, after checking the archive.

    Raises SystemExit where the archive is not the pinned one.
    """
    with tempfile.TemporaryDirectory() as scratch:
        command = ["npm", "pack", "--silent", f"{pack.name}@{pack.version}"]
        done = subprocess.run(command, cwd=scratch, check=True, capture_output=True, text=True)
        archive = Path(scratch, done.stdout.split()[-1]).read_bytes()
    found = hashlib.sha256(archive).hexdigest()
    if found != pack.sha256:
        raise SystemExit(f"{pack.name}@{pack.version} has SHA-256 {found}, expected {pack.sha256}")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        member = tar.extractfile("package/icons.json")
        assert member is not None
        return Icons(pack, json.load(member))
