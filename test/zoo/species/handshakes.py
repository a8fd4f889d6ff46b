"""Hosts that misbehave about TLS: each beside a record that demands it, most also without one."""
from cryptography.hazmat.primitives import hashes

from animal import DELIVER, LATER, PLAIN, Differs
from certificates import self_signed

DROPPED = "Postfix drops what came behind the 220 in the clear, and goes on"
# Without a demand a failed handshake may be followed by plaintext (RFC 7435 3), later and not at
# once: README, "TLS that is demanded never becomes plaintext".
LATER_IN_CLEAR = "RFC 7435 3; the relay tries in the clear at a later attempt only"


def settle(zoo):
    settle_refusals(zoo)
    settle_broken(zoo)
    settle_stalls(zoo)
    settle_old(zoo)
    settle_fine(zoo)
    zoo.refused_for("starttls-missing", "no-starttls", "starttls-hidden")
    zoo.refused_for("", "starttls-4*")  # the host's own words
    zoo.refused_for("starttls-refused", "starttls-5*", "ehlo-500")
    zoo.refused_for("tls-timeout", "stall-*")
    zoo.refused_for("dane-tls-untrusted", "sha1-chain")
    zoo.refused_for("starttls-early-input", "junk-after-220*")
    zoo.refused_for("connection-lost", "close-at-starttls")
    zoo.refused_for("tls-handshake", "*")


def with_record(zoo, name, cases, about, verdict=LATER, rule="RFC 7672 2.2", **how):
    a = zoo.animal(name, cases, verdict, rule, about)
    own = self_signed(f"mx.{a.domain}")
    a.host(certificate=own, tlsa=[own.tlsa()], **how)
    a.reported = {"tlsa": "success" if verdict == DELIVER else "failure"}
    return a


def without_record(zoo, name, cases, about, verdict, rule, **how):
    a = zoo.animal(name, cases, verdict, rule, about)
    a.enforces = verdict == DELIVER
    a.host(certificate=self_signed(f"mx.{a.domain}"), **how)
    a.reported = {"no-policy-found": "failure"}
    return a


def settle_refusals(zoo):
    """STARTTLS is not offered, or refused."""
    a = zoo.animal("no-starttls", "T16", LATER, "RFC 7672 2.2", "the record matches nothing: no TLS")
    own = self_signed(f"mx.{a.domain}")
    a.host(certificate=None, tlsa=[own.tlsa()])

    with_record(zoo, "starttls-hidden", "T16", "TLS would be there, and is not offered (stripped)",
                hides_starttls=True)
    for code, text in ((454, "454 4.7.0 TLS not available"), (502, "502 5.5.1 Not implemented"),
                       (554, "554 5.7.3 Unable to initialize"), (421, "421 4.3.0 Not now")):
        with_record(zoo, f"starttls-{code}", "T16", f"the answer to STARTTLS is {code}",
                    replies={"STARTTLS": text})
    for code, text in ((454, "454 4.7.0 TLS not available"), (502, "502 5.5.1 Not implemented")):
        a = without_record(zoo, f"starttls-{code}-may", "T11", f"the answer to STARTTLS is {code}, "
                           "and nothing demands TLS", PLAIN, "RFC 3207 4, RFC 7435 3",
                           replies={"STARTTLS": text})
        a.finger = Differs(LATER, "posttls-finger stops where STARTTLS is refused; Postfix itself "
                                  "goes on in the clear")

    a = zoo.animal("ehlo-500", "R7 T16", LATER, "RFC 7672 2.2, RFC 5321 3.2",
                   "EHLO is refused and HELO taken: no TLS, though it is demanded")
    own = self_signed(f"mx.{a.domain}")
    a.host(certificate=own, tlsa=[own.tlsa()], replies={"EHLO": "500 5.5.1 What?"})
    a = without_record(zoo, "ehlo-500-may", "R7", "EHLO is refused and HELO taken; nothing demands TLS",
                       PLAIN, "RFC 5321 3.2", replies={"EHLO": "500 5.5.1 What?"})
    a.finger = Differs(LATER, "posttls-finger stops where EHLO is refused; Postfix itself says HELO")


def settle_broken(zoo):
    for name, cases, about in (
            ("junk_after_220", "R28 T25", "bytes behind the 220 that pretend to come over TLS"),
            ("plain_after_220", "T25", "plaintext instead of a handshake"),
            ("alert", "T25", "an alert instead of the first flight"),
            ("alert_then_plain", "R29", "an alert, then SMTP in the clear"),
            ("close_after_220", "T25 R9", "closes instead of the first flight"),
            ("close_at_starttls", "R9", "closes instead of an answer to STARTTLS"),
            ("noise_after_220", "T25", "noise instead of the first flight")):
        word = name.replace("_", "-")
        a = with_record(zoo, word, cases, about, script=name)
        if name == "junk_after_220":
            a.finger = Differs(DELIVER, DROPPED)
        if name in ("junk_after_220", "alert_then_plain", "noise_after_220"):
            a = without_record(zoo, f"{word}-may", cases, f"{about}; nothing demands TLS", LATER,
                               LATER_IN_CLEAR, script=name)
            a.enforces = True  # at the first attempt, which is all that is seen here
            if name == "junk_after_220":
                a.finger = Differs(DELIVER, DROPPED)


def settle_stalls(zoo):
    with_record(zoo, "stall-at-first-flight", "T28", "the first flight never comes", withhold=1)
    with_record(zoo, "stall-at-last-flight", "T28", "TLS 1.2: the last flight never comes",
                withhold=2, version="1.2")
    with_record(zoo, "stall-after-220", "T28", "nothing comes after the 220",
                script="mute_after_220")
    for a in zoo.animals[-3:]:
        a.is_slow = True


def settle_old(zoo):
    rule = "RFC 8996 4, 5; RFC 9325 3.1.1"
    for version in ("1.0", "1.1"):
        with_record(zoo, f"tls-{version.replace('.', '-')}", "T25",
                    f"speaks TLS {version} and nothing newer", rule=rule, version=version)
    a = without_record(zoo, "tls-1-0-may", "T25", "speaks TLS 1.0 only; nothing demands TLS", LATER,
                       LATER_IN_CLEAR, version="1.0")
    a.enforces = True

    with_record(zoo, "no-certificate-at-all", "T25", "ciphers without a certificate only (aNULL)",
                rule="RFC 7672 8.2", version="1.2", ciphers="aNULL:@SECLEVEL=0")
    with_record(zoo, "no-encryption-at-all", "T25", "ciphers without encryption only (eNULL)",
                rule="RFC 9325 4.1", version="1.2", ciphers="eNULL:@SECLEVEL=0")
    with_record(zoo, "small-group", "T25", "Diffie-Hellman of 512 bits", rule="RFC 9325 4.1, 4.5",
                version="1.2", ciphers="DHE:@SECLEVEL=0", dh="DH_512")


def settle_fine(zoo):
    """Odd, and right all the same."""
    for version in ("1.2", "1.3"):
        with_record(zoo, f"tls-{version.replace('.', '-')}", "T1",
                    f"speaks TLS {version} only", DELIVER, "RFC 9325 3.1.1", version=version)
    with_record(zoo, "in-pieces", "T25", "every record comes in packets of seven bytes", DELIVER,
                "RFC 8446 5.1", pieces=7)
    with_record(zoo, "record-of-a-byte", "T25", "every byte of a reply comes in its own record",
                DELIVER, "RFC 8446 5.1", record=1)
    with_record(zoo, "starttls-in-small-letters", "T1", "EHLO says StartTls", DELIVER,
                "RFC 5321 2.4, 4.1.1.1", hides_starttls=True, extensions_in_clear=["StartTls"])
    with_record(zoo, "odd-limits", "R26", "offers limits that are none, and twice", DELIVER,
                "RFC 9422 3", extensions=["LIMITS RCPTMAX=zero MAILMAX", "LIMITS RCPTMAX=-1 =7",
                                            "LIMITS"])
    with_record(zoo, "cut-after-message", "T27 R10", "closes without close_notify after the last "
                "250", DELIVER, "RFC 5321 4.2.5", cuts_after_message=True)

    a = zoo.animal("sha1-signature", "T25 T7", DELIVER, "RFC 7671 5.1",
                   "its certificate is signed with SHA-1, and the record is of its key: the "
                   "signature does not matter")
    own = zoo.stranger.issue(f"mx.{a.domain}", digest=hashes.SHA1())
    a.host(certificate=own, tlsa=[own.tlsa()])

    a = zoo.animal("sha1-chain", "T25 T8", LATER, "RFC 9325 4.5",
                   "2 1 1 of an authority that signed the leaf with SHA-1")
    own = zoo.stranger.issue(f"mx.{a.domain}", digest=hashes.SHA1())
    a.host(certificate=own, tlsa=[zoo.stranger.tlsa(2, 1, 1)])

    a = zoo.animal("auth-in-clear", "R24", DELIVER, "RFC 3207 4.2",
                   "lists AUTH in the clear only; the record matches")
    own = self_signed(f"mx.{a.domain}")
    a.host(certificate=own, tlsa=[own.tlsa()], extensions_in_clear=["AUTH PLAIN LOGIN"])
