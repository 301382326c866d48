"""The test styles of the third proof: three icon sets that nothing of Decal was made with, seen nor measured on before.

None of them may be used to choose or change a measure, its numbers or the quality that choices are held against; `plan.DEVELOPMENT` is
there for that. They are unlike the packs of the base and unlike each other: black outlines with hatched and filled parts, teal outlines
over a pale tint, vermilion silhouettes. Such sets come without a colour; two of the inks are our choice. The tables were made by matching
names, then by looking at each picture. Below are the styles of the second proof, whose results are known.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "recipes" / "mini"))

from concepts import CONCEPTS
from data import MARGIN, on_white, render
from mini.styles import table
from packs import Pack, fetch

CONTRAST_OTHERS = """
face-with-crossed-out-eyes=knocked-out-face smiling-face-with-open-hands=hugging-face
"""
SAME = """
enraged-face green-heart purple-heart blue-heart yellow-heart orange-heart pink-heart white-heart light-blue-heart green-apple
red-circle blue-circle green-circle yellow-circle purple-circle blue-square green-square
"""
"""Like another in black and white: told apart by colour, or by nothing."""

DUOTONE = """
cat-face=cat wrapped-gift=gift evergreen-tree=tree-evergreen umbrella-with-rain-drops=umbrella winking-face=smiley-wink cactus hamburger
rocket red-heart=heart dog-face=dog angry-face=smiley-angry rainbow guitar broken-heart=heart-break cherries light-bulb=lightbulb pizza
key neutral-face=smiley-meh birthday-cake=cake crown balloon hot-beverage=coffee sunglasses horse-face=horse star butterfly bicycle carrot
high-voltage=lightning slightly-smiling-face=smiley ghost crescent-moon=moon ice-cream robot lady-beetle=bug sun alarm-clock=alarm
rabbit-face=rabbit sailboat palm-tree=tree-palm bread face-with-crossed-out-eyes=smiley-x-eyes cow-face=cow skull fish alien
automobile=car tulip=flower-tulip avocado house frowning-face=smiley-sad cheese-wedge=cheese snowflake shooting-star soccer-ball
tangerine=orange basketball bell deciduous-tree=tree trophy egg fire camera cloud airplane droplet=drop closed-book=book sparkles=sparkle
cherry-blossom=flower books cookie pencil scissors hammer bomb anchor four-leaf-clover=clover castle=castle-turret bird flying-saucer bus
hot-pepper=pepper fire-engine=fire-truck headphone=headphones video-game=game-controller magnifying-glass-tilted-left=magnifying-glass
ringed-planet=planet television globe-showing-europe-africa=globe-hemisphere-east envelope locked=lock cloud-with-rain=cloud-rain
cloud-with-lightning=cloud-lightning musical-note=music-note glasses=eyeglasses water-wave=waves speech-balloon=chat t-shirt socks=sock
beer-mug=beer-stein eyes wine-glass=wine snow-capped-mountain=mountains tooth cocktail-glass=martini paw-prints=paw-print bone
face-without-mouth=smiley-blank seedling=plant
"""

SOLID = """
crying-face=face-sad-tear grinning-face=face-grin winking-face=face-smile-wink face-with-tears-of-joy=face-grin-tears
angry-face=face-angry smiling-face-with-heart-eyes=face-grin-hearts face-with-open-mouth=face-surprise
smiling-face-with-smiling-eyes=face-smile-beam neutral-face=face-meh face-with-tongue=face-grin-tongue kissing-face=face-kiss
face-blowing-a-kiss=face-kiss-wink-heart loudly-crying-face=face-sad-cry slightly-smiling-face=face-smile
face-with-crossed-out-eyes=face-dizzy frowning-face=face-frown flushed-face=face-flushed grinning-squinting-face=face-grin-squint
beaming-face-with-smiling-eyes=face-grin-beam winking-face-with-tongue=face-grin-tongue-wink
squinting-face-with-tongue=face-grin-tongue-squint star-struck=face-grin-stars rolling-on-the-floor-laughing=face-grin-squint-tears
grinning-face-with-big-eyes=face-grin-wide grinning-face-with-smiling-eyes=face-laugh-beam grinning-face-with-sweat=face-grin-beam-sweat
face-with-rolling-eyes=face-rolling-eyes grimacing-face=face-grimace tired-face=face-tired face-without-mouth=face-meh-blank
kissing-face-with-closed-eyes=face-kiss-beam red-apple=apple-whole wrapped-gift=gift evergreen-tree=tree umbrella-with-rain-drops=umbrella
hamburger=burger rocket red-heart=heart rainbow guitar broken-heart=heart-crack frog light-bulb=lightbulb pizza=pizza-slice key
snowman-without-snow=snowman birthday-cake=cake-candles crown lemon hot-beverage=mug-hot horse-face=horse-head star bicycle carrot
high-voltage=bolt ghost pile-of-poo=poo crescent-moon=moon ice-cream robot sun sailboat bread=bread-slice skull fish automobile=car-side
house cheese-wedge=cheese snowflake poultry-leg=drumstick-bite soccer-ball=futbol basketball bell trophy egg fire gem-stone=gem camera
cloud airplane=plane hot-dog=hotdog droplet cat closed-book=book dog cookie horse pencil cow scissors hammer bomb anchor
four-leaf-clover=clover bird=dove bus hot-pepper=pepper-hot seedling drum headphone=headphones video-game=gamepad
magnifying-glass-tilted-left=magnifying-glass television=tv globe-showing-europe-africa=earth-africa envelope locked=lock
cloud-with-rain=cloud-rain dragon money-bag=sack-dollar cloud-with-lightning=cloud-bolt musical-note=music glasses water-wave=water
speech-balloon=comment spider t-shirt=shirt volcano socks beer-mug=beer-mug-empty wine-glass snow-capped-mountain=mountain tooth
cocktail-glass=martini-glass-citrus paw-prints=paw cross-mark=xmark bone hippopotamus=hippo
"""

STYLES = (
    Pack(
        name="@iconify-json/fluent-emoji-high-contrast",
        version="1.2.6",
        sha256="0b92d48c90d2200bd499e3cdd09a127ca6a8c8ddefd34c35eb5a1e4994012ae0",
        style="contrast",
        title="Fluent Emoji High Contrast",
        by="Microsoft Corporation",
        licence="MIT",
        upstream="https://github.com/microsoft/fluentui-emoji",
        renamed={concept.slug: concept.slug for concept in CONCEPTS if concept.slug not in SAME.split()} | table(CONTRAST_OTHERS),
    ),
    Pack(
        name="@iconify-json/ph",
        version="1.2.2",
        sha256="e3a582a047d9829fc7e8842c660d8065e598d1b68bb58cb68e75a1f1e5a614cc",
        style="duotone",
        title="Phosphor, duotone",
        by="Phosphor Icons",
        licence="MIT",
        upstream="https://github.com/phosphor-icons/core",
        renamed={concept: f"{icon}-duotone" for concept, icon in table(DUOTONE).items()},
    ),
    Pack(
        name="@iconify-json/fa6-solid",
        version="1.2.4",
        sha256="082c792eaad4751626438773fa7360cb23f495b687cf2dd01b2b0fccc7f6af8b",
        style="solid",
        title="Font Awesome 6 Solid",
        by="Fonticons, Inc. and contributors",
        licence="CC-BY-4.0",
        upstream="https://github.com/FortAwesome/Font-Awesome",
        renamed=table(SOLID),
    ),
)
INKS = {"contrast": "#000000", "duotone": "#0f766e", "solid": "#d9480f"}
"""What a set in one colour is drawn in, by style."""


def draw(style: Pack, size_px: int) -> dict[str, NDArray[np.uint8]]:
    """The pictures of a style of this file by concept, in the order of `CONCEPTS`, each uint8 [size_px, size_px, 3] on white."""
    icons, drawn = fetch(style), {}
    for concept in (concept.slug for concept in CONCEPTS if concept.slug in style.renamed):
        svg = icons.svg(concept, MARGIN)
        assert svg is not None, f"{style.name} has no {style.renamed[concept]}"
        drawn[concept] = on_white(render(svg.replace("currentColor", INKS.get(style.style, "currentColor")), 2 * size_px), size_px)
    return drawn


MATERIAL = """
wrapped-gift=gift umbrella-with-rain-drops=umbrella pear=fruit-pear koala cactus hamburger rocket red-heart=heart dog-face=dog cat-face=cat
penguin broken-heart=heart-broken cherries=fruit-cherries light-bulb=lightbulb pizza key snowman-without-snow=snowman owl crown pig-face=pig
neutral-face=emoticon-neutral crying-face=emoticon-cry angry-face=emoticon-angry winking-face=emoticon-wink face-with-tongue=emoticon-tongue
smiling-face-with-sunglasses=emoticon-cool kissing-face=emoticon-kiss pile-of-poo=emoticon-poop face-with-crossed-out-eyes=emoticon-dead
smiling-face-with-horns=emoticon-devil frowning-face=emoticon-sad slightly-smiling-face=emoticon-happy confused-face=emoticon-confused
mushroom balloon turtle=tortoise hot-beverage=coffee sunglasses star watermelon=fruit-watermelon butterfly bicycle carrot
high-voltage=lightning-bolt ghost crescent-moon=weather-night robot lady-beetle=ladybug soft-ice-cream=ice-cream sun=white-balance-sunny
alarm-clock=alarm pineapple=fruit-pineapple rabbit rabbit-face=rabbit-variant sailboat=sail-boat palm-tree cow-face=cow skull fish
grapes=fruit-grapes alien automobile=car-side panda tulip=flower-tulip house=home cheese-wedge=cheese snowflake alien-monster=space-invaders
poultry-leg=food-drumstick duck teddy-bear shooting-star=star-shooting soccer-ball=soccer basketball elephant bell unicorn=unicorn-variant
evergreen-tree=pine-tree deciduous-tree=tree trophy egg honeybee=bee fire gem-stone=diamond-stone croissant=food-croissant
two-hearts=heart-multiple snail camera cloud dolphin french-fries airplane hot-dog=food-hot-dog candle droplet=water taco closed-book=book
dog=dog-side books=bookshelf cookie horse pencil cupcake scissors=content-cut birthday-cake=cake red-apple=food-apple guitar=guitar-acoustic
hammer candy bomb shark anchor maple-leaf=leaf-maple four-leaf-clover=clover castle bird flying-saucer=ufo bus seedling=sprout ewe=sheep
headphone=headphones video-game=controller magnifying-glass-tilted-left=magnify television snake globe-showing-europe-africa=earth
envelope=email pretzel locked=lock musical-note=music-note bat glasses jellyfish spaghetti=pasta speech-balloon=chat spider
t-shirt=tshirt-crew volcano crystal-ball wine-glass=glass-wine beer-mug=glass-mug-variant tooth cocktail-glass=glass-cocktail bone
paw-prints=paw cloud-with-lightning=weather-lightning cloud-with-rain=weather-rainy ear-of-corn=corn hot-pepper=chili-mild
"""

ULTIMATE = """
grinning-face=smiley-happy frowning-face=smiley-sad-1 enraged-face=smiley-mad grinning-squinting-face=smiley-prank
disappointed-face=smiley-disapointed smiling-face-with-smiling-eyes=smiley-smile-1 rolling-on-the-floor-laughing=smiley-lol-sideways
confounded-face=smiley-wrong slightly-frowning-face=smiley-unhappy-1 wrapped-gift=gift-box-1 umbrella-with-rain-drops=rain-umbrella-1
broken-heart=love-it-break guitar=modern-music-electric-guitar key=login-key crown=vip-crown-queen-1 balloon=party-balloon teapot=tea-pot
star=rating-star watermelon=fruit-watermelon bicycle soft-ice-cream=ice-cream-cone robot=android-1 sun=weather-sun bread=bread-loaf skull
alien=science-fiction-alien-1 automobile=car-retro house=house-chimney banana=fruit-banana cherries=fruit-cherry elephant=circus-elephant
bell=alarm-bell-ring egg=animal-products-egg gem-stone=diamond-shine camera=camera-display french-fries=fast-food-french-fries
droplet=blood-drop sushi=seafood-sushi closed-book=book-close-bookmark-1 books=archive-books pencil=pencil-1 scissors=scissors-2
castle=amusement-park-castle clown-face=circus-clown-1 bus=bus-1 fire-engine=public-service-firefighter-truck-1 headphone=headphones-1
ringed-planet=astronomy-planet-ring television=vintage-tv-4 locked=lock-unlock-4 money-bag=money-bag-dollar musical-note=music-note-1
speech-balloon=messages-bubble-square-typing-1 volcano=natural-disaster-volcano water-wave=natural-disaster-flood
cocktail-glass=cocktail-glass-1 tooth=dentistry-tooth
"""

PLUMP = """
wrapped-gift=gift-flat umbrella-with-rain-drops=open-umbrella-flat face-with-tears-of-joy=smiley-laughing-1-flat hamburger=burger-flat
dog-face=dog-1-flat strawberry=strawberry-flat cherries=cherries-flat light-bulb=lightbulb-flat pig-face=pork-meat-flat balloon=balloon-flat
hot-beverage=coffee-mug-flat watermelon=water-melon-flat bicycle=bicycle-bike-flat high-voltage=flash-1-flat crescent-moon=moon-stars-flat
robot=cyborg-2-flat lady-beetle=bug-flat sun=sun-flat sailboat=sail-ship-flat palm-tree=beach-flat bread=toast-flat skull=skull-2-flat
fish=fish-flat alien=alien-flat house=home-1-flat frowning-face=sad-face-flat cheese-wedge=cheese-flat poultry-leg=drum-stick-flat
basketball=ball-flat bell=ringing-bell-notification-flat star-struck=smiley-sparks-flat deciduous-tree=tree-1-flat gem-stone=diamond-1-flat
camera=camera-1-flat airplane=airplane-enabled-flat candle=candle-flat closed-book=book-1-flat sparkles=multiple-stars-flat
expressionless-face=smiley-indiferent-flat scissors=scissors-flat shortcake=cake-slice-flat drooling-face=smiley-drool-flat bomb=bomb-flat
bus=bus-flat fire-engine=firefighter-truck-flat video-game=controller-1-flat magnifying-glass-tilted-left=zoom-in-flat
television=screen-1-flat globe-showing-europe-africa=earth-1-flat locked=padlock-square-2-flat cloud-with-lightning=lightning-cloud-flat
musical-note=music-note-2-flat speech-balloon=chat-bubble-text-square-flat beer-mug=beer-pitch-flat wine-glass=wine-flat
paw-prints=pet-paw-flat
"""

SEEN = (
    Pack(
        name="@iconify-json/mdi",
        version="1.2.3",
        sha256="ddd817a7213f91de51147943915c0cda8c8b818a53c92b5c068cfa9883c6d7ac",
        style="material",
        title="Material Design Icons",
        by="Pictogrammers and contributors",
        licence="Apache-2.0",
        upstream="https://github.com/Templarian/MaterialDesign",
        renamed=table(MATERIAL),
    ),
    Pack(
        name="@iconify-json/streamline-ultimate-color",
        version="1.2.2",
        sha256="46133a11f3734bcef29066391d7edc141ed1d8056242ddfa1b5d36ce286420b6",
        style="ultimate",
        title="Streamline Ultimate color",
        by="Streamline",
        licence="CC-BY-4.0",
        upstream="https://github.com/webalys-hq/streamline-vectors",
        renamed=table(ULTIMATE),
    ),
    Pack(
        name="@iconify-json/streamline-plump-color",
        version="1.2.2",
        sha256="33ed8a9ebda9ed896125f1e01873105688d68d0b0c95ca1bcead5a41309afcf6",
        style="plump",
        title="Streamline Plump color, flat",
        by="Streamline",
        licence="CC-BY-4.0",
        upstream="https://github.com/webalys-hq/streamline-vectors",
        renamed=table(PLUMP),
    ),
)
