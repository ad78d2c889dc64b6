"""Where builders are paid: checked, encrypted, and never shown again but for the last four characters."""

from rako.core.bank_accounts import hint_of, read_bic, read_iban
from rako.core.errors import BadRequest
from sessions_app.models import Builder
from settlement.models import BankAccount


def set_bank_account(builder: Builder, currency: str, *, holder: str, iban: str, bic: str = "") -> BankAccount:
    """Pay a builder's payouts in a currency to this account from now on. Raises BadRequest; see `read_account`."""
    try:
        account = read_account(currency, iban=iban, bic=bic)
    except ValueError as error:
        raise BadRequest(f"The account number {error}") from None
    row, _ = BankAccount.objects.update_or_create(
        builder=builder,
        currency=currency,
        defaults={"holder": holder, "account": account, "hint": hint_of(account["iban"])},
    )
    return row


def read_account(currency: str, *, iban: str, bic: str) -> dict[str, str]:
    """What is stored of an account. Raises ValueError that repeats nothing of it.

    Only SEPA finds a bank by the IBAN alone.
    """
    if not bic and currency != "EUR":
        raise ValueError(f"needs a BIC: in {currency} the IBAN alone does not name the bank")
    return {"iban": read_iban(iban), "bic": read_bic(bic) if bic else ""}
