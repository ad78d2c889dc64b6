"""What comes of one attempt, against real servers that behave badly."""

import datetime
import socket
import ssl
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from notifications import sending
from notifications.sending import Answer, post
from tests.notifications.receiver import receiving


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A file with a certificate of hooks.example, which signs itself, and its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    file = tmp_path_factory.mktemp("tls") / "hooks.pem"
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(made.public_bytes(pem) + secret)
    return file


def at_loopback(host, port):
    return ["127.0.0.1"]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(sending, "TOTAL_SECONDS", 0.4)


def test_it_sends_the_bytes_as_json_under_the_name(receiver):
    answer = post(receiver.url + "?a=b", '{"é":1}', {"webhook-id": "msg_1"})

    assert answer == Answer(200)
    [got] = receiver.got
    assert (got.path, got.body, got.id) == ("/hooks?a=b", '{"é":1}', "msg_1")
    assert got.headers["content-type"] == "application/json"
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_received(receiver, status):
    receiver.answers, receiver.reply_bytes = [(status, {"Content-Length": "0"})], 0

    assert post(receiver.url, "{}", {}).is_received


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308])
def test_a_redirect_is_a_failure_and_never_followed(receiver, status):
    with receiving() as inside:
        receiver.answers = [(status, {"Location": inside.url})]

        answer = post(receiver.url, "{}", {})

    assert answer == Answer(status)
    assert not answer.is_received
    assert inside.got == []


def test_a_reply_of_any_size_is_not_read_to_its_end(receiver):
    receiver.reply_bytes = 200_000_000
    started = time.monotonic()

    answer = post(receiver.url, "{}", {})

    assert answer == Answer(200)
    assert time.monotonic() - started < 5


def test_a_reply_that_drips_is_cut_off(quick, receiver):
    receiver.drips = True
    started = time.monotonic()

    answer = post(receiver.url, "{}", {})

    assert answer == Answer(error="timed_out")
    assert time.monotonic() - started < 2


def test_a_receiver_that_does_not_answer_is_left(quick, receiver):
    receiver.seconds_before_answer = 1

    assert post(receiver.url, "{}", {}) == Answer(error="timed_out")


def test_nobody_there_is_a_failure(receiver):
    with receiving() as gone:
        pass

    assert post(gone.url, "{}", {}) == Answer(error="connection_failed")


def test_what_is_not_http_is_a_failure():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        told = post(url, "{}", {})
        thread.join()

    assert told == Answer(error="bad_reply")


def test_a_host_that_does_not_exist_is_a_failure():
    def nowhere(host, port):
        raise socket.gaierror("Name or service not known")

    assert post("https://hooks.example/", "{}", {}, resolver=nowhere) == Answer(error="host_not_found")


def test_a_name_that_leads_inside_is_not_connected_to(settings, receiver):
    settings.RAKO_WEBHOOK_LOOPBACK = False

    answer = post("https://hooks.example/", "{}", {}, resolver=at_loopback)

    assert answer == Answer(error="address_not_allowed")
    assert receiver.got == []


def test_a_name_is_resolved_once_and_its_checked_address_used(certificate):
    """A name server that answers differently the second time is never asked a second time."""
    asked = []

    def rebinding(host, port):
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    with receiving(certificate=certificate) as receiver:
        target = sending.target_of("https://hooks.example/")._replace(port=receiver.port)
        addresses = sending.allowed(target, rebinding(target.host, target.port))
        trusted = ssl.create_default_context(cafile=certificate)
        with sending._connected(target, addresses, time.monotonic() + 5, trusted) as connection:
            answer = sending._exchange(connection, target, "{}", {"webhook-id": "msg_1"}, time.monotonic() + 5)

    assert (answer, asked) == (Answer(200), ["hooks.example"])
    assert receiver.got[0].headers["host"] == f"hooks.example:{receiver.port}"


def test_a_certificate_of_another_name_is_refused(certificate):
    trusted = ssl.create_default_context(cafile=certificate)

    with receiving(certificate=certificate) as receiver:
        answer = post(f"https://localhost:{receiver.port}/", "{}", {}, resolver=at_loopback, tls=trusted)

    assert answer == Answer(error="tls_failed")
    assert receiver.got == []


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate):
    with receiving(certificate=certificate) as receiver:
        answer = post(f"https://localhost:{receiver.port}/", "{}", {}, resolver=at_loopback)

    assert answer == Answer(error="tls_failed")


def test_a_server_that_never_finishes_its_handshake_is_left(quick):
    with socket.create_server(("127.0.0.1", 0)) as server:
        started = time.monotonic()

        answer = post(f"https://localhost:{server.getsockname()[1]}/", "{}", {}, resolver=at_loopback)

    assert answer == Answer(error="timed_out")
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("status", "header", "waits"),
    [
        (429, "120", 120),
        (503, "7", 7),
        (500, "120", None),
        (503, "soon", None),
        (503, "-5", None),
        (429, "9" * 5000, 999_999_999),
        (503, "Wed, 21 Oct 2015 07:28:00 GMT", "past"),
    ],
)
def test_retry_after_is_read_where_it_means_something(receiver, status, header, waits):
    receiver.answers = [(status, {"Retry-After": header})]

    told = post(receiver.url, "{}", {}).retry_after

    assert (told is not None and told < 0) if waits == "past" else told == waits
