"""uri_radius: whether the user of the Request-URI exists, by a RADIUS server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sipyard._native.core import ParseError, Uri
from sipyard.module import Module, Parameter, function
from sipyard.radius import Attributes, RadiusClient, RadiusError, read_settings

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine

CALL_CHECK: Final = 10


class RadiusUris(Module):
    """uri_radius: users by their URIs."""

    name = "uri_radius"

    radius_config = Parameter(
        str, "/usr/local/etc/radiusclient/radiusclient.conf", "File that says where the servers are."
    )
    service_type = Parameter(int, -1, "Service-Type; -1: 10 (Call-Check).")

    async def start(self, engine: Engine) -> None:
        """Read where the servers are; they are not asked yet."""
        core = engine.core
        self._client = RadiusClient(read_settings(Path(self.radius_config)), lambda: core.now)

    @function("R")
    async def radius_does_uri_exist(self, msg: Context) -> int:
        """1 when the server accepts user and host of the Request-URI, else -1; -2 when no server answers."""
        try:
            uri = Uri(msg.request_uri)
        except ParseError:
            return -1
        if not uri.user:
            return -1
        kind = CALL_CHECK if self.service_type < 0 else self.service_type
        try:
            wanted: Attributes = [("User-Name", f"{uri.user}@{uri.host}"), ("Service-Type", kind)]
            is_there, _ = await self._client.authenticate(wanted)
        except RadiusError as error:
            msg.engine.log_incident(f"uri_radius: {error}")
            return -2
        return 1 if is_there else -1
