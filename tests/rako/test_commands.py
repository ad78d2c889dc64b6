from io import StringIO

import pytest
from django.core.management import call_command, get_commands, load_command_class
from django.core.management.base import CommandError

from merchants.models import Offer

OURS = {
    name: app
    for name, app in get_commands().items()
    if app in {"rako", "merchants", "sessions_app", "ledger", "checkout"}
}


@pytest.mark.parametrize("name", OURS)
def test_every_command_explains_itself(name):
    assert len(load_command_class(OURS[name], name).help) > 20


@pytest.mark.django_db
def test_loading_the_demo_ends_with_a_tally():
    out = StringIO()
    call_command("load_demo", stdout=out)

    assert out.getvalue() == f"demo registry: {Offer.objects.count()} created\n"


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["load_demo", "demo"])
def test_the_demo_is_refused_live(settings, name):
    settings.RAKO_MODE = "live"

    with pytest.raises(CommandError, match="sandbox mode"):
        call_command(name)
    assert Offer.objects.count() == 0
