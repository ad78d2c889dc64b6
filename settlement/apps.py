from django.apps import AppConfig


class SettlementConfig(AppConfig):
    name = "settlement"

    def ready(self) -> None:
        from ledger.verification.others import also_verify  # noqa: PLC0415 - needs the models
        from settlement.verification import settlement_findings  # noqa: PLC0415

        also_verify(settlement_findings)
