"""What staff type to connect a merchant. Secrets are typed blind and never shown again, not even after a mistake."""

from typing import Any

from django import forms

from checkout.connectors.registry import Ask, kinds
from merchants.models import Connection
from rako.core.admin import ModelForm

_LATER = "It may follow later: the connection's page then shows the address to give to the processor."
_ATTRIBUTES = {"autocomplete": "off", "class": "vTextField", "spellcheck": "false"}


def field_for(ask: Ask, help_text: str, *, required: bool = False) -> forms.CharField:
    """The field of one thing that a connector asks for."""
    # Without `render_value`, which is the widget's default, what was typed is not in the page that comes back.
    kind_of_input = forms.PasswordInput if ask.is_secret else forms.TextInput
    widget = kind_of_input(attrs=_ATTRIBUTES)
    return forms.CharField(label=ask.label, help_text=help_text, required=required, max_length=300, widget=widget)


class ConnectForm(ModelForm):
    """Which merchant to connect to what. What the kinds ask for is checked by `checkout.connections.connect`."""

    class Meta:
        model = Connection
        fields = ("merchant", "kind")

    def given(self) -> dict[str, Any]:
        """What `connect` takes, but for the merchant."""
        typed = self.cleaned_data
        own = {ask.name for ask in kinds()[typed["kind"]].credentials}
        offered = {ask.name for kind in kinds().values() for ask in kind.credentials}
        # A field of another kind counts only if something was typed: `connect` says that it does not belong.
        credentials = {name: typed[name] for name in sorted(offered) if name in own or typed[name]}
        rest = {name: typed[name] for name in ("account_id", "webhook_secret")}
        return {"kind": typed["kind"], "credentials": credentials, **rest}


def connect_form() -> type[ConnectForm]:
    """The form with a field for everything that the kinds of this deployment ask for."""
    fields: dict[str, forms.Field] = {name: field_for(ask, said) for name, (ask, said) in asks().items()}
    choices = [(name, kind.label) for name, kind in kinds().items()]
    fields["kind"] = forms.ChoiceField(label="Payment processor", choices=choices)
    return type("ConnectForm", (ConnectForm,), fields)


def asks() -> dict[str, tuple[Ask, str]]:
    """Everything that any kind asks for, by field: an ask, and what all kinds say of it."""
    offered = list(kinds().values())
    credentials = [ask for kind in offered for ask in kind.credentials]
    found: dict[str, tuple[Ask, str]] = {}
    for ask in (*credentials, *(kind.account for kind in offered), *(kind.webhook_secret for kind in offered)):
        if ask is not None:
            found[ask.name] = (ask, f"{found[ask.name][1]} {ask.help}" if ask.name in found else ask.help)
    secret, said = found["webhook_secret"]
    return found | {"webhook_secret": (secret, f"{said} {_LATER}")}


class WebhookSecretForm(forms.Form):
    """A signing secret."""

    webhook_secret = forms.CharField(
        label="Webhook secret", max_length=300, widget=forms.PasswordInput(attrs=_ATTRIBUTES)
    )

    def __init__(self, *args: Any, connection: Connection) -> None:
        super().__init__(*args)
        asked = kinds()[connection.kind].webhook_secret
        self.fields["webhook_secret"].help_text = "" if asked is None else asked.help


class KeyForm(forms.Form):
    """The credentials of the connection's kind."""

    def __init__(self, *args: Any, connection: Connection) -> None:
        super().__init__(*args)
        for ask in kinds()[connection.kind].credentials:
            self.fields[ask.name] = field_for(ask, ask.help, required=True)
