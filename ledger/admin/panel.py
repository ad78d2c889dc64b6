"""The ledger at a glance, for the front page of the admin: a handful of look-ups, however large the log is."""

from dataclasses import dataclass
from datetime import timedelta

from django.db import OperationalError, connection, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.timesince import timesince

from ledger.admin.balances import Trial, trial_balances
from ledger.admin.findings import finding_text
from ledger.models import Checkpoint, Head, Verification
from ledger.sequencer import lag
from rako.core.admin_text import change_url

# A full verification runs once a day: an hour more is patience, a second day is not.
STALE = timedelta(hours=25)
LATE_SECONDS = 10
# A page that everybody opens must not hold the database up, whatever state the log is in.
_TIMEOUT = "SET LOCAL statement_timeout = '2s'"


@dataclass(frozen=True, slots=True)
class Verified:
    """What to say of the verifications, in which tone, and where to read on."""

    text: str
    tone: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """What the panel shows: `size` entries are sequenced, `waiting` ones have waited for up to `seconds`."""

    size: int
    waiting: int
    seconds: float
    checkpoint: Checkpoint | None
    checkpoint_url: str
    verified: Verified
    trials: list[Trial]

    @property
    def entries(self) -> int:
        """All committed entries, give or take those that were sequenced while we looked."""
        return self.size + self.waiting

    @property
    def is_late(self) -> bool:
        """Whether entries wait for longer than a sequencer that works lets them."""
        return self.seconds > LATE_SECONDS

    @property
    def witnesses(self) -> str:
        """Who has cosigned the newest checkpoint."""
        return ", ".join(row.witness for row in self.checkpoint.cosignatures.all()) if self.checkpoint else ""


def panel() -> Panel | None:
    """The figures of now, or None if the database takes too long to tell."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(_TIMEOUT)
            return _look()
    except OperationalError:
        return None


def _look() -> Panel:
    waiting, seconds = lag()
    size = Head.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    checkpoint = Checkpoint.objects.order_by("-pk").prefetch_related("cosignatures").first()
    return Panel(
        size=size,
        waiting=waiting,
        seconds=seconds,
        checkpoint=checkpoint,
        checkpoint_url=change_url(checkpoint) if checkpoint else "",
        verified=verified(),
        trials=trial_balances(),
    )


def verified() -> Verified:
    """Red while what was once found is not taken back by a sound full run, which alone looks at everything; amber when
    the last of those is too long ago."""
    newest = Verification.objects.order_by("-pk").first()
    if newest is None:
        return Verified("never verified: run verify_ledger", "held")
    tells = Q(is_sound=False) | Q(mode=Verification.Mode.FULL)
    telling = Verification.objects.filter(tells).order_by("-pk").first()
    if telling is None:
        return Verified(f"{_said(newest)}; never in full", "held", change_url(newest))
    if not telling.is_sound:
        first = finding_text(telling.findings[0]) if telling.findings else "no finding was kept"
        return Verified(f"{_said(telling)}: {first}", "bad", change_url(telling))
    in_full = "" if newest == telling else f"; in full {_ago(telling)}"
    is_stale = timezone.now() - telling.created_at > STALE
    return Verified(f"{_said(newest)}{in_full}", "held" if is_stale else "good", change_url(newest))


def _said(run: Verification) -> str:
    return f"{'sound' if run.is_sound else 'TAMPERED WITH'}, {run.mode}, {_ago(run)}"


def _ago(run: Verification) -> str:
    return f"{timesince(run.created_at, depth=1)} ago".replace("\xa0", " ")
