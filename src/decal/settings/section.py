"""What all sections are, and the values that several of them hold."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Guidance = Annotated[float, Field(ge=0, le=50)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Sampler = Literal["ddim", "euler", "euler_a", "dpm++"]


class Section(BaseModel):
    """One table of `decal.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
