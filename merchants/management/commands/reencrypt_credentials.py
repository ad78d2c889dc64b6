"""manage.py reencrypt_credentials"""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import models, transaction
from django.db.models import Q

from rako.core.encryption import EncryptedJsonField, UndecipherableError


class Command(BaseCommand):
    help = "Encrypt whatever is stored encrypted under the first key of RAKO_CREDENTIAL_KEYS; safe to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        done, failed = 0, []
        for model, names in _encrypted():
            stored = Q(*((f"{name}__isnull", False) for name in names), _connector=Q.OR)
            for pk in list(model._base_manager.filter(stored).values_list("pk", flat=True)):
                if _reencrypt(model, names, pk):
                    done += 1
                else:
                    failed.append(str(pk))
        self.stdout.write(f"{done} re-encrypted, {len(failed)} undecipherable")
        if failed:
            raise CommandError(f"no configured key decrypts: {', '.join(failed)}", returncode=3)


def _encrypted() -> Iterator[tuple[type[models.Model], list[str]]]:
    """The models that have encrypted fields, with these fields' names."""
    for model in apps.get_models():
        names = [field.name for field in model._meta.concrete_fields if isinstance(field, EncryptedJsonField)]
        if names:
            yield model, names


@transaction.atomic
def _reencrypt(model: type[models.Model], names: list[str], pk: Any) -> bool:
    try:
        # Locked: a secret that is rotated at this moment must not be overwritten with the old one.
        row = model._base_manager.select_for_update(of=("self",)).only("pk", *names).get(pk=pk)
    except UndecipherableError:
        return False
    # Not by save(): only these columns, whatever else the model does when it is saved.
    model._base_manager.filter(pk=pk).update(**{name: getattr(row, name) for name in names})
    return True
