"""Users, domains, aliases and attributes in every database; a schema made by SER 2.0 used as it is."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from click.testing import CliRunner

from databases import TestDatabase
from sipyard.cli import main
from sipyard.errors import ConfigError
from sipyard.management.registry import RpcFault
from sipyard.site import Site
from sipyard.storage import DatabaseUrl, open_database
from sipyard.storage.administration import state, upgrade
from sipyard.storage.csv_users import export_users, import_users
from sipyard.storage.provisioning import Provisioning
from sipyard.storage.schema import SCHEMAS
from sipyard.testing import Network

T = TypeVar("T")
SER_2_0 = (Path(__file__).parent / "ser_2_0.sql").read_text("utf-8")


def init(database: TestDatabase, model: str = "2.0") -> None:
    asyncio.run(upgrade(DatabaseUrl.parse(database.url), model))


def made_by_ser(database: TestDatabase) -> None:
    """SER 2.0's own column definitions, with a user of its own."""
    for statement in "\n".join(line for line in SER_2_0.splitlines() if not line.startswith("--")).split(
        ";\n"
    ):
        database.ask(statement)


def on(database: TestDatabase, work: Callable[[Provisioning], Awaitable[T]]) -> T:
    async def all_of_it() -> T:
        store = open_database(database.url)
        try:
            return await work(Provisioning(store))
        finally:
            await store.close()

    return asyncio.run(all_of_it())


# -- the schema ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["2.0", "0.9"])
def test_every_table_of_ser_is_made_with_its_version(database: TestDatabase, model: str) -> None:
    url = DatabaseUrl.parse(database.url)
    assert asyncio.run(state(url)).model == ""
    found = asyncio.run(upgrade(url, model))
    assert (found.model, found.missing, found.wrong, found.is_current) == (model, (), (), True)
    versions = dict(database.ask("SELECT table_name, table_version FROM version"))  # type: ignore[arg-type]
    assert versions == SCHEMAS[model].versions
    assert asyncio.run(upgrade(url, model)) == found
    other = "0.9" if model == "2.0" else "2.0"
    with pytest.raises(ConfigError, match=f"holds the tables of SER {model}"):
        asyncio.run(upgrade(url, other))


def test_a_database_made_by_ser_is_recognised_and_gets_our_columns(database: TestDatabase) -> None:
    made_by_ser(database)
    url = DatabaseUrl.parse(database.url)
    before = asyncio.run(state(url))
    assert (before.model, before.revision, before.is_current) == ("2.0", "", False)
    assert asyncio.run(upgrade(url, "2.0")).is_current
    assert database.ask("SELECT uid, ha1_sha256 FROM credentials") == [("u1", None)]
    assert database.ask("SELECT contact, path FROM location") == [("sip:alice@192.0.2.1", None)]


def test_a_table_of_another_version_stops_an_upgrade(database: TestDatabase) -> None:
    made_by_ser(database)
    database.ask("UPDATE version SET table_version = 6 WHERE table_name = 'credentials'")
    with pytest.raises(ConfigError, match="credentials is of version 6, version 7 is needed"):
        init(database)


# -- users ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", [init, made_by_ser])
def test_a_user_from_beginning_to_end(database: TestDatabase, origin: Callable[[TestDatabase], None]) -> None:
    origin(database)
    is_ours = origin is init

    async def work(users: Provisioning) -> None:
        assert await users.add_domain("Other.example") == "other.example"
        assert await users.add_user("bob@other.example", "tajné") == "bob@other.example"
        await users.add_alias("info@other.example", "bob@other.example")
        assert await users.aliases("bob@other.example") == ["bob@other.example", "info@other.example"]
        await users.set_attribute("bob@other.example", "fr_timer", "30")
        await users.set_attribute("info@other.example", "email", "bob@mail.example")
        assert await users.attributes("bob@other.example") == [
            ("email", "bob@mail.example"),
            ("fr_timer", "30"),
        ]
        assert ("digest_realm", "other.example") in await users.attributes("other.example")
        with pytest.raises(ConfigError, match="has users"):
            await users.remove_domain("other.example")
        await users.set_password("bob@other.example", "jiné")

    on(database, work)
    plain = "bob:other.example:jiné".encode()
    (found,) = database.ask("SELECT ha1, password FROM credentials WHERE uid = 'bob@other.example'")
    assert found == (hashlib.md5(plain).hexdigest(), "")
    if is_ours:
        (found,) = database.ask("SELECT ha1_sha256, ha1_sha512_256 FROM credentials")
        assert found == (hashlib.sha256(plain).hexdigest(), hashlib.new("sha512_256", plain).hexdigest())
    assert database.ask("SELECT type FROM user_attrs WHERE name = 'fr_timer'") == [(0,)]

    async def end(users: Provisioning) -> list[tuple[str, str]]:
        await users.remove_alias("info@other.example")
        await users.remove_user("bob@other.example")
        await users.remove_domain("other.example")
        return await users.domains()

    assert on(database, end) == ([] if is_ours else [("d1", "example.com")])
    for table in ("credentials", "uri", "user_attrs"):
        assert database.ask(f"SELECT uid FROM {table} WHERE uid LIKE 'bob%'") == []


REFUSED = [
    ("add_user", ("alice@example.com", "x"), "is there already"),
    ("add_user", ("carol@nowhere.example", "x"), "there is no domain nowhere.example"),
    ("add_user", ("carol", "x"), "is not an address"),
    ("add_user", ("a b@example.com", "x"), "cannot be the name of a user"),
    ("add_user", ("'; DROP TABLE uri; --@example.com", "x"), "cannot be the name of a user"),
    ("add_domain", ("example.com",), "is there already"),
    ("add_domain", ("-x",), "cannot be the name of a domain"),
    ("add_domain", ("second.example", "nobody"), "there is no domain nobody"),
    ("remove_user", ("carol@example.com",), "there is no carol@example.com"),
    ("remove_alias", ("alice@example.com",), "is the user's own address"),
    ("set_attribute", ("alice@example.com", "1;x", "y"), "cannot be the name of a attribute"),
    ("remove_attribute", ("alice@example.com", "x"), "has no attribute x"),
]


@pytest.mark.parametrize(("method", "arguments", "says"), REFUSED)
def test_what_cannot_be_done_changes_nothing(
    tmp_path: Path, method: str, arguments: tuple[str, ...], says: str
) -> None:
    database = TestDatabase("sqlite", f"sqlite:///{tmp_path}/a.db", "a", path=tmp_path / "a.db")
    init(database)

    async def work(users: Provisioning) -> None:
        await users.add_domain("example.com")
        await users.add_user("alice@example.com", "x")
        before = database.ask("SELECT * FROM uri"), database.ask("SELECT * FROM domain")
        with pytest.raises(ConfigError, match=says):
            await getattr(users, method)(*arguments)
        assert (database.ask("SELECT * FROM uri"), database.ask("SELECT * FROM domain")) == before

    on(database, work)


def test_users_leave_as_csv_and_come_back(database: TestDatabase) -> None:
    init(database)
    given = "address,password,aliases\nalice@example.com,a,100 info@example.com\nbob@example.com,b,\n"

    async def there_and_back(users: Provisioning) -> tuple[str, str]:
        await users.add_domain("example.com")
        assert await import_users(users, io.StringIO(given)) == 2
        first, second = io.StringIO(), io.StringIO()
        assert await export_users(users, first) == 2
        for address, _ in await users.users():
            await users.remove_user(address)
        assert await import_users(users, io.StringIO(first.getvalue())) == 2
        await export_users(users, second, "example.com")
        with pytest.raises(ConfigError, match="is there already"):
            await import_users(users, io.StringIO("address,password\nnew@example.com,x\nbob@example.com,x\n"))
        assert len(await users.users()) == 2  # all or none
        return first.getvalue(), second.getvalue()

    first, second = on(database, there_and_back)
    assert first == second
    assert hashlib.sha256(b"alice:example.com:a").hexdigest() in first
    assert ",a," not in first


BAD_CSV = [
    ("name,password\n", "one of them `address`"),
    ("address,pin\n", "unknown column pin"),
    ("address,password\na@b,\n", "line 2: neither password nor ha1"),
    ("address,password\na@b,x,y\n", "line 2: more values than columns"),
    ("address,ha1\na@example.com,zz\n", "ha1 of a@example.com is not a digest"),
]


@pytest.mark.parametrize(("text", "says"), BAD_CSV)
def test_a_bad_csv_is_refused(tmp_path: Path, text: str, says: str) -> None:
    database = TestDatabase("sqlite", f"sqlite:///{tmp_path}/a.db", "a", path=tmp_path / "a.db")
    init(database)

    async def work(users: Provisioning) -> None:
        await users.add_domain("example.com")
        with pytest.raises(ConfigError, match=says):
            await import_users(users, io.StringIO(text))

    on(database, work)


# -- doors ---------------------------------------------------------------------------------------------------


def sipyard(database: TestDatabase, *words: str, given: str = "", status: int = 0) -> str:
    result = CliRunner().invoke(main, list(words), input=given, env={"SIPYARD_DB": database.url})
    assert result.exit_code == status, result.output
    return result.output


def test_the_command_line(database: TestDatabase, tmp_path: Path) -> None:
    assert "sipyard db init makes them" in sipyard(database, "db", "status", status=1)
    assert "made" in sipyard(database, "db", "init")
    assert "are there" in sipyard(database, "db", "init")
    assert "at ser20_0002" in sipyard(database, "db", "status")
    assert "there is no domain example.com" in sipyard(
        database, "user", "add", "alice@example.com", "--generate", status=1
    )
    sipyard(database, "domain", "add", "example.com")
    shown = sipyard(database, "user", "add", "alice@example.com", "--generate")
    password = shown.split()[-1]
    digest = hashlib.md5(f"alice:example.com:{password}".encode()).hexdigest()
    assert database.ask("SELECT ha1 FROM credentials") == [(digest,)]
    sipyard(database, "user", "passwd", "alice@example.com", "--password-file", "-", given="nové\n")
    digest = hashlib.md5("alice:example.com:nové".encode()).hexdigest()
    assert database.ask("SELECT ha1 FROM credentials") == [(digest,)]
    assert "no password" in sipyard(database, "user", "add", "bob@example.com", status=1)
    sipyard(database, "alias", "add", "100@example.com", "alice@example.com")
    assert sipyard(database, "alias", "list", "alice@example.com").splitlines() == [
        "100@example.com",
        "alice@example.com",
    ]
    sipyard(database, "attr", "set", "example.com", "lang", "cs")
    assert "lang\tcs" in sipyard(database, "attr", "list", "example.com")
    exported = tmp_path / "users.csv"
    exported.write_text(sipyard(database, "user", "export"), "utf-8")
    sipyard(database, "user", "remove", "alice@example.com")
    assert sipyard(database, "user", "list") == ""
    assert "1 users added" in sipyard(database, "user", "import", str(exported))
    assert sipyard(database, "user", "list", "example.com") == "alice@example.com\talice@example.com\n"


def test_the_database_of_a_script(tmp_path: Path) -> None:
    script = tmp_path / "ser.cfg"
    script.write_text(
        f'loadmodule "usrloc" modparam("usrloc", "db_url", "sqlite:///{tmp_path}/x.db") route {{ drop; }}\n'
    )
    result = CliRunner().invoke(main, ["db", "init", "--config", str(script)], env={"SIPYARD_DB": ""})
    assert result.exit_code == 0, result.output
    assert (tmp_path / "x.db").exists()


def test_the_same_as_management_commands(network: Network, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db?threads=0"
    asyncio.run(upgrade(DatabaseUrl.parse(url), "2.0"))
    server = network.server(f'loadmodule "usrloc" modparam("usrloc", "db_url", "{url}") route {{ drop; }}\n')

    def call(name: str, *values: object) -> object:
        return network.complete(server.engine.commands.call(name, *values))

    assert call("domain.add", "example.com") == "example.com"
    assert call("user.add", "alice@example.com", "x") == "alice@example.com"
    call("alias.add", "100@example.com", "alice@example.com")
    assert call("alias.list", "alice@example.com") == ["100@example.com", "alice@example.com"]
    call("attr.set", "alice@example.com", "lang", "cs")
    assert call("attr.list", "alice@example.com") == [{"name": "lang", "value": "cs"}]
    assert call("user.list") == [{"address": "alice@example.com", "uid": "alice@example.com"}]
    with pytest.raises(RpcFault, match=r"400 domain example\.com is there"):
        call("domain.add", "example.com")
    call("user.remove", "alice@example.com")
    call("domain.remove", "example.com")
    assert call("domain.list") == []


def test_a_script_without_a_database_has_no_such_commands(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SIPYARD_DB", raising=False)
    site = Site.of_text("route { drop; }")
    server = network.server("route { drop; }\n")
    assert site.modules.database_url() == ""
    assert "user.add" not in server.engine.commands
