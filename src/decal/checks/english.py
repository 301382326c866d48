"""In which language a caption seems to be, from its letters and its small words, and text that was saved in the wrong encoding.

The text encoders of Stable Diffusion learned English. Other alphabets fall apart into several tokens a word, and words of other languages
mean little to them. Small words, and words that captions are made of, are told apart by short lists of our own, without those that
English has too; one alone proves nothing, nor do such as stand in names.
"""

import re
import unicodedata

ALPHABETS = {
    "CYRILLIC": "Cyrillic",
    "GREEK": "Greek",
    "ARABIC": "Arabic",
    "HEBREW": "Hebrew",
    "CJK": "Chinese or Japanese",
    "HIRAGANA": "Japanese",
    "KATAKANA": "Japanese",
    "HANGUL": "Korean",
    "DEVANAGARI": "Devanagari",
    "THAI": "Thai",
}
# More letters of another alphabet than this share; a name or a word in quotes is less.
FOREIGN_SHARE = 0.3
FOREIGN_WORDS = 2
SMALL_WORDS = {
    "German": "der das und ein eine einen einem einer eines mit auf ist nicht für von zum zur im dem den vor unter über einem sich",
    "French": "le les des une avec dans sur et aux qui du ses sous une deux très",
    "Spanish": "el los las una con del en y sobre por para que su sus muy es un dos",
    "Italian": "il lo gli uno una con della dello del nel nella che sul sulla di e un molto",
    "Portuguese": "os uma com da das dos em na que sobre por para um dois muito sua",
    "Dutch": "het een op van voor naar bij zijn en onder naast haar twee",
    "Polish": "z na w ze nad oraz jest dla się który przez dwa",
    "Turkish": "ve bir ile için olan üzerinde altında çok iki",
    "Swedish": "och ett med på som är av under två",
}
# Words that captions are made of, without those that English has too, names among them.
COMMON_WORDS = {
    "German": "hund katze gesicht vogel baum blume haus mädchen frau junge bär wald wiese himmel mond herz augen haare rote roter rotes "
    "blau blaue blauer grün grüne gelb gelbe schwarz schwarze schwarzer weiß weiße weißer groß große kleine kleiner kleines lächelt "
    "schläft sitzt steht fliegt hält trägt",
    "French": "chien visage oiseau arbre maison fille garçon homme ours forêt ciel étoile cœur yeux cheveux bleu bleue verte jaune "
    "souriant sourit dort assis debout",
    "Spanish": "gato perro pájaro árbol niña niño hombre mujer oso bosque cielo estrella corazón ojos pelo rojo roja amarillo amarilla "
    "blanco pequeño pequeña sonriente duerme sentado",
    "Italian": "gatto volto uccello albero fiore ragazza ragazzo uomo donna bambino orso bosco cielo cuore occhi capelli rosso rossa "
    "giallo bianco sorridente dorme seduto",
    "Portuguese": "gato cachorro cão rosto pássaro árvore menina menino homem mulher urso floresta céu estrela coração olhos cabelo "
    "vermelho vermelha amarelo branco pequeno pequena sorrindo dorme sentado",
    "Dutch": "hond gezicht vogel bloem meisje jongen vrouw ogen rode blauw groen groene geel zwart zwarte witte lachend slaapt staat",
    "Polish": "kot twarz ptak drzewo kwiat dziewczyna chłopiec niedźwiedź niebo księżyc gwiazda serce oczy czerwony niebieski zielony śpi",
    "Turkish": "kedi köpek yüz ağaç çiçek ev kız ayı gökyüzü yıldız kalp gözler kırmızı mavi yeşil beyaz siyah",
    "Swedish": "katt ansikte fågel träd blomma flicka pojke björn skog måne stjärna hjärta ögon röd röda blå svart liten sover",
}
# They make a word of these languages likelier, but prove nothing alone: English borrows words with them.
OWN_LETTERS = {
    "German": "äöüß",
    "French": "èêëîïôûœç",
    "Spanish": "ñ",
    "Portuguese": "ãõç",
    "Polish": "ąęłńśźż",
    "Turkish": "ğış",
    "Swedish": "åäö",
}
KNOWN_WORDS = {name: frozenset(f"{small} {COMMON_WORDS.get(name, '')}".split()) for name, small in SMALL_WORDS.items()}
# They stand in names that English captions have, of brands, towns and people: Dior Homme, Los Angeles, L. Frank Baum. So they prove nothing
# without a word that does not.
IN_NAMES = frozenset(
    "homme maison ours ciel bleu uomo donna rosso rossa blanco haus baum vogel frau le les el los las il lo gli di del da das dos der den "
    "von van zu".split()
)
UNSEEN = ("Cc", "Cf", "Co", "Cn")
# They decide how letters of some alphabets, and emoji, are put together.
JOINERS = "\u200c\u200d"
ENGLISH = frozenset("the a an of and with in on at is are to its his her from under over by for".split())


def language_of(text: str) -> str | None:
    """What a text is written in, such as `Cyrillic letters` or `German`; None where it may be English."""
    letters = [letter for letter in text if letter.isalpha()]
    foreign = [name for letter in letters if (name := _alphabet(letter)) is not None]
    if letters and len(foreign) > FOREIGN_SHARE * len(letters):
        name = max(sorted(set(foreign)), key=foreign.count)
        return f"{name} letters" if name else "letters of another alphabet"
    words = re.findall(r"[^\W\d_]+", text.casefold())
    english = sum(word in ENGLISH for word in words)
    # A word proves nothing more when it comes again, as in "Vincent van Gogh, Jan van Eyck".
    different = set(words)
    counts = {name: len((different & known) - ENGLISH) for name, known in KNOWN_WORDS.items()}
    for name, letters_of in OWN_LETTERS.items():
        others = different - KNOWN_WORDS[name]
        counts[name] += counts[name] > 0 and any(letter in letters_of for word in others for letter in word)
    best = max(counts, key=lambda name: counts[name])
    is_sure = bool((different & KNOWN_WORDS[best]) - ENGLISH - IN_NAMES)
    return best if counts[best] >= FOREIGN_WORDS and counts[best] > english and is_sure else None


def unscrambled(text: str) -> str | None:
    """The text that a scrambled one was before UTF-8 was read as Windows-1252 or Latin-1; None where it is not scrambled."""
    if text.isascii():
        return None
    for encoding in ("cp1252", "latin-1"):
        try:
            mended = text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        # What comes out must be letters: a real text that happens to decode turns into marks and controls.
        if all(letter.isprintable() for letter in mended):
            return mended
    return None


def tidied(text: str) -> str:
    """A text on one line, in NFC, without characters that cannot be seen."""
    kept = "".join(letter for letter in text if letter.isspace() or letter in JOINERS or unicodedata.category(letter) not in UNSEEN)
    return " ".join(unicodedata.normalize("NFC", kept).split())


def _alphabet(letter: str) -> str | None:
    if ord(letter) < 0x370:
        return None
    first = unicodedata.name(letter, "").partition(" ")[0]
    return ALPHABETS.get(first, None if first in ("LATIN", "FULLWIDTH", "") else "")
