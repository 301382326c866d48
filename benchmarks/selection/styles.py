"""The test styles of the second proof: three icon sets that nothing of Decal was made with, seen nor measured on before.

None of them may be used to choose or change a measure, its numbers or the quality that choices are held against; `plan.DEVELOPMENT` is
there for that. They are unlike the packs of the base and unlike each other: black silhouettes, outlined and coloured drawings with a
slanting shade, round shapes in two blues without any line. The tables were made by matching names, then by looking at each picture.
"""

from mini.styles import table
from packs import Pack

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

STYLES = (
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
