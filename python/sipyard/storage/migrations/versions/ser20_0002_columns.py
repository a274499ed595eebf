"""Columns that SER 2.0 does not have: Path and socket of a binding, HA1 by SHA-256 and SHA-512/256."""

from __future__ import annotations

from sipyard.storage.migrations.steps import add_our_columns

revision = "ser20_0002"
down_revision = "ser20_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_our_columns("2.0")
