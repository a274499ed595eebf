"""The tables of both SERs, with their names, columns and versions. A database holds one of the two models."""

from __future__ import annotations

from typing import Final

from sipyard.storage.schema import ser_0_9, ser_2_0
from sipyard.storage.schema.columns import Schema

SCHEMAS: Final[dict[str, Schema]] = {"2.0": ser_2_0.SCHEMA, "0.9": ser_0_9.SCHEMA}
"""By the model's name."""

__all__ = ["SCHEMAS", "Schema"]
