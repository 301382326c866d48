"""`decal.toml` -> typed settings, with every problem reported at once.

A person writes the file; what stands there is what runs. One frozen class a section, unknown keys refused, one sentence of help a field,
written here and shown everywhere. A value that is left out and depends on the base (`None` here) is filled by `resolve` from
`presets.BASES`, so one line moves a project to another base; the resolved settings are kept in `run.json`.
"""

from decal.settings.dataset import BaseSettings, CaptionSettings, DataSettings, DescribeSettings, Detail, Ground
from decal.settings.drawing import MOST_PROMPTS, CompareSettings, DrawSettings, GridSettings
from decal.settings.posts import LanguageSettings, PostsSettings
from decal.settings.reading import parse, read
from decal.settings.resolving import (
    Resolved,
    ResolvedCompare,
    ResolvedData,
    ResolvedDescribe,
    ResolvedGrid,
    ResolvedTrain,
    resolve,
    resolve_describe,
    without_keyword,
)
from decal.settings.section import Guidance, Sampler, Section, Seed
from decal.settings.telling import changed, fields, options, to_toml, written
from decal.settings.training import Algorithm, Optimizer, Precision, Recipe, Timesteps, TrainSettings
from decal.settings.whole import Settings

__all__ = [
    "MOST_PROMPTS", "Algorithm", "BaseSettings", "CaptionSettings", "CompareSettings", "DataSettings", "DescribeSettings", "Detail",
    "DrawSettings", "GridSettings", "Ground", "Guidance", "LanguageSettings", "Optimizer", "PostsSettings", "Precision", "Recipe",
    "Resolved", "ResolvedCompare", "ResolvedData", "ResolvedDescribe", "ResolvedGrid", "ResolvedTrain", "Sampler", "Section",
    "Seed", "Settings", "Timesteps", "TrainSettings", "changed", "fields", "options", "parse", "read", "resolve",
    "resolve_describe", "to_toml", "without_keyword", "written",
]  # fmt: skip
