"""The product's settings under the tests' environment, fixed before they are read."""

import os

os.environ |= {
    "RAKO_MODE": "sandbox",
    "RAKO_DB_POOL_SIZE": "0",
    "RAKO_LOG_LEVEL": "ERROR",
    "RAKO_BASE_URL": "http://127.0.0.1:3456",
    "RAKO_INVOICE_VAT_NUMBER": "GB123456789",
    "RAKO_SIGNING_KEYS": "dGVzdHMtb25seS1lZDI1NTE5LXNlZWQtb2YtMzItYj0=",
}

from rako.settings import *  # noqa: F403

# Users are made in many tests, and nothing is protected here: a fast hash.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
