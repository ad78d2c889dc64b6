"""manage.py reencrypt_credentials"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from merchants.models import Connection
from rako.core.encryption import UndecipherableError


class Command(BaseCommand):
    help = "Encrypt stored PSP credentials under the first key of RAKO_CREDENTIAL_KEYS; safe to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        ids = list(Connection.objects.values_list("pk", flat=True))
        failed = [pk for pk in ids if not self._reencrypt(pk)]
        self.stdout.write(f"{len(ids) - len(failed)} re-encrypted, {len(failed)} undecipherable")
        if failed:
            raise CommandError(f"no configured key decrypts: {', '.join(failed)}", returncode=3)

    @transaction.atomic
    def _reencrypt(self, pk: str) -> bool:
        try:
            # Locked: a secret that is rotated at this moment must not be overwritten with the old one.
            connection = Connection.objects.select_for_update().get(pk=pk)
        except UndecipherableError:
            return False
        connection.save(update_fields=["credentials", "webhook_secrets"])
        return True
