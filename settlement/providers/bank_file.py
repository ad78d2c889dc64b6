"""Payouts as an ISO 20022 file (pain.001.001.09) that somebody uploads to the bank; answers come by confirm_payouts."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from django.conf import settings
from sepaxml import SepaTransfer

from rako.core.wire import instant
from settlement.providers.base import Answer, NotConfigured, Order

_SCHEMA = "pain.001.001.09"
_DEBTOR = {"name": "RAKO_PAYOUT_DEBTOR_NAME", "IBAN": "RAKO_PAYOUT_DEBTOR_IBAN", "BIC": "RAKO_PAYOUT_DEBTOR_BIC"}


class BankFile:
    """EUR as SEPA credit transfers; GBP as plain ones, without a service level. Accounts in USD have no IBAN."""

    name: ClassVar[str] = "bank_file"
    currencies: ClassVar[frozenset[str]] = frozenset({"EUR", "GBP"})
    suffix: ClassVar[str] = ".xml"

    def instructions(self, file_id: str, created_at: datetime, orders: Sequence[Order]) -> str:
        """The XML, held against the standard's own schema."""
        debtor: dict[str, Any] = {name: getattr(settings, setting) for name, setting in _DEBTOR.items()}
        if missing := [_DEBTOR[name] for name, value in debtor.items() if not value]:
            raise NotConfigured(f"{' and '.join(missing)} must be set to make payout files")
        currency = orders[0].money.currency
        debtor |= {"batch": True, "currency": currency, "domestic": currency != "EUR"}
        transfer = _Transfer(debtor, file_id, created_at)
        for order in orders:
            payment = {
                "name": order.holder,
                "IBAN": order.iban,
                "amount": order.money.amount_minor,
                "execution_date": created_at.astimezone(UTC).date(),
                "description": f"Rako payout {order.payout_id}",
                "endtoend_id": order.payout_id,
            }
            transfer.add_payment(payment | ({"BIC": order.bic} if order.bic else {}))
        return str(transfer.export(validate=True).decode())

    def answers(self, instructions: str, created_at: datetime) -> Sequence[Answer]:
        """None here: the bank answers to people."""
        return ()


class _Transfer(SepaTransfer):  # type: ignore[misc]  # the library is untyped
    """The library's document, with the file's id and time where it would make up its own."""

    def __init__(self, config: dict[str, Any], file_id: str, created_at: datetime) -> None:
        self._file_id, self._created_at = file_id, created_at
        super().__init__(config, schema=_SCHEMA)

    def _create_header(self) -> None:
        self.msg_id = self._file_id
        super()._create_header()
        self._set("CreDtTm", instant(self._created_at))

    def _finalize_batch(self) -> None:
        super()._finalize_batch()
        self._set("PmtInfId", self._file_id)

    def _set(self, name: str, text: str) -> None:
        for node in self._xml.iter(name):
            node.text = text
