"""Passwords that pass through a process are not there any more when they have."""
import base64
import os

import pytest

from lab import client, memory, mta, smarthost
from test_smarthost import LOGIN, PASSWORD, provide, send

pytestmark = [
    pytest.mark.skipif(not mta.can_have_private_roots(), reason="mounts need root"),
    pytest.mark.skipif(os.geteuid() != 0, reason="reading another's memory needs root")]


def forms(login, password):
    """The password as it travels: alone, and in the base64 of LOGIN and of PLAIN."""
    plain = b"\0" + login.encode() + b"\0" + password.encode()
    return [password.encode(), base64.b64encode(password.encode()).rstrip(b"="),
            base64.b64encode(plain).rstrip(b"=")]


def who_holds(lab, needles):
    return {role for role, pids in lab.zegel.roles().items() for pid in pids
            if memory.holds(pid, *needles)}


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_our_password_at_a_next_hop_stays_in_the_auth_role(lab, mechanism):
    server = provide(lab, smarthost.Postfix, mechanisms=mechanism)
    lab.start()
    send(lab)
    server.wait_for()
    lab.zegel.wait_log(r"to=<anna@bank.example>.*status=sent")
    assert f"sasl_method={mechanism}" in server.log()
    # That the search finds something: the password itself is the auth role's to keep.
    assert "auth" in who_holds(lab, [PASSWORD.encode()])
    assert who_holds(lab, [PASSWORD.encode()]) <= {"auth"}
    assert who_holds(lab, forms(LOGIN, PASSWORD)[1:]) == set()


def test_a_clients_password_stays_nowhere(lab):
    """The relay has verifiers of them only; each session must forget what it was told."""
    password = "correct horse battery, and a staple besides"
    lab.zegel.add_account("other@shop.example", password, senders=["@shop.example"])
    lab.receiver("bank.example")
    lab.start()
    for n in range(3):
        content = client.message("web@shop.example", f"anna{n}@bank.example")
        client.submit(lab.zegel, "web@shop.example", [f"anna{n}@bank.example"], content,
                      ("other@shop.example", password))
        lab.sink.wait_for(f"anna{n}@bank.example")
    lab.zegel.wait_log("disconnect from", n=3)
    assert who_holds(lab, forms("other@shop.example", password)) == set()
