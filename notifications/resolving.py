"""Resolves names within a time. The C library knows no deadline: with a name server that is silent, it takes as long as
its own settings say, and cannot be called off. So it waits in a thread of its own, and not with the sender.

Who asks for a name that is being asked for already waits for the same answer: one host, however many messages go there,
holds one thread, and one owner, whatever name servers its hosts have, holds few. No answer is kept: what a name
resolves to is judged each time something is sent.
"""

import threading
from concurrent.futures import Future

from notifications.addresses import Resolver

# More than workers send at a time, for lookups that were given up hold their threads on; and those of one owner.
AT_ONCE, PER_OWNER = 64, 8
_Asked = tuple[Resolver, str, int]
_asked: dict[_Asked, Future[list[str]]] = {}
_owners: dict[_Asked, str] = {}  # for whom it was asked first
_lock = threading.Lock()


class NoThreadFree(Exception):
    """The name was not asked for: all threads wait, or all that its owner may have. Nobody's fault who asks now."""


def resolve_within(seconds: float, resolver: Resolver, host: str, port: int, owner: str = "") -> list[str]:
    """The addresses of a host. Raises TimeoutError, NoThreadFree at once, or what the resolver does."""
    asked = (resolver, host, port)
    with _lock:
        answer = _asked.get(asked)
        if answer is None:
            if len(_asked) >= AT_ONCE or list(_owners.values()).count(owner) >= PER_OWNER:
                raise NoThreadFree
            answer = _asked[asked] = Future()
            # A daemon: a worker that ends does not wait for name servers.
            thread = threading.Thread(target=_ask, args=(asked, answer), name=f"resolve {host}", daemon=True)
            try:
                thread.start()
            except BaseException:  # or else whoever asks for it would wait for nothing, for ever
                del _asked[asked]
                raise
            _owners[asked] = owner
    return answer.result(seconds)


def _ask(asked: _Asked, answer: Future[list[str]]) -> None:
    resolver, host, port = asked
    try:
        found = resolver(host, port)
    except BaseException as error:  # whatever it is, it is for those who wait
        _forget(asked)
        answer.set_exception(error)
    else:
        _forget(asked)
        answer.set_result(found)


def _forget(asked: _Asked) -> None:
    """Before the answer is given: who comes after it asks anew."""
    with _lock:
        del _asked[asked], _owners[asked]
