"""auth_identity: one server signs who calls, another fetches the certificate and believes it, or does not."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from wire_peer import WirePeer

from sipyard.errors import ConfigError
from sipyard.testing import Network

START, END = datetime.datetime(2020, 1, 1), datetime.datetime(2036, 1, 1)
CALLER, CALLEE = "sip:alice@example.org", "sip:bob@example.com"

SIGNER = """
loadmodule "sl" loadmodule "tm" loadmodule "auth_identity"
modparam("auth_identity", "privatekey_path", "{folder}/{key}.key")
modparam("auth_identity", "certificate_path", "{folder}/{key}.pem")
modparam("auth_identity", "certificate_url", "{url}")
route {{
    if (!auth_date_proc() || !auth_add_identity()) {{
        sl_reply("$f.identity_code", "$f.identity_reason");
        drop;
    }}
    t_relay_to_udp("10.0.0.2", "5060");
}}
"""
VERIFIER = """
loadmodule "sl" loadmodule "auth_identity"
modparam("auth_identity", "cainfo_path", "{folder}/ca.pem")
modparam("auth_identity", "https_cainfo_path", "{folder}/ca.pem")
modparam("auth_identity", "allow_private", {private})
route {{
    if (vrfy_check_date() && vrfy_get_certificate() && vrfy_check_certificate() && vrfy_check_msgvalidity()
        && vrfy_check_callid()) {{
        sl_reply("200", "Believed");
    }} else {{
        sl_reply("$f.identity_code", "$f.identity_reason");
    }}
}}
"""


class Authority:
    """A certificate authority in a folder, and what it has issued."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        made = self._builder(self.name, self.key.public_key())
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        usage = dict.fromkeys(
            ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"), False
        )
        more = dict.fromkeys(("key_agreement", "encipher_only", "decipher_only"), False)
        made = made.add_extension(
            x509.KeyUsage(**usage, **more, key_cert_sign=True, crl_sign=True), critical=True
        )
        made = made.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False
        )
        self.write("ca", made.sign(self.key, hashes.SHA256()), self.key)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(START)
            .not_valid_after(END)
        )

    def issue(self, file: str, *names: x509.GeneralName, end: datetime.datetime = END) -> None:
        """A key and its certificate for these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, file)])
        made = self._builder(subject, key.public_key())
        if end != END:
            made = x509.CertificateBuilder(
                self.name, subject, key.public_key(), x509.random_serial_number(), START, end
            )
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        made = made.add_extension(x509.ExtendedKeyUsage(both), critical=False)
        made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        made = made.add_extension(issuer, critical=False)
        self.write(file, made.sign(self.key, hashes.SHA256()), key)

    def write(self, file: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        pem = serialization.Encoding.PEM
        (self.folder / f"{file}.pem").write_bytes(certificate.public_bytes(pem))
        form, none = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        (self.folder / f"{file}.key").write_bytes(key.private_bytes(pem, form, none))


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder with keys and certificates, and the URL under which an https server has it."""
    folder = tmp_path_factory.mktemp("web")
    authority = Authority(folder)
    local = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    authority.issue("server", local)
    authority.issue("signer", x509.DNSName("example.org"))
    authority.issue("other", x509.DNSName("example.net"))
    authority.issue("expired", x509.DNSName("example.org"), end=datetime.datetime(2021, 1, 1))
    stranger = folder / "stranger"
    stranger.mkdir()
    Authority(stranger).issue("unknown", x509.DNSName("example.org"))
    for kind in ("pem", "key"):
        (folder / f"unknown.{kind}").write_bytes((stranger / f"unknown.{kind}").read_bytes())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = folder / self.path.strip("/")
            data = path.read_bytes() if path.suffix == ".pem" and path.exists() else None
            data = b"x" * 100_000 if self.path == "/large" else b"no" if self.path == "/odd" else data
            self.send_response(404 if data is None else 200)
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"https://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


class Pair:
    """A server that signs, one that checks, and a peer on the way of both."""

    def __init__(
        self, network: Network, web: tuple[Path, str], key: str = "signer", path: str = "", private: int = 1
    ) -> None:
        folder, base = web
        url = f"{base}/{path or key + '.pem'}"
        network.server(SIGNER.format(folder=folder, key=key, url=url), name="signer")
        text = VERIFIER.format(folder=folder, private=private)
        network.server(text, address="10.0.0.2:5060", name="verifier")
        self.network = network
        self.peer = WirePeer(network)

    def ask(self, sender: str = CALLER, to: str = CALLEE, *headers: str, cseq: int = 1) -> tuple[int, str]:
        text = self.peer.request("MESSAGE", CALLEE, to=to, headers=headers, cseq=cseq, call_id=f"c{cseq}")
        answer = self.peer.ask(text.replace("sip:alice@example.org", sender))
        return answer.status, answer.reason


def test_a_signed_call_is_believed(network: Network, web: tuple[Path, str]) -> None:
    pair = Pair(network, web)
    assert pair.ask() == (200, "Believed")
    assert pair.ask("sip:+12155551212@example.org;user=phone", "sip:+1-215-555-1213@x", cseq=2)[0] == 200


CASES = [
    # key, path, allow_private, what is answered
    ("other", "", 1, (437, "Unsupported Credential")),
    ("unknown", "", 1, (437, "Unsupported Credential")),
    ("expired", "", 1, (437, "Unsupported Credential")),
    ("signer", "other.pem", 1, (437, "Unsupported Credential")),
    ("signer", "missing.pem", 1, (436, "Bad Identity Info")),
    ("signer", "large", 1, (436, "Bad Identity Info")),
    ("signer", "odd", 1, (437, "Unsupported Credential")),
    ("signer", "", 0, (436, "Bad Identity Info")),
]


@pytest.mark.parametrize(("key", "path", "private", "answer"), CASES)
def test_certificates_that_are_not_believed(
    network: Network, web: tuple[Path, str], key: str, path: str, private: int, answer: tuple[int, str]
) -> None:
    assert Pair(network, web, key, path, private).ask() == answer


def test_a_number_signed_by_another_key(network: Network, web: tuple[Path, str]) -> None:
    """For a number the certificate's domain does not matter; its key does."""
    pair = Pair(network, web, "signer", "other.pem")
    assert pair.ask("sip:+12155551212@example.org") == (438, "Invalid Identity Header")


def relayed(network: Network, web: tuple[Path, str]) -> tuple[WirePeer, str]:
    """A verifier, and the text of a request that the signer has sent elsewhere."""
    folder, base = web
    text = SIGNER.format(folder=folder, key="signer", url=f"{base}/signer.pem")
    network.server(text.replace("10.0.0.2", "192.0.2.50"), name="signer")
    network.server(VERIFIER.format(folder=folder, private=1), address="10.0.0.2:5060", name="verifier")
    peer, trap = WirePeer(network), WirePeer(network, "trap", "192.0.2.50:5060")
    peer.post(peer.request("MESSAGE", CALLEE, to=CALLEE))
    network.run_until(lambda: bool(trap.messages), within=5)
    return trap, trap.messages[0].raw.decode()


def test_a_replay_and_what_was_altered(network: Network, web: tuple[Path, str]) -> None:
    trap, text = relayed(network, web)
    altered = text.replace("sip:bob@example.com>", "sip:eve@example.com>")
    assert trap.ask(altered, "10.0.0.2:5060").reason == "Invalid Identity Header"
    assert trap.ask(text, "10.0.0.2:5060").status == 200
    assert trap.ask(text, "10.0.0.2:5060").reason == "Replayed Request"
    network.run(61)
    assert trap.ask(text.replace("CSeq: 1", "CSeq: 2"), "10.0.0.2:5060").reason == "Stale Date"


def test_no_identity(network: Network, web: tuple[Path, str]) -> None:
    folder, _ = web
    network.server(VERIFIER.format(folder=folder, private=1))
    peer = WirePeer(network)
    assert peer.ask(peer.request()).status == 428
    header = ["Identity: nonsense", "Date: Fri, 15 Jan 2027 08:00:00 GMT"]
    assert peer.ask(peer.request(headers=header)).status in (403, 438)


def test_a_date_of_another_day_is_not_signed(network: Network, web: tuple[Path, str]) -> None:
    pair = Pair(network, web)
    assert pair.ask(CALLER, CALLEE, "Date: Fri, 01 Jan 2027 00:00:00 GMT") == (403, "Stale Date")


def test_a_key_that_is_not_the_certificates(network: Network, web: tuple[Path, str]) -> None:
    folder, base = web
    text = SIGNER.format(folder=folder, key="signer", url=f"{base}/x").replace("signer.pem", "other.pem")
    with pytest.raises(ConfigError, match="not the certificate of the key"):
        network.server(text)
