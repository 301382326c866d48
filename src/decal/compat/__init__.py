"""Commands of diffusers' LoRA scripts, understood as typed: words -> flags -> settings of ours, and the folder they leave.

`flags` reads the words, `launching` what `accelerate launch` and its configuration say, `translating` turns both into settings, `traps`
says where the command does not do what it seems to, and `layout` writes the folder that the scripts leave. Nothing trains here:
`workflow.compat` hands the settings to the one trainer there is.
"""

from decal.compat.flags import FLAGS, Flag, Typed, read
from decal.compat.launching import Launch, split
from decal.compat.layout import Laid, lay_out
from decal.compat.translating import Family, Plan, family_of, translate
from decal.compat.traps import TRAPS, Scene, sprung

__all__ = [
    "FLAGS",
    "TRAPS",
    "Family",
    "Flag",
    "Laid",
    "Launch",
    "Plan",
    "Scene",
    "Typed",
    "family_of",
    "lay_out",
    "read",
    "split",
    "sprung",
    "translate",
]
