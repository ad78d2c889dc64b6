"""manage.py load_demo"""

from collections import Counter
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from rako import demo_data


class Command(BaseCommand):
    help = "Load the demo registry, its sandbox connections, keys and admin user (sandbox mode only); safe to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            results = demo_data.load()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        tally = Counter(result.outcome for result in results)
        self.stdout.write(
            f"demo registry: {', '.join(f'{count} {outcome}' for outcome, count in sorted(tally.items()))}"
        )
        if refused := [result for result in results if result.outcome == "refused"]:
            raise CommandError(f"line {refused[0].line}: {refused[0].detail}", returncode=3)
