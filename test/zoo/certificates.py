"""Certificates as hosts of the zoo show them: good, over, of another name, of a stranger's authority.

Made in memory, hundreds in a second; lab.certs makes the few of a scenario with openssl.
"""
import datetime
import hashlib
import itertools
import warnings

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
_serials = itertools.count(1000)


class Certificate:
    """A certificate with its key; chain is what a server shows, itself first."""

    def __init__(self, x509_certificate, key, above=()):
        self.x509 = x509_certificate
        self.key = key
        self.chain = [self, *above]

    def alone(self):
        """The same, shown without anything above it."""
        return Certificate(self.x509, self.key)

    def der(self):
        return self.x509.public_bytes(serialization.Encoding.DER)

    def spki(self):
        return self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    def fingerprint(self):
        return hashlib.sha256(self.der()).hexdigest()

    def public_key_fingerprint(self):
        return hashlib.sha256(self.spki()).hexdigest()

    def tlsa(self, usage=3, selector=1, matching=1):
        """The data of a TLSA record (RFC 6698 2.1) that this certificate satisfies."""
        return f"{usage} {selector} {matching} {self._matched(selector, matching).hex()}"

    def false_tlsa(self, usage=3, selector=1, matching=1):
        """One that it does not satisfy: a digest with one bit changed, or another's whole key."""
        if matching == 0:  # with one bit changed it might be no key at all, and so unusable
            return Authority("Nobody").tlsa(usage, selector, matching)
        data = bytearray(self._matched(selector, matching))
        data[-1] ^= 1
        return f"{usage} {selector} {matching} {data.hex()}"

    def _matched(self, selector, matching):
        data = self.spki() if selector == 1 else self.der()
        return {0: lambda: data, 1: lambda: hashlib.sha256(data).digest(),
                2: lambda: hashlib.sha512(data).digest()}[matching]()

    def pem(self):
        return self.x509.public_bytes(serialization.Encoding.PEM)

    def write(self, base):
        """BASE.chain and BASE.key; both paths."""
        chain, key = base.with_name(base.name + ".chain"), base.with_name(base.name + ".key")
        chain.write_bytes(b"".join(one.pem() for one in self.chain))
        key.write_bytes(self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))
        return chain, key


class Authority(Certificate):
    """One that signs others. Without `by` it is a root."""

    def __init__(self, name, by=None, names=(), **how):
        made = _make(name, names, by, authority=True, **how)
        super().__init__(made.x509, made.key, by.chain if by else ())

    def issue(self, *names, common_name=None, alternatives=True, **how):
        """A leaf for these names, shown with this authority and all above it."""
        return _make(common_name or names[0], names if alternatives else (), self, **how)


def self_signed(*names, **how):
    return _make(names[0], names, None, **how)


def rsa_key():
    return rsa.generate_private_key(65537, 2048)


def ed25519_key():
    return ed25519.Ed25519PrivateKey.generate()


def _make(common_name, names, by, expired=False, authority=False, digest=None, key=None,
          path_length=None, constrained_to=None, usage=ExtendedKeyUsageOID.SERVER_AUTH):
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])
    now = datetime.datetime.utcnow()
    begin, end = (now - 40 * DAY, now - 10 * DAY) if expired else (now - DAY, now + 30 * DAY)
    builder = (x509.CertificateBuilder().subject_name(subject)
               .issuer_name(by.x509.subject if by else subject).public_key(key.public_key())
               .serial_number(next(_serials)).not_valid_before(begin).not_valid_after(end)
               .add_extension(x509.BasicConstraints(ca=authority, path_length=path_length),
                              critical=True)
               .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
                              critical=False))
    if by:
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key()),
            critical=False)
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    if constrained_to:
        builder = builder.add_extension(
            x509.NameConstraints([x509.DNSName(constrained_to)], None), critical=True)
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that SHA-1 is weak is what its animals are for
        signer = by.key if by else key
        is_ed25519 = isinstance(signer, ed25519.Ed25519PrivateKey)
        signed = builder.sign(signer, None if is_ed25519 else digest or hashes.SHA256())
    return Certificate(signed, key, by.chain if by else ())
