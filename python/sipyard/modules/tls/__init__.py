"""tls: certificates, and what is demanded of peers (SER 2.0's module)."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sipyard.errors import ConfigError
from sipyard.management.registry import RpcFault
from sipyard.module import Module, Parameter, rpc, select
from sipyard.modules.tls.certificate_selects import reader_of_tls
from sipyard.modules.tls.sections import (
    Section,
    native_sections,
    parse_sections,
    system_authorities,
)

if TYPE_CHECKING:
    from sipyard._native.core import TlsFacts
    from sipyard.context import Context
    from sipyard.engine import Engine
    from sipyard.selects import Reader, SelectPath

_FACTS: Final = "tls.facts"
_log = logging.getLogger("sipyard.tls")


class Tls(Module):
    """tls: TLS 1.2 and 1.3 (RFC 3261 §26.2) by rustls."""

    name = "tls"

    config = Parameter(str, "", "File with sections by side and address (tls.cfg); names in it start there.")
    tls_method = Parameter(str, "TLSv1", "Oldest version; nothing older than TLSv1.2 is spoken.")
    verify_certificate = Parameter(int, 0, "1: check certificates of those who connect to us.")
    require_certificate = Parameter(int, 0, "1: demand one of them.")
    verify_depth = Parameter(int, 9, "Longest chain; the library's own limit holds.")
    private_key = Parameter(str, "cert.pem", "Our key, PEM.")
    certificate = Parameter(str, "cert.pem", "Our certificate, with what leads to its authority, PEM.")
    ca_list = Parameter(str, "", "Authorities, PEM; empty: those of the system.")
    crl = Parameter(str, "", "Revoked certificates, PEM (not in SER).")
    cipher_list = Parameter(str, "", "Cipher suites by OpenSSL's or IANA's names; empty: all that are sound.")
    handshake_timeout = Parameter(int, 120, "The core's tcp_first_message and tcp_connect_timeout hold.")
    send_timeout = Parameter(int, 120, "The core's tcp_send_timeout holds.")
    connection_timeout = Parameter(int, 600, "The core's tcp_connection_lifetime holds.")
    tls_log = Parameter(int, 3, "The core's debug holds.")
    session_cache = Parameter(int, 0, "Sessions are resumed by tickets.")
    session_id = Parameter(str, "ser-tls-0.9.0", "Sessions are resumed by tickets.")
    tls_disable_compression = Parameter(int, 0, "There is no compression.")
    tls_force_run = Parameter(int, 0, "There is no OpenSSL whose version could be wrong.")

    async def start(self, engine: Engine) -> None:
        """Read certificates. ConfigError: one of them cannot be used."""
        self._engine = engine
        self._sections = self._read()

    def _read(self) -> list[Section]:
        server = Section(
            is_client=False,
            method=self.tls_method,
            verify_certificate=bool(self.verify_certificate or self.require_certificate),
            require_certificate=bool(self.require_certificate),
            private_key="" if self.private_key == self.certificate else self.private_key,
            certificate=self.certificate,
            ca_list=self.ca_list,
            crl=self.crl,
            cipher_list=self.cipher_list,
        )
        # SER: who is called must show a valid certificate unless the file says otherwise.
        client = replace(server, is_client=True, verify_certificate=True, require_certificate=True)
        if self.config:
            client = replace(client, certificate="", private_key="")
        folder, sections = Path(), [server, client]
        if self.config:
            file = Path(self.config)
            try:
                text = file.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"tls: cannot read {file}: {error}") from error
            folder, sections = file.parent, parse_sections(text, str(file), server, client)
        usable = [one for one in sections if one is not client or one.ca_list or system_authorities()]
        if len(usable) < len(sections):
            _log.warning("no ca_list, and no authorities of the system: no peer can be called by TLS")
        self._engine.core.set_tls(native_sections(usable, folder))
        return sections

    def facts(self, msg: Context) -> TlsFacts | None:
        """What the handshake of the connection came to that a message came over; None without one."""
        connection = msg.message.connection
        if not connection:
            return None
        notes = msg.notes
        if _FACTS not in notes:
            found = self._engine.core.connection(connection)
            notes[_FACTS] = None if found is None else found.tls
        facts: TlsFacts | None = notes[_FACTS]
        return facts

    @select("tls")
    def tls(self, path: SelectPath) -> Reader:
        """`@tls.version`, `.description`, `.cipher[.bits]`; `@tls.peer` and `@tls.my` with .verified,
        .subject and .issuer (and their .cn, .o, .ou, .l, .st, .c), .expired, .self_signed, .version, .sn,
        .notBefore, .notAfter, and the alternative names .host, .uri, .email, .ip. Missing without TLS."""
        return reader_of_tls(path, self.facts)

    @rpc("tls.reload", changes=True)
    def reload(self) -> str:
        """Read the file and all certificates again. Connections that stand keep theirs; on an error all stays
        as it was."""
        try:
            self._sections = self._read()
        except ConfigError as error:
            raise RpcFault(500, str(error)) from error
        _log.info("certificates read again: %d sections", len(self._sections))
        return f"{len(self._sections)} sections"

    @rpc("tls.list")
    def connections(self) -> list[dict[str, Any]]:
        """Connections over TLS."""
        core = self._engine.core
        found = [core.connection(number) for number in core.connections()]
        return [
            {
                "id": one.number,
                "timeout": round(one.left),
                "src_ip": one.remote[0],
                "src_port": one.remote[1],
                "dst_ip": one.local[0],
                "dst_port": one.local[1],
                "tls": "handshake" if one.tls is None else f"{one.tls.version} {one.tls.cipher}",
            }
            for one in found
            if one is not None and one.protocol == "tls"
        ]
