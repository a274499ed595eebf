"""avp_radius: attributes of users from a RADIUS server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from sipyard._native.core import ParseError, Uri
from sipyard.arguments import ArgumentError, Dynamic, Generation, Loading
from sipyard.attributes import Group, Name, Scope, Track
from sipyard.module import Module, Parameter, function
from sipyard.radius import Attributes, RadiusClient, RadiusError, read_settings
from sipyard.radius.sip_avp import sip_avps

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine

_OLD: Final = Generation.SER_0_9
_NEW: Final = Generation.SER_2_0
CALLER_AVPS, CALLEE_AVPS = 30, 31


class _UserListKind:
    says = "$fu or $tu"

    def convert(self, value: str | int, loading: Loading) -> Track:
        group = Group.from_script(str(value), loading)
        if group.scope is not Scope.USER or group.track is None:
            raise ArgumentError(f'expects {self.says}, not "{value}"')
        return group.track

    def convert_strict(self, value: object, loading: Loading) -> Track:
        return self.convert(str(value), loading)


class _WhoseKind:
    says = "caller or callee"

    def convert(self, value: str | int, loading: Loading) -> str:
        if value not in ("caller", "callee"):
            raise ArgumentError(f'expects {self.says}, not "{value}"')
        return str(value)

    def convert_strict(self, value: object, loading: Loading) -> str:
        return self.convert(str(value), loading)


UserList = Annotated[Track, _UserListKind()]
Whose = Annotated[str, _WhoseKind()]


class RadiusAttributes(Module):
    """avp_radius: attributes of users from a RADIUS server."""

    name = "avp_radius"

    radius_config = Parameter(
        str, "/usr/local/etc/radiusclient/radiusclient.conf", "File that says where the servers are."
    )
    caller_service_type = Parameter(int, -1, "Service-Type for a caller; -1: 30.", generations=_OLD)
    callee_service_type = Parameter(int, -1, "Service-Type for a callee; -1: 31.", generations=_OLD)

    async def start(self, engine: Engine) -> None:
        """Read where the servers are; they are not asked yet."""
        core = engine.core
        self._client = RadiusClient(read_settings(Path(self.radius_config)), lambda: core.now)

    @function("RF", generations=_NEW)
    async def radius_load_attrs(self, msg: Context, group: UserList, uid: Dynamic[str]) -> int:
        """Add what the server says of a user (`$fu` or `$tu` and a uid) to the attributes that there are. 1;
        -1 when it refuses, -2 when no server answers."""
        kind = CALLER_AVPS if group is Track.FROM else CALLEE_AVPS
        return await self._load(msg, uid, kind, group)

    @function("RF", generations=_OLD)
    async def avp_load_radius(self, msg: Context, whose: Whose) -> int:
        """Add what the server says of the caller (From) or the callee (the Request-URI). 1; -1 when it
        refuses, -2 when no server answers."""
        try:
            uri = Uri((msg.message.from_uri or "") if whose == "caller" else msg.request_uri)
        except ParseError:
            return -1
        if not uri.user:
            return -1
        chosen = self.caller_service_type if whose == "caller" else self.callee_service_type
        default = CALLER_AVPS if whose == "caller" else CALLEE_AVPS
        return await self._load(msg, f"{uri.user}@{uri.host}", default if chosen < 0 else chosen, None)

    async def _load(self, msg: Context, user: str, kind: int, track: Track | None) -> int:
        wanted: Attributes = [("User-Name", user), ("Service-Type", kind)]
        try:
            is_known, answer = await self._client.authenticate(wanted)
        except RadiusError as error:
            msg.engine.log_incident(f"avp_radius: {error}")
            return -2
        if not is_known:
            return -1
        for name, value in sip_avps(answer):
            msg.attributes.add(Name(name) if track is None else Name(name, track, Scope.USER), value)
        return 1
