"""Refusals as a model reads them: what went wrong, and what to do next."""

from mcp_types import CallToolResult, TextContent

from rako.core.errors import RakoError

# In the result's `_meta`, for programs: they need not read the text.
CODE_KEY = "rako.sh/errorCode"

_SEARCH_AGAIN = "Call search_offers again and go on with the session_id and offer_id of its reply."
_AGAIN = "Call again with the same arguments: that is safe."
_ANOTHER = "Choose another offer of the search."
_OPERATOR = "No other arguments can mend this: tell the user that the API key is not accepted."

ADVICE = {
    "invalid_arguments": "Correct the arguments and call again.",
    "invalid_field": "Correct the arguments and call again.",
    "missing_fields": "Correct the arguments and call again.",
    "bad_request": "Correct the arguments and call again.",
    "session_not_found": _SEARCH_AGAIN,
    "session_expired": _SEARCH_AGAIN,
    "offer_not_found": _SEARCH_AGAIN,
    "offer_unavailable": _SEARCH_AGAIN,
    "recommendation_not_found": _SEARCH_AGAIN,
    "session_converted": "The user has bought in this session already. For another purchase call search_offers again.",
    "not_connected": _ANOTHER,
    "payment_connection_unavailable": _ANOTHER,
    "not_payable": _ANOTHER,
    "in_progress": _AGAIN,
    "idempotency_in_flight": _AGAIN,
    "rate_limited": _AGAIN,
    "too_many_calls": _AGAIN,
    "unavailable": _AGAIN,
    "unauthorized": _OPERATOR,
    "wrong_key_kind": _OPERATOR,
}


def refusal(error: RakoError, *, fallback_url: str = "") -> CallToolResult:
    """An `isError` result. `fallback_url`: the link of a recommendation that stands although its checkout failed."""
    lines = [str(error).rstrip(".") + ".", _advice(error)]
    if fallback_url:
        lines.append(f"The recommendation is recorded: the user can also buy on the merchant's page {fallback_url}")
    text = TextContent(type="text", text=" ".join(lines))
    return CallToolResult(content=[text], is_error=True, _meta={CODE_KEY: error.code})


def _advice(error: RakoError) -> str:
    wait = "" if error.retry_after is None else f"Wait {error.retry_after} seconds. "
    # What is not named is the payment processor's: a checkout asked for again is the same checkout.
    usual = _AGAIN if error.status >= 500 or error.status == 429 else _SEARCH_AGAIN
    return wait + ADVICE.get(error.code, usual)
