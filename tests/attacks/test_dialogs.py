"""S4 and S5 over UDP: forged requests of a dialog, altered Record-Route, races of final responses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from interop.processes import Exchange, Router, status

from .peers import Phone, header, within_dialog


@pytest.fixture
def phone(target: Router) -> Iterator[Phone]:
    """A registered phone, a user of its own each time."""
    with Phone(target.port) as phone:
        yield phone


def aor(target: Router, phone: Phone) -> str:
    return f"sip:s{phone.port}@127.0.0.1:{target.port}"


def register(target: Router, *phones: Phone) -> str:
    """All the phones as one user; that user's address."""
    address = aor(target, phones[0])
    for phone in phones:
        contact = f"Contact: <{phone.contact}>;expires=600"
        assert status(phone.ask("REGISTER", address, contact)) == 200
    return address


def until_final(caller: Exchange) -> bytes:
    """The first final answer."""
    for _ in range(20):
        data = caller.receive(3)
        if status(data) >= 200 and data is not None:
            return data
    raise AssertionError("no final answer came")


def established(target: Router, caller: Exchange, phone: Phone) -> bytes:
    """A call under way; its 200."""
    address = register(target, phone)
    caller.send(caller.request("INVITE", address))
    phone.answer(phone.take("INVITE"), "200 OK")
    answer = until_final(caller)
    caller.send(within_dialog(caller, "ACK", answer, header(answer, "Record-Route")))
    phone.take("ACK")
    return answer


def test_s4_a_forged_bye_leaves_the_call(target: Router, attacker: Exchange, phone: Phone) -> None:
    """The proxy keeps no dialog for a made-up tag to end: the phone says 481; the true BYE works."""
    with Exchange(target.port) as caller:
        answer = established(target, caller, phone)
        route = header(answer, "Record-Route")
        attacker.send(within_dialog(attacker, "BYE", answer, route, tag="forged"))
        forged = phone.take("BYE")
        assert "tag=forged" in header(forged, "To")
        phone.answer(forged, "481 Call/Transaction Does Not Exist")
        assert status(until_final(attacker)) == 481
        caller.send(within_dialog(caller, "BYE", answer, route))
        phone.answer(phone.take("BYE"), "200 OK")
        assert status(until_final(caller)) == 200


ALTERED = [
    ";lr;ftag=forged",
    ";lr=on;ftag=%00",
    ";lr;vsf=AAAAAAAAAAAAAAAAAAAA",
    ";lr;did=ffffffff.ffffffff",
    ";lr;ftag=" + "9" * 4000,
    ";lr;ftag=%FF%FF;ftag=-1;x=4294967296",
]


@pytest.mark.parametrize("parameters", ALTERED, ids=range(len(ALTERED)))
def test_s4_altered_route_parameters(
    target: Router, attacker: Exchange, phone: Phone, parameters: str
) -> None:
    """What a stranger writes into our own Route is text: no number in it is believed."""
    with Exchange(target.port) as caller:
        answer = established(target, caller, phone)
        before = target.cpu()
        route = f"<sip:127.0.0.1:{target.port}{parameters}>"
        attacker.send(within_dialog(attacker, "BYE", answer, route, tag="forged"))
        phone.answer(phone.take("BYE"), "481 Call/Transaction Does Not Exist")
        assert status(until_final(attacker)) == 481
        assert target.cpu() - before < 0.1


def test_s5_cancel_crosses_the_200(target: Router, attacker: Exchange, phone: Phone) -> None:
    """RFC 3261 §9.1: the CANCEL is answered 200, and the 200 of the INVITE that crossed it still arrives."""
    address = register(target, phone)
    invite = attacker.request("INVITE", address)
    attacker.send(invite)
    offered = phone.take("INVITE")
    phone.answer(offered, "180 Ringing")
    while status(attacker.receive(2)) != 180:
        pass
    attacker.send(invite.replace(b"INVITE", b"CANCEL"))
    phone.answer(offered, "200 OK")
    finals = {header(data, "CSeq"): status(data) for data in attacker.everything(0.3) if status(data) >= 200}
    assert finals == {"1 CANCEL": 200, "1 INVITE": 200}


def test_s5_a_2xx_after_a_6xx(target: Router, attacker: Exchange, phone: Phone) -> None:
    """RFC 3261 §16.7 step 5: a 603 ends the fork, a 200 that was under way is relayed as well."""
    with Phone(target.port) as other:
        address = register(target, phone, other)
        attacker.send(attacker.request("INVITE", address))
        refused, answered = phone.take("INVITE"), other.take("INVITE")
        other.answer(answered, "180 Ringing", tag="other")
        phone.answer(refused, "603 Decline")
        other.answer(answered, "200 OK", tag="other")
        finals = [status(data) for data in attacker.everything(0.5) if status(data) >= 200]
        assert 200 in finals
        assert set(finals) <= {200, 603}


def test_s5_a_late_provisional_is_not_relayed(target: Router, attacker: Exchange, phone: Phone) -> None:
    address = register(target, phone)
    attacker.send(attacker.request("INVITE", address))
    offered = phone.take("INVITE")
    phone.answer(offered, "200 OK")
    assert status(until_final(attacker)) == 200
    phone.answer(offered, "180 Ringing")
    assert not [data for data in attacker.everything(0.3) if status(data) == 180]


def test_s5_a_reflected_request(target: Router, attacker: Exchange, phone: Phone) -> None:
    """The callee sends our own INVITE back: the caller gets one refusal, and nothing is relayed again."""
    address = register(target, phone)
    attacker.send(attacker.request("INVITE", address))
    offered = phone.take("INVITE")
    for _ in range(20):
        phone.send(offered)
    assert status(until_final(attacker)) in (403, 482)
    assert not [data for data in phone.everything(0.3) if data.startswith(b"INVITE ") and data != offered]


def test_s5_a_branch_in_other_letters(target: Router, attacker: Exchange, phone: Phone) -> None:
    """A copy whose branch differs only in case gets one final answer as well, and nothing is left ringing."""
    address = register(target, phone)
    invite = attacker.request("INVITE", address, name="letters")
    attacker.send(invite)
    phone.answer(phone.take("INVITE"), "486 Busy Here")
    assert status(until_final(attacker)) == 486
    attacker.send(invite.replace(b"branch=z9hG4bKletters", b"branch=z9hG4bKLETTERS"))
    finals = [status(data) for data in attacker.everything(0.3) if status(data) >= 200]
    assert finals
    assert set(finals) <= {482, 486}
