"""manage.py issue_key agent|merchant NAME"""

import json
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from merchants.models import Merchant, MerchantKey
from rako.core.api_keys import ApiKey
from sessions_app.models import Agent, AgentKey, Builder


class Command(BaseCommand):
    help = "Issue an API key and print it, once. Every run issues another; older ones stay valid unless told otherwise."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=["agent", "merchant"])
        parser.add_argument(
            "name", help="the agent's or the merchant's name; a new agent is made, a merchant must exist"
        )
        parser.add_argument("--builder", help="the agent's builder (its own name unless told)")
        parser.add_argument(
            "--rotate", type=int, metavar="HOURS", help="let the owner's older keys end in so many hours"
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"].strip()
        if not 0 < len(name) <= 100 or "\x00" in name:
            raise CommandError("the name must have 1 to 100 characters", returncode=2)
        model, owner = self._owner(options["kind"], name, options["builder"])
        older = list(model.objects.usable().filter(**owner).values_list("pk", flat=True))
        row, key = model.issue(name=name, **owner)
        if options["rotate"] is not None:
            ends = timezone.now() + timedelta(hours=options["rotate"])
            model.objects.filter(pk__in=older).update(expires_at=ends)
        if options["json"]:
            self.stdout.write(json.dumps({"kind": options["kind"], "name": name, "id": row.pk, "key": key}))
        else:
            self.stdout.write(f"{key}\nThis is the {options['kind']} key of {name}. It is not shown again.")

    def _owner(self, kind: str, name: str, builder: str | None) -> tuple[type[ApiKey], dict[str, Any]]:
        if kind == "merchant":
            merchant = Merchant.objects.filter(name=name).first()
            if merchant is None:
                raise CommandError(f"no merchant is named {name}")
            return MerchantKey, {"merchant": merchant}
        owner, _ = Builder.objects.get_or_create(name=builder or name)
        agent, _ = Agent.objects.get_or_create(builder=owner, name=name)
        return AgentKey, {"agent": agent}
