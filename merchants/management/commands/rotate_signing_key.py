"""manage.py rotate_signing_key"""

import base64
import json
from argparse import ArgumentParser
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from merchants import keyring
from rako.core.wire import instant


class Command(BaseCommand):
    help = (
        "Publish a new AAP Code signing key that signs from a minute on; old keys stay published. "
        "Every run makes another key, so repeat it only to rotate again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--generate", action="store_true", help="only print a new seed for RAKO_SIGNING_KEYS")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["generate"]:
            seed = Ed25519PrivateKey.generate().private_bytes_raw()
            self.stdout.write(base64.b64encode(seed).decode())
            return
        try:
            key = keyring.rotate()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        facts = {"keyId": key.key_id, "validFrom": instant(key.valid_from)}
        self.stdout.write(
            json.dumps(facts) if options["json"] else "key {keyId} signs from {validFrom}".format(**facts)
        )
