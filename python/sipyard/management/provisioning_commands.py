"""Management commands about users and domains: the same as `sipyard user add` and its sisters.

They work on the database that the script names. A password among their arguments is as safe as the door that
it comes in by.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from sipyard.errors import ConfigError, StorageError
from sipyard.management.registry import CHANGES, RpcFault

if TYPE_CHECKING:
    from sipyard.management.registry import Commands
    from sipyard.storage.provisioning import Provisioning

T = TypeVar("T")


class ProvisioningCommands:
    """Commands about one database.

    :param users: gives what does the work.
    """

    def __init__(self, users: Callable[[], Provisioning]) -> None:
        self._users = users

    def declare(self, commands: Commands) -> None:
        """Offer them."""
        commands.add("domain.add", self.add_domain, traits=CHANGES)
        commands.add("domain.list", self.domains)
        commands.add("domain.remove", self.remove_domain, traits=CHANGES)
        commands.add("user.add", self.add_user, traits=CHANGES)
        commands.add("user.passwd", self.set_password, traits=CHANGES)
        commands.add("user.list", self.users)
        commands.add("user.remove", self.remove_user, traits=CHANGES)
        commands.add("alias.add", self.add_alias, traits=CHANGES)
        commands.add("alias.list", self.aliases)
        commands.add("alias.remove", self.remove_alias, traits=CHANGES)
        commands.add("attr.set", self.set_attribute, traits=CHANGES)
        commands.add("attr.list", self.attributes)
        commands.add("attr.remove", self.remove_attribute, traits=CHANGES)

    async def _do(self, work: Callable[[Provisioning], Awaitable[T]]) -> T:
        try:
            return await work(self._users())
        except ConfigError as error:
            raise RpcFault(400, error.message) from error
        except StorageError as error:
            raise RpcFault(500, error.message) from error

    async def add_domain(self, name: str, did: str = "") -> str:
        """Serve a domain, or a further name of the domain `did`; gives its identifier."""
        return await self._do(lambda users: users.add_domain(name, did))

    async def domains(self) -> list[dict[str, str]]:
        """Every domain: identifier and name."""
        return [{"did": did, "domain": name} for did, name in await self._do(lambda users: users.domains())]

    async def remove_domain(self, name: str) -> None:
        """Serve a name of a domain no longer."""
        await self._do(lambda users: users.remove_domain(name))

    async def add_user(self, address: str, password: str) -> str:
        """Add alice@example.com; gives its uid. Of the password only digests are kept."""
        return await self._do(lambda users: users.add_user(address, password))

    async def set_password(self, address: str, password: str) -> None:
        """Give a user another password."""
        await self._do(lambda users: users.set_password(address, password))

    async def users(self, domain: str = "") -> list[dict[str, str]]:
        """Every user, or those of a domain: address and uid."""
        found = await self._do(lambda users: users.users(domain))
        return [{"address": address, "uid": uid} for address, uid in found]

    async def remove_user(self, address: str) -> None:
        """Remove a user with everything that is stored of it; bindings in memory end by themselves."""
        await self._do(lambda users: users.remove_user(address))

    async def add_alias(self, alias: str, address: str) -> None:
        """Let a further address lead to a user."""
        await self._do(lambda users: users.add_alias(alias, address))

    async def aliases(self, address: str) -> list[str]:
        """All addresses of a user."""
        return await self._do(lambda users: users.aliases(address))

    async def remove_alias(self, alias: str) -> None:
        """Take a further address away."""
        await self._do(lambda users: users.remove_alias(alias))

    async def set_attribute(self, owner: str, name: str, value: str) -> None:
        """Give an attribute of a user, of a domain, or of `global`, a value."""
        await self._do(lambda users: users.set_attribute(owner, name, value))

    async def attributes(self, owner: str) -> list[dict[str, str]]:
        """Attributes of a user, of a domain, or of `global`."""
        found = await self._do(lambda users: users.attributes(owner))
        return [{"name": name, "value": value} for name, value in found]

    async def remove_attribute(self, owner: str, name: str) -> None:
        """Remove an attribute."""
        await self._do(lambda users: users.remove_attribute(owner, name))
