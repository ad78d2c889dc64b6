"""manage.py issue_key agent|merchant NAME"""

import json
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Value
from django.db.models.functions import Least
from django.utils import timezone

from merchants.models import Merchant, MerchantKey
from rako.core.api_keys import ApiKey
from rako.core.rate_limits import Tier
from sessions_app.models import Agent, AgentKey, Builder

_LONGEST_OVERLAP_HOURS = 24 * 366


def _plain(text: str, what: str) -> str:
    text = text.strip()
    if not 0 < len(text) <= 100 or not text.isprintable():
        raise CommandError(f"the {what} must have 1 to 100 characters, all printable", returncode=2)
    return text


def _limit(tier: str, rate_limit: int | None) -> dict[str, Any]:
    if rate_limit is not None and (tier != Tier.ENTERPRISE or not 1 <= rate_limit < 2**31):
        raise CommandError("--rate-limit takes a number from 1 on, with --tier enterprise", returncode=2)
    return {"tier": tier, "rate_limit": rate_limit}


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
        parser.add_argument("--tier", choices=Tier.values, default=Tier.STANDARD.value, help="standard unless told")
        parser.add_argument("--rate-limit", type=int, metavar="N", help="requests a minute, --tier enterprise only")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        name = _plain(options["name"], "name")
        builder = _plain(options["builder"], "builder") if options["builder"] is not None else None
        hours = options["rotate"]
        if hours is not None and not 0 <= hours <= _LONGEST_OVERLAP_HOURS:
            raise CommandError(f"--rotate takes 0 to {_LONGEST_OVERLAP_HOURS} hours", returncode=2)
        limit = _limit(options["tier"], options["rate_limit"])
        model, owner = self._owner(options["kind"], name, builder)
        older = list(model.objects.usable().filter(**owner).values_list("pk", flat=True))
        row, key = model.issue(name=name, **owner, **limit)
        if hours is not None:
            # LEAST leaves aside NULL: a key that was to end sooner still does.
            ends = Least("expires_at", Value(timezone.now() + timedelta(hours=hours)))
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
