"""group_radius: whether a user is a member of a group, by a RADIUS server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from sipyard._native.core import ParseError, Uri
from sipyard.arguments import ArgumentError, Loading
from sipyard.module import Module, Parameter, function
from sipyard.radius import Attributes, RadiusClient, RadiusError, read_settings

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine

GROUP_CHECK: Final = 12
_WHO: Final = {"from": "From", "to": "To", "request-uri": "Request-URI", "credentials": "Credentials"}


class _WhoKind:
    says = '"From", "To", "Request-URI" or "Credentials"'

    def convert(self, value: str | int, loading: Loading) -> str:
        found = _WHO.get(str(value).lower())
        if found is None:
            raise ArgumentError(f'expects {self.says}, not "{value}"')
        return found

    def convert_strict(self, value: object, loading: Loading) -> str:
        return self.convert(str(value), loading)


Who = Annotated[str, _WhoKind()]


class RadiusGroups(Module):
    """group_radius: membership in groups."""

    name = "group_radius"

    radius_config = Parameter(
        str, "/usr/local/etc/radiusclient/radiusclient.conf", "File that says where the servers are."
    )
    use_domain = Parameter(int, 0, "1: the name of the user is sent with the domain.")

    async def start(self, engine: Engine) -> None:
        """Read where the servers are; they are not asked yet."""
        core = engine.core
        self._client = RadiusClient(read_settings(Path(self.radius_config)), lambda: core.now)

    @function("R")
    async def radius_is_user_in(self, msg: Context, who: Who, group: str) -> int:
        """1 when the server accepts that the user of From, To, the Request-URI or the verified credentials
        is in the group, else -1; -2 when no server answers."""
        user = self._user(msg, who)
        if user is None:
            return -1
        try:
            wanted: Attributes = [("User-Name", user), ("Sip-Group", group), ("Service-Type", GROUP_CHECK)]
            is_member, _ = await self._client.authenticate(wanted)
        except RadiusError as error:
            msg.engine.log_incident(f"group_radius: {error}")
            return -2
        return 1 if is_member else -1

    def _user(self, msg: Context, who: str) -> str | None:
        if who == "Credentials":
            if msg.verified is None:
                return None
            user, _, domain = msg.verified.username.partition("@")
            domain = domain or msg.verified.realm
        else:
            message = msg.message
            text = {"From": message.from_uri, "To": message.to_uri}.get(who, msg.request_uri)
            try:
                uri = Uri(text or "")
            except ParseError:
                return None
            user, domain = uri.user or "", uri.host
        if not user:
            return None
        return f"{user}@{domain}" if self.use_domain else user
