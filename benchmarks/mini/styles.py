"""The test styles: three icon sets that nothing of Decal was made with, to see how a base takes to a style that it has not met.

None of them may be used to teach or choose a base, its sample, a preset or a default; `DEVELOPMENT_PACK` is there for that. They are unlike
the seven packs of the base and unlike each other: black silhouettes, cartoons with an outline and a shadow, angular blue line drawings.
The tables below say which icon shows which concept; they were made by looking at each picture, and run.py draws a sheet of each.
"""

import numpy as np
from concepts import CONCEPTS
from data import MARGIN, on_white, render
from numpy.typing import NDArray
from packs import Pack, fetch


def table(text: str) -> dict[str, str]:
    """Which icon shows which concept, from words `concept=icon`; a word alone is the name of both."""
    pairs = [word.split("=") for word in text.split()]
    return {pair[0]: pair[-1] for pair in pairs}


GAME_ICONS = """
red-apple=shiny-apple wrapped-gift=present evergreen-tree=pine-tree pear umbrella-with-rain-drops=umbrella koala cactus hamburger rocket
red-heart=hearts strawberry jack-o-lantern=pumpkin-lantern mouse peach guitar penguin broken-heart sunflower cherries=cherry frog
light-bulb tiger-face=tiger-head pizza=pizza-slice key snowman-without-snow=snowman owl birthday-cake=stairs-cake crown mushroom lemon
balloon=balloons turtle=sea-turtle hot-beverage=coffee-cup horse-face=horse-head star=round-star watermelon bicycle=dutch-bike
bear=bear-face carrot high-voltage=lightning-helix ghost octopus doughnut=donut crescent-moon=moon robot=vintage-robot lady-beetle=ladybug
soft-ice-cream=ice-cream-cone sun alarm-clock hedgehog pineapple rabbit-face=rabbit-head sailboat palm-tree bread=sliced-bread grapes
fox=fox-head teapot automobile=city-car panda avocado house lion cheese-wedge snowflake=snowflake-1 poultry-leg=chicken-leg duck banana
chicken soccer-ball tangerine rose basketball=basketball-ball elephant tomato bell=ringing-bell unicorn deciduous-tree=fruit-tree
monkey-face=monkey trophy egg=big-egg honeybee=bee fire=flame gem-stone=cut-diamond croissant snail camera=photo-camera dolphin
french-fries airplane=commercial-airplane hot-dog candle=candle-light droplet=drop cat taco=tacos closed-book=book-cover dog=sitting-dog
sparkles rabbit books=bookshelf cookie pencil cupcake cow scissors pig shortcake=cake-slice hammer=claw-hammer tropical-fish
candy=wrapped-sweet bomb=unlit-bomb shark=shark-jaws lollipop=spiral-lollipop parrot=parrot-head anchor chocolate-bar maple-leaf flamingo
castle eggplant=aubergine clown-face=clown flying-saucer=ufo ear-of-corn=corn eagle=eagle-head bus rooster hot-pepper=chili-pepper swan
bell-pepper drum broccoli ewe=sheep headphone=headphones video-game=gamepad magnifying-glass-tilted-left=magnifying-glass ringed-planet
kiwi-fruit camel television=tv snake crocodile=croc-jaws envelope pretzel dragon-face=dragon-head locked=padlock sandwich
t-rex=dinosaur-rex musical-note=musical-notes top-hat glasses=sunglasses jellyfish speech-balloon=chat-bubble spider=spider-alt t-shirt
honey-pot=honey-jar socks beer-mug=beer-stein wine-glass tooth paw-prints=paw-print spiral-shell bubble-tea=boba
"""

STREAMLINE_EMOJIS = """
crying-face cat-face red-apple wrapped-gift=wrapped-gift-1 grinning-face tiger pear umbrella-with-rain-drops winking-face koala
cactus=cactus-1 face-with-tears-of-joy hamburger=hamburger-1 rocket red-heart=heart-suit dog-face strawberry=strawberry-1 jack-o-lantern
mouse smiling-face-with-heart-eyes peach sleeping-face guitar penguin=penguin-1 broken-heart smiling-face-with-sunglasses
sunflower=sunflower-1 cherries frog=frog-face tiger-face pizza=pizza-1 smiling-face-with-smiling-eyes snowman-without-snow=snowman
neutral-face birthday-cake=birthday-cake-1 crown pig-face face-with-tongue mushroom lemon balloon kissing-face turtle
hot-beverage=hot-beverage-1 worried-face sunglasses horse-face face-blowing-a-kiss watermelon=watermelon-1 bicycle loudly-crying-face
bear=bear-face high-voltage slightly-smiling-face ghost astonished-face octopus doughnut=doughnut-1 pile-of-poo crescent-moon
whale=spouting-whale robot=robot-face-2 lady-beetle upside-down-face soft-ice-cream=soft-ice-cream-1 sun=sun-with-face rabbit-face
sailboat confounded-face palm-tree bread cow-face skull enraged-face=pouting-face grapes christmas-tree alien face-screaming-in-fear
fox=fox-face-1 smiling-face-with-halo automobile panda=panda-face tulip smiling-face-with-horns house=house-with-garden lion=lion-face
frowning-face flushed-face snowflake mouse-face grinning-squinting-face poultry-leg sparkling-heart beaming-face-with-smiling-eyes chicken
baby-chick tangerine squinting-face-with-tongue heart-with-arrow rose basketball elephant nerd-face tomato bell star-struck=star-struck-1
unicorn=unicorn-face heart-with-ribbon monkey-face rolling-on-the-floor-laughing=rolling-on-the-floor-laughing-1 honeybee fire snail
cloud=cloud-1 dolphin french-fries grinning-face-with-sweat airplane smirking-face droplet cat unamused-face dog face-with-rolling-eyes
sparkles sushi rabbit expressionless-face cookie grimacing-face horse hibiscus zipper-mouth-face cow money-mouth-face=money-mouth-face-1
pig shortcake=shortcake-1 bouquet collision tropical-fish candy drooling-face=drooling-face-1 bomb four-leaf-clover face-savoring-food
face-with-medical-mask anchor nauseated-face=nauseated-face-1 maple-leaf castle cowboy-hat-face bird=bird-1 clown-face fallen-leaf
exploding-head bus rooster seedling fire-engine hamster=hamster-face ewe=ewe-1 face-with-monocle shushing-face
magnifying-glass-tilted-left lying-face camel confused-face television snake globe-showing-europe-africa crocodile
hushed-face=hushed-face-1 anguished-face locked=locked-with-key cloud-with-rain=cloud-with-rain-1 fearful-face money-bag
sad-but-relieved-face musical-note downcast-face-with-sweat glasses=glasses-1 spaghetti t-shirt tired-face honey-pot
hatching-chick=hatching-chick-1 beer-mug sleepy-face see-no-evil-monkey eyes crystal-ball=crystal-ball-1 wine-glass
face-with-steam-from-nose cocktail-glass paw-prints face-without-mouth cross-mark spiral-shell
"""

STREAMLINE_CYBER = """
cat-face=cat-2 wrapped-gift=present-box umbrella-with-rain-drops=umbrella-rain dog-face=dog-1 angry-face=smiley-angry-2
smiling-face-with-heart-eyes=smiley-love guitar light-bulb=business-idea-light-bulb pizza key=key-2
smiling-face-with-smiling-eyes=smiley-smile1 crown=crown-2 hot-beverage=coffee-cup-hot-2 sunglasses=3d-glasses watermelon
bicycle=bicycle-1 whale robot=android soft-ice-cream=icecream-cone sun alarm-clock=alarm skull=skull-1 automobile=car-4 house=home-scene
frowning-face=smiley-frown cheese-wedge=cheese soccer-ball=football heart-with-arrow=heart-cupid rose=rose-2 basketball elephant
nerd-face=smiley-smile-7 trophy=trophy-4 fire=campfire croissant camera=camera-8 cloud french-fries airplane droplet=blood-drop
closed-book=book-open books=book-encyclopedia scissors=scissor-2 hammer bomb castle=castle-2 bird=origami-paper-bird bus=bus-2 drum=drum-2
yawning-face=smiley-yawn headphone video-game=controller-wireless confused-face=smiley-thinking globe-showing-europe-africa=globe-1
envelope=email-2 locked=lock-close-1 cloud-with-rain=cloud-rain money-bag=money-bag-1 cloud-with-lightning=cloud-storm
musical-note=music-note-1 top-hat=hat-tall glasses=glasses-4 spaghetti=spaghetti-fork speech-balloon=bubble-chat-2 beer-mug=glass-beer-1
wine-glass=wine-bottle-glass
"""

STYLES = (
    Pack(
        name="@iconify-json/game-icons",
        version="1.2.4",
        sha256="f5758efb34d91c4f50b941f355f16ee73938625e5996fabc25171288404460a4",
        style="game-icons",
        title="Game Icons",
        by="Lorc, Delapouite and the Game-icons.net contributors",
        licence="CC-BY-3.0",
        upstream="https://github.com/game-icons/icons",
        renamed=table(GAME_ICONS),
    ),
    Pack(
        name="@iconify-json/streamline-emojis",
        version="1.2.4",
        sha256="5dac87c876b322500989828c5823143e0100d78881627a2e4081a4b897cbfdbc",
        style="streamline-emojis",
        title="Streamline Emojis",
        by="Streamline",
        licence="CC-BY-4.0",
        upstream="https://github.com/webalys-hq/streamline-vectors",
        renamed=table(STREAMLINE_EMOJIS),
    ),
    Pack(
        name="@iconify-json/streamline-cyber-color",
        version="1.2.2",
        sha256="bc71bb624b8a500841e2e47c0175bf13dfb99b38a6ddc2421d3ac21331e21eac",
        style="streamline-cyber",
        title="Streamline Cyber color",
        by="Streamline",
        licence="CC-BY-4.0",
        upstream="https://github.com/webalys-hq/streamline-vectors",
        renamed=table(STREAMLINE_CYBER),
    ),
)


def draw(style: Pack, size_px: int) -> dict[str, NDArray[np.uint8]]:
    """The pictures of a test style by concept, in the order of `CONCEPTS`, each uint8 [size_px, size_px, 3] on white."""
    icons = fetch(style)
    pictures = {}
    for concept in CONCEPTS:
        if concept.slug in style.renamed:
            svg = icons.svg(concept.slug, MARGIN)
            assert svg is not None, f"{style.name} has no {style.renamed[concept.slug]}"
            pictures[concept.slug] = on_white(render(svg, 2 * size_px), size_px)
    return pictures
