"""manage.py worker"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from notifications.courier import delivering
from rako.core.jobs import work


class Command(BaseCommand):
    help = "Run background jobs (webhook deliveries, recovery, sweeps) until a signal; any number of workers may run."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--until-idle", action="store_true", help="stop when no job is due")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["until_idle"]:
            work(until_idle=True)
            return
        with delivering():
            work()
