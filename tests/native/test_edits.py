"""The edit list of a message: what it makes of the bytes."""

import pytest

from sipyard._native import Message, ParseError

REQUEST = (
    b"INVITE sip:bob@example.com SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKa\r\n"
    b"Route: <sip:one;lr>, <sip:two;lr>\r\n"
    b"Route: <sip:three;lr>\r\n"
    b"From: <sip:a@b>;tag=1\r\n"
    b"To: <sip:b@c>\r\n"
    b"Call-ID: x\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"X: 1\r\n"
    b"x: 2\r\n"
    b"Supported: path, gruu , outbound\r\n"
    b"Content-Type: text/plain\r\n"
    b"Content-Length: 4\r\n"
    b"\r\n"
    b"body"
)


@pytest.fixture
def message() -> Message:
    return Message.parse(REQUEST)


def lines(message: Message) -> list[str]:
    return message.to_bytes().decode().split("\r\n")


def test_nothing_edited_is_what_came(message: Message) -> None:
    assert message.to_bytes() == REQUEST
    assert not message.is_edited


def test_lines_are_added_where_asked(message: Message) -> None:
    message.append_header("Last: 1")
    message.append_header("Last: 2\r\n")
    message.prepend_header("First: 1\r\nFirst: 2")
    assert message.insert_header_before("X", "Before: 1")
    assert message.insert_header_after("x", "After: 1")
    assert not message.insert_header_after("Nothing", "After: 2")
    text = lines(message)
    assert text[1:4] == ["First: 1", "First: 2", "Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKa"]
    assert text[text.index("X: 1") - 1] == "Before: 1"
    assert text[text.index("x: 2") + 1] == "After: 1"
    assert text[-4:] == ["Last: 1", "Last: 2", "", "body"]
    assert message.is_edited
    assert message.header("Last") is None


def test_fields_and_values_are_removed(message: Message) -> None:
    assert (message.remove_header("X"), message.remove_header("X"), message.remove_header("Nothing")) == (
        2,
        0,
        0,
    )
    assert message.remove_value("k", 1)
    assert not message.remove_value("k", 1)
    assert not message.remove_value("k", 9)
    assert message.replace_value("Supported", 2, "tdialog")
    text = lines(message)
    assert "Supported: path, tdialog" in text
    assert not any(line.lower().startswith("x:") for line in text)


def test_routes(message: Message) -> None:
    changed = message.copy()
    changed.remove_routes(1)
    assert [line for line in lines(changed) if line.startswith("Route")] == [
        "Route: <sip:two;lr>",
        "Route: <sip:three;lr>",
    ]
    changed.remove_routes(2)
    assert not [line for line in lines(changed) if line.startswith("Route")]
    message.set_routes(["<sip:new;lr>", "<sip:newer;lr>"])
    assert lines(message)[2:4] == ["Route: <sip:new;lr>", "Route: <sip:newer;lr>"]
    with pytest.raises(ParseError):
        Message.parse(REQUEST.replace(b"<sip:three;lr>", b"<sip:three;lr")).remove_routes(1)


def test_raw_ranges_and_length(message: Message) -> None:
    start = message.body_start
    message.insert_at(start, b"some")
    message.replace_range(start, start + 4, b"thing")
    assert message.to_bytes().endswith(b"Content-Length: 9\r\n\r\nsomething")
    for start, end in [(5, 4), (0, 10_000), (10_000, 10_000)]:
        with pytest.raises(ValueError, match="no range"):
            message.replace_range(start, end, b"")


def test_body(message: Message) -> None:
    message.set_body(b"v=0\r\n", "application/sdp")
    assert "Content-Type: application/sdp" in lines(message)
    assert message.to_bytes().endswith(b"Content-Length: 5\r\n\r\nv=0\r\n")
    bare = Message.parse(b"MESSAGE sip:a SIP/2.0\r\nCall-ID: x\r\n\r\n")
    bare.set_body(b"hi", "text/plain")
    assert bare.to_bytes().endswith(b"Content-Length: 2\r\nContent-Type: text/plain\r\n\r\nhi")


def test_request_uri_and_status(message: Message) -> None:
    message.set_request_uri("sip:other@example.org")
    assert lines(message)[0] == "INVITE sip:other@example.org SIP/2.0"
    assert message.request_uri == "sip:bob@example.com"
    reply = Message.parse(b"SIP/2.0 404 Not Found\r\nCall-ID: x\r\n\r\n")
    reply.set_reply_status(410, "Gone")
    assert reply.to_bytes().startswith(b"SIP/2.0 410 Gone\r\n")
    for status in (200, 180, 99, 700):
        with pytest.raises(ValueError, match="cannot make"):
            reply.set_reply_status(status, "No")
    with pytest.raises(ValueError, match="cannot make"):
        message.set_reply_status(404, "No")


@pytest.mark.parametrize(
    ("value", "limit", "expected", "line"),
    [
        ("70", 0, 69, "Max-Forwards: 69"),
        ("70", 16, 15, "Max-Forwards: 15"),
        ("0", 0, -1, "Max-Forwards: 0"),
        ("many", 0, -2, "Max-Forwards: many"),
        (None, 16, 10, "Max-Forwards: 10"),
    ],
)
def test_max_forwards(value: str | None, limit: int, expected: int, line: str) -> None:
    header = f"Max-Forwards: {value}\r\n" if value is not None else ""
    message = Message.parse(REQUEST.replace(b"X: 1\r\n", header.encode()))
    assert message.decrement_max_forwards(10, limit) == expected
    assert message.decrement_max_forwards(10, limit) == expected
    assert line in lines(message)


def test_copies_are_independent(message: Message) -> None:
    message.append_header("One: 1")
    copy = message.copy()
    copy.append_header("Two: 2")
    assert "Two: 2" not in lines(message)
    assert "One: 1" in lines(copy)
    assert copy.id == message.id


def test_record_route_is_asked_for_once(message: Message) -> None:
    assert message.record_route(params=";ftag=1")
    assert not message.record_route()
    assert message.is_edited
    assert message.to_bytes() == REQUEST
    assert message.remove_record_route()
    assert not message.remove_record_route()


@pytest.mark.parametrize(
    "text",
    ["no colon", "A: 1\r\n\r\nINVITE x", "A: 1\n\nB: 2", "A: 1\rB: 2", ": x", " fold: x", "A: \0", "\r\n"],
)
def test_nothing_is_smuggled_into_the_headers(message: Message, text: str) -> None:
    for edit in (message.append_header, message.prepend_header, message.append_to_reply):
        with pytest.raises(ValueError, match=r"."):
            edit(text)
    assert message.to_bytes() == REQUEST


@pytest.mark.parametrize("text", ["a\r\nb", "a\nb", "a\0b"])
def test_one_line_stays_one_line(message: Message, text: str) -> None:
    for edit in (
        lambda: message.set_request_uri(text),
        lambda: message.set_routes([text]),
        lambda: message.record_route(user=text),
        lambda: message.record_route(params=text),
        lambda: message.set_advertised(text, None),
        lambda: message.replace_value("X", 0, text),
        lambda: message.set_body(b"", text),
    ):
        with pytest.raises(ValueError, match="line break"):
            edit()
