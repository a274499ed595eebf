"""permissions: who may call, register or refer to whom, by files of rules; trusted sources and addresses by
tables."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from sipyard._native.core import NameAddr, ParseError, Uri
from sipyard.arguments import ArgumentError, Dynamic, Generation, Loading
from sipyard.attribute_rows import is_for_server
from sipyard.attributes import Assigned, Name
from sipyard.errors import ConfigError, StorageError
from sipyard.management.registry import RpcFault
from sipyard.module import Module, Parameter, Runtime, function, rpc
from sipyard.modules.permissions.addresses import Address, Entry, Trusted, entry_of, trusted_of
from sipyard.modules.permissions.rules import Rules, matches, read_rules
from sipyard.storage import Database
from sipyard.storage.named_columns import number, select_by, text
from sipyard.storage.snapshot import Snapshot

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine

_NEW: Final = Generation.SER_2_0
_ALL_MARKS: Final = 0xFFFFFFFF
_FILTER: Final = "permissions.filter"


class _WhatKind:
    """Which address is meant: ``src``, ``via2``, or what an attribute or a select says."""

    says = '"src", "via2", an attribute or a select'

    def convert(self, value: str | int, loading: Loading) -> str | Runtime:
        words = str(value)
        if words[:1] in "$@" and len(words) > 1:
            read = loading.reader(words)

            def as_text(msg: Context) -> str | None:
                found = read(msg)
                return None if found is None else str(found)

            return Runtime(words, as_text)
        if words not in ("src", "via2"):
            raise ArgumentError(f'expects {self.says}, not "{value}"')
        return words

    def convert_strict(self, value: object, loading: Loading) -> str | Runtime:
        return self.convert(str(value), loading)


class _WhereToKind:
    says = '"dst" or "ruri"'

    def convert(self, value: str | int, loading: Loading) -> str:
        if value not in ("dst", "ruri"):
            raise ArgumentError(f'expects {self.says}, not "{value}"')
        return str(value)

    def convert_strict(self, value: object, loading: Loading) -> str:
        return self.convert(str(value), loading)


What = Annotated[str, _WhatKind()]
WhereTo = Annotated[str, _WhereToKind()]


class Permissions(Module):
    """permissions: files of rules, trusted sources, addresses."""

    name = "permissions"

    db_url = Parameter(str, "", "Where trusted sources and addresses are; empty: there are none.")
    db_mode = Parameter(int, 0, "1: trusted sources are kept in memory. 0: the database is asked each time.")
    default_allow_file = Parameter(str, "permissions.allow", "Rules of what is allowed, without an argument.")
    default_deny_file = Parameter(str, "permissions.deny", "Rules of what is refused, without an argument.")
    check_all_branches = Parameter(int, 1, "1: all branches must be allowed, not only the Request-URI.")
    allow_suffix = Parameter(str, ".allow", "End of a file of what is allowed.")
    deny_suffix = Parameter(str, ".deny", "End of a file of what is refused.")
    max_rule_files = Parameter(int, 64, "Most files.", generations=_NEW)
    safe_file_load = Parameter(
        int, 0, "1: a file that is not there stops the start; 0: it has no rules.", generations=_NEW
    )
    trusted_table = Parameter(str, "trusted", "Trusted sources.")
    source_col = Parameter(str, "src_ip", "Source address.")
    proto_col = Parameter(str, "proto", "Protocol, or any.")
    from_col = Parameter(str, "from_pattern", "What the URI of From must be like.")
    ipmatch_table = Parameter(str, "ipmatch", "Addresses.", generations=_NEW)

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[str, Rules] = {}
        self._trusted = Snapshot("permissions: trusted", self._read_trusted)
        self._entries = Snapshot("permissions: ipmatch", self._read_entries)

    async def start(self, engine: Engine) -> None:
        """Read the default files and, if they are kept in memory, the tables."""
        for name in (self.default_allow_file, self.default_deny_file):
            self._rules(name, is_default=True)
        if not self.db_url:
            return
        self._database: Database = engine.databases.get(self.db_url)
        wanted = [text(self.source_col), text(self.proto_col), text(self.from_col)]
        self._all_trusted = select_by(self.trusted_table, wanted)
        self._trusted_of = select_by(self.trusted_table, wanted, [text(self.source_col)])
        columns = [text("ip"), text("avp_val"), number("mark"), number("flags")]
        self._all_entries = select_by(self.ipmatch_table, columns)
        if self.db_mode:
            await self._trusted.start()
            if self.generation is _NEW:
                await self._entries.start()

    async def stop(self) -> None:
        """Stop trying to read."""
        await self._trusted.stop()
        await self._entries.stop()

    # -- files -----------------------------------------------------------------------------------------------

    def _rules(self, name: str, *, is_default: bool = False) -> Rules:
        """The rules of a file, read once.

        :raises ConfigError: it cannot be used.
        """
        found = self._files.get(name)
        if found is not None:
            return found
        if len(self._files) >= self.max_rule_files:
            raise ConfigError(f"permissions: more than {self.max_rule_files} files of rules")
        try:
            rules = read_rules(Path(name))
        except FileNotFoundError:
            if self.safe_file_load and not is_default:
                raise ConfigError(f"permissions: there is no file {name}") from None
            rules = ()
        except OSError as error:
            raise ConfigError(f"permissions: cannot read {name}: {error}") from error
        self._files[name] = rules
        return rules

    def _pair(self, first: str, second: str) -> tuple[Rules, Rules]:
        if not first:
            first, second = self.default_allow_file, self.default_deny_file
        elif not second:
            first, second = first + self.allow_suffix, first + self.deny_suffix
        return self._rules(first), self._rules(second)

    @staticmethod
    def _is_allowed(rules: tuple[Rules, Rules], left: str | None, right: str | None) -> bool:
        """Allowed if an allowing rule matches, or no refusing one does."""
        one, other = _plain(left), _plain(right)
        if one is None or other is None:
            return False
        return matches(rules[0], one, other) or not matches(rules[1], one, other)

    @function("RF")
    def allow_routing(self, msg: Context, allow: str = "", deny: str = "") -> int:
        """1 when rules allow a call from From's URI to the Request-URI (and to all branches), else -1.
        Without arguments the default files are asked, with one `NAME.allow` and `NAME.deny`."""
        uris = [msg.request_uri]
        if self.check_all_branches:
            uris += [branch.uri for branch in msg.branches]
        rules = self._pair(allow, deny)
        allowed = (self._is_allowed(rules, msg.message.from_uri, uri) for uri in uris)
        return 1 if all(allowed) else -1

    @function("RF")
    def allow_register(self, msg: Context, allow: str, deny: str = "") -> int:
        """1 when rules allow To's URI to register all Contacts of the request, else -1."""
        rules = self._pair(allow, deny)
        contacts = _addresses(msg.message.values("Contact"))
        if contacts is None:
            return -1
        return 1 if all(self._is_allowed(rules, msg.message.to_uri, uri) for uri in contacts) else -1

    @function("RF", generations=_NEW)
    def allow_refer_to(self, msg: Context, allow: str, deny: str = "") -> int:
        """1 when rules allow From's URI to refer to the URI of Refer-To, else -1."""
        target = _addresses(msg.message.headers("Refer-To"))
        if not target:
            return -1
        return 1 if self._is_allowed(self._pair(allow, deny), msg.message.from_uri, target[0]) else -1

    # -- trusted sources -------------------------------------------------------------------------------------

    async def _read_trusted(self) -> dict[str, list[Trusted]]:
        found: dict[str, list[Trusted]] = {}
        for one in trusted_of(await self._database.execute(self._all_trusted)):
            found.setdefault(one.source, []).append(one)
        return found

    @function("RF")
    async def allow_trusted(self, msg: Context) -> int:
        """1 when the request comes from a trusted source, over its protocol, with a From that it may have;
        else -1; -2 when the database fails."""
        if not self.db_url:
            return -1
        source = msg.message.source_ip
        try:
            if not self.db_mode:
                entries = trusted_of(await self._database.execute(self._trusted_of, source))
            elif self._trusted.value is None:
                raise StorageError("trusted sources have not been read yet")
            else:
                entries = self._trusted.value.get(source, [])
        except StorageError as error:
            msg.engine.log_incident(f"permissions: {error.message}")
            return -2
        sender = msg.message.from_uri or ""
        return 1 if any(each.trusts(msg.message.protocol.lower(), sender) for each in entries) else -1

    # -- addresses -------------------------------------------------------------------------------------------

    async def _read_entries(self) -> list[Entry]:
        rows = await self._database.execute(self._all_entries)
        found = (entry_of(str(ip), value, mark) for ip, value, mark, flags in rows if is_for_server(flags))
        return [each for each in found if each is not None]

    async def _match(self, msg: Context, address: Address | None, port: int, name: Name | None) -> int:
        if address is None or not self.db_url:
            return -1
        try:
            entries = self._entries.value if self.db_mode else await self._read_entries()
            if entries is None:
                raise StorageError("addresses have not been read yet")
        except StorageError as error:
            msg.engine.log_incident(f"permissions: {error.message}")
            return -2
        marks = msg.note(_FILTER)
        for entry in entries:
            if entry.matches(address, port, _ALL_MARKS if marks is None else int(marks)):
                if name is not None:
                    msg.attributes.assign(name, entry.value)
                return 1
        return -1

    @function("RFO", generations=_NEW)
    async def ipmatch(self, msg: Context, what: What, attribute: Assigned | None = None) -> int:
        """1 when an address is in the table, with one of the marks of ipmatch_filter; its value goes to the
        attribute. The address is that of the source (`src`), of the second Via (`via2`), or what an attribute
        or a select says. -1 when it is not, -2 when the database fails."""
        if what == "src":
            address, port = _address(msg.message.source_ip), msg.message.source_port
        elif what == "via2":
            via = msg.message.via(1)
            host = None if via is None else via.received or via.host
            address, port = _address(host), 0 if via is None else via.port or 5060
        else:
            address, port = _address(what), 0
        return await self._match(msg, address, port, attribute)

    @function("S", generations=_NEW)
    async def ipmatch_onsend(self, msg: Context, what: WhereTo) -> int:
        """1 when the address that the request is about to be sent to (`dst`), or the host of its Request-URI
        (`ruri`), is in the table; else -1; -2 when the database fails."""
        target = msg.outgoing
        if what == "dst":
            if target is None:
                return -1
            return await self._match(msg, _address(target.ip), target.port, None)
        try:
            uri = Uri(msg.request_uri)
        except ParseError:
            return -1
        return await self._match(msg, _address(uri.host), uri.port or 5060, None)

    @function("RFOS", generations=_NEW)
    def ipmatch_filter(self, msg: Context, marks: Dynamic[int]) -> int:
        """Only entries with one of these marks (bits) count from here on, for this message."""
        msg.notes[_FILTER] = marks
        return 1

    # -- commands --------------------------------------------------------------------------------------------

    def _needs_memory(self) -> None:
        if not self.db_url or not self.db_mode:
            raise RpcFault(500, "Nothing is kept in memory (db_mode 0, or no db_url)")

    @rpc("trusted.reload", old_name="trusted_reload", changes=True)
    async def reload_trusted(self) -> None:
        """Read the trusted sources anew."""
        self._needs_memory()
        try:
            await self._trusted.reload()
        except StorageError as error:
            raise RpcFault(500, error.message) from None

    @rpc("trusted.dump", old_name="trusted_dump")
    def dump_trusted(self) -> list[dict[str, str]]:
        """All trusted sources."""
        self._needs_memory()
        return [
            {"src_ip": one.source, "proto": one.protocol, "pattern": one.pattern}
            for entries in (self._trusted.value or {}).values()
            for one in entries
        ]

    @rpc("ipmatch.reload", changes=True)
    async def reload_addresses(self) -> None:
        """Read the addresses anew."""
        self._needs_memory()
        try:
            await self._entries.reload()
        except StorageError as error:
            raise RpcFault(500, error.message) from None


def _plain(uri: str | None) -> str | None:
    """``sip:user@host`` of a URI, as rules see it; None when it is no URI."""
    try:
        parsed = Uri(uri or "")
    except ParseError:
        return None
    return f"sip:{parsed.user}@{parsed.host}" if parsed.user else f"sip:{parsed.host}"


def _addresses(values: Iterable[str]) -> list[str] | None:
    """The URIs of name-addrs; `*` is none. None when one cannot be read."""
    try:
        return [NameAddr(value).uri for value in values if value.strip() != "*"]
    except ParseError:
        return None


def _address(host: str | None) -> Address | None:
    try:
        return ipaddress.ip_address((host or "").strip("[]"))
    except ValueError:
        return None
