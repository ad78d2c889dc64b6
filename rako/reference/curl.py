"""Examples that run: an operation as curl commands, with the calls before it that give it its ids."""

import json
import re
from typing import Any

from rako.demo_keys import DEMO_AGENT_KEY, DEMO_MERCHANT_KEY
from rako.reference.links import Link, last_of, link_to
from rako.reference.told import Operation, by_id

_KEYS = {"agentKey": DEMO_AGENT_KEY, "merchantKey": DEMO_MERCHANT_KEY}
# The demo merchant's own offers, so that both demo keys see what comes of them.
_QUERIES = {"searchOffers": "vertical=sim&provider=SMARTY"}
# Who accepts is not who claimed.
_CALLERS = {"acceptDispute": "merchantKey"}
_NOW = "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
# What is another value each time it is run.
_FRESH = {"orderReference": "ORDER-$(date +%s%N)", "occurredAt": _NOW}
# What else has to happen first: without a visit by a person there is no sale through a link.
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_ALSO = {"convertLink": f'curl -s -o /dev/null -A "{_BROWSER}" "$AAP/r/$RECOMMENDATION_ID"'}
_GET = 'get() { python3 -c "import json,sys; print(json.load(sys.stdin)$1)"; }'


def script(operation: Operation, base_url: str) -> str:
    """A shell script: what is needed first, then the call itself."""
    lines = [f"AAP={base_url}"]
    before = _before(operation)
    if before:
        lines += [_GET, *before]
    return "\n".join([*lines, _call(operation)])


def _before(operation: Operation) -> list[str]:
    link = link_to(operation.id)
    if link is None:
        return []
    source = by_id()[link.source]
    told = [(name, place) for name, place in (link.path | link.body).items() if place.startswith("$response")]
    asked = f"REPLY=$({_call(source)}{_end(source)})"
    also = [_ALSO[operation.id]] if operation.id in _ALSO else []
    return [*_before(source), asked, *(_set(name, last_of(place)) for name, place in told), *also]


def _end(operation: Operation) -> str:
    """The word that ends a body stands in a line of its own."""
    return "" if operation.body is None else "\n"


def _set(name: str, pointer: str) -> str:
    keys = "".join(f"[{part}]" if part.isdigit() else f"['{part}']" for part in pointer.split("/"))
    return f'{_variable(name)}=$(echo "$REPLY" | get "{keys}")'


def _variable(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()


def _call(operation: Operation) -> str:
    link = link_to(operation.id)
    implied = "GET" if operation.body is None else "POST"
    method = "" if operation.method == implied else f"-X {operation.method} "
    parts = [f'curl -s {method}"$AAP{_path(operation, link)}"']
    if operation.keys:
        key = _KEYS[_CALLERS.get(operation.id, operation.keys[0])]
        parts.append(f'-H "Authorization: Bearer {key}"')
    if operation.body is None:
        return " \\\n  ".join(parts)
    parts.append('-H "Content-Type: application/json"')
    return " \\\n  ".join([*parts, f"-d @- <<JSON\n{_body(operation, link)}\nJSON"])


def _path(operation: Operation, link: Link | None) -> str:
    linked = {} if link is None else link.path
    path = operation.path
    for parameter in operation.parameters("path"):
        name = parameter["name"]
        value = f"${_variable(name)}" if name in linked else str(parameter["example"])
        path = path.replace(f"{{{name}}}", value)
    wanted = [f"{each['name']}={each['example']}" for each in operation.parameters("query") if each.get("required")]
    query = _QUERIES.get(operation.id) or "&".join(wanted)
    return f"{path}?{query}" if query else path


def _body(operation: Operation, link: Link | None) -> str:
    linked = {} if link is None else link.body
    body: dict[str, Any] = operation.body
    shown = {name: _FRESH.get(name, value) for name, value in body.items()}
    shown |= {name: f"${_variable(name)}" for name in linked}
    return json.dumps(shown, ensure_ascii=False, indent=2)
