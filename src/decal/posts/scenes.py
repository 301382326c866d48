"""What words of posts can be seen as: things, places, times, moods, goals and colours, as plain tables.

Each line of THINGS is a subject and the words that name it. A subject is worded so that it can be drawn on its own; where a base knows few
words, what stands after `~` is what it is more likely to know. Words that are more often a verb or a time than a thing (watch, match, fly,
spring) count only behind an article or the like, and stand in LOOSE.
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Thing:
    """Something to be seen. subject: with its article. plain: the same in words that a small base is more likely to know."""

    subject: str
    kind: str
    plain: str


_THINGS = {
    "food": """
a cup of coffee: coffee, latte, espresso, cappuccino, mocha, americano, cold brew, iced coffee, french vanilla, hot beverage
a cup of tea ~ a teapot: tea, chai, matcha
a teapot: teapot
a bubble tea: bubble tea, boba
a glass of juice ~ an orange: juice, smoothie, lemonade
a mug of beer: beer, ale, lager, pint, brewery
a glass of wine: wine, prosecco, champagne, merlot
a cocktail: cocktail, margarita, mojito
a bottle of water ~ a drop of water: bottled water, mineral water
a slice of pizza: pizza, pepperoni, margherita
a hamburger: burger, hamburger, cheeseburger, whopper
a sandwich: sandwich, sub, panini, wrap, breakfast sandwich
a hot dog: hot dog, hotdog
french fries: fries, french fries
a taco: taco, burrito, nacho, quesadilla
a piece of sushi: sushi, sashimi
a plate of spaghetti: pasta, spaghetti, noodle, ramen, lasagna
a bowl of salad ~ an avocado: salad
a bowl of soup: soup, stew
a chicken leg: fried chicken, chicken wing, drumstick, nuggets
a fried egg in a pan: egg, omelette, scrambled egg
pancakes: pancake, waffle
a doughnut: doughnut, donut, timbit
a croissant: croissant, pastry
a loaf of bread: bread, bakery, baguette, toast
a wedge of cheese: cheese, cheddar
a birthday cake: cake, birthday cake, cheesecake, birthday, shortcake
a slice of cake: slice of cake, pie, tart
a cupcake: cupcake, muffin
a cookie: cookie, biscuit
a chocolate bar: chocolate, cocoa
an ice cream cone: ice cream, gelato, sundae, soft serve
a candy: candy, sweets
a lollipop: lollipop
an apple: apple
a pear: pear
a peach: peach
a lemon: lemon
an orange: oranges
a strawberry: strawberry, berry
a pair of cherries: cherry, cherries
a banana: banana
a pineapple: pineapple
a watermelon: watermelon, melon
a bunch of grapes: grape
a mango: mango
a kiwi: kiwi fruit
an avocado: avocado, guacamole
a tomato: tomato
a carrot: carrot
an ear of corn: corn, popcorn
a broccoli: broccoli, vegetable, veggie
a mushroom: mushroom
a chili pepper: chili, chilli, jalapeno
a pot of honey: honey
a dumpling: dumpling
a marshmallow: marshmallow
""",
    "animal": """
a cat ~ a cat face: cat, kitten, kitty
a dog ~ a dog face: dog, puppy, pup, pooch
a rabbit: rabbit, bunny
a hamster: hamster
a mouse ~ a mouse face: mice, mouse
a fox: fox
a bear: bear, grizzly
a panda: panda
a koala: koala
a tiger: tiger
a lion: lion
an elephant: elephant
a giraffe: giraffe
a zebra: zebra
a monkey ~ a monkey face: monkey, gorilla, chimpanzee
a horse: horse, pony, stallion
a cow: cow, calf, cattle
a pig ~ a pig face: pig, piglet
a sheep: sheep, lamb
a chicken: hen, rooster
a chick: chick
a duck: duck, duckling
a penguin: penguin
an owl: owl
an eagle: eagle, hawk
a parrot: parrot
a flamingo: flamingo
a swan: swan
a bird: bird, robin, sparrow
a frog: frog
a turtle: turtle, tortoise
a snake: snake
a crocodile: crocodile, alligator
a fish: fish, salmon, trout
a tropical fish: aquarium
a shark: shark
a dolphin: dolphin
a whale: whale
an octopus: octopus
a crab: crab, lobster
a snail: snail
a butterfly: butterfly
a bee: bee, bumblebee
a ladybug: ladybug, ladybird
a spider: spider
a hedgehog: hedgehog
a raccoon: raccoon
a sloth: sloth
an otter: otter
a corgi: corgi
a dragon: dragon
a t-rex: dinosaur, t-rex
a unicorn: unicorn
paw prints: pet, paw, animal shelter
""",
    "plant": """
a sunflower: sunflower
a rose: rose, roses
a tulip: tulip
a bouquet of flowers: flower, bouquet, bloom, blossom
a cherry blossom: cherry blossom
a cactus: cactus, succulent
a palm tree: palm tree, tropics
an evergreen tree: pine, evergreen, forest, woods
a christmas tree: christmas tree, christmas, xmas
a tree: tree, oak
a bonsai tree: bonsai
an acorn: acorn
a fallen leaf: autumn leaf, autumn, fall foliage
a maple leaf: maple
a four leaf clover: clover, st patrick
a seedling: seedling, seed, gardening, compost
a jack-o-lantern: pumpkin, jack-o-lantern, halloween
""",
    "vehicle": """
a car: car, automobile, suv, sedan, sports car, coupe, convertible, minivan, hatchback, pickup, truck
a bicycle: bike, bicycle, cycling, ebike
a motorcycle ~ a bicycle: motorcycle, motorbike, scooter
a racing car ~ a car: formula one, f1, grand prix, racing car, racer
a bus: bus, coach tour
a train ~ a bus: train, railway
an airplane: airplane, plane, flight, aircraft, airline, airport
a sailing boat: boat, sailing, yacht, ferry, cruise
a rocket: rocket, spacecraft, liftoff
a fire engine: fire engine, firefighter
""",
    "thing": """
a smartphone ~ a camera: phone, smartphone, iphone, android phone, mobile phone
a laptop ~ a television: laptop, personal computer, computer, notebook pc, macbook
a television: tv, television
a pair of headphones ~ headphones: headphones, earbuds, headset
a camera: camera, photography, photo shoot
a game controller: video game, gaming, console, gamer, playstation, xbox
a robot: robot, robotics, ai assistant, chatbot
a light bulb: light bulb, led, idea
an alarm clock: alarm clock
a radio: radio
a skateboard: skateboard
a lighthouse: lighthouse
a hot air balloon: hot air balloon
a paper plane: paper plane
a wristwatch ~ an alarm clock: wristwatch, smartwatch, timepiece
a key: key, key ring, house key
a lock: padlock, cybersecurity, password
a gift box: gift, present box, wrapped present, giveaway, gift card, raffle
a balloon: balloon
a crown: crown
a trophy: trophy, champion, award, winner
a gold medal ~ a trophy: medal
a bell: bell
a candle: candle
a book: book, novel, ebook, chapter
a stack of books: library, bookshop, bookstore
a pencil: pencil, homework
an envelope: letter, newsletter, mailbox
a guitar: guitar, band, concert, gig, live music
a drum: drum, drummer
a musical note: song, playlist, album, music, tune
a teddy bear: teddy bear, toy
a soccer ball: soccer, football, goalkeeper, premier league
a basketball: basketball, nba
a baseball ~ a soccer ball: baseball, mlb
a tennis racket ~ a yellow circle: tennis
a pair of sneakers ~ socks: shoe, sneaker, trainers, boots, footwear
a t-shirt: t-shirt, tee, shirt, jersey
a dress ~ a t-shirt: dress, gown
a handbag ~ a gift box: handbag, purse, backpack
a pair of sunglasses: sunglasses, shades
a pair of glasses: eyeglasses, glasses, spectacles
a top hat: hat
a diamond: diamond, jewellery, jewelry, necklace, gemstone
a ring in a small box ~ a diamond: engagement ring, wedding ring
an umbrella: umbrella
a lipstick ~ lips: lipstick, makeup, cosmetics
a perfume bottle ~ a gift box: perfume, fragrance
a suitcase ~ an airplane: suitcase, luggage, holiday trip, getaway
a tent under the stars ~ a tree: tent, camping, campsite
an anchor: anchor, harbour, harbor
a hammer: hammer, diy, toolbox
a money bag ~ a diamond: money bag, savings, jackpot, cashback
a magnifying glass: magnifying glass
a megaphone ~ a bell: megaphone
a house: house, home loan, mortgage, real estate, apartment
a castle: castle
a toothbrush ~ a tooth: toothbrush, toothpaste, dentist
a sofa ~ a house: sofa, couch, furniture
a bar of soap ~ a drop of water: soap, shampoo
a red heart ~ a heart: heart
a broken heart: broken heart
a green heart: green heart
a purple heart: purple heart
a crystal ball: crystal ball, horoscope
a ghost: ghost
a skull: skull
""",
    "face": """
an angry face: angry face, grumpy face, furious face
a crying face: crying face, sad face, face with a tear
a smiling face with heart eyes: heart eyes, heart-eyes, heart-shaped eyes, face in love
a star struck face: star struck face, star-struck face, star eyes, starry eyes
a face with tears of joy: tears of joy, laughing face
a smiling face with smiling eyes: happy face, smiling eyes, blushing face
a slightly smiling face: smiling face, smiley
a grinning face: grinning face, big grin
a winking face: winking face
a thinking face: thinking face
a sleeping face: sleeping face, sleepy face
an astonished face: astonished face, surprised face, shocked face
a face with its tongue out: tongue out
a partying face: partying face, party face
a smiling face with sunglasses: cool face
a pleading face: pleading face, puppy eyes
a worried face: worried face
a neutral face: neutral face
""",
    "sky": """
a rainbow: rainbow
a shooting star: shooting star
a star: star, stars
the sun ~ a sun: sun, sunshine, sunny, heatwave
a crescent moon: moon, midnight
a cloud: cloud
a rain cloud: rain, rainy
a lightning bolt: lightning, thunder, storm
a snowflake: snowflake, snow, snowfall
a snowman: snowman
a volcano: volcano
a mountain with snow: mountain, alps, ski, skiing
a wave: wave, surf, surfing, ocean
the earth: earth, planet
a ringed planet: ringed planet, saturn
""",
}
LOOSE = frozenset(
    "bear sub wrap duck fish cow bee star ale pint pie tart band key bell ring sheep swan crab hat dress train coach ski wave rose corn "
    "chick shark fox book letter candy heart seal tea sun cloud storm crown house present drum tree hammer bus earth planet mouse".split()
)
BEFORE_A_THING = frozenset(
    "a an the our your my his her their this that these those some every each two three four five new fresh free best favourite favorite "
    "big little tiny of with and for no red blue green yellow orange purple pink black white golden hot iced cold warm".split()
)

# What stands for what cannot be seen, where a post names nothing that can.
TOPICS: Mapping[str, str] = {
    "a stack of coins beside a seedling ~ a diamond": "bank banking loan invest investing investment finance "
    "financial credit pay payment tax "
    "budget interest fund stocks shares earnings revenue insurance money cash",
    "a light bulb ~ a light bulb": "idea ideas tip tips learn innovation innovate creative creativity think inspire inspiration solution",
    "a soccer ball in a stadium ~ a soccer ball": "match goal goals team teams league season "
    "player players squad kickoff stadium fans coach game",
    "a laptop on a tidy desk ~ a light bulb": "software app apps digital data cloud tech "
    "technology online website startup developer code platform ai",
    "a green seedling in two hands ~ a seedling": "sustainable sustainability climate environment recycle carbon renewable planet green",
    "a red heart ~ a heart": "health care wellness love thank thanks grateful charity "
    "donate donation volunteer hospital nurse doctor patients community",
    "a suitcase on a sunny terrace ~ an airplane": "travel trip vacation holiday destination "
    "explore journey hotel booking abroad adventure",
    "a stack of books ~ a stack of books": "learn school student students study education university "
    "college teacher class course read reading story",
    "a bouquet of flowers ~ a bouquet of flowers": "mother mothers mom wedding anniversary valentine women beautiful",
    "a trophy ~ a trophy": "proud congratulations congrats award best winner won achievement record success victory champion",
    "an open door with light behind it ~ a key": "hiring job jobs career careers join recruiting opportunity apply vacancy open opening",
    "a padlock ~ a lock": "security secure privacy safe safety protect protection fraud scam password",
    "an alarm clock ~ an alarm clock": "hurry countdown deadline hours minutes",
    "a megaphone ~ a bell": "news announcement announce press statement breaking",
    "a gift box with a ribbon ~ a gift box": "sale off discount deal offer save win prize giveaway shop buy bonus free coupon",
    "a guitar on a stage ~ a guitar": "festival tour show stage listen singer artist",
}  # fmt: skip

PLACES: Mapping[str, str] = {
    "on a sandy beach": "beach seaside shore coast sand",
    "in a bright kitchen": "kitchen cook cooking recipe bake baking chef homemade",
    "on an office desk": "office work desk meeting monday colleagues",
    "in a green garden": "garden backyard lawn bbq barbecue picnic",
    "in a park": "park walk outdoors",
    "in a city street at dusk": "city downtown street urban",
    "in deep snow": "snow winter ski snowy",
    "in a full stadium": "stadium arena fans kickoff",
    "in a cosy living room": "home couch sofa cosy cozy netflix binge",
    "by a lake in the mountains": "lake mountain hike hiking trail",
    "on an open road": "road drive driving highway roadtrip",
    "in a small shop window": "store shop mall boutique",
    "in a bright classroom": "school classroom students",
    "among autumn leaves": "autumn fall october november",
}
TIMES: Mapping[str, str] = {
    "in early morning light": "morning breakfast sunrise dawn",
    "at golden hour": "evening sunset weekend",
    "at night under soft lamps": "night midnight late tonight",
    "with fairy lights and fir twigs": "christmas xmas december festive holidays",
    "with carved pumpkins and candles": "halloween spooky",
    "with fireworks in the sky": "newyear newyears firework fireworks",
    "with spring blossoms": "spring easter april",
    "in bright summer light": "summer july august sunny",
}
USUAL_PLACES: Mapping[str, tuple[str, ...]] = {
    "food": ("on a wooden table by a window", "on a marble counter", "on a checked tablecloth", "on a plain pastel table"),
    "animal": ("in a sunny meadow", "on soft grass", "before a plain pastel wall"),
    "plant": ("in soft morning light", "on a windowsill", "before a plain wall"),
    "vehicle": ("on an open road at golden hour", "before a wide sky", "in a clean studio"),
    "thing": ("on a plain pedestal", "on a tidy wooden desk", "before a plain pastel wall"),
    "sky": ("over a wide quiet landscape", "in a clear sky"),
    "face": ("before a plain pastel wall", "in soft daylight"),
    "topic": ("before a plain pastel wall", "in soft daylight"),
}
GOALS: Mapping[str, str] = {
    "announce": "introducing announce announcing announcement new launch launching launched "
    "unveil meet presenting reveal coming soon arrived debut",
    "promo": "sale off discount deal deals offer save free win giveaway coupon price only bogo voucher order shop buy limited",
    "event": "join tonight live event concert festival match kickoff webinar conference register tickets tour game show",
    "greeting": "happy merry birthday congratulations congrats welcome anniversary cheers wishing thank thanks christmas easter",
}  # fmt: skip
COMPOSITIONS: Mapping[str, tuple[str, ...]] = {
    "announce": ("centred under one soft spotlight", "seen from slightly below", "large in the frame"),
    "promo": ("with curling ribbons around it", "with confetti in the air", "close up"),
    "event": ("with a dynamic low angle", "with warm stage lights behind", "with a cheering crowd far behind"),
    "greeting": ("with a few balloons", "with small flowers around it", "with sparkles"),
    "mood": ("with much empty space", "in a calm composition"),
    "plain": ("with space around it",),
}
MOODS: Mapping[str, str] = {
    "cheerful": "happy fun smile enjoy joy yay love great good awesome delicious sunny weekend friday excited laugh haha",
    "excited": "wow amazing epic huge incredible unbelievable goal win ready finally legendary hot fire",
    "loving": "love heart hug kiss valentine together family sweet",
    "festive": "party celebrate celebration christmas birthday cheers merry holidays festival fireworks",
    "cosy": "cosy cozy warm winter blanket tea rainy home comfort",
    "calm": "relax calm peace quiet slow sunday rest breathe wellness spa",
    "proud": "proud congratulations congrats award achievement honoured honored record champion",
    "sad": "sad sorry miss missed loss lost goodbye condolences rip mourn unfortunately",
    "angry": "angry mad furious hate worst terrible fail",
    "curious": "guess question quiz wonder why how which poll think",
    "sleepy": "sleep sleepy tired nap bed yawn monday",
}
LIGHT: Mapping[str, str] = {
    "cheerful": "bright cheerful light",
    "excited": "vivid light and strong contrast",
    "loving": "soft pink light",
    "festive": "warm festive light",
    "cosy": "warm lamplight",
    "calm": "soft quiet light",
    "proud": "golden light",
    "sad": "muted blue light",
    "angry": "harsh red light",
    "curious": "clear neutral light",
    "sleepy": "dim soft light",
}
FACES: Mapping[str, str] = {
    "cheerful": "a smiling face with smiling eyes",
    "excited": "a star struck face",
    "loving": "a smiling face with heart eyes",
    "festive": "a partying face",
    "cosy": "a relieved face",
    "calm": "a relieved face",
    "proud": "a smiling face with sunglasses",
    "sad": "a crying face",
    "angry": "an angry face",
    "curious": "a thinking face",
    "sleepy": "a sleeping face",
}
COLOURS = ("red", "orange", "yellow", "green", "turquoise", "blue", "purple", "pink", "black", "white", "golden", "silver", "brown")
# Emoji by the words of their Unicode names that say a mood.
EMOJI_MOODS: Mapping[str, str] = {
    "grinning": "cheerful", "smiling": "cheerful", "tears of joy": "cheerful", "heart-shaped eyes": "loving", "heart": "loving",
    "party": "festive", "confetti": "festive", "fire": "excited", "crying": "sad", "weary": "sad", "pensive": "sad", "angry": "angry",
    "pouting": "angry", "thinking": "curious", "sleeping": "sleepy", "trophy": "proud", "flexed biceps": "proud", "clapping": "proud",
    "sparkles": "cheerful", "raising both hands": "festive", "hot beverage": "cosy",
}  # fmt: skip


@functools.lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """A word without the ending of its plural, in lower case."""
    word = word.lower()
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ches", "shes", "xes", "sses", "zes", "oes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def words_of(text: str) -> list[str]:
    """The words of a text in lower case; apostrophes and dashes within a word belong to it."""
    return re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text.lower())


def _read_things() -> dict[tuple[str, ...], Thing]:
    found: dict[tuple[str, ...], Thing] = {}
    for kind, lines in _THINGS.items():
        for line in lines.strip().splitlines():
            told, _, names = line.partition(":")
            subject, _, plain = told.partition("~")
            thing = Thing(subject.strip(), kind, plain.strip() or subject.strip())
            for name in names.split(","):
                found.setdefault(tuple(stem(word) for word in name.split()), thing)
    return found


def _by_word(table: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for value, words in table.items():
        for word in words.split():
            found.setdefault(stem(word), value)
    return found


THINGS = _read_things()
LONGEST = max(len(name) for name in THINGS)
TOPIC_OF, PLACE_OF, TIME_OF, GOAL_OF, MOOD_OF = (_by_word(table) for table in (TOPICS, PLACES, TIMES, GOALS, MOODS))
LOOSE_STEMS = frozenset(stem(word) for word in LOOSE)
