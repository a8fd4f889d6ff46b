"""Certificate chains: usage x selector x matching type, each good and broken in each way."""
from cryptography.x509.oid import ExtendedKeyUsageOID

from animal import DELIVER, LATER
from certificates import Authority, ed25519_key, rsa_key, self_signed

EVERY = [(selector, matching) for selector in (0, 1) for matching in (0, 1, 2)]


def settle(zoo):
    for selector, matching in EVERY:
        settle_ee(zoo, selector, matching)
        settle_ta(zoo, selector, matching)
        settle_pkix(zoo, selector, matching)
    settle_longer(zoo)
    settle_names(zoo)
    settle_odd(zoo)
    zoo.refused_for("starttls-missing", "u???-no-starttls")
    zoo.refused_for("dane-tls-expired", "u2??-expired*", "intermediate-expired")
    zoo.refused_for("dane-tls-name", "u2??-wrong-name", "anchor-for-wildcard-of-two",
                    "anchor-not-for-common-name")
    zoo.refused_for("dane-tls-untrusted", "anchor-over-a-leaf", "anchor-path-too-long",
                    "anchor-constrained-to-others", "anchor-leaf-for-clients")
    zoo.refused_for("dane-mismatch", "*")


def judged(animal, host):
    """openssl s_client can judge this host by its records alone."""
    animal.s_client = ("dane", host)
    if animal.verdict == DELIVER:
        animal.shows = ["achieved=dane"]
    animal.reported = {"tlsa": "success" if animal.verdict == DELIVER else "failure"}


def settle_ee(zoo, selector, matching):
    kind = f"3{selector}{matching}"
    shape = (3, selector, matching)

    a = zoo.animal(f"u{kind}-good", "T1", DELIVER, "RFC 7672 3.1.1", "the record matches")
    own = self_signed(f"mx.{a.domain}")
    judged(a, a.host(certificate=own, tlsa=[own.tlsa(*shape)]))

    a = zoo.animal(f"u{kind}-wrong-data", "T2", LATER, "RFC 7672 2.2", "one bit of it is wrong")
    own = self_signed(f"mx.{a.domain}")
    judged(a, a.host(certificate=own, tlsa=[own.false_tlsa(*shape)]))

    a = zoo.animal(f"u{kind}-expired", "T7", DELIVER, "RFC 7671 5.1",
                   "the date of the certificate is over")
    own = self_signed(f"mx.{a.domain}", expired=True)
    judged(a, a.host(certificate=own, tlsa=[own.tlsa(*shape)]))

    a = zoo.animal(f"u{kind}-wrong-name", "T7", DELIVER, "RFC 7672 3.1.1, 3.2.1",
                   "the certificate is for another name")
    own = zoo.stranger.issue("mx.elsewhere.example")
    judged(a, a.host(certificate=own, tlsa=[own.tlsa(*shape)]))

    a = zoo.animal(f"u{kind}-no-name", "T7", DELIVER, "RFC 7672 3.1.1, 3.2.1",
                   "the certificate has no subjectAltName")
    own = zoo.stranger.issue(f"mx.{a.domain}", alternatives=False, common_name="a host")
    judged(a, a.host(certificate=own, tlsa=[own.tlsa(*shape)]))


def settle_ta(zoo, selector, matching):
    kind = f"2{selector}{matching}"
    shape = (2, selector, matching)

    a = zoo.animal(f"u{kind}-good", "T1 T9", DELIVER, "RFC 7672 3.1.2",
                   "the trust anchor matches, the name is the host's")
    anchor = Authority("Its own authority")
    judged(a, a.host(certificate=anchor.issue(f"mx.{a.domain}"), tlsa=[anchor.tlsa(*shape)]))

    a = zoo.animal(f"u{kind}-wrong-data", "T2", LATER, "RFC 7672 2.2", "one bit of it is wrong")
    anchor = Authority("Its own authority")
    judged(a, a.host(certificate=anchor.issue(f"mx.{a.domain}"),
                     tlsa=[anchor.false_tlsa(*shape)]))

    a = zoo.animal(f"u{kind}-expired", "T8", LATER, "RFC 7671 5.2, RFC 5280 6.1.3",
                   "the date of the leaf is over")
    anchor = Authority("Its own authority")
    judged(a, a.host(certificate=anchor.issue(f"mx.{a.domain}", expired=True),
                     tlsa=[anchor.tlsa(*shape)]))

    a = zoo.animal(f"u{kind}-expired-anchor", "T8", LATER, "RFC 6698 2.1.1, RFC 5280 6.1.3",
                   "the date of the trust anchor is over")
    anchor = Authority("Its own authority", expired=True)
    judged(a, a.host(certificate=anchor.issue(f"mx.{a.domain}"), tlsa=[anchor.tlsa(*shape)]))

    a = zoo.animal(f"u{kind}-wrong-name", "T8", LATER, "RFC 7672 3.2.2",
                   "the leaf is for another name")
    anchor = Authority("Its own authority")
    judged(a, a.host(certificate=anchor.issue("mx.elsewhere.example"),
                     tlsa=[anchor.tlsa(*shape)]))

    verdict, rule, about = ABSENT[selector, matching]
    a = zoo.animal(f"u{kind}-anchor-absent", "T8", verdict, rule, about)
    anchor = Authority("Its own authority")
    judged(a, a.host(certificate=anchor.issue(f"mx.{a.domain}").alone(),
                     tlsa=[anchor.tlsa(*shape)]))

    # Its key did sign "the topmost certificate of the chain", if DNS has the whole of it.
    verdict, rule = (DELIVER, "RFC 7671 5.2.3") if kind == "210" else (LATER, "RFC 5280 6.1")
    a = zoo.animal(f"u{kind}-anchor-at-depth-0", "T8", verdict, rule,
                   "the trust anchor itself is the server's certificate")
    anchor = Authority("Its own authority", names=[f"mx.{a.domain}"])
    judged(a, a.host(certificate=anchor, tlsa=[anchor.tlsa(*shape)]))

    a = zoo.animal(f"u{kind}-leaf-as-anchor", "T8", LATER, "RFC 6698 2.1.1",
                   "the leaf is published as a trust anchor")
    leaf = Authority("Its own authority").issue(f"mx.{a.domain}")
    judged(a, a.host(certificate=leaf, tlsa=[leaf.tlsa(*shape)]))


# The server shows the leaf alone. What DNS has whole need not be shown; a digest cannot be used.
DIGEST = (LATER, "RFC 7671 5.2.2", "the chain lacks the anchor, and DNS has a digest only")
ABSENT = {
    (0, 0): (DELIVER, "RFC 7671 5.2.2", "the chain lacks the anchor, and DNS has all of it"),
    (1, 0): (DELIVER, "RFC 7671 5.2.3", "the chain lacks the anchor, and DNS has its key"),
    (0, 1): DIGEST, (0, 2): DIGEST, (1, 1): DIGEST, (1, 2): DIGEST,
}


def settle_pkix(zoo, selector, matching):
    """Usages 0 and 1: not usable, so TLS is mandatory and nobody is authenticated."""
    for usage in (0, 1):
        kind = f"{usage}{selector}{matching}"
        shape = (usage, selector, matching)
        rule = "RFC 7672 3.1.3, 2.2"

        a = zoo.animal(f"u{kind}-good", "T3", DELIVER, rule, "it would match")
        leaf = zoo.authority.issue(f"mx.{a.domain}")
        a.host(certificate=leaf, tlsa=[(leaf if usage else zoo.authority).tlsa(*shape)])
        a.shows = ["by=dane achieved=encrypt"]

        a = zoo.animal(f"u{kind}-wrong-data", "T3", DELIVER, rule, "it would not match")
        leaf = zoo.authority.issue(f"mx.{a.domain}")
        a.host(certificate=leaf, tlsa=[(leaf if usage else zoo.authority).false_tlsa(*shape)])
        a.shows = ["by=dane achieved=encrypt"]

        a = zoo.animal(f"u{kind}-no-starttls", "T5 T16", LATER, rule,
                       "TLS is mandatory, and the host offers none")
        leaf = zoo.authority.issue(f"mx.{a.domain}")
        a.host(certificate=None, tlsa=[(leaf if usage else zoo.authority).tlsa(*shape)])
        a.reported = {"tlsa": "starttls-not-supported"}


def settle_longer(zoo):
    """Anchors in the middle and above it, and what is missing between."""
    a = zoo.animal("anchor-is-intermediate", "T1", DELIVER, "RFC 7671 5.2",
                   "2 1 1 of an intermediate authority")
    root = Authority("A root")
    middle = Authority("An intermediate", by=root)
    judged(a, a.host(certificate=middle.issue(f"mx.{a.domain}"), tlsa=[middle.tlsa(2, 1, 1)]))

    a = zoo.animal("anchor-above-intermediate", "T1", DELIVER, "RFC 7671 5.2",
                   "2 0 1 of the root, two above the leaf")
    root = Authority("A root")
    middle = Authority("An intermediate", by=root)
    judged(a, a.host(certificate=middle.issue(f"mx.{a.domain}"), tlsa=[root.tlsa(2, 0, 1)]))

    a = zoo.animal("intermediate-absent", "T8", LATER, "RFC 7671 5.2.2",
                   "the chain lacks what is between leaf and anchor")
    root = Authority("A root")
    middle = Authority("An intermediate", by=root)
    leaf = middle.issue(f"mx.{a.domain}")
    leaf.chain = [leaf, root]
    judged(a, a.host(certificate=leaf, tlsa=[root.tlsa(2, 0, 1)]))

    a = zoo.animal("intermediate-expired", "T8", LATER, "RFC 5280 6.1.3",
                   "the date of an intermediate is over")
    root = Authority("A root")
    middle = Authority("An intermediate", by=root, expired=True)
    judged(a, a.host(certificate=middle.issue(f"mx.{a.domain}"), tlsa=[root.tlsa(2, 0, 1)]))

    a = zoo.animal("anchor-without-link", "T8", LATER, "RFC 7671 5.2",
                   "the anchor is shown, and has not signed the leaf")
    anchor = Authority("Its own authority")
    leaf = zoo.stranger.issue(f"mx.{a.domain}").alone()
    leaf.chain.append(anchor)
    judged(a, a.host(certificate=leaf, tlsa=[anchor.tlsa(2, 0, 1)]))


def settle_names(zoo):
    """Which names a certificate below an anchor may have."""
    a = zoo.animal("anchor-for-next-hop-name", "T9", DELIVER, "RFC 7672 3.2.2",
                   "the leaf names the recipient's domain")
    anchor = Authority("Its own authority")
    a.host(certificate=anchor.issue(a.domain), tlsa=[anchor.tlsa(2, 1, 1)])

    a = zoo.animal("anchor-for-wildcard", "T9", DELIVER, "RFC 7672 3.2.3",
                   "a wildcard stands for the host's label")
    anchor = Authority("Its own authority")
    judged(a, a.host(certificate=anchor.issue(f"*.{a.domain}"), tlsa=[anchor.tlsa(2, 1, 1)]))

    a = zoo.animal("anchor-for-wildcard-of-two", "T9", LATER, "RFC 6125 6.4.3",
                   "the host has two labels in place of the star")
    anchor = Authority("Its own authority")
    judged(a, a.host(label="a.mx", certificate=anchor.issue(f"*.{a.domain}"),
                     tlsa=[anchor.tlsa(2, 1, 1)]))

    a = zoo.animal("anchor-for-parent-wildcard", "T9", DELIVER, "RFC 7672 3.2.2, 3.2.3",
                   "a wildcard stands for the recipient's domain's label")
    anchor = Authority("Its own authority")
    a.host(certificate=anchor.issue(f"*.{a.zone}"), tlsa=[anchor.tlsa(2, 1, 1)])

    a = zoo.animal("anchor-for-common-name", "T9", DELIVER, "RFC 7672 3.2.3, RFC 6125 6.4.4",
                   "no subjectAltName at all: the common name counts")
    anchor = Authority("Its own authority")
    judged(a, a.host(certificate=anchor.issue(f"mx.{a.domain}", alternatives=False),
                     tlsa=[anchor.tlsa(2, 1, 1)]))

    a = zoo.animal("anchor-not-for-common-name", "T8", LATER, "RFC 6125 6.4.4",
                   "with a subjectAltName the common name does not count")
    anchor = Authority("Its own authority")
    judged(a, a.host(certificate=anchor.issue("mx.elsewhere.example",
                                              common_name=f"mx.{a.domain}"),
                     tlsa=[anchor.tlsa(2, 1, 1)]))


def settle_odd(zoo):
    """Extensions that forbid, keys of other kinds, chains out of order."""
    def below(name, verdict, rule, about, make, shape=(2, 0, 1)):
        a = zoo.animal(name, "T8" if verdict == LATER else "T1", verdict, rule, about)
        leaf, anchor = make(f"mx.{a.domain}")
        judged(a, a.host(certificate=leaf, tlsa=[anchor.tlsa(*shape)]))

    def not_an_authority(name):
        root = Authority("A root")
        middle = root.issue("middle.example")
        leaf = Authority.issue(middle, name)  # which it must not
        return leaf, root

    def too_long(name):
        root = Authority("A root", path_length=0)
        return Authority("An intermediate", by=root).issue(name), root

    def constrained(to):
        def make(name):
            root = Authority("A root", constrained_to=to)
            return root.issue(name), root
        return make

    def out_of_order(name):
        root = Authority("A root")
        middle = Authority("An intermediate", by=root)
        leaf = middle.issue(name)
        leaf.chain = [leaf, root, middle]
        return leaf, root

    def for_clients(name):
        root = Authority("A root")
        return root.issue(name, usage=ExtendedKeyUsageOID.CLIENT_AUTH), root

    below("anchor-over-a-leaf", LATER, "RFC 5280 6.1.4 (k)", "what signed the leaf is no authority",
          not_an_authority)
    below("anchor-path-too-long", LATER, "RFC 5280 6.1.4 (l)",
          "the anchor allows no intermediate, and there is one", too_long)
    below("anchor-constrained-to-others", LATER, "RFC 7671 5.2.1, RFC 5280 6.1.3",
          "the anchor is constrained to another domain's names", constrained("elsewhere.example"))
    below("anchor-constrained-to-us", DELIVER, "RFC 7671 5.2.1, RFC 5280 6.1.3",
          "the anchor is constrained to this zone's names", constrained("zoo.example"))
    below("anchor-out-of-order", DELIVER, "RFC 8446 4.4.2 (clients should bear it)",
          "the chain is shown out of order", out_of_order)
    below("anchor-leaf-for-clients", LATER, "RFC 5280 4.2.1.12",
          "the leaf may be used by clients only", for_clients)

    for name, about, how in (
            ("ee-for-clients", "the certificate may be used by clients only",
             {"usage": ExtendedKeyUsageOID.CLIENT_AUTH}),
            ("ee-rsa", "an RSA key", {"key": rsa_key()}),
            ("ee-ed25519", "an Ed25519 key", {"key": ed25519_key()})):
        a = zoo.animal(name, "T1 T7", DELIVER, "RFC 7672 3.1.1, RFC 7671 5.1",
                       f"{about}; the record matches")
        own = self_signed(f"mx.{a.domain}", **how)
        judged(a, a.host(certificate=own, tlsa=[own.tlsa()]))
