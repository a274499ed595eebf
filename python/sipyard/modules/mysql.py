"""mysql: MariaDB and MySQL are always there; a script may load the driver as SER's had to."""

from __future__ import annotations

from sipyard.module import Module, Parameter


class MySqlDriver(Module):
    """mysql: nothing but the name; the pool of connections looks after itself."""

    name = "mysql"

    ping_interval = Parameter(int, 300, "Accepted; a connection that was cut is noticed and made anew.")
    auto_reconnect = Parameter(int, 1, "Accepted; connections are always made anew.")
