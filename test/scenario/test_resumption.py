"""T26: TLS sessions are resumed with the same host, address and demand, and with nothing else."""
import pytest

from lab import client, mta

needs_root = pytest.mark.skipif(not mta.can_have_private_roots(), reason="mounts need root")


@pytest.fixture
def fresh(lab):
    """No connection is kept for the next message."""
    lab.zegel.sections["delivery"]["idle-connections"] = 0
    return lab


def is_resumed(lab, recipient, n=1):
    """Delivers a message, the n-th to this recipient: was its connection a resumed one?"""
    content = client.message("web@shop.example", recipient)
    client.submit(lab.zegel, "web@shop.example", [recipient], content, lab.login)
    escaped = recipient.replace(".", r"\.")
    sent = lab.zegel.wait_log(rf"to=<{escaped}>.*status=sent", n=n)[-1]
    queue_id = sent.partition("]: ")[2].partition(":")[0]
    evidence = lab.zegel.wait_log(rf"{queue_id}: required=")[-1]
    assert " achieved=dane " in evidence, evidence
    return evidence.endswith(" resumed")


def test_T26_within_a_host_and_never_for_another_demand(fresh):
    lab = fresh
    certificate = lab.ca.issue("mx.bank.example")
    lab.receiver("bank.example", certificate=certificate, tlsa=True)
    # The same host for another domain: it may bear that domain's name too, so the demand differs.
    lab.dns.mx("shared.example", "mx.bank.example")
    # And the same certificate on another host.
    lab.receiver("other.example", certificate=certificate, tlsa=[certificate.tlsa()])
    lab.start()
    assert not is_resumed(lab, "a@bank.example")
    assert is_resumed(lab, "b@bank.example")
    assert not is_resumed(lab, "a@shared.example")
    assert not is_resumed(lab, "a@other.example")
    assert is_resumed(lab, "c@bank.example")
    assert is_resumed(lab, "b@shared.example")
    assert is_resumed(lab, "b@other.example")


@pytest.mark.parametrize("kind", [
    pytest.param(mta.Postfix, marks=needs_root), pytest.param(mta.Exim, marks=needs_root),
    mta.Haraka])
def test_T26_real_servers(fresh, kind):
    """Postfix resumes as it comes in Debian, but gives no new ticket then, and we use one once; Exim
    and Haraka want a full handshake each time. All take the mail."""
    lab = fresh
    domain = f"{kind.__name__.lower()}.example"
    host = f"mx.{domain}"
    certificate = lab.ca.issue(host)
    server = kind(lab.place, host, domain, certificate, lab.port)
    lab.dns.host(host, server.address, tlsa=[certificate.tlsa()], port=lab.port)
    lab.dns.mx(domain, host)
    server.start()
    lab.start()
    resumed = [is_resumed(lab, f"anna@{domain}", n) for n in (1, 2, 3)]
    assert resumed == [False, kind is mta.Postfix, False]
