"""zegel explain of mail that asks for something itself (RFC 8689)."""
import pytest

from test_explain import PROBLEMS, USAGE, WEB, explain, for_people, started  # noqa: F401


def test_requiretls_is_asked_for(started):  # noqa: F811
    lab = started
    lab.zegel.add_account(WEB, "something long", [WEB])
    lab.zegel.write()
    told = explain(lab, "--requiretls", WEB, "anna@bank.example")
    [host] = told["hosts"]
    assert told["requiretls"] and (host["level"], host["demand"]) == ("dane", "dane")
    assert ", and if it offers REQUIRETLS, or not to this host" in told["decision"]
    # MX records that are not signed, and no policy: nobody can know that the host is the right one.
    told = explain(lab, WEB, "--requiretls", "anna@bank.plain", status=PROBLEMS)
    [host] = told["hosts"]
    assert host["unusable"]["name"] == "requiretls-mx-insecure"
    assert "[requiretls-mx-insecure]" in told["decision"] and "is returned" in told["decision"]
    assert explain(lab, WEB, "anna@bank.plain")["hosts"][0]["level"] == "may"
    # Of a domain alone too.
    assert not explain(lab, "bank.example")["requiretls"]
    assert explain(lab, "--requiretls", "bank.example")["requiretls"]
    assert "  REQUIRETLS: whoever gets it" in for_people(lab, "--requiretls", "bank.example")


def test_tls_required_no_waives_what_the_receiver_asks(started):  # noqa: F811
    lab = started
    lab.zegel.partners = {"bank.plain": {"tls": "verify"}}
    lab.zegel.write()
    told = explain(lab, "--tls-required=no", "anna@bank.example")
    assert told["tls_required_no"]
    assert [h["level"] for h in told["hosts"]] == ["may"]
    assert "  TLS-Required: No: what the receiver asks" in for_people(
        lab, "--tls-required=No", "anna@bank.example")
    # But not what the operator does.
    assert [h["level"] for h in explain(lab, "--tls-required=no", "bank.plain")["hosts"]] == ["verify"]


@pytest.mark.parametrize("words, why", [
    (["explain", "--requiretls", "--tls-required=no", "bank.example"], "REQUIRETLS"),
    (["explain", "--tls-required=yes", "bank.example"], "knows only --tls-required=no"),
    (["tls", "probe", "--requiretls", "bank.example"], "options of explain"),
    (["status", "--tls-required=no"], "options of explain"),
])
def test_what_makes_no_sense_is_said(started, words, why):  # noqa: F811
    done = started.zegel.command(*words, check=False)
    assert done.returncode == USAGE and why in done.stderr, done
