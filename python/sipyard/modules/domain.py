"""domain: which domains this server serves, and their attributes.

In SER 2.0 a domain has an identifier (did), any number of names and attributes of its own. With `db_mode` 1
all of it is kept in memory and exchanged as a whole by `domain.reload`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final

from sipyard._native.core import ParseError, Uri
from sipyard.arguments import ArgumentError, Dynamic, Generation, Loading
from sipyard.attribute_rows import attribute_of, is_for_server
from sipyard.attributes import Attribute, Group, Scope, Track
from sipyard.errors import StorageError
from sipyard.management.registry import RpcFault
from sipyard.module import Module, Parameter, function, rpc
from sipyard.storage import Database, Statement
from sipyard.storage.named_columns import number, select_by, text
from sipyard.storage.snapshot import Snapshot

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine

_OLD: Final = Generation.SER_0_9
_NEW: Final = Generation.SER_2_0
NO_DATABASE: Final = -2


class _DomainTrackKind:
    says = "$fd or $td"

    def convert(self, value: str | int, loading: Loading) -> Track:
        group = Group.from_script(str(value), loading)
        if group.scope is not Scope.DOMAIN or group.track is None:
            raise ArgumentError(f'expects {self.says}, not "{value}"')
        return group.track

    def convert_strict(self, value: object, loading: Loading) -> Track:
        return self.convert(str(value), loading)


DomainTrack = Annotated[Track, _DomainTrackKind()]


@dataclass(frozen=True, slots=True)
class Served:
    """All domains: identifier by name (lower case), attributes by identifier."""

    by_name: Mapping[str, str]
    attributes: Mapping[str, list[Attribute]] = field(default_factory=dict)


class Domains(Module):
    """domain: the domains that are served."""

    name = "domain"

    db_url = Parameter(str, "sqlite:///sipyard.db", "Where domains are.")
    db_mode = Parameter(int, 1, "1: kept in memory. 0: the database is asked each time.")
    domain_table = Parameter(str, "domain", "Names of domains.")
    domain_col = Parameter(str, "domain", "Name.")
    did_col = Parameter(str, "did", "Identifier.", generations=_NEW)
    flags_col = Parameter(str, "flags", "Flags of the row.", generations=_NEW)
    domattr_table = Parameter(str, "domain_attrs", "Attributes of domains.", generations=_NEW)
    domattr_did = Parameter(str, "did", "Identifier of the domain.", generations=_NEW)
    domattr_name = Parameter(str, "name", "Name of the attribute.", generations=_NEW)
    domattr_type = Parameter(str, "type", "0 number, 2 text.", generations=_NEW)
    domattr_value = Parameter(str, "value", "Value of the attribute.", generations=_NEW)
    domattr_flags = Parameter(str, "flags", "Flags of the row.", generations=_NEW)
    load_domain_attrs = Parameter(
        int, 0, "1: lookup_domain finds all attributes of the domain; 0: only `did`.", generations=_NEW
    )

    async def start(self, engine: Engine) -> None:
        """Read the domains, if they are kept in memory."""
        self._database: Database = engine.databases.get(self.db_url)
        self._served = Snapshot(f"domain: table {self.domain_table}", self._read)
        self._find, self._attributes = self._statements(by_key=True)
        if self.db_mode:
            await self._served.start()
            engine.domain_identifier = self.did_of

    async def stop(self) -> None:
        """Stop trying to read."""
        await self._served.stop()

    # -- rows ------------------------------------------------------------------------------------------------

    def _statements(self, *, by_key: bool) -> tuple[Statement, Statement]:
        name = text(self.domain_col)
        if self.generation is _OLD:
            found = select_by(self.domain_table, [name, name, name], [name] if by_key else [])
            return found, found
        columns = [text(self.did_col), name, number(self.flags_col)]
        attributes = [text(self.domattr_did), text(self.domattr_name), number(self.domattr_type)]
        attributes += [text(self.domattr_value), number(self.domattr_flags)]
        return (
            select_by(self.domain_table, columns, [name] if by_key else []),
            select_by(self.domattr_table, attributes, [text(self.domattr_did)] if by_key else []),
        )

    def _did_in(self, rows: list[tuple[Any, ...]]) -> dict[str, str]:
        if self.generation is _OLD:
            return {str(name).lower(): str(name) for name, *_ in rows}
        return {str(name).lower(): str(did) for did, name, flags in rows if is_for_server(flags)}

    async def _read(self) -> Served:
        domains, attributes = self._statements(by_key=False)
        by_name = self._did_in(await self._database.execute(domains))
        if self.generation is _OLD:
            return Served(by_name)
        lists = {did: [Attribute("did", did)] for did in by_name.values()}
        if self.load_domain_attrs:
            for did, name, kind, value, flags in await self._database.execute(attributes):
                if did in lists and is_for_server(flags):
                    lists[did] += attribute_of(str(name), kind, value)
        return Served(by_name, lists)

    def did_of(self, host: str) -> str | None:
        """The identifier of the domain with this name, None when it is not served (or not known yet)."""
        served = self._served.value
        return None if served is None else served.by_name.get(host.lower())

    async def _identify(self, host: str) -> str | None:
        """As `did_of`, asking the database if need be; StorageError."""
        if not self.db_mode:
            return self._did_in(await self._database.execute(self._find, host.lower())).get(host.lower())
        if self._served.value is None:
            raise StorageError("domains have not been read yet")
        return self.did_of(host)

    async def _list_of(self, did: str) -> list[Attribute]:
        served = self._served.value
        if self.db_mode and served is not None:
            return served.attributes[did]
        found = [Attribute("did", did)]
        if self.load_domain_attrs:
            for _, name, kind, value, flags in await self._database.execute(self._attributes, did):
                if is_for_server(flags):
                    found += attribute_of(str(name), kind, value)
        return found

    # -- for scripts -----------------------------------------------------------------------------------------

    @function("RF", generations=_NEW)
    async def is_local(self, msg: Context, host: Dynamic[str]) -> int:
        """1 when the domain is served, -1 when not, -2 when the database cannot say."""
        return await self._is_served(msg, host)

    async def _is_served(self, msg: Context, host: str) -> int:
        try:
            return 1 if await self._identify(host) is not None else -1
        except StorageError as error:
            msg.engine.log_incident(f"domain: {error.message}")
            return NO_DATABASE

    @function("RF", generations=_NEW, sets=("$fd.did", "$td.did"))
    async def lookup_domain(self, msg: Context, track: DomainTrack, host: Dynamic[str]) -> int:
        """Make the attributes of the domain with this name ($fd or $td) the current ones, `did` among them.
        1; -1 when it is not served (the present ones stay), -2 when the database cannot say."""
        try:
            did = await self._identify(host)
            if did is None:
                return -1
            msg.attributes.replace_list(track, Scope.DOMAIN, await self._list_of(did))
        except StorageError as error:
            msg.engine.log_incident(f"domain: {error.message}")
            return NO_DATABASE
        return 1

    @function("R", generations=_OLD)
    async def is_from_local(self, msg: Context) -> int:
        """1 when the domain of From is served, else -1; -2 when the database cannot say."""
        return await self._is_host_served(msg, msg.message.from_uri)

    @function("R", generations=_OLD)
    async def is_uri_host_local(self, msg: Context) -> int:
        """1 when the domain of the Request-URI is served, else -1; -2 when the database cannot say."""
        return await self._is_host_served(msg, msg.request_uri)

    async def _is_host_served(self, msg: Context, uri: str | None) -> int:
        try:
            host = Uri(uri or "").host
        except ParseError:
            return -1
        return await self._is_served(msg, host)

    # -- commands --------------------------------------------------------------------------------------------

    def _kept(self) -> Served:
        if not self.db_mode:
            raise RpcFault(500, "Domains are not kept in memory (db_mode 0)")
        if self._served.value is None:
            raise RpcFault(500, "Domains have not been read yet")
        return self._served.value

    @rpc("domain.reload", old_name="domain_reload", changes=True)
    async def reload(self) -> None:
        """Read all domains and their attributes anew. What cannot be read leaves the old ones."""
        if not self.db_mode:
            raise RpcFault(500, "Domains are not kept in memory (db_mode 0)")
        try:
            await self._served.reload()
        except StorageError as error:
            raise RpcFault(500, error.message) from None

    @rpc("domain.dump", old_name="domain_dump")
    def dump(self) -> list[dict[str, Any]]:
        """All domains: identifier, names, attributes."""
        served = self._kept()
        names: dict[str, list[str]] = {}
        for name, did in sorted(served.by_name.items()):
            names.setdefault(did, []).append(name)
        return [
            {
                "did": did,
                "domain": ", ".join(known),
                "attr": ", ".join(f"{one.name}={one.value}" for one in served.attributes.get(did, ())),
            }
            for did, known in names.items()
        ]
