"""The WSGI application. It refuses to start on a configuration that the system checks call unsafe."""

import os
from typing import Any

import django
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rako.settings")


class Utf8Request(WSGIRequest):
    """Addresses and bodies are UTF-8: the charset of a Content-Type, which Django would decode by, changes nothing."""

    def _set_content_type_params(self, environ: dict[str, Any]) -> None:
        self.content_type, self.content_params = parse_header_parameters(environ.get("CONTENT_TYPE", ""))


class Handler(WSGIHandler):
    request_class = Utf8Request


django.setup(set_prefix=False)
application = Handler()

from rako.checks import refuse_unsafe_start  # noqa: E402  # needs the loaded apps

refuse_unsafe_start()
