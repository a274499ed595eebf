"""Columns that SER 0.9 does not have: Path and socket of a binding, HA1 by SHA-256 and SHA-512/256."""

from __future__ import annotations

from sipyard.storage.migrations.steps import add_our_columns

revision = "ser09_0002"
down_revision = "ser09_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_our_columns("0.9")
