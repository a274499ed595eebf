"""What migrations do. Each step looks first, so that a database made by SER, or half made, is completed."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, MetaData, Table, func, inspect, select

from sipyard.storage.schema import SCHEMAS
from sipyard.storage.schema.ser_2_0 import ATTRIBUTE_TYPES


def create_tables(model: str) -> None:
    """SER's tables that are not there, without the columns that we add, and their versions."""
    connection = op.get_bind()
    schema = SCHEMAS[model]
    existing = set(inspect(connection).get_table_names())
    for table in schema.metadata.sorted_tables:
        if table.name in existing:
            continue
        plain = table.to_metadata(MetaData())
        for column in [column for column in plain.columns if "ours" in column.info]:
            plain._columns.remove(column)
        plain.create(connection)
    known = {name for (name,) in connection.execute(select(schema.version.c.table_name))}
    for name, version in schema.versions.items():
        if name not in known:
            connection.execute(schema.version.insert().values(table_name=name, table_version=version))


def add_our_columns(model: str) -> None:
    """The columns that SER does not have."""
    inspector = inspect(op.get_bind())
    for table in SCHEMAS[model].metadata.sorted_tables:
        existing = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if "ours" in column.info and column.name not in existing:
                op.add_column(table.name, Column(column.name, column.type))


def fill_attribute_types() -> None:
    """The usual rows of `attr_types`, when there is none."""
    connection = op.get_bind()
    table: Table = SCHEMAS["2.0"].metadata.tables["attr_types"]
    if connection.execute(select(func.count()).select_from(table)).scalar_one():
        return
    for order, (name, rich, raw, description, default_flags, flags) in enumerate(ATTRIBUTE_TYPES):
        connection.execute(
            table.insert().values(
                name=name,
                rich_type=rich,
                raw_type=raw,
                description=description,
                default_flags=int(default_flags),
                flags=int(flags),
                ordering=order,
            )
        )
