"""Mail through an operator's next hop that wants a login (RFC 4954), on real servers."""
import os
import re

import pytest

from lab import client, mta, smarthost
from lab.place import until

HOST = "smart.example"
LOGIN, PASSWORD = "relay@provider.example", "correct horse: battery 7"
FROM = "web@shop.example"

pytestmark = pytest.mark.skipif(not mta.can_have_private_roots(), reason="mounts need root")


def provide(lab, kind, certificate=None, tlsa=False, **how):
    """A next hop for every domain, and the route to it."""
    certificate = certificate or lab.ca.issue(HOST)
    server = kind(lab.place, HOST, certificate, lab.port, LOGIN, PASSWORD, **how)
    lab.dns.host(HOST, server.address, tlsa=[certificate.tlsa()] if tlsa else [], port=lab.port)
    lab.zegel.routes["*"] = {"host": HOST, "port": lab.port, "tls": "verify", "login": LOGIN}
    know_password(lab, PASSWORD)
    server.start()
    return server


def know_password(lab, password):
    path = lab.zegel.home / "route-passwords"
    path.write_text(f"# where we log in\n{LOGIN} {password}\n")
    path.chmod(0o600)
    os.chown(path, lab.zegel.user, lab.zegel.user)


def send(lab, recipient="anna@bank.example", **how):
    content = client.message(FROM, [recipient], "Through the next hop")
    client.submit(lab.zegel, FROM, [recipient], content, lab.login, **how)


def assert_says_no_secret(lab):
    told = lab.zegel.told() + lab.zegel.why("anna@bank.example")
    assert PASSWORD not in told and "top secret" not in told
    assert not re.search(r"AHJlbGF5", told), "the response of PLAIN, in base64"


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "PLAIN", "LOGIN", "LOGIN PLAIN SCRAM-SHA-256"])
def test_postfix_takes_mail_after_a_login(lab, mechanism):
    server = provide(lab, smarthost.Postfix, mechanisms=mechanism)
    lab.start()
    send(lab)
    content, = server.wait_for()
    wanted = mechanism.split()[-1]
    assert f"(Authenticated sender: {LOGIN})".encode() in content
    assert re.search(rf"sasl_method={wanted}, sasl_username={re.escape(LOGIN)}", server.log())
    lab.zegel.wait_log(rf"to=<anna@bank.example>, relay={HOST}.*status=sent")
    assert_says_no_secret(lab)


@pytest.mark.parametrize("domain", ["bank.example", "no-mx.example", "nobody.dead"])
def test_exim_takes_mail_for_any_domain(lab, domain):
    """Neither the MX of the domain nor any other record of it is asked for."""
    server = provide(lab, smarthost.Exim)
    lab.start()
    send(lab, f"anna@{domain}")
    server.wait_for()
    assert f"A=plain:{LOGIN}" in server.log()


def test_wrong_password_defers(lab):
    server = provide(lab, smarthost.Postfix)
    know_password(lab, "top secret")
    lab.start()
    send(lab)
    line = lab.zegel.wait_log(r"to=<anna@bank.example>.*status=deferred")[0]
    assert HOST in line and re.search(r"\[[a-z-]*login[a-z-]*\]", line), line
    assert server.messages() == [] and len(lab.zegel.queue()) == 1
    assert_says_no_secret(lab)
    # Set right, and told so, it goes out.
    know_password(lab, PASSWORD)
    lab.zegel.reload_and_wait()
    lab.zegel.retry()
    server.wait_for()


def test_one_that_is_not_verified_hears_no_password(lab):
    server = provide(lab, smarthost.Postfix, certificate=lab.ca.issue("other.example"))
    lab.start()
    send(lab)
    lab.zegel.wait_log(r"to=<anna@bank.example>.*status=deferred")
    assert "sasl_method" not in server.log() and server.messages() == []
    # The operator believes whoever answers: a proof of the password, and never itself.
    lab.zegel.routes["*"]["tls"] = "encrypt"
    lab.zegel.reload_and_wait()
    lab.zegel.retry()
    server.wait_for()
    assert "sasl_method=SCRAM-SHA-256" in server.log()


def test_PLAIN_is_not_said_to_one_that_is_not_verified(lab):
    server = provide(lab, smarthost.Exim, certificate=lab.ca.issue("other.example"))
    lab.zegel.routes["*"]["tls"] = "encrypt"
    lab.start()
    send(lab)
    lab.zegel.wait_log(r"to=<anna@bank.example>.*certificate was not verified.*status=deferred|"
                       r"to=<anna@bank.example>.*status=deferred.*certificate was not verified")
    assert server.messages() == [] and "A=plain" not in server.log()
    assert "authenticator" not in server.log()


def test_a_next_hop_with_DANE(lab):
    """The operator's next hop counts as secure: TLSA records decide (RFC 7672 2.2.2)."""
    own = lab.ca.issue(HOST)
    server = provide(lab, smarthost.Postfix, certificate=own, tlsa=True)
    lab.zegel.routes["*"]["tls"] = "dane-only"
    lab.start()
    send(lab)
    server.wait_for()
    line = lab.zegel.wait_log(r"Verified TLS connection .*|tls=.*dane")[0]
    assert HOST in line


def test_a_next_hop_whose_TLSA_record_does_not_match(lab):
    server = provide(lab, smarthost.Postfix)
    lab.dns.host(HOST, server.address, tlsa=[lab.ca.issue(HOST).tlsa()], port=lab.port)
    lab.zegel.routes["*"]["tls"] = "dane-only"
    lab.start()
    send(lab)
    lab.zegel.wait_log(r"to=<anna@bank.example>.*status=deferred")
    assert server.messages() == [] and "sasl_method" not in server.log()


def test_login_survives_the_death_of_auth(lab):
    server = provide(lab, smarthost.Postfix)
    lab.start()
    lab.zegel.kill_role("auth")
    lab.zegel.kill_role("auth")
    send(lab)
    server.wait_for()
    until(lambda: lab.zegel.queue() == [], what="an empty queue")


def test_one_login_for_several_messages(lab):
    """What is kept is logged in already, and is for that login alone."""
    server = provide(lab, smarthost.Postfix)
    lab.zegel.sections["delivery"]["idle-timeout"] = "1m"
    lab.start()
    send(lab)
    server.wait_for()
    send(lab, "bert@bank.example")
    server.wait_for(2)
    lab.zegel.wait_log(r"achieved=verify .*reused")
    assert len(lab.zegel.wait_log(r"logged in to")) == 1
