"""Merchants' connections to payment processors: made, checked, given new secrets, ended. See docs/registry.md."""

from checkout.connections.checking import check
from checkout.connections.connecting import connect, connect_sandbox, disconnect, disconnect_and_leave
from checkout.connections.errors import AccountTaken, AlreadyConnected
from checkout.connections.rotation import add_webhook_secret, drop_old_webhook_secret, replace_key
from checkout.connections.standing import degrade

__all__ = [
    "AccountTaken",
    "AlreadyConnected",
    "add_webhook_secret",
    "check",
    "connect",
    "connect_sandbox",
    "degrade",
    "disconnect",
    "disconnect_and_leave",
    "drop_old_webhook_secret",
    "replace_key",
]
