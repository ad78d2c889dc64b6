"""The reference that is made of the schema: pages, llms.txt, the Postman collection."""

import json
import re
import subprocess

import pytest
from django.core.servers.basehttp import WSGIRequestHandler
from jsonschema import Draft202012Validator

from rako import demo_data
from rako.reference.told import by_id
from tests.openapi.postman_format import FORMAT

# Why a command does not answer 200 here, or is not run.
NOT_HERE = {
    **dict.fromkeys(("getInvoice", "getStatement", "exportSettlement", "getPayout"), "the demo has no closed month"),
    **dict.fromkeys(("getEntry", "getEntryProof", "getConversionProof"), "no sequencer runs beside the test server"),
    **dict.fromkeys(("getCheckpoint", "getConsistency", "getTile", "ready"), "likewise"),
    **dict.fromkeys(("connect", "addWebhookSecret", "disconnect"), "they ask a processor, or end a connection"),
    **dict.fromkeys(("receiveWebhook", "receivePlatformWebhook"), "nobody but the processor can sign"),
    "receiveOrderEvent": "nobody but the merchant's shop can sign",
    "resendWebhook": "the example's message was never sent",
    "reportMilestone": "the demo merchant sells SIMs, which have no milestones",
}
EXPECTED = {"followLink": "302"}


def get(client, path):
    return client.get(path)


def test_the_index_leads_to_every_operation(client):
    page = get(client, "/docs/api").content.decode()

    assert set(re.findall(r'href="/docs/api/(\w+)"', page)) == set(by_id())


@pytest.mark.parametrize("operation_id", sorted(by_id()))
def test_every_operation_has_a_page(client, operation_id):
    page = get(client, f"/docs/api/{operation_id}")

    told = page.content.decode()
    assert page.status_code == 200
    assert all(code in told for code in by_id()[operation_id].told["responses"])
    assert re.findall(r"""(?:src|href)="(?:https?:)?//""", told) == []


def test_an_unknown_page_is_not_found(client):
    reply = get(client, "/docs/api/nothing")

    assert (reply.status_code, reply.json()) == (404, {"error": "Not found"})


def test_llms_txt_is_plain_text_in_the_form_of_llmstxt_org(client):
    reply = get(client, "/llms.txt")
    lines = reply.content.decode().splitlines()

    assert reply["Content-Type"] == "text/plain; charset=utf-8"
    assert lines[0] == "# Rako"
    assert lines[2].startswith("> ")
    listed = [line for line in lines[lines.index("## Docs") :] if line.startswith("-")]
    assert all(re.fullmatch(r"- \[.+\]\(\S+\)(: .+)?", line) for line in listed)


def test_the_links_of_llms_txt_lead_somewhere(client, settings, db):
    text = get(client, "/llms.txt").content.decode()
    links = re.findall(r"\]\((\S+)\)", text)

    assert len(links) > len(by_id())
    assert {get(client, link.removeprefix(settings.RAKO_BASE_URL)).status_code for link in links} == {200}


def test_the_postman_collection_has_the_form_that_postman_imports(client):
    collection = json.loads(get(client, "/postman.json").content)

    assert list(Draft202012Validator(FORMAT).iter_errors(collection)) == []


def test_the_postman_collection_has_every_operation_with_its_key(client):
    collection = json.loads(get(client, "/postman.json").content)
    requests = {each["name"]: each["request"] for folder in collection["item"] for each in folder["item"]}

    assert len(requests) == len(by_id())
    assert {row["key"] for row in collection["variable"]} == {"baseUrl", "agentKey", "merchantKey"}
    assert requests[by_id()["recommend"].told["summary"]]["auth"]["bearer"][0]["value"] == "{{agentKey}}"
    assert json.loads(requests[by_id()["checkout"].told["summary"]]["body"]["raw"])["sessionId"]


def test_live_mode_publishes_no_demo_key_for_postman(client, settings):
    settings.RAKO_MODE = "live"

    collection = json.loads(get(client, "/postman.json").content)

    keys = {row["key"]: row["value"] for row in collection["variable"]}
    assert (keys["agentKey"], keys["merchantKey"]) == ("", "")


@pytest.fixture
def served(live_server, settings, monkeypatch):
    """The address of a server with the demo registry."""
    # The test server sends headers and body apart: each reply would wait 40 ms for an acknowledgement.
    monkeypatch.setattr(WSGIRequestHandler, "disable_nagle_algorithm", True)
    settings.RAKO_BASE_URL = settings.RAKO_LINK_BASE = live_server.url
    demo_data.load()
    return live_server.url


def test_the_commands_of_the_pages_run_as_they_stand(served, client):
    """In one test: they change nothing for one another, and the registry is loaded once."""
    wrong = {}
    for operation_id in by_id().keys() - NOT_HERE.keys():
        script = get(client, f"/docs/api/{operation_id}").context["script"]
        head, _, last = script.rpartition("curl -s ")

        run = subprocess.run(
            ["bash", "-euo", "pipefail"],
            input=f"{head}curl -s -o /dev/null -w '%{{http_code}}' {last}",
            capture_output=True,
            text=True,
            check=False,
        )

        if run.stdout != EXPECTED.get(operation_id, "200"):
            wrong[operation_id] = run.stdout + run.stderr
    assert wrong == {}


def test_what_is_not_run_is_still_an_operation():
    assert NOT_HERE.keys() <= by_id().keys()
