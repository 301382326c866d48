"""How fast training is, measured from outside on whole programs: ours and, where it is named, diffusers' own script.

Every contender runs as a user would run it, in a process of its own that `observer` watches. `contenders` says what is run, `measuring`
what the stamps of a run come to, `telling` what is said of them.
"""

from decal.bench.contenders import Contender, Work, diffusers_script, ours
from decal.bench.measuring import Measured, measure
from decal.bench.telling import compared, table

__all__ = ["Contender", "Measured", "Work", "compared", "diffusers_script", "measure", "ours", "table"]
