from django.apps import AppConfig


class CheckoutConfig(AppConfig):
    name = "checkout"

    def ready(self) -> None:
        from checkout.verification import connection_findings, receipt_findings  # noqa: PLC0415 - needs the models
        from ledger.verification.others import also_verify  # noqa: PLC0415

        also_verify(receipt_findings)
        also_verify(connection_findings)
