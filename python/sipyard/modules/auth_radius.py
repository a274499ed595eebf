"""auth_radius: digest responses judged by a RADIUS server (draft-sterman-aaa-sip)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sipyard.arguments import Dynamic, Generation
from sipyard.attributes import Name, Scope, Track
from sipyard.module import Module, Parameter, function
from sipyard.modules.auth import NO_DATABASE, PROXY, WWW, Authentication, Side
from sipyard.radius import RadiusClient, RadiusError, digest_attributes, read_settings
from sipyard.radius.sip_avp import sip_avps
from sipyard.sip.digest import Credentials

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine

_OLD: Final = Generation.SER_0_9
_NEW: Final = Generation.SER_2_0
SIP_SESSION: Final = 15


class RadiusAuthentication(Module):
    """auth_radius: authentication by a RADIUS server."""

    name = "auth_radius"
    requires = ("auth",)

    radius_config = Parameter(
        str, "/usr/local/etc/radiusclient/radiusclient.conf", "File that says where the servers are."
    )
    service_type = Parameter(int, -1, "Service-Type; -1: 15 (Sip-Session).")
    use_did = Parameter(int, 1, "Accepted; the realm tells users apart.", generations=_NEW)

    async def start(self, engine: Engine) -> None:
        """Read where the servers are; they are not asked yet."""
        core = engine.core
        self._client = RadiusClient(read_settings(Path(self.radius_config)), lambda: core.now)
        self._auth: Authentication = self.need("auth")

    @function("R", names=("radius_www_authenticate",), generations=_NEW, sets=("$fu.uid",))
    @function("R", generations=_OLD)
    async def radius_www_authorize(self, msg: Context, realm: Dynamic[str]) -> int:
        """Have the Authorization header judged. 1; -1 not proven, -2 no server answers, -3 the header is
        malformed. When negative, there is a challenge to send."""
        return await self._authenticate(msg, realm, WWW)

    @function("R", names=("radius_proxy_authenticate",), generations=_NEW, sets=("$fu.uid",))
    @function("R", generations=_OLD)
    async def radius_proxy_authorize(self, msg: Context, realm: Dynamic[str]) -> int:
        """Have the Proxy-Authorization header judged. 1; -1 not proven, -2 no server answers, -3 the header
        is malformed. When negative, there is a challenge to send."""
        return await self._authenticate(msg, realm, PROXY)

    async def _authenticate(self, msg: Context, written: str, side: Side) -> int:
        auth = self._auth
        realm = auth.realm(msg, written)
        found = auth.begin(msg, realm, side)
        if isinstance(found, int):
            return found
        if not await auth.wait_for_turn(msg, found):
            return auth.refuse(msg, realm, side)
        try:
            is_proven, answer = await self._client.authenticate(self._attributes(msg, found))
        except (RadiusError, ValueError) as error:
            msg.engine.log_incident(f"auth_radius: {error}")
            return auth.refuse(msg, realm, side, NO_DATABASE)
        result = auth.conclude(msg, found, is_proven, side)
        if result > 0:
            for name, value in sip_avps(answer):
                kept = Name(name, Track.FROM, Scope.USER) if self.generation is _NEW else Name(name)
                msg.attributes.add(kept, value)
            if "Sip-Rpid" in answer:
                msg.attributes.assign(Name("rpid"), str(answer["Sip-Rpid"][0]))
        else:
            await auth.conceal()
        return result

    def _attributes(self, msg: Context, found: Credentials) -> list[tuple[str, str | int | bytes]]:
        user = found.username if "@" in found.username else f"{found.username}@{found.realm}"
        return [
            ("User-Name", user),
            *digest_attributes(found, msg.message.method),
            ("Service-Type", SIP_SESSION if self.service_type < 0 else self.service_type),
            ("Sip-Uri-User", found.user),
        ]
