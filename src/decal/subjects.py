"""Everyday subjects that read well as a sticker, each with its kind: what prompts are proposed about and descriptions are made of.

Kinds alternate, so that the first ten are a mixture; those that the base in the package knows best stand first.
"""

from typing import Literal

Kind = Literal["face", "heart", "animal", "food", "plant", "thing", "sky"]

# Words of quantity in SUBJECTS: where a caption shows pizza, a slice of pizza is nothing new.
QUANTITIES = "slice pair bunch loaf cup"

SUBJECTS: dict[str, Kind] = {
    "a crying face": "face", "a green heart": "heart", "an evergreen tree": "plant", "an apple": "food", "a winking face": "face",
    "a pumpkin": "food", "a tiger": "animal", "a pear": "food", "a broken heart": "heart", "a mouse": "animal", "a laughing face": "face",
    "a cactus": "plant", "a peach": "food", "a purple heart": "heart", "a hamburger": "food", "an angry face": "face",
    "a koala": "animal", "a gift box": "thing", "a sleeping face": "face", "a pair of cherries": "food", "a strawberry": "food",
    "a sleeping cat": "animal", "a slice of pizza": "food", "a rainbow": "sky", "a birthday cake": "food", "a penguin": "animal",
    "a lemon": "food", "an umbrella": "thing", "a cup of coffee": "food", "a sunflower": "plant", "a rocket": "thing",
    "a snowman": "animal", "a pair of sunglasses": "thing", "an owl": "animal", "a lightning bolt": "sky", "a mushroom": "plant",
    "a guitar": "thing", "a turtle": "animal", "a watermelon": "food", "a crescent moon": "sky", "a frog": "animal",
    "a surprised face": "face", "a carrot": "food", "a light bulb": "thing", "a butterfly": "animal", "a doughnut": "food",
    "a palm tree": "plant", "a bicycle": "thing", "an octopus": "animal", "a blushing face": "face", "an ice cream cone": "food",
    "a key": "thing", "a snowflake": "sky", "a pineapple": "food", "a crown": "thing", "a whale": "animal",
    "a face with its tongue out": "face", "a loaf of bread": "food", "an alarm clock": "thing", "a ladybug": "animal", "a tulip": "plant",
    "a balloon": "thing", "a hedgehog": "animal", "a sailing boat": "thing", "a bunch of grapes": "food", "a robot": "animal",
    "a teapot": "thing", "a shooting star": "sky", "a fox": "animal", "an avocado": "food", "a cloud": "sky", "a bonsai tree": "plant",
    "a paper plane": "thing", "a raccoon": "animal", "a dumpling": "food", "a rabbit": "animal", "a candle": "thing",
    "a panda": "animal", "a piece of toast": "food", "the sun": "sky", "a sloth": "animal", "a clover leaf": "plant",
    "a hot air balloon": "thing", "a corgi": "animal", "a fried egg": "food", "a duckling": "animal", "a suitcase": "thing",
    "a snail": "animal", "a ringed planet": "sky", "a small dragon": "animal", "an acorn": "plant", "a radio": "thing",
    "an otter": "animal", "a marshmallow": "food", "a ghost": "animal", "a skateboard": "thing", "a hamster": "animal",
    "a bowl of noodles": "food", "a small dinosaur": "animal", "a lighthouse": "thing", "a bear": "animal",
}  # fmt: skip
