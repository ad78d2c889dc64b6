"""The log for all to check, and each party's own entries with their proofs (C2SP tlog-tiles and tlog-proof).

Public are signatures and hashes alone: a body has a nonce, so that its hash tells nobody what it says.
"""

from django.conf import settings
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from ledger import wire
from ledger.models import Conversion, Entry, Opening
from ledger.proofs import (
    NoCheckpoint,
    NotSequencedYet,
    RecommendationNotRecorded,
    consistency_path,
    conversion_proof,
    entry_proof,
    find_checkpoint,
    log_keys,
    newest_size,
    receipt_of,
)
from ledger.tree_store import fetch
from ledger.views import ConversionNotFound, own_conversions
from rako.core.api_views import AnyKeyView, KeyedRequest, PublicView
from rako.core.errors import BadRequest, NotFound
from rako.core.ids import is_id
from rako.core.openapi import query, raises, whole
from rako.core.tlog.encoding import decode_decimal, encode_base64
from rako.core.tlog.tile_paths import parse_tile_path
from rako.core.tlog.tree import TILE_HEIGHT, TILE_WIDTH

_TEXT = "text/plain; charset=utf-8"
_BYTES = "application/octet-stream"
_FOR_EVER = "public, max-age=31536000, immutable"


class EntryNotFound(NotFound):
    code, message = "entry_not_found", "Entry not found"


class TileNotFound(NotFound):
    code, message = "tile_not_found", "Tile not found"


class CheckpointView(PublicView):
    """GET /v1/ledger/checkpoint: the newest, or the stored one of a size."""

    @raises(NoCheckpoint)
    @extend_schema(
        operation_id="getCheckpoint",
        summary="The log's newest signed checkpoint",
        parameters=[query("size", whole(0), "The stored checkpoint of that many entries instead.")],
        responses={(200, "text/plain"): str},
    )
    def get(self, request: Request) -> HttpResponse:
        checkpoint = find_checkpoint(_size(request, "size"))
        return HttpResponse(checkpoint.note, content_type=_TEXT, headers={"Cache-Control": "no-store"})


class TileView(PublicView):
    """GET /v1/ledger/tile/{level}/{index}[.p/{width}]: hashes of the tree, as far as a checkpoint vouches for them."""

    @raises(TileNotFound)
    @extend_schema(
        operation_id="getTile",
        summary="Hashes of the log's tree",
        parameters=[
            OpenApiParameter("tile", str, "path", description="C2SP tlog-tiles: `<level>/<index>[.p/<width>]`.")
        ],
        responses={(200, _BYTES): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, tile: str) -> HttpResponse:
        try:
            level, index, width = parse_tile_path(f"tile/{tile}")
        except ValueError:
            raise TileNotFound() from None
        if index * TILE_WIDTH + width > newest_size() >> TILE_HEIGHT * level:
            raise TileNotFound()
        hashes = fetch(level, index, width)
        return HttpResponse(hashes, content_type=_BYTES, headers={"Cache-Control": _FOR_EVER})


class ConsistencyView(PublicView):
    """GET /v1/ledger/consistency: that the log only grew between two sizes."""

    @raises(NoCheckpoint)
    @extend_schema(
        operation_id="getConsistency",
        summary="Proof that one state of the log continues another",
        parameters=[
            query("from", whole(1), "The smaller size.", required=True),
            query("to", whole(1), "The larger size, at most the newest checkpoint's.", required=True),
        ],
        responses=wire.ConsistencyReply,
    )
    def get(self, request: Request) -> Response:
        old_size, size, newest = _size(request, "from"), _size(request, "to"), newest_size()
        if not newest:
            raise NoCheckpoint()
        if old_size is None or size is None or not 1 <= old_size <= size <= newest:
            raise BadRequest(
                f"from and to must be sizes of the log, 1 to {newest}, in this order", code="invalid_field"
            )
        path = [encode_base64(node) for node in consistency_path(old_size, size)]
        return Response({"from": old_size, "to": size, "path": path})


class LogKeysView(PublicView):
    """GET /v1/ledger/keys: what signs for the log, now and before, and who watches it."""

    @extend_schema(operation_id="getLogKeys", summary="The log's verifier keys", responses=wire.LogKeysReply)
    def get(self, request: Request) -> Response:
        witnesses = [witness.verifier.vkey for witness in settings.RAKO_WITNESSES]
        return Response({"origin": settings.RAKO_LEDGER_ORIGIN} | log_keys() | {"witnesses": witnesses})


class EntryView(AnyKeyView):
    """GET /v1/ledger/entries/{id}: exact bytes, for the entry's own parties."""

    @raises(EntryNotFound)
    @extend_schema(operation_id="getEntry", summary="One of your entries", responses=wire.EntryReply)
    def get(self, request: KeyedRequest, entry_id: str) -> Response:
        entry = _own_entry(request, entry_id)
        opening = Opening.objects.filter(entry=entry, party=request.auth).first()
        return Response(wire.entry_wire(entry, opening, receipt_of(entry)))


class EntryProofView(AnyKeyView):
    """GET /v1/ledger/entries/{id}/proof"""

    @raises(EntryNotFound, NotSequencedYet(retry_after=1))
    @extend_schema(
        operation_id="getEntryProof",
        summary="Where one of your entries is in the log",
        responses={(200, "text/plain"): str},
    )
    def get(self, request: KeyedRequest, entry_id: str) -> HttpResponse:
        return HttpResponse(entry_proof(_own_entry(request, entry_id)), content_type=_TEXT)


class ConversionProofView(AnyKeyView):
    """GET /v1/conversions/{id}/proof"""

    @raises(ConversionNotFound, RecommendationNotRecorded, NotSequencedYet(retry_after=1))
    @extend_schema(
        operation_id="getConversionProof",
        summary="A file that proves a conversion to anyone, offline",
        responses=wire.ConversionProofReply,
    )
    def get(self, request: KeyedRequest, conversion_id: str) -> Response:
        conversion = _own_conversion(request, conversion_id)
        headers = {
            "Content-Disposition": f'attachment; filename="conversion-{conversion.pk}.proof.json"',
            "Cache-Control": "no-store",  # it opens what is sealed
        }
        return Response(conversion_proof(conversion, request.auth), headers=headers)


def _own_entry(request: KeyedRequest, entry_id: str) -> Entry:
    """The entry with its leaf, if the key's party may read it: others do not exist for it."""
    is_merchant = request.auth == "merchant"
    own = {"merchant_id": request.user.merchant_id} if is_merchant else {"agent_id": request.user.agent_id}
    rows = Entry.objects.filter(entry_id=entry_id, **own).select_related("leaf")
    found = rows.first() if is_id(entry_id) else None
    if found is None:
        raise EntryNotFound()
    return found


def _own_conversion(request: KeyedRequest, conversion_id: str) -> Conversion:
    rows = own_conversions(request).filter(pk=conversion_id).select_related("recommendation")
    found = rows.first() if is_id(conversion_id) else None
    if found is None:
        raise ConversionNotFound()
    return found


def _size(request: Request, name: str) -> int | None:
    """A size of the log that the query names. Raises BadRequest if it is no whole number."""
    text = request.query_params.get(name)
    try:
        return decode_decimal(text) if text else None
    except ValueError:
        raise BadRequest(f"{name} must be a whole number", code="invalid_field") from None
