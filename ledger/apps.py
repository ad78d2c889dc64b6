from django.apps import AppConfig


class LedgerConfig(AppConfig):
    name = "ledger"

    def ready(self) -> None:
        from ledger.verification.disputes import dispute_findings  # noqa: PLC0415 - needs the models
        from ledger.verification.others import also_verify  # noqa: PLC0415
        from ledger.verification.sales import sale_findings  # noqa: PLC0415

        also_verify(sale_findings)
        also_verify(dispute_findings)
