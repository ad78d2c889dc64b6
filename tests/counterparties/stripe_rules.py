"""Stripe's rules that its OpenAPI description does not tell: limits of metadata, amounts and currencies."""

from collections.abc import Mapping
from typing import Any

from tests.counterparties.stripe_errors import Refusal

METADATA_KEYS, METADATA_KEY, METADATA_VALUE = 50, 40, 500
LARGEST = 99_999_999
# Whole minor units, by the currency of the account's settlement.
SMALLEST = {
    "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250, "eur": 50,
    "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50,
    "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000, "usd": 50,
}  # fmt: skip
_CODES = (
    "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad cdf chf clp "
    "cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg huf idr ils inr "
    "isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn "
    "myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle "
    "sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar zmw"
)
CURRENCIES = frozenset(_CODES.split())


def check_metadata(params: Mapping[str, Any], inside: str = "") -> None:
    """Hold every metadata in a request to its limits. Raises Refusal."""
    for name, value in params.items():
        param = f"{inside}[{name}]" if inside else name
        if name == "metadata" and isinstance(value, dict):
            _check(value, param)
        elif isinstance(value, dict):
            check_metadata(value, param)


def check_amount(amount: int, currency: str, *, param: str, whole: str = "Amount") -> None:
    """Hold an amount to what can be charged in its currency. Raises Refusal."""
    if currency.lower() not in CURRENCIES:
        supported = ", ".join(sorted(CURRENCIES))
        message = f"Invalid currency: {currency.lower()}. Stripe currently supports these currencies: {supported}"
        raise Refusal(400, message, param="currency" if param == "amount" else param)
    smallest = SMALLEST.get(currency.lower(), 1)
    if amount < smallest:
        message = f"{whole} must be at least {smallest} {currency.lower()} in its smallest unit"
        raise Refusal(400, message, code="amount_too_small", param=param)
    if amount > LARGEST:
        message = f"{whole} must be no more than {LARGEST} {currency.lower()} in its smallest unit"
        raise Refusal(400, message, code="amount_too_large", param=param)


def _check(metadata: Mapping[str, str], param: str) -> None:
    if len(metadata) > METADATA_KEYS:
        raise Refusal(400, f"Metadata can have up to {METADATA_KEYS} keys, but you passed {len(metadata)}", param=param)
    for key, value in metadata.items():
        if len(key) > METADATA_KEY:
            said = f"Metadata keys can have up to {METADATA_KEY} characters, but you passed in one of {len(key)}: {key}"
            raise Refusal(400, said, param=param)
        if len(value) > METADATA_VALUE:
            said = f"Metadata values can have up to {METADATA_VALUE} characters, but you passed in one of {len(value)}"
            raise Refusal(400, said, param=f"{param}[{key}]")
