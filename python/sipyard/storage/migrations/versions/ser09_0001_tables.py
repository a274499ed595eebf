"""The tables of SER 0.9."""

from __future__ import annotations

from sipyard.storage.migrations.steps import create_tables

revision = "ser09_0001"
down_revision = None
branch_labels = ("ser09",)
depends_on = None


def upgrade() -> None:
    create_tables("0.9")
