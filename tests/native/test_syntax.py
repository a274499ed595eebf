"""Uri, NameAddr, Via and Message across the border: reading."""

import pytest

from sipyard._native import Message, NameAddr, ParseError, Uri

INVITE = (
    b"INVITE sip:bob@example.com;transport=udp SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bKa;rport, SIP/2.0/TCP [2001:db8::1];branch=z9hG4bKb\r\n"
    b"v: SIP/2.0/TLS edge.example.com:5061;branch=z9hG4bKc;received=203.0.113.4;rport=4711\r\n"
    b'From: "Al\\"ice \xff" <sip:alice@example.com>;tag=a1\r\n'
    b"To: sip:bob@example.com;x=1\r\n"
    b"i: call@host\r\n"
    b"CSeq: 42 INVITE\r\n"
    b"Max-Forwards: 70\r\n"
    b"Contact: <sip:alice@192.0.2.7:5070>;expires=60, <sip:a@b>\r\n"
    b'X-List: a, "b,c"\r\n'
    b"x-list: d\r\n"
    b"Expires: 99999999999\r\n"
    b"Content-Type: text/plain\r\n"
    b"Content-Length: 5\r\n"
    b"\r\n"
    b"hello trailing"
)


@pytest.fixture
def message() -> Message:
    return Message.parse(INVITE)


def test_uri_parts() -> None:
    uri = Uri("SIP:a%20b:secret@[2001:db8::1]:5070;transport=tcp;lr?Subject=x&b=c")
    assert (uri.scheme, uri.user, uri.password, uri.host, uri.port) == (
        "sip",
        "a%20b",
        "secret",
        "[2001:db8::1]",
        5070,
    )
    assert (uri.parameters, uri.headers) == ("transport=tcp;lr", "Subject=x&b=c")
    assert (uri.parameter("TRANSPORT"), uri.parameter("lr"), uri.parameter("ttl")) == ("tcp", "", None)
    assert str(uri).startswith("SIP:a%20b")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "sip:bob:pw@example.com:5070;a=1;b?h=1"),
        ({"user": "alice"}, "sip:alice:pw@example.com:5070;a=1;b?h=1"),
        ({"user": None}, "sip:example.com:5070;a=1;b?h=1"),
        ({"password": None, "port": None}, "sip:bob@example.com;a=1;b?h=1"),
        ({"host": "192.0.2.1", "port": 5080}, "sip:bob:pw@192.0.2.1:5080;a=1;b?h=1"),
        ({"parameters": None, "headers": None}, "sip:bob:pw@example.com:5070"),
        ({"parameters": "x=2"}, "sip:bob:pw@example.com:5070;x=2?h=1"),
        ({"scheme": "sips", "user": ...}, "sips:bob:pw@example.com:5070;a=1;b?h=1"),
    ],
)
def test_uri_replace(changes: dict[str, object], expected: str) -> None:
    assert str(Uri("sip:bob:pw@example.com:5070;a=1;b?h=1").replace(**changes)) == expected  # type: ignore[arg-type]


def test_uri_equality_is_textual_and_equivalence_is_not() -> None:
    one, two = Uri("sip:%61lice@EXAMPLE.com;x=1"), Uri("sip:alice@example.com;X=1")
    assert one != two
    assert one.equivalent(two)
    assert one == Uri(str(one))
    assert hash(one) == hash(Uri(str(one)))
    assert one != "sip:%61lice@EXAMPLE.com;x=1"


@pytest.mark.parametrize("text", ["", "bob", "sip:", "sip:bob@", "sip:a b@c", "sip:bob@host:99999", "1sip:x"])
def test_what_is_no_uri_raises(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        Uri(text)
    assert caught.value.status == 400
    assert caught.value.offset >= 0
    assert isinstance(caught.value, ValueError)


def test_tel_and_other_schemes() -> None:
    assert Uri("tel:+49-30;phone-context=x").user == "+49-30"
    assert Uri("urn:service:sos").host == "service:sos"


def test_name_addr() -> None:
    address = NameAddr('"A \\"B\\"" <sip:a@b;lr>;tag=x;expires="60";flag')
    assert (address.display_name, address.uri, address.tag) == ('A "B"', "sip:a@b;lr", "x")
    assert address.parameters == [("tag", "x"), ("expires", '"60"'), ("flag", None)]
    assert (address.parameter("EXPIRES"), address.parameter("flag"), address.parameter("q")) == (
        "60",
        "",
        None,
    )
    assert NameAddr("sip:a@b;tag=1").display_name is None
    with pytest.raises(ParseError):
        NameAddr("<sip:a@b")


def test_start_line(message: Message) -> None:
    assert (message.is_request, message.method, message.status, message.reason) == (True, "INVITE", 0, "")
    assert (message.request_uri, message.version) == ("sip:bob@example.com;transport=udp", "SIP/2.0")
    assert message.method is Message.parse(INVITE).method
    reply = Message.parse(b"SIP/2.0 183 Session  Progress\r\nCSeq: 1 INVITE\r\n\r\n")
    assert (reply.is_request, reply.method, reply.status, reply.reason) == (
        False,
        "INVITE",
        183,
        "Session  Progress",
    )
    assert (reply.request_uri, reply.version) == ("", "SIP/2.0")


def test_headers(message: Message) -> None:
    assert (message.call_id, message.cseq_number, message.cseq_method) == ("call@host", 42, "INVITE")
    assert (message.from_uri, message.from_tag) == ("sip:alice@example.com", "a1")
    assert (message.to_uri, message.to_tag) == ("sip:bob@example.com", None)
    assert (message.from_.display_name, message.to.parameter("x")) == ('Al"ice \udcff', "1")
    assert message.header("Call-ID") == message.header("i") == "call@host"
    assert (message.header("X-LIST", 1), message.header("x-list", -1), message.header("x-list", 2)) == (
        "d",
        "d",
        None,
    )
    assert message.headers("x-list") == ['a, "b,c"', "d"]
    assert message.values("X-List") == ["a", '"b,c"', "d"]
    assert message.has_header("v")
    assert not message.has_header("Route")
    assert message.all_headers()[1][0] == "v"
    assert len(message.all_headers()) == 13
    name, value, start, end = message.fields()[4]
    assert (name, value, message.raw[start:end]) == ("i", "call@host", b"i: call@host\r\n")
    assert (message.expires, message.max_forwards, message.content_type) == (2**32 - 1, 70, "text/plain")


def test_bytes_that_are_not_utf8_survive(message: Message) -> None:
    value = message.header("From")
    assert value is not None
    assert "\udcff" in value
    message.append_header(f"X-Copy: {value}")
    assert b'X-Copy: "Al\\"ice \xff" <sip:' in message.to_bytes()


def test_vias(message: Message) -> None:
    vias = [message.via(index) for index in range(4)]
    assert vias[3] is None
    top, second, third = vias[:3]
    assert top is not None
    assert second is not None
    assert third is not None
    assert (top.protocol, top.version, top.transport, top.host, top.port) == (
        "SIP",
        "2.0",
        "UDP",
        "192.0.2.7",
        5070,
    )
    assert (top.branch, top.rport, top.received) == ("z9hG4bKa", "", None)
    assert (second.host, second.port, second.rport) == ("[2001:db8::1]", None, None)
    assert (third.received, third.rport, third.parameter("branch")) == ("203.0.113.4", 4711, "z9hG4bKc")


def test_contacts(message: Message) -> None:
    contacts = message.contacts()
    assert contacts != "*"
    assert [contact.uri for contact in contacts] == ["sip:alice@192.0.2.7:5070", "sip:a@b"]
    star = Message.parse(b"REGISTER sip:a SIP/2.0\r\nContact: *\r\n\r\n")
    assert star.contacts() == "*"
    assert star.contact_star
    assert not message.contact_star
    with pytest.raises(ParseError) as caught:
        Message.parse(b"REGISTER sip:a SIP/2.0\r\nContact: <sip:a\r\n\r\n").contacts()
    assert caught.value.header == "Contact"


def test_body_is_cut_by_content_length(message: Message) -> None:
    assert message.body == b"hello"
    assert message.length == len(INVITE) - len(b" trailing")
    assert message.raw[message.body_start :] == b"hello"
    assert message.raw[message.headers_end :].startswith(b"\r\nhello")


def test_a_message_that_was_not_received_has_no_source(message: Message) -> None:
    assert (message.source_ip, message.source_port, message.protocol, message.listener) == ("", 0, "", -1)
    assert (message.destination_ip, message.destination_port, message.id) == ("", 0, 0)


def test_missing_headers_read_as_nothing() -> None:
    empty = Message.parse(b"OPTIONS sip:a SIP/2.0\r\n\r\n")
    assert (empty.call_id, empty.cseq_number, empty.cseq_method, empty.from_uri, empty.to_tag) == (
        "",
        -1,
        "",
        None,
        None,
    )
    assert (empty.expires, empty.max_forwards, empty.content_type, empty.via(), empty.routes()) == (
        None,
        None,
        None,
        None,
        [],
    )
    with pytest.raises(ParseError):
        empty.check()
    with pytest.raises(ParseError):
        _ = empty.from_


@pytest.mark.parametrize(
    ("data", "status"),
    [(b"hello", 400), (b"", 400), (b"INVITE sip:a SIP/2.0\r\nContent-Length: 9\r\n\r\n", 400)],
)
def test_what_is_no_message_raises(data: bytes, status: int) -> None:
    with pytest.raises(ParseError) as caught:
        Message.parse(data)
    assert caught.value.status == status


def test_wrong_types_are_type_errors() -> None:
    with pytest.raises(TypeError):
        Uri(7)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Message.parse("text")  # type: ignore[arg-type]
