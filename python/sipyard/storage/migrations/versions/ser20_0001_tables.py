"""The tables of SER 2.0."""

from __future__ import annotations

from sipyard.storage.migrations.steps import create_tables, fill_attribute_types

revision = "ser20_0001"
down_revision = None
branch_labels = ("ser20",)
depends_on = None


def upgrade() -> None:
    create_tables("2.0")
    fill_attribute_types()
