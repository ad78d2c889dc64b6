"""Base views of the API: who may call, by which kind of key (protocol, section 0)."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.views import APIView

from rako.core.api_keys import LONGEST, PREFIX, ApiKey, kinds
from rako.core.errors import Forbidden, Unauthorized
from rako.core.idempotency import HEADER, Asked, once


class KeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer aap_…` or `?api_key=aap_…`; the header wins.

    A view names the kinds it takes in `key_kinds`. Unknown key: 401. A valid key of another kind: 403. The request is
    counted in either case: beyond the key's limit, 429.
    """

    def authenticate(self, request: Request) -> tuple[ApiKey, str]:
        view: Any = request.parser_context["view"]
        wanted: tuple[str, ...] = view.key_kinds
        key = presented_key(request)
        for kind in sorted(kinds(), key=lambda kind: kind not in wanted):
            if (found := kinds()[kind].admit(key)) is not None:
                # For the middleware: faults of ours carry the headers, too.
                request._request.rako_headers = found.headers  # type: ignore[attr-defined]  # an open object
                found.rate.check()
                if kind not in wanted:
                    raise Forbidden(f"This endpoint needs {' or '.join(_with_article(name) for name in wanted)} key")
                return found, kind
        raise Unauthorized()

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def _with_article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def presented_key(request: Request) -> str:
    """The key a request carries. Raises Unauthorized if it carries none that could be one."""
    scheme, _, value = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    key = value.strip() if scheme else request.query_params.get("api_key", "")
    if scheme and scheme.lower() != "bearer":
        raise Unauthorized()
    if not key.startswith(PREFIX) or len(key) > LONGEST or not key.isascii():
        raise Unauthorized()
    return str(key)


class KeyedRequest(Request):
    """A request with a key: `user` is its AgentKey or MerchantKey, `auth` the kind of key."""

    user: Any
    auth: Any


class _JsonView(APIView):
    http_method_names = ["get", "head", "post"]  # and not OPTIONS, which would show docstrings


class _KeyedView(_JsonView):
    """Every POST takes an `Idempotency-Key`, unless it is none of ours to repeat."""

    authentication_classes = (KeyAuthentication,)
    # Whether all that a POST does is one database transaction, which can store its reply, too. If not, the operation
    # itself must be safe to repeat.
    is_one_transaction: ClassVar[bool] = True
    takes_idempotency_key: ClassVar[bool] = True

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "post" in cls.__dict__ and cls.takes_idempotency_key:
            cls.post = _idempotent(cls.post)  # type: ignore[attr-defined]  # it is there


def _idempotent(post: Callable[..., Any]) -> Callable[..., Any]:
    """The method for requests with the header, too: of equal ones the first does the work, the others get its reply."""

    @wraps(post)
    def handle(view: _KeyedView, request: KeyedRequest, *args: Any, **names: Any) -> Any:
        key = request.META.get(HEADER)
        if key is None:
            return post(view, request, *args, **names)

        def work() -> Any:
            try:
                response = post(view, request, *args, **names)
            except Exception as error:  # raised again if it is a bug
                response = view.handle_exception(error)
            return view.finalize_response(request, response, *args, **names).render()

        party = f"{request.auth}:{getattr(request.user, f'{request.auth}_id')}"
        asked = Asked.by(party, request.path, key, _whole_body(request))
        return once(asked, work, is_one_transaction=view.is_one_transaction)

    return handle


def _whole_body(request: Request) -> bytes:
    """The bytes of the body, which parsers find again. (`request.body` would refuse the larger ones that we take.)"""
    received: Any = request._request
    received._body = received.read()
    return bytes(received._body)


class AgentView(_KeyedView):
    """An endpoint for agents: `request.user` is the AgentKey."""

    key_kinds: ClassVar[tuple[str, ...]] = ("agent",)


class MerchantView(_KeyedView):
    """An endpoint for merchants: `request.user` is the MerchantKey."""

    key_kinds: ClassVar[tuple[str, ...]] = ("merchant",)


class AnyKeyView(_KeyedView):
    """An endpoint for agents and merchants; `request.auth` says which kind of key came."""

    key_kinds: ClassVar[tuple[str, ...]] = ("agent", "merchant")


class PublicView(_JsonView):
    """An endpoint without a key; a key that is sent is ignored."""

    authentication_classes = ()
