"""registrar: REGISTER into usrloc (RFC 3261 §10), and from usrloc into the destination of a request.

What differs from SER, where SER was wrong: an old request never overwrites a newer one, a request is carried
out as a whole or not at all, contacts are compared as URIs, `Require` is honoured, Path (RFC 3327) is kept
and used.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, Final

from sipyard.arguments import ArgumentError, Generation, Loading
from sipyard.attributes import Name
from sipyard.context import source_uri
from sipyard.errors import StorageError
from sipyard.module import Dynamic, FlagNumber, Module, Parameter, function
from sipyard.modules.registrar.answer import contact_values
from sipyard.modules.registrar.flows import Flows
from sipyard.modules.registrar.identity import ByName, ByUid, Identity
from sipyard.modules.registrar.lookup import append, choose, uri_with_received
from sipyard.modules.registrar.outbound import bind_flows, one_flow_each
from sipyard.modules.registrar.request import (
    Circumstances,
    Limits,
    Refused,
    Registration,
    bad_request,
    path_of,
    read,
    tokens,
)
from sipyard.modules.registrar.update import plan
from sipyard.modules.usrloc import MEMORY_ONLY, NAT, Contact, UsrLoc
from sipyard.sip.transports import WEB

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine
    from sipyard.modules.usrloc import Change
    from sipyard.modules.usrloc.persistence import MemoryStore

PATH_IGNORED, PATH_LAZY, PATH_STRICT = range(3)
UNAVAILABLE_RETRY: Final = 30
"""Seconds of Retry-After when all bindings there may be are taken and `retry_after` says nothing."""

# RFC 3327 §5.3: what a registrar says that keeps Path.
_SUPPORTED_PATH: Final = "Supported: path\r\n"


class TableName(str):
    """Name of a usrloc table, as save and lookup get it."""

    __slots__ = ()
    says = "the name of a table"

    @classmethod
    def from_script(cls, text: str, loading: Loading) -> TableName:
        if not text or not text.replace("_", "").replace("-", "").isalnum():
            raise ArgumentError(f'"{text}" is not the name of a table', 'write save("location")')
        return cls(text)


class Registrar(Module):
    """registrar: SIP registrations."""

    name = "registrar"
    requires = ("usrloc", "sl")
    live_parameters = ("*",)

    default_expires = Parameter(int, 3600, "Seconds when a contact says none.")
    min_expires = Parameter(int, 60, "Shortest interval; shorter ones become it.")
    max_expires = Parameter(int, 0, "Longest interval, 0 no limit; longer ones become it.")
    default_q = Parameter(int, -1, "q in thousandths of a contact that says none; -1 unspecified.")
    append_branches = Parameter(bool, True, "lookup forks to all contacts, not only to the best.")
    received_param = Parameter(str, "received", "Contact parameter that holds the received URI.")
    max_contacts = Parameter(int, 0, "Contacts of one user, 0 no limit of its own; more are answered 503.")
    retry_after = Parameter(int, 0, "Seconds of Retry-After in 5xx answers, 0 none.")
    case_sensitive = Parameter(bool, False, "User names differ by case.", generations=Generation.SER_0_9)
    use_domain = Parameter(bool, False, "A user is user@domain.", generations=Generation.SER_0_9)
    realm_prefix = Parameter(str, "", "Prefix that is taken off the domain.", generations=Generation.SER_0_9)
    desc_time_order = Parameter(
        bool, False, "Newest contact first, as in usrloc.", generations=Generation.SER_0_9
    )
    nat_flag: Parameter[int] = Parameter(
        FlagNumber, 4, "Message flag of contacts behind NAT.", generations=Generation.SER_0_9
    )
    received_avp: Parameter[Any] = Parameter(
        int, 42, "Number of the attribute that holds the received URI.", generations=Generation.SER_0_9
    )
    save_nat_flag: Parameter[int] = Parameter(
        FlagNumber,
        4,
        "Message flag that save takes for: the contact is behind NAT.",
        generations=Generation.SER_2_0,
    )
    load_nat_flag: Parameter[int] = Parameter(
        FlagNumber,
        4,
        "Message flag that lookup sets when a contact is behind NAT.",
        generations=Generation.SER_2_0,
    )
    received_to_uri = Parameter(
        bool,
        False,
        "lookup puts the received URI into the Request-URI instead of dst_uri.",
        generations=Generation.SER_2_0,
    )
    reply_code_attr: Parameter[Name] = Parameter(
        Name, "$code", "Where save_noreply puts the status.", generations=Generation.SER_2_0
    )
    reply_reason_attr: Parameter[Name] = Parameter(
        Name, "$reason", "Where save_noreply puts the reason phrase.", generations=Generation.SER_2_0
    )
    contact_attr: Parameter[Name] = Parameter(
        Name, "$contact", "Where save_noreply puts the Contact values.", generations=Generation.SER_2_0
    )
    aor_attr: Parameter[Name] = Parameter(
        Name, "$aor", "Where save_noreply puts the address-of-record.", generations=Generation.SER_2_0
    )

    reject_too_brief = Parameter(
        bool,
        False,
        "Answer 423 with Min-Expires to an interval below min_expires and an hour, instead of lengthening it "
        "(RFC 3261 §10.3; not in SER).",
    )
    check_order = Parameter(
        bool, True, "Refuse requests that are older than what they change (RFC 3261 §10.3; not in SER)."
    )
    check_require = Parameter(
        bool, True, "Answer 420 to a Require that is not understood (RFC 3261 §8.2.2.3; not in SER)."
    )
    path_mode = Parameter(
        int,
        PATH_LAZY,
        "Path (RFC 3327; not in SER): 0 ignored, 1 kept, 2 kept, and 420 unless the phone supports it.",
    )
    handle_lost_tcp = Parameter(
        bool,
        True,
        "Bindings that were saved with the source of a connection end with it (not in SER).",
    )
    outbound = Parameter(
        bool,
        True,
        "Bind flows (RFC 5626; not in SER): a phone that supports outbound and names instance and reg-id is "
        "reached the way its REGISTER came, by one flow at a time.",
    )
    contact_limit = Parameter(
        int, 128, "Contacts of one user, and of one request, when max_contacts is 0 (not in SER)."
    )

    async def start(self, engine: Engine) -> None:
        self._usrloc: UsrLoc = self.need("usrloc")
        self._sl: Any = self.need("sl")
        self._sockets: dict[int, str] = {}
        self._flows = Flows(engine, self._usrloc) if self.handle_lost_tcp else None
        self.parameters_changed(engine)

    def parameters_changed(self, engine: Engine) -> None:
        self._limits = Limits(
            self.default_expires,
            self.min_expires,
            self.max_expires,
            self.default_q,
            self.reject_too_brief,
            self.received_param,
            self.contact_limit,
            self._usrloc.keeps_methods,
        )
        old = self.generation is Generation.SER_0_9
        self._identity: Identity = (
            ByName(self.use_domain, self.case_sensitive, self.realm_prefix) if old else ByUid()
        )
        self._save_nat = 1 << (self.nat_flag if old else self.save_nat_flag)
        self._load_nat = 1 << (self.nat_flag if old else self.load_nat_flag)
        self._received = Name(str(self.received_avp)) if old else None
        # As plain attributes: these are read for every request.
        self._most = self.max_contacts or self.contact_limit
        self._is_ordered = self.check_order
        self._reads_require = self.check_require
        self._reads_path = self.path_mode != PATH_IGNORED
        self._to_uri = not old and self.received_to_uri
        self._forks = self.append_branches
        self._keeps_attributes = self._usrloc.keeps_attributes
        extensions = {"path": self._reads_path, "outbound": self.outbound}
        self._understood = frozenset(name for name, is_known in extensions.items() if is_known)

    # -- save ------------------------------------------------------------------------------------------------

    @function("RF")
    @function("RF", name="save_contacts", generations=Generation.SER_2_0)
    async def save(self, msg: Context, table: TableName, aor: Dynamic[str] = "") -> int:
        """Carry out a REGISTER and answer it. 1; 0 when it was refused, so the script ends. With `aor` only
        contacts registered for that address-of-record are listed and removed by `*`."""
        result = self._save(msg, table, aor)
        return result if isinstance(result, int) else await result

    @function("RF")
    @function("RF", name="save_contacts_noreply", generations=Generation.SER_2_0)
    async def save_noreply(self, msg: Context, table: TableName, aor: Dynamic[str] = "") -> int:
        """As save without answering: status, reason, contacts and address-of-record become attributes. 1, or
        -2 when it would have been refused."""
        result = self._save(msg, table, aor, answers=False)
        return result if isinstance(result, int) else await result

    @function("RF")
    async def save_memory(self, msg: Context, table: TableName, aor: Dynamic[str] = "") -> int:
        """As save, but the contacts are not written to the database."""
        result = self._save(msg, table, aor, flags=MEMORY_ONLY)
        return result if isinstance(result, int) else await result

    @function("RF", generations=Generation.SER_2_0)
    async def save_mem_nr(self, msg: Context, table: TableName, aor: Dynamic[str] = "") -> int:
        """As save_noreply, but the contacts are not written to the database."""
        result = self._save(msg, table, aor, flags=MEMORY_ONLY, answers=False)
        return result if isinstance(result, int) else await result

    def _save(
        self, msg: Context, table: str, aor: str, flags: int = 0, answers: bool = True
    ) -> int | Awaitable[int]:
        """The result, or what to await for it when the database is to be waited for. This is the hot path."""
        try:
            store = self._usrloc.store(table)
            uid = self._identity.key(msg)
            if uid is None:
                raise bad_request("To has no user")
            if uid in store.busy:
                return self._save_after_others(store, uid, msg, table, aor, flags, answers)
            now = msg.core.now
            registration, headers = self._read(msg, uid, now, flags)
            changes = plan(registration, store.bindings, now, self._is_ordered, self._most, aor)
            if store.touched is not None:
                store.check_unread(uid, changes)
            connection = msg.message.connection
            if connection and self._flows is not None:
                self._flows.bind(connection, store, uid, registration)
            if changes:
                if changes[-1][0] is None:  # those added come last
                    self._check_room(changes)
                waiting = self._usrloc.change(store, uid, changes)
                if waiting is not None:
                    return self._answer_when(waiting, store, uid, msg, now, aor, headers, answers)
        except Refused as refused:
            return self._refuse(msg, refused, answers)
        except StorageError as error:
            return self._refuse(msg, self._storage_failed(msg, error), answers)
        return self._answer(store, uid, msg, now, aor, headers, answers)

    async def _save_after_others(
        self, store: MemoryStore, uid: str, msg: Context, table: str, aor: str, flags: int, answers: bool
    ) -> int:
        await store.settled(uid)
        result = self._save(msg, table, aor, flags, answers)
        return result if isinstance(result, int) else await result

    async def _answer_when(
        self,
        waiting: Awaitable[None],
        store: MemoryStore,
        uid: str,
        msg: Context,
        now: float,
        aor: str,
        headers: str,
        answers: bool,
    ) -> int:
        """The 200 goes out only when the database has it."""
        try:
            await waiting
        except StorageError as error:
            return self._refuse(msg, self._storage_failed(msg, error), answers)
        return self._answer(store, uid, msg, now, aor, headers, answers)

    def _answer(
        self, store: MemoryStore, uid: str, msg: Context, now: float, aor: str, headers: str, answers: bool
    ) -> int:
        contacts = contact_values(store.bindings.first.get(uid), now, aor)
        if answers:
            if contacts:
                headers = f"Contact: {contacts}\r\n{headers}"
            self._sl.send(msg, 200, "OK", headers)
        else:
            self._tell(msg, 200, "OK", contacts)
        return 1

    def _check_room(self, changes: Sequence[Change]) -> None:
        if self._usrloc.is_full(sum(old is None for old, _ in changes)):
            raise self._unavailable("all bindings there may be are taken", UNAVAILABLE_RETRY)

    def _storage_failed(self, msg: Context, error: StorageError) -> Refused:
        msg.engine.log_incident(f"registrar: {error}")
        return self._unavailable("storage", error.retry_after)

    def _read(self, msg: Context, uid: str, now: float, flags: int) -> tuple[Registration, str]:
        """The request, and the header lines that its 200 gets for it; Refused."""
        message, usrloc = msg.message, self._usrloc
        if self._reads_require and message.has_header("Require"):
            self._check_require(msg)
        path, headers, received = "", "", ""
        if self._reads_path and message.has_header("Path"):
            path, headers = self._path(msg)
        if msg.flags & self._save_nat:
            flags |= NAT
            received = self._received_uri(msg)
        elif self._received is not None:
            received = self._received_uri(msg)
        if not received and message.connection and message.protocol in WEB:
            received = source_uri(message)  # RFC 7118 §5: nothing else leads to a browser
        socket = self._sockets.get(message.listener)
        around = Circumstances(
            now,
            self._socket(msg) if socket is None else socket,
            flags,
            received,
            path,
            usrloc.registration_attributes(msg) if self._keeps_attributes else None,
        )
        registration = read(msg, uid, self._limits, usrloc.share, around)
        if self.outbound and bind_flows(msg, registration, path):
            headers += "Require: outbound\r\n"
        return registration, headers

    def _path(self, msg: Context) -> tuple[str, str]:
        """The Path to keep, and the header lines of the 200 that say so (RFC 3327 §5.3)."""
        path = path_of(msg.message)
        if "path" in tokens(msg, "Supported"):
            return self._usrloc.share(path), f"Path: {path}\r\n{_SUPPORTED_PATH}"
        if self.path_mode == PATH_STRICT:
            raise Refused(420, "Bad Extension", "path is not supported", "Unsupported: path\r\n")
        return self._usrloc.share(path), ""

    def _check_require(self, msg: Context) -> None:
        # RFC 3261 §10.3 step 2.
        unknown = [token for token in tokens(msg, "Require") if token not in self._understood]
        if unknown:
            headers = f"Unsupported: {', '.join(unknown)}\r\n"
            raise Refused(420, "Bad Extension", "Require is not understood", headers)

    def _socket(self, msg: Context) -> str:
        """``proto:ip:port`` of the listener the request came in by, "" when it did not come in by one."""
        index, listeners = msg.message.listener, msg.core.listeners
        if not 0 <= index < len(listeners):
            return ""
        listener = listeners[index]
        ip = f"[{listener.ip}]" if ":" in listener.ip else listener.ip
        text = self._sockets[index] = f"{listener.protocol}:{ip}:{listener.port}"
        return text

    def _received_uri(self, msg: Context) -> str:
        message = msg.message
        if self._received is not None:  # SER 0.9: fix_nated_register left it in an attribute
            found = msg.attributes.value(self._received) if msg.has_attributes else None
            return "" if found is None else str(found)
        return source_uri(message)

    # -- answers ---------------------------------------------------------------------------------------------

    def _unavailable(self, why: str, retry_after: int) -> Refused:
        headers = f"Retry-After: {self.retry_after or retry_after}\r\n"
        return Refused(503, "Service Unavailable", why, headers)

    def _refuse(self, msg: Context, refused: Refused, answers: bool) -> int:
        if not answers:
            self._tell(msg, refused.status, refused.reason, None)
            return -2
        headers = f"P-Registrar-Error: {refused.why}\r\n{refused.headers}"
        if self.retry_after and refused.status >= 500 and "Retry-After" not in headers:
            headers += f"Retry-After: {self.retry_after}\r\n"
        self._sl.send(msg, refused.status, refused.reason, headers)
        return 0

    def _tell(self, msg: Context, status: int, reason: str, contacts: str | None) -> None:
        if self.generation is Generation.SER_0_9:
            return
        attributes = msg.attributes
        attributes.assign(self.reply_code_attr, status)
        attributes.assign(self.reply_reason_attr, reason)
        attributes.assign(self.aor_attr, msg.message.to_uri or "")
        if contacts is not None:
            attributes.assign(self.contact_attr, contacts)

    # -- lookup ----------------------------------------------------------------------------------------------

    @function("RF")
    @function("RF", name="lookup_contacts", generations=Generation.SER_2_0)
    def lookup(self, msg: Context, table: TableName, aor: Dynamic[str] = "") -> int:
        """Rewrite the Request-URI to the best contact and append the others as branches. 1; -1 no uid, -2 the
        table cannot be read, -3 not registered, -5 every contact has ended. With `aor` only contacts
        registered for that address-of-record count."""
        uid = self._identity.key(msg)
        if uid is None:
            return -1
        try:
            store = self._usrloc.store(table)
            contact = store.bindings.first.get(uid)
            if contact is None:
                store.require_loaded()
        except StorageError as error:
            msg.engine.log_incident(f"registrar: {error}")
            return -2
        if contact is None:
            return -3
        now = msg.core.now
        if contact.next is None and not aor:
            if contact.expires <= now:
                return -5
            self._choose(msg, contact)
            return 1
        chosen = one_flow_each(
            one for one in contact.chain() if one.expires > now and (not aor or one.aor == aor)
        )
        if not chosen:
            return -5
        self._choose(msg, chosen[0])
        if self._forks:
            for contact in chosen[1:]:
                if not append(msg, contact):
                    break
                if contact.flags & NAT:
                    msg.flags |= self._load_nat
        return 1

    def _choose(self, msg: Context, contact: Contact) -> None:
        if self._to_uri:
            msg.set_destination(uri_with_received(contact), q=contact.q)
        else:
            choose(msg, contact)
        if contact.flags & NAT:
            msg.flags |= self._load_nat

    @function("RF")
    def registered(self, msg: Context, table: TableName, aor: Dynamic[str] = "") -> int:
        """1 when lookup would find a contact, else -1."""
        uid = self._identity.key(msg)
        if uid is None:
            return -1
        now = msg.core.now
        contacts = self._usrloc.table(table).contacts(uid)
        return 1 if any(one.expires > now and (not aor or one.aor == aor) for one in contacts) else -1
