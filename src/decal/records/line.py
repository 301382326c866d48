"""What every record is."""

from pydantic import BaseModel, ConfigDict


class Line(BaseModel):
    """A record that is one JSON line."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
