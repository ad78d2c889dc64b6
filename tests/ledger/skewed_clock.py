"""A program whose clock is some hours off: it tells one entry and prints its id.

Arguments: hours, and Django's settings of the database as JSON. The clock is bent before anything reads it.
"""

import datetime
import json
import sys
import time

import django

HOURS = float(sys.argv[1])
seconds, nanoseconds, honest = time.time, time.time_ns, datetime.datetime


class Skewed(honest):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
        return honest.now(tz) + datetime.timedelta(hours=HOURS)


datetime.datetime = Skewed  # type: ignore[misc]
time.time = lambda: seconds() + HOURS * 3600
time.time_ns = lambda: nanoseconds() + int(HOURS * 3600e9)
django.setup()

from django.db import connection  # noqa: E402

from tests.ledger.told import tell  # noqa: E402

connection.settings_dict.update(json.loads(sys.argv[2]))
print(tell().entry_id)
