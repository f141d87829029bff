"""Servers whose certificates are not trusted, or are of another time than this machine's."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from threading import Thread

import pytest
from command_line import Result, assert_refused

from merge.checkpoints.remote import http_client

Cli = Callable[..., Result]


def write_certificate(path: Path, begins: datetime) -> Path:
    """Write a certificate of this machine, valid for a day, and its key."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    places = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, begins, begins + timedelta(days=1))
    certificate = builder.add_extension(places, critical=False).sign(key, hashes.SHA256())
    form = serialization.Encoding.PEM
    own = key.private_bytes(form, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(certificate.public_bytes(form) + own)
    return path


@pytest.mark.parametrize(
    ("days", "trusted", "hint"),
    [
        (0, False, "SSL_CERT_FILE names the certificates"),
        (30, True, "is the clock of this machine right?"),
        (-30, True, "is the clock of this machine right?"),
    ],
    ids=["not trusted", "of the future", "of the past"],
)
def test_certificates(
    here: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, days: int, trusted: bool, hint: str
) -> None:
    file = write_certificate(here / "server.pem", datetime.now(UTC) + timedelta(days=days, hours=-1))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # that the client goes is no news
    server.socket = context.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    for variable in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(variable, raising=False)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    http_client._manager.cache_clear()
    found = cli("inspect", f"https://127.0.0.1:{server.server_port}/a.safetensors")
    http_client._manager.cache_clear()
    server.shutdown()
    assert_refused(found, 1, "127.0.0.1 cannot be reached: no safe connection", hint)
