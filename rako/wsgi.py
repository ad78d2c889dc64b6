"""The WSGI application. It refuses to start on a configuration that the system checks call unsafe."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rako.settings")
application = get_wsgi_application()

from rako.checks import refuse_unsafe_start  # noqa: E402  # needs the loaded apps

refuse_unsafe_start()
