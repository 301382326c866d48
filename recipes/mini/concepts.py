"""What the embedded base can draw: about three hundred things, and how people call them.

A line of a table is the slug of the emoji's Unicode name and, after a colon, its names as noun phrases, the most usual first.
`>` before a slug: its mirror image would be wrong, as it shows letters, notes or a dial. `1` before it: there is but one of it.
In each table the most useful stand first.
"""

import re
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["face", "animal", "food", "nature", "object", "symbol"]
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink")

FACES = """
crying-face: a crying face, a sad face with a tear
grinning-face: a grinning face, a happy face with an open mouth
winking-face: a winking face, a wink
face-with-tears-of-joy: a face with tears of joy, a laughing face, a face crying with laughter
angry-face: an angry face, a grumpy face, an angry face with slanted brows
smiling-face-with-heart-eyes: a smiling face with heart eyes, a face in love, a face with hearts for eyes
>sleeping-face: a sleeping face, a snoring face, a face asleep
smiling-face-with-sunglasses: a smiling face with sunglasses, a cool face, a face with sunglasses
face-with-open-mouth: a face with an open mouth, a surprised face
smiling-face-with-smiling-eyes: a smiling face with smiling eyes, a blushing face, a smiling face with rosy cheeks
neutral-face: a neutral face, a face with a straight mouth
face-with-tongue: a face with its tongue out, a face with tongue, a cheeky face
kissing-face: a kissing face, a face with kissing lips
worried-face: a worried face, an uneasy face
face-blowing-a-kiss: a face blowing a kiss, a face sending a kiss
loudly-crying-face: a loudly crying face, a sobbing face, a face in floods of tears
slightly-smiling-face: a slightly smiling face, a smiling face, a smiley
astonished-face: an astonished face, an amazed face
relieved-face: a relieved face, a calm face with closed eyes
disappointed-face: a disappointed face, a sad face looking down
upside-down-face: an upside down face, an upside down smiley
thinking-face: a thinking face, a face with a hand on its chin
confounded-face: a confounded face, a face with a zigzag mouth
face-with-crossed-out-eyes: a face with crosses for eyes, a dizzy face, a knocked out face
enraged-face: an enraged face, a furious face, a very angry face
face-screaming-in-fear: a face screaming in fear, a screaming face, a terrified face
smiling-face-with-halo: a smiling face with a halo, an angel face, an innocent face
smiling-face-with-horns: a smiling face with horns, a smiling devil, a devil face
frowning-face: a frowning face, a sad face
flushed-face: a flushed face, an embarrassed face with wide eyes
grinning-squinting-face: a grinning squinting face, a laughing face with closed eyes
beaming-face-with-smiling-eyes: a beaming face with smiling eyes, a face showing its teeth, a proud face
winking-face-with-tongue: a winking face with its tongue out, a joking face
squinting-face-with-tongue: a squinting face with its tongue out, a playful face
nerd-face: a nerd face, a face with glasses
star-struck: a star struck face, a face with stars for eyes, an excited face
partying-face: a partying face, a face with a party hat
rolling-on-the-floor-laughing: a face rolling on the floor laughing, a tilted laughing face
grinning-face-with-big-eyes: a grinning face with big eyes, a happy face
grinning-face-with-smiling-eyes: a grinning face with smiling eyes, a joyful face
grinning-face-with-sweat: a grinning face with sweat, a laughing face with a drop of sweat
smiling-face-with-hearts: a smiling face with hearts around it, a loving face
smirking-face: a smirking face, a smug face
unamused-face: an unamused face, a bored face looking sideways
face-with-rolling-eyes: a face with rolling eyes, a face looking up
expressionless-face: an expressionless face, a face with straight eyes and mouth
grimacing-face: a grimacing face, a face with clenched teeth
zipper-mouth-face: a zipper mouth face, a face with a zipped mouth, a silent face
>money-mouth-face: a money mouth face, a face with dollar eyes
smiling-face-with-open-hands: a hugging face, a face with open hands
drooling-face: a drooling face, a hungry face
face-savoring-food: a face savoring food, a face licking its lips, a yummy face
face-with-medical-mask: a face with a medical mask, a face wearing a mask
nauseated-face: a nauseated face, a green sick face
cowboy-hat-face: a cowboy face, a face with a cowboy hat
clown-face: a clown face, a clown
exploding-head: an exploding head, a mind blown face
cold-face: a cold face, a freezing face
hot-face: a hot face, a sweating face
pleading-face: a pleading face, a face with puppy eyes
yawning-face: a yawning face, a tired face with a hand
face-with-monocle: a face with a monocle, a curious face
zany-face: a zany face, a crazy face
shushing-face: a shushing face, a face with a finger on its lips
lying-face: a lying face, a face with a long nose
confused-face: a confused face, a puzzled face
slightly-frowning-face: a slightly frowning face, an unhappy face
hushed-face: a hushed face, a face with raised brows
anguished-face: an anguished face, a shocked face
fearful-face: a fearful face, a scared face
anxious-face-with-sweat: an anxious face with sweat, a nervous face
sad-but-relieved-face: a sad but relieved face, a sad face with sweat
downcast-face-with-sweat: a downcast face with sweat, an exhausted face
weary-face: a weary face, a worn out face
tired-face: a tired face, a moaning face
pensive-face: a pensive face, a thoughtful sad face
sleepy-face: a sleepy face, a face with a bubble at its nose
face-with-steam-from-nose: a face with steam from its nose, a huffing face
angry-face-with-horns: an angry face with horns, an angry devil
face-without-mouth: a face without a mouth, a speechless face
kissing-face-with-closed-eyes: a kissing face with closed eyes
"""

ANIMALS = """
cat-face: a cat face, the head of a cat, a cat
tiger: a tiger, a tiger from the side
koala: a koala, a koala face, a koala with big ears
dog-face: a dog face, the head of a dog, a dog
mouse: a mouse, a mouse from the side
penguin: a penguin
frog: a frog, a frog face
tiger-face: a tiger face, the head of a tiger
owl: an owl
pig-face: a pig face, the head of a pig, a pig
turtle: a turtle, a tortoise
horse-face: a horse face, the head of a horse
butterfly: a butterfly
bear: a bear, a bear face, the head of a bear
octopus: an octopus
whale: a whale, a whale with a raised tail
lady-beetle: a ladybug, a lady beetle, a ladybird
hedgehog: a hedgehog
rabbit-face: a rabbit face, a bunny face, the head of a rabbit
cow-face: a cow face, the head of a cow
fish: a fish
fox: a fox, a fox face
panda: a panda, a panda face
lion: a lion, a lion face
mouse-face: a mouse face, the head of a mouse
duck: a duck
chicken: a chicken, a hen
baby-chick: a chick, a baby chick
elephant: an elephant
unicorn: a unicorn, a unicorn face
monkey-face: a monkey face, the head of a monkey
honeybee: a bee, a honeybee
snail: a snail
dolphin: a dolphin
crab: a crab
cat: a whole cat, a cat from the side
dog: a whole dog, a dog from the side
rabbit: a rabbit, a bunny
horse: a horse, a running horse
cow: a cow, a cow from the side
pig: a pig from the side, a whole pig
tropical-fish: a tropical fish
shark: a shark
parrot: a parrot
flamingo: a flamingo
bird: a bird
eagle: an eagle
rooster: a rooster, a cock
swan: a swan
hamster: a hamster, a hamster face
ewe: a sheep
giraffe: a giraffe
zebra: a zebra
camel: a camel
snake: a snake
crocodile: a crocodile
dragon-face: a dragon face, the head of a dragon
dragon: a dragon
t-rex: a t-rex, a dinosaur
bat: a bat
jellyfish: a jellyfish
spider: a spider
hatching-chick: a hatching chick, a chick in an egg
see-no-evil-monkey: a monkey with covered eyes, a see no evil monkey
smiling-cat-with-heart-eyes: a cat with heart eyes, a smiling cat with heart eyes
paw-prints: paw prints
hippopotamus: a hippo, a hippopotamus
"""

FOOD = """
red-apple: an apple
pear: a pear, a pear with a short stem
hamburger: a hamburger, a burger
strawberry: a strawberry
peach: a peach, a peach with a leaf
cherries: a pair of cherries, cherries, two cherries
pizza: a slice of pizza, a pizza
birthday-cake: a birthday cake, a cake with candles
lemon: a lemon
hot-beverage: a cup of coffee, a hot beverage, a cup of tea
watermelon: a watermelon, a slice of watermelon
carrot: a carrot
doughnut: a doughnut, a donut
ice-cream: a bowl of ice cream, an ice cream
soft-ice-cream: an ice cream cone, a soft ice cream
pineapple: a pineapple
bread: a loaf of bread, a bread
grapes: a bunch of grapes, grapes
teapot: a teapot
avocado: an avocado, an avocado cut in half
cheese-wedge: a wedge of cheese, a piece of cheese, a cheese
poultry-leg: a chicken leg, a poultry leg, a drumstick
banana: a banana
tangerine: an orange, a tangerine
tomato: a tomato
green-apple: a green apple
egg: an egg
croissant: a croissant
french-fries: french fries, a pack of french fries
hot-dog: a hot dog
taco: a taco
sushi: a piece of sushi, sushi
cookie: a cookie, a biscuit
cupcake: a cupcake, a muffin
shortcake: a slice of cake, a piece of cake
candy: a candy, a wrapped sweet
lollipop: a lollipop
chocolate-bar: a chocolate bar, a bar of chocolate
eggplant: an eggplant, an aubergine
ear-of-corn: an ear of corn, a corn cob
hot-pepper: a chili pepper, a hot pepper
bell-pepper: a bell pepper
broccoli: a broccoli, broccoli
potato: a potato
onion: an onion
kiwi-fruit: a kiwi, a kiwi fruit
mango: a mango
pretzel: a pretzel
pancakes: pancakes, a stack of pancakes
sandwich: a sandwich
cooking: a fried egg in a pan, a frying pan
spaghetti: a plate of spaghetti, spaghetti
honey-pot: a pot of honey, a honey pot
beer-mug: a mug of beer, a beer mug
wine-glass: a glass of wine, a wine glass
cocktail-glass: a cocktail, a cocktail glass
bubble-tea: a bubble tea
"""

NATURE = """
evergreen-tree: an evergreen tree, a fir tree, a pine tree
cactus: a cactus, a cactus with two arms
1rainbow: a rainbow
sunflower: a sunflower
snowman-without-snow: a snowman, a snowman with stick arms
mushroom: a mushroom, a toadstool
star: a star, a star with five points
high-voltage: a lightning bolt, a flash of lightning
crescent-moon: a crescent moon, a moon
1sun: a sun, the sun
palm-tree: a palm tree
christmas-tree: a christmas tree, a decorated tree
tulip: a tulip
snowflake: a snowflake
shooting-star: a shooting star, a falling star
rose: a rose
deciduous-tree: a tree, a leafy tree
fire: a fire, a flame
cloud: a cloud
droplet: a drop of water, a droplet
cherry-blossom: a cherry blossom, a flower
hibiscus: a hibiscus
bouquet: a bouquet of flowers, a bouquet
four-leaf-clover: a four leaf clover, a lucky clover
maple-leaf: a maple leaf
fallen-leaf: a fallen leaf, autumn leaves
seedling: a seedling, a sprout
glowing-star: a glowing star
1full-moon-face: a full moon with a face, a moon face
ringed-planet: a planet with a ring, a ringed planet
1globe-showing-europe-africa: the earth, a globe, the planet earth
cloud-with-rain: a rain cloud, a cloud with rain
cloud-with-lightning: a thunder cloud, a cloud with lightning
1water-wave: a wave, an ocean wave
volcano: a volcano
snow-capped-mountain: a mountain with snow, a mountain
spiral-shell: a seashell, a spiral shell
"""

OBJECTS = """
wrapped-gift: a gift box, a wrapped gift, a present
umbrella-with-rain-drops: an umbrella, an umbrella in the rain
rocket: a rocket
jack-o-lantern: a jack-o-lantern, a pumpkin, a halloween pumpkin
guitar: a guitar
light-bulb: a light bulb
key: a key
crown: a crown
balloon: a balloon
sunglasses: a pair of sunglasses, sunglasses
bicycle: a bicycle, a bike
ghost: a ghost, a ghost with a wavy hem
pile-of-poo: a pile of poo, a poo with a face
robot: a robot, a robot face
>alarm-clock: an alarm clock
sailboat: a sailing boat, a sailboat
skull: a skull
alien: an alien, an alien head
automobile: a car
house: a house
alien-monster: an alien monster, a space invader
teddy-bear: a teddy bear
soccer-ball: a soccer ball, a football
basketball: a basketball
bell: a bell
trophy: a trophy, a winner's cup
gem-stone: a diamond, a gem, a gem stone
camera: a camera
airplane: an airplane, a plane
candle: a candle
closed-book: a book
books: a stack of books, books
pencil: a pencil
scissors: scissors, a pair of scissors
hammer: a hammer
bomb: a bomb
anchor: an anchor
castle: a castle
flying-saucer: a ufo, a flying saucer
bus: a bus
fire-engine: a fire engine
drum: a drum
headphone: headphones
video-game: a game controller, a video game
magnifying-glass-tilted-left: a magnifying glass
television: a television, a tv
envelope: an envelope, a letter
locked: a lock, a padlock
>money-bag: a money bag, a bag of money
top-hat: a top hat
glasses: a pair of glasses, glasses
t-shirt: a t-shirt, a shirt
socks: socks, a pair of socks
crystal-ball: a crystal ball
tooth: a tooth
bone: a bone
"""

SYMBOLS = """
green-heart: a green heart
red-heart: a heart, a red heart
broken-heart: a broken heart
purple-heart: a purple heart
blue-heart: a blue heart
yellow-heart: a yellow heart
orange-heart: an orange heart
black-heart: a black heart
pink-heart: a pink heart
white-heart: a white heart
light-blue-heart: a light blue heart
sparkling-heart: a sparkling heart, a heart with stars
heart-with-arrow: a heart with an arrow
heart-with-ribbon: a heart with a ribbon
two-hearts: two hearts, a pair of hearts
heart-on-fire: a heart on fire, a burning heart
1sparkles: sparkles, stars that sparkle
1kiss-mark: lips, a kiss mark
1collision: an explosion, a collision
red-circle: a red circle
blue-circle: a blue circle
green-circle: a green circle
yellow-circle: a yellow circle
purple-circle: a purple circle
blue-square: a blue square
green-square: a green square
>musical-note: a musical note
speech-balloon: a speech bubble, a speech balloon
1eyes: eyes, a pair of eyes
cross-mark: a red cross, a cross mark
"""


@dataclass(frozen=True)
class Concept:
    """A thing with an emoji. names: noun phrases as they stand in a caption, with their article; mirrors: a mirror image is right too."""

    slug: str
    kind: Kind
    names: tuple[str, ...]
    mirrors: bool
    is_countable: bool

    @property
    def has_colour(self) -> bool:
        """Whether a name says its colour, so that it has no other."""
        words = {word for name in self.names for word in name.split()}
        return not words.isdisjoint((*COLOURS, "black", "white", "brown", "rainbow"))


def read(table: str, kind: Kind) -> list[Concept]:
    """The concepts of one table, in its order."""
    found = []
    for line in table.strip().splitlines():
        match = re.fullmatch(r"([>1]*)([a-z0-9-]+): (.+)", line)
        assert match, f"not a line of a table: {line}"
        marks, slug, names = match.groups()
        countable = "1" not in marks and kind != "face" and not slug.startswith("two-") and names.startswith(("a ", "an "))
        found.append(Concept(slug, kind, tuple(names.split(", ")), ">" not in marks, countable))
    return found


def _mixed() -> tuple[Concept, ...]:
    """The concepts of all tables, so that every beginning of the list holds each kind in its proportion."""
    tables = dict(zip(get_args(Kind), (FACES, ANIMALS, FOOD, NATURE, OBJECTS, SYMBOLS), strict=True))
    placed = []
    for kind, table in tables.items():
        concepts = read(table, kind)
        placed += [((place + 0.5) / len(concepts), concept.slug, concept) for place, concept in enumerate(concepts)]
    slugs = [slug for _, slug, _ in placed]
    assert len(slugs) == len(set(slugs)), sorted(slug for slug in slugs if slugs.count(slug) > 1)
    return tuple(concept for *_, concept in sorted(placed, key=lambda one: one[:2]))


CONCEPTS = _mixed()
