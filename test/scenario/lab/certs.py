"""Certificates for every case: signed by our own authority, self-signed, expired, of another name."""
import hashlib
import pathlib

from .place import run


class Certificate:
    """A certificate and its key as PEM files; chain holds what a server shows."""

    def __init__(self, base):
        self.certificate = pathlib.Path(f"{base}.crt")
        self.key = pathlib.Path(f"{base}.key")
        self.chain = pathlib.Path(f"{base}.chain")

    def der(self):
        return _openssl_bytes("x509", "-in", self.certificate, "-outform", "DER")

    def spki(self):
        public = _openssl_bytes("x509", "-in", self.certificate, "-noout", "-pubkey")
        return _openssl_bytes("pkey", "-pubin", "-outform", "DER", input=public)

    def fingerprint(self):
        return hashlib.sha256(self.der()).hexdigest()

    def tlsa(self, usage=3, selector=1, matching=1):
        """The data of a TLSA record (RFC 6698 2.1) that this certificate satisfies."""
        data = self.spki() if selector == 1 else self.der()
        if matching == 1:
            data = hashlib.sha256(data).digest()
        elif matching == 2:
            data = hashlib.sha512(data).digest()
        return f"{usage} {selector} {matching} {data.hex()}"


def wrong_tlsa(usage=3, selector=1, matching=1):
    """A well-formed record that no certificate satisfies."""
    return f"{usage} {selector} {matching} {'5a' * {1: 32, 2: 64}[matching]}"


class Authority(Certificate):
    """A certificate authority in a directory of its own."""

    def __init__(self, directory, name="Laboratory Authority", days=30):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        super().__init__(self.directory / "authority")
        self.n = 0
        _key(self.key)
        run(["openssl", "req", "-x509", "-new", "-key", self.key, "-subj", f"/CN={name}",
             "-days", str(days), "-addext", "keyUsage=critical,keyCertSign,cRLSign",
             "-out", self.certificate])
        self.chain.write_bytes(self.certificate.read_bytes())

    def issue(self, *names, days=20, show_authority=True):
        """A leaf for these names; days below zero give one that has expired."""
        made = self._new()
        request = f"{made.certificate}.csr"
        run(["openssl", "req", "-new", "-key", made.key, "-subj", f"/CN={names[0]}",
             "-out", request])
        extensions = pathlib.Path(f"{made.certificate}.ext")
        alternatives = ",".join(f"DNS:{name}" for name in names)
        extensions.write_text(f"subjectAltName={alternatives}\nextendedKeyUsage=serverAuth\n"
                              "basicConstraints=critical,CA:false\n")
        if days > 0:
            run(["openssl", "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey",
                 self.key, "-set_serial", str(1000 + self.n), "-days", str(days), "-extfile",
                 extensions, "-out", made.certificate])
        else:
            self._issue_expired(made, request, extensions)
        chain = made.certificate.read_bytes()
        if show_authority:
            chain += self.certificate.read_bytes()
        made.chain.write_bytes(chain)
        return made

    def self_signed(self, *names):
        made = self._new()
        alternatives = ",".join(f"DNS:{name}" for name in names)
        run(["openssl", "req", "-x509", "-new", "-key", made.key, "-subj", f"/CN={names[0]}",
             "-addext", f"subjectAltName={alternatives}", "-days", "20", "-out",
             made.certificate])
        made.chain.write_bytes(made.certificate.read_bytes())
        return made

    def _new(self):
        self.n += 1
        made = Certificate(self.directory / f"leaf{self.n}")
        _key(made.key)
        return made

    def _issue_expired(self, made, request, extensions):
        # Only "openssl ca" takes dates in the past.
        home = self.directory / f"ca{self.n}"
        home.mkdir()
        (home / "index").write_text("")
        (home / "serial").write_text(f"{1000 + self.n:04d}\n")
        (home / "conf").write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={home}/index\nserial={home}/serial\n"
            f"new_certs_dir={home}\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n")
        run(["openssl", "ca", "-batch", "-config", home / "conf", "-in", request, "-cert",
             self.certificate, "-keyfile", self.key, "-startdate", "20200101000000Z", "-enddate",
             "20200201000000Z", "-extfile", extensions, "-notext", "-out", made.certificate])


def _key(path):
    run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-out", path])
    path.chmod(0o644)  # several users of the laboratory read it; it guards nothing


def _openssl_bytes(*words, input=None):
    import subprocess
    return subprocess.run(["openssl", *map(str, words)], input=input, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout
