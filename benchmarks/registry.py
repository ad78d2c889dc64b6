"""Grows the registry to a size, with offers like the demo's spread over the verticals."""

from itertools import cycle, islice

from django.db import connection

from merchants.models import CommissionTerms, Merchant, Offer

_CHUNK = 5000


def grow_registry(wanted: int) -> int:
    """Add offers until there are so many active ones; returns how many there are. What exists stays."""
    have = Offer.objects.filter(status="active").count()
    models = list(Offer.objects.filter(status="active", merchant__status="active").prefetch_related("terms")[:97])
    merchants = list(Merchant.objects.filter(status="active"))
    fresh = islice(cycle(models), max(0, wanted - have))
    batch: list[tuple[Offer, Offer]] = []
    for number, model in enumerate(fresh):
        copy = Offer(
            merchant=merchants[number % len(merchants)],
            vertical=model.vertical,
            provider=f"Provider {number % 400}",
            name=f"Plan {have + number}",
            price_minor=model.price_minor + number % 997,
            currency=model.currency,
            criteria=model.criteria,
            url=model.url,
        )
        batch.append((copy, model))
        if len(batch) == _CHUNK:
            _store(batch)
            batch = []
    _store(batch)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE merchants_offer, merchants_commissionterms, merchants_provider")
    return Offer.objects.filter(status="active").count()


def _store(batch: list[tuple[Offer, Offer]]) -> None:
    Offer.objects.bulk_create([copy for copy, _ in batch])
    CommissionTerms.objects.bulk_create(
        CommissionTerms(
            offer=copy,
            vertical=copy.vertical,
            type=terms.type,
            amount_minor=terms.amount_minor,
            rate=terms.rate,
        )
        for copy, model in batch
        for terms in model.terms.all()[:1]
    )
