"""The text of a post as scraped -> the words it says, its hashtags and its emoji; and the language they are in.

Placeholders (`<mention>`, `<hyperlink>`), addresses, names of accounts and invisible characters are taken out; entities become characters.
Hashtags within a sentence become words; those at its end are kept apart, because they are labels. The language is told by script and by
small words, which is enough to count with and needs no model.
"""

import functools
import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

PLACEHOLDER = re.compile(
    r"<(?:mention|hyperlink|url|user|link)>|\bhttps?:\S+|\bwww\.\S+|\bpic\.twitter\.com/\S+|\bt\.co/\S+|(?<!\w)@\w{1,30}|\A\s*RT\b:?",
    re.IGNORECASE,
)
HASHTAG = re.compile(r"(?<![\w&])[#＃](\w[\w'’]*)")
TRAILING = re.compile(r"(?:\s*[#＃]\w[\w'’]*)+[\s.!]*\Z")
# Pictographs, dingbats, arrows and squares, hearts and the like; joiners and skin tones go with them.
EMOJI = re.compile(
    "[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u2190-\u21ff\u2300-\u23ff\u25a0-\u25ff\u3030\u303d\u3297\u3299\u00a9\u00ae\u2122]"
    "|[\U000e0020-\U000e007f\ufe0f\u200d\u20e3]"
)
TONE_OR_FLAG = re.compile("[\U0001f3fb-\U0001f3ff\U0001f1e6-\U0001f1ff]")
# Controls and what turns the direction of writing; tabs and line ends become spaces elsewhere.
UNSEEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
HUMP = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z'’]+|\d+|[^\W\d_]+")

# The commonest short words that few other languages share.
SMALL_WORDS: dict[str, str] = {
    "en": "the and of to in is you for with your our are this that it on we be have from at will just what how all new get can",
    "es": "el la los las de que y en un una por con para es se del al lo como más su tu nos esta este pero sus",
    "fr": "le la les des et est une un du en que pour dans pas au sur avec vous nous ce cette qui plus votre notre c'est",
    "de": "der die das und sind sie neue wieder ist nicht ein eine mit für auf von zu im den dem wir ihr sich auch bei uns euch noch aber "
    "da los um heute nur jetzt neu wer kommt geht's gibt's endlich unser unsere unserem euer eure mehr schon danke",
    "pt": "o os as de que e em um uma para com não por mais do da no na se você seu sua são está nosso isso "
    "estamos toda cada ao à dos das pelo pela nossa nossos nossas novo novos novas hoje agora já muito também aqui tem temos chegou "
    "chegaram seus suas",
    "it": "il lo gli di che e in un una per con non del della dei sono è più si al nel questo anche come tuo "
    "alla delle degli dal dalla nella sul sulla nostro nostra nostri nostre nuovo nuovi nuove oggi questa ogni sempre vi ecco abbiamo "
    "vostro fino fatti fatto tutti tutte dopo senza quando buon buona",
    "nl": "de het een en van is op te dat niet met voor zijn ook je we aan bij om maar onze jouw naar dit "
    "in elke dag nieuw nieuwe vandaag weer ons jullie wij deze hebben heeft uw komt kom nu tot uit wie wat bijna eindelijk",
    "id": "yang dan di ini itu dengan untuk dari ke tidak ada kamu kita bisa saya juga akan sudah lagi aja",
    "tl": "ang ng mga sa na at ay ko mo ito para kung siya namin natin ka pa lang din po",
    "tr": "ve bir bu için ile da de çok ne var gibi daha olarak kadar ama her sizin bizim",
    "pl": "i w na z się nie do to jest że jak za od po dla przez są już tak czy",
    "sv": "och att det som en på är av för med till den har vi inte om ett du kan ni",
}
_OF_WORD: dict[str, list[str]] = {}
for _language, _words in SMALL_WORDS.items():
    for _word in _words.split():
        _OF_WORD.setdefault(_word, []).append(_language)
SCRIPTS = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("ko", re.compile("[\uac00-\ud7af\u1100-\u11ff]")),
    ("zh", re.compile("[\u4e00-\u9fff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("el", re.compile("[\u0370-\u03ff]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("ta", re.compile("[\u0b80-\u0bff]")),
    ("th", re.compile("[\u0e00-\u0e7f]")),
)
OTHER_SCRIPT = re.compile("[\u0370-\u1fff\u3040-\uffef]")
UNKNOWN = "und"
LANGUAGES = {
    "en": "English", "es": "Spanish", "fr": "French", "de": "German", "pt": "Portuguese", "it": "Italian", "nl": "Dutch",
    "id": "Indonesian", "tl": "Tagalog", "tr": "Turkish", "pl": "Polish", "sv": "Swedish", "ja": "Japanese", "ko": "Korean",
    "zh": "Chinese", "ar": "Arabic", "he": "Hebrew", "ru": "Russian", "uk": "Ukrainian", "el": "Greek", "hi": "Hindi", "ta": "Tamil",
    "th": "Thai", "und": "not clear",
}  # fmt: skip


@dataclass(frozen=True)
class Cleaned:
    """What a post says. text: its words. hashtags: as words. emoji: their names in Unicode, in lower case."""

    text: str
    hashtags: tuple[str, ...]
    emoji: tuple[str, ...]


def clean(original: str) -> Cleaned:
    """The words, hashtags and emoji of a post as scraped."""
    text = original
    for _ in range(2):  # Entities are often escaped once more by a scraper.
        text = html.unescape(text) if "&" in text else text
    emoji: tuple[str, ...] = ()
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
        emoji = tuple(dict.fromkeys(_names(text)))
        text = EMOJI.sub(" ", text) if emoji or EMOJI.search(text) else text
    text = UNSEEN.sub("", text)
    text = PLACEHOLDER.sub(" ", text)
    hashtags: tuple[str, ...] = ()
    if "#" in text or "＃" in text:
        hashtags = tuple(dict.fromkeys(split_hashtag(match.group(1)) for match in HASHTAG.finditer(text)))
        labels = TRAILING.search(text)
        # A post of nothing but hashtags says what they say.
        if labels is not None and labels.start() > 0 and text[: labels.start()].strip():
            text = text[: labels.start()]
        text = HASHTAG.sub(lambda match: split_hashtag(match.group(1)), text)
    text = " ".join(text.split())
    text = re.sub(r"\s+([,.;:!?…])", r"\1", text)
    return Cleaned(text.strip(" -–—|:>…"), hashtags, emoji)


@functools.lru_cache(maxsize=100_000)
def split_hashtag(word: str) -> str:
    """The words in a hashtag: `TimHortonsPH` -> `Tim Hortons PH`, `world_cup` -> `world cup`."""
    return " ".join(HUMP.findall(word)) or word


def language(text: str) -> str:
    """The language of a cleaned text as its two letters; `und` where too little tells it."""
    if not text.isascii() and OTHER_SCRIPT.search(text):
        letters = [letter for letter in text[:500] if letter.isalpha()]
        for name, script in SCRIPTS:
            found = sum(1 for letter in letters if script.match(letter))
            if found and found >= 0.3 * len(letters):
                return "uk" if name == "ru" and re.search("[іїєґ]", text.lower()) else name
    votes: dict[str, int] = {}
    words = text.lower().split()[:80]
    for word in words:
        for one in _OF_WORD.get(word.strip(".,!?:;\"()“”'"), ()):
            votes[one] = votes.get(one, 0) + 1
    if not votes:
        return "en" if text.isascii() and len(words) >= 4 else UNKNOWN
    best = max(votes, key=lambda name: (votes[name], name == "en"))
    return best if votes[best] >= 2 or len(words) <= 12 else UNKNOWN


def _names(text: str) -> Iterator[str]:
    for match in EMOJI.finditer(text):
        character = match.group()
        name = _name(character)
        if name:
            yield name


@functools.lru_cache(maxsize=10_000)
def _name(character: str) -> str:
    if TONE_OR_FLAG.match(character) or character in "\ufe0f\u200d\u20e3©®™" or character >= "\U000e0000":
        return ""
    return unicodedata.name(character, "").lower()
