"""What the server of child processes imports once, so that children are forked in milliseconds with Django ready."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

import tests.ledger.children  # noqa: E402, F401
