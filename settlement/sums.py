"""A batch's lines added up by party, as the rules take them."""

from django.db import connection

from settlement.rules import BuilderSum, MerchantSum

_MERCHANTS = """
SELECT merchant_id, currency, commission_minor < 0, reversed_vat_rate, abs(sum(commission_minor))::bigint, count(*)
FROM settlement_line WHERE batch_id = %s AND commission_minor <> 0
GROUP BY merchant_id, currency, commission_minor < 0, reversed_vat_rate
"""
_BUILDERS = """
SELECT builder_id, currency,
    coalesce(sum(payout_minor) FILTER (WHERE payout_minor > 0), 0)::bigint,
    coalesce(sum(payout_minor) FILTER (WHERE payout_minor < 0), 0)::bigint,
    count(*)
FROM settlement_line WHERE batch_id = %s GROUP BY builder_id, currency
"""
# The last statement before a month tells what it begins with.
_OPENINGS = """
SELECT DISTINCT ON (builder_id, currency) builder_id, currency, closing_minor
FROM settlement_statement statement JOIN settlement_batch batch ON batch.id = statement.batch_id
WHERE batch.period < %s AND builder_id = ANY(%s) ORDER BY builder_id, currency, batch.period DESC
"""


def by_merchant(batch_id: str) -> list[MerchantSum]:
    """What each merchant is charged, and what it is credited at each rate of VAT."""
    with connection.cursor() as cursor:
        cursor.execute(_MERCHANTS, [batch_id])
        return [MerchantSum(*row) for row in cursor.fetchall()]


def by_builder(batch_id: str) -> list[BuilderSum]:
    """What each builder earned, and what was taken back."""
    with connection.cursor() as cursor:
        cursor.execute(_BUILDERS, [batch_id])
        return [BuilderSum(*row) for row in cursor.fetchall()]


def openings(period: str, builders: list[str]) -> dict[tuple[str, str], int]:
    """What builders carry into a month, by builder and currency."""
    with connection.cursor() as cursor:
        cursor.execute(_OPENINGS, [period, builders])
        return {(builder, currency): closing for builder, currency, closing in cursor.fetchall()}
