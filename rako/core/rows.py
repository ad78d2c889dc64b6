"""Models' instances out of hand-written statements, and into them.

For the few statements that every sale goes through: the ORM takes longer to compile them than PostgreSQL to answer.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections, models

from rako.core.postgres import Statement, send

M = TypeVar("M", bound=models.Model)
_OF_TEXT = (models.CharField, models.ForeignKey)


class Columns(Generic[M]):
    """What a statement selects of a model: the fields named, or all. Django loads the others when they are asked for.

    `sql` is for the SELECT list; `read` takes the instance off a row of it.
    """

    def __init__(self, model: type[M], alias: str, *names: str) -> None:
        wanted = {model._meta.get_field(name) for name in names}
        # In the model's order: `from_db` takes values as they come.
        fields: Any = [field for field in model._meta.concrete_fields if not wanted or field in wanted]
        self._model = model
        self._names = [field.attname for field in fields]
        # psycopg gives JSON as text and ciphertexts as they are, like Django's own cursors.
        self._readers = [(place, field) for place, field in enumerate(fields) if hasattr(field, "from_db_value")]
        self.sql = ", ".join(f'{alias}."{field.column}"' for field in fields)

    def read(self, row: Iterator[Any]) -> M:
        """The instance in the next values of a row."""
        values = list(islice(row, len(self._names)))
        for place, field in self._readers:
            values[place] = field.from_db_value(values[place], None, connections[DEFAULT_DB_ALIAS])
        return self._model.from_db(DEFAULT_DB_ALIAS, self._names, values)


def inserting(row: models.Model, *, ignore_conflict: bool = False) -> Statement:
    """The INSERT of a row. `ignore_conflict` lets one pass that is there already."""
    (sql, columns), connection = _insertion(type(row), row.pk is not None), connections[DEFAULT_DB_ALIAS]
    values = [_value(row, column, connection) for column in columns]
    return Statement(f"{sql} ON CONFLICT DO NOTHING" if ignore_conflict else sql, values)


def insert_new(row: models.Model) -> bool:
    """Insert a row; False if one that it must not be beside is there already."""
    sql, values = inserting(row, ignore_conflict=True)
    [inserted] = send(Statement(f"{sql} RETURNING true", values))
    row._state.adding = not inserted
    return bool(inserted)


def updating(
    model: type[models.Model], pk: str, values: Mapping[str, Any], *, only_if: Mapping[str, Any] | None = None
) -> Statement:
    """The UPDATE of a row's fields, which returns its `id`: no row if it is not as in `only_if`."""
    changes, conditions = _assigned(model, values), _assigned(model, {"pk": pk, **(only_if or {})})
    sql = f"UPDATE {model._meta.db_table} SET {', '.join(changes)} WHERE {' AND '.join(conditions)} RETURNING id"  # noqa: S608
    return Statement(sql, [*changes.values(), *conditions.values()])


def _assigned(model: type[models.Model], values: Mapping[str, Any]) -> dict[str, Any]:
    """`column = %s` of fields, with what their columns hold for the values."""
    options: Any = model._meta
    connection = connections[DEFAULT_DB_ALIAS]
    fields = {name: options.pk if name == "pk" else options.get_field(name) for name in values}
    return {f"{field.column} = %s": field.get_db_prep_save(values[name], connection) for name, field in fields.items()}


def _value(row: models.Model, column: Any, connection: Any) -> Any:
    """What a row has for a column, as PostgreSQL takes it."""
    # Most of it is text, which these fields would hand on as it stands, after four calls each.
    if isinstance(column, _OF_TEXT) and type(value := getattr(row, column.attname)) is str:
        return value
    return column.get_db_prep_save(column.pre_save(row, add=True), connection)


@lru_cache(maxsize=64)
def _insertion(model: type[models.Model], is_numbered: bool) -> tuple[str, list[Any]]:
    """A model's INSERT, and the columns it has values for."""
    fields = model._meta.concrete_fields
    columns = [field for field in fields if not (field.generated or (field.primary_key and not is_numbered))]
    names, places = ", ".join(f'"{column.column}"' for column in columns), ", ".join(["%s"] * len(columns))
    # Table and columns are our models', the values are parameters.
    return f'INSERT INTO "{model._meta.db_table}" ({names}) VALUES ({places})', columns  # noqa: S608
