"""Who may use a pipe or a socket in the file system."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ownership:
    """Rights, and names or numbers of the user and the group; "" leaves them."""

    mode: int = 0o600
    user: str = ""
    group: str = ""

    def apply(self, path: Path) -> None:
        """Give a file away.

        :raises OSError: that is not allowed, or there is no such user or group.
        """
        path.chmod(self.mode)
        if self.user or self.group:
            try:
                os.chown(path, _user_id(self.user), _group_id(self.group))
            except KeyError as error:
                raise OSError(str(error.args[0])) from error


def _user_id(name: str) -> int:
    return int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid if name else -1


def _group_id(name: str) -> int:
    return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid if name else -1
