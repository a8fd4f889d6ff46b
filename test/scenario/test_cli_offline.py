"""The commands that need no running relay: an operator's first half hour, and its mistakes."""

import json
import os
import pty
import re
import select
import signal
import stat
import subprocess
import time

import pytest

from lab.certs import Authority

ZEGEL = os.path.abspath(os.environ.get("ZEGEL") or os.environ.get("ZEGEL_BINARY")
                        or "./build/relay/zegel")
EX_USAGE, EX_DATAERR, EX_NOINPUT, EX_NOUSER = 64, 65, 66, 67
EX_CANTCREAT, EX_CONFIG, PROBLEMS = 73, 78, 1

CONFIG = """\
hostname = mail.example.org
user = nobody
tls {
    certificate = cert.pem
    key = key.pem
}
delivery { ca-file = cert.pem }
dns { trust-anchor = root.key }
"""


class House:
    """A directory with a configuration, and the binary pointed at it."""

    def __init__(self, directory):
        self.directory = directory
        self.path = directory / "zegel.conf"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "30", "-subj", "/CN=mail.example.org",
             "-keyout", directory / "key.pem", "-out", directory / "cert.pem"],
            check=True, capture_output=True)
        (directory / "root.key").write_text(f". IN DS 20326 8 2 {'5a' * 32}\n")
        self.write(CONFIG)

    def write(self, text):
        self.path.write_text(text)

    def add(self, text):
        with self.path.open("a") as file:
            file.write(text)

    def run(self, *words, stdin="", status=0):
        done = subprocess.run([ZEGEL, "-c", self.path, *words], input=stdin, text=True,
                              capture_output=True, timeout=60)
        assert "Sanitizer" not in done.stderr, done.stderr
        assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
        return done.stderr if status and not done.stdout else done.stdout

    def run_json(self, *words, **options):
        return [json.loads(line) for line in self.run("--json", *words, **options).splitlines()]

    def make_domain(self, name="example.org", base="op26a"):
        self.run("dkim", "new", name, base)
        self.add(f"domain {name} {{ dkim = {{{base}-rsa, {base}-ed}} }}\n")

    def make_account(self, name="web@example.org", password="correct horse"):
        self.run("account", "add", name, stdin=password + "\n")
        self.add(f'account {name} {{ senders = {{"@example.org"}} }}\n')


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


def run_bare(*words, status):
    done = subprocess.run([ZEGEL, *words], text=True, capture_output=True, timeout=60)
    assert done.returncode == status, (words, done.stdout, done.stderr)
    return done.stdout + done.stderr


# ---- words ---------------------------------------------------------------


def test_help_fits_a_screen():
    lines = run_bare("--help", status=0).splitlines()
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 80
    for command in ("serve", "check", "status", "queue list", "queue show", "queue retry",
                    "queue remove", "why", "explain", "tls probe", "domain show", "dkim new",
                    "account add", "account list"):
        assert any(line.startswith("  " + command) for line in lines), command


def test_every_command_has_its_help():
    for line in run_bare("--help", status=0).splitlines()[2:]:
        words = re.match(r"  ([a-z]+(?: [a-z]+)?)", line)
        if not words:
            break
        assert "Usage: zegel" in run_bare(*words[1].split(), "--help", status=0)


@pytest.mark.parametrize("words, told", [
    ([], "no command given"),
    (["quue", "list"], "did you mean 'queue'?"),
    (["queue", "lst"], "did you mean 'list'?"),
    (["queue"], "queue what?"),
    (["frobnicate"], "unknown command 'frobnicate'"),
    (["dkim", "new"], "Usage: zegel"),
    (["check", "this"], "Usage: zegel"),
    (["check", "--frob"], "unknown option '--frob'"),
    (["check", "-c"], "'-c' needs a value"),
    (["dkim", "new", "a..b"], "'a..b' is no domain name"),
    (["account", "add", "a b"], "'a b' is no login"),
    (["account", "add", "a:b"], "'a:b' is no login"),
])
def test_wrong_words(words, told):
    assert told in run_bare(*words, status=EX_USAGE)


def test_no_configuration(tmp_path):
    told = run_bare("-c", str(tmp_path / "none.conf"), "check", status=EX_NOINPUT)
    assert "none.conf': No such file or directory" in told


# ---- check ---------------------------------------------------------------


def test_from_nothing_to_good(house):
    told = house.run("check")
    assert "there is no domain NAME" in told and "there is no account NAME" in told
    house.make_domain()
    house.make_account()
    assert house.run("check") == f"{house.path}: good: 1 domain, 1 account, 0 partners\n"
    assert house.run_json("check") == [{"checked": str(house.path), "errors": 0, "warnings": 0}]


def test_check_tells_every_mistake_with_its_line(house):
    house.add("hostnam = x\nlimits { errors = many }\npartner b.example { tls = secret }\n"
              "domain example.org { dkim = {gone} }\n")
    told = house.run("check", status=EX_CONFIG)
    for line, words in ((9, "unknown key 'hostnam': did you mean 'hostname'?"),
                        (10, "errors = many: must be a whole number"),
                        (11, "did you mean 'secure'?"),
                        (12, "make keys with: zegel dkim new example.org")):
        assert any(one.startswith(f"{house.path}:{line}: ") and words in one
                   for one in told.splitlines()), told
    found = house.run_json("check", status=EX_CONFIG)
    assert found[-1]["errors"] == 4
    assert sum(one.get("kind") == "error" for one in found) == 4


def test_check_survives_bytes_that_are_no_text(house):
    house.path.write_bytes(CONFIG.encode() + b"\xff\xfe = \x80\x00\x01\n\xffdomain {\n")
    assert house.run_json("check", status=EX_CONFIG)[-1]["errors"] > 1


def test_check_looks_into_the_files(house):
    house.make_domain()
    house.make_account()
    (house.directory / "dkim/example.org/op26a-ed.pem").write_text("no key\n")
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-out", house.directory / "key.pem"],
                   check=True, capture_output=True)
    house.run("account", "add", "ghost", stdin="x\n")
    told = house.run("check", status=PROBLEMS)
    assert "op26a-ed.pem" in told
    assert "key.pem" in told
    assert "'ghost' has a password but is no account" in told
    passwords = house.directory / "passwords"
    passwords.write_text(passwords.read_text().replace("$10000:", "$1000:"))
    assert "broken or too weak" in house.run("check", status=PROBLEMS)


def test_check_looks_at_the_dates_and_names_of_certificates(house):
    """Nobody may have to find out from clients, or from mail that waits."""
    authority = Authority(house.directory / "ca", "Old Authority")
    late, soon = authority.issue("b.example", days=-1), authority.issue("mail.example.org", days=3)
    house.make_domain()
    house.make_account()
    # What vouches for nobody: it has ended, or is no authority.
    (house.directory / "partner.pem").write_bytes(late.certificate.read_bytes())
    house.add("partner b.example { tls = verify ca = partner.pem }\n")
    told = house.run("check")
    assert "warning: partner 'b.example': certificate 1 of " in told
    assert "partner.pem (b.example) ended 2020-02-01T00:00:00Z, and vouches for nobody" in told
    assert "is no authority, and vouches for nobody else; to accept it alone" in told
    # Our own.
    for shown, status, words in (
            (soon, 0, "warning: TLS certificate"), (late, PROBLEMS, "ended 2020-02-01T00:00:00Z"),
            (authority.issue("other.example.org"), 0,
             "is of other.example.org, not of the hostname mail.example.org")):
        (house.directory / "cert.pem").write_bytes(shown.chain.read_bytes())
        (house.directory / "key.pem").write_bytes(shown.key.read_bytes())
        assert words in house.run("check", status=status)


@pytest.mark.parametrize("anchor, status, words", [
    ("this is no zone file\n", PROBLEMS, "root.key can't be read: it must hold DS or DNSKEY"),
    ("; nobody\n", 0, "warning: the DNSSEC trust anchor")])
def test_check_looks_into_the_trust_anchor(house, anchor, status, words):
    house.make_domain()
    house.make_account()
    (house.directory / "root.key").write_text(anchor)
    done = house.run("check", status=status)
    assert words in done


def test_the_example_configuration_is_good(house):
    """What contrib/zegel.conf shows works, once its files are there."""
    text = open(os.path.join(os.path.dirname(__file__), "../../contrib/zegel.conf")).read()
    text = text.replace("/etc/letsencrypt/live/mail.example.org/fullchain.pem", "cert.pem")
    text = text.replace("/etc/letsencrypt/live/mail.example.org/privkey.pem", "key.pem")
    house.write(text + "user = nobody\ndelivery { ca-file = cert.pem }\n"
                       "dns { trust-anchor = root.key }\n")
    for domain in ("example.org", "example.com"):
        house.run("dkim", "new", domain, "op26a")
    for account in ("web@example.org", "news@example.com"):
        house.run("account", "add", account, stdin="x\n")
    found = house.run_json("check")
    assert found[-1]["errors"] == 0
    assert all("does not enforce rates" in one["text"] for one in found[:-1])


def test_check_wants_a_password_for_each_login_of_a_route(house):
    house.make_domain()
    house.make_account()
    house.write(house.path.read_text() +
                "route a.example { host = b.example.net  tls = verify  login = Relay@x }\n")
    told = house.run("check", status=EX_CONFIG)
    assert "zegel.conf:" in told and "login of route 'a.example': cannot read" in told
    secrets = house.directory / "route-passwords"
    secrets.write_text("relay@x spelled otherwise\n")
    secrets.chmod(0o644)
    assert "is open to more than its owner" in house.run("check", status=EX_CONFIG)
    secrets.chmod(0o640)
    told = house.run("check", status=PROBLEMS)
    assert "route 'a.example': there is no password for the login 'Relay@x'" in told
    assert "no route has the login 'relay@x'" in told
    secrets.write_text("Relay@x right\n")
    told = house.run("check")
    assert "route" not in told and "right" not in told
    secrets.write_text("Relay@x\n")
    assert ":1: must be LOGIN PASSWORD" in house.run("check", status=PROBLEMS)


def test_partner_list_tells_rules_and_exceptions(house):
    pin = "ab" * 32
    house.write(house.path.read_text() + f"""
        partner b.example {{ tls = dane-only
            exception {{ until = 2999-12-01  tls = encrypt  reason = "ticket 123" }} }}
        partner .c.example {{ tls = fingerprint  public-key = {pin}  mx = {{m.c.example}}
            exception {{ until = 2001-02-03T04:05Z  tls = may  reason = old }} }}
        partner d.example {{ tls = verify  mode = observe }}\n""")
    b, c, d = house.run_json("partner", "list")
    assert b == {"partner": "b.example", "level": "dane-only", "mode": "require", "mx": [],
                 "ca_file": None, "authorities": 0, "fingerprints": [], "public_keys": [],
                 "exception": {"until": "2999-12-01T00:00:00Z", "level": "encrypt",
                               "reason": "ticket 123", "in_force": True}}
    assert (c["partner"], c["mx"], c["public_keys"]) == (".c.example", ["m.c.example"], [pin])
    assert c["exception"]["until"] == "2001-02-03T04:05:00Z" and not c["exception"]["in_force"]
    assert (d["mode"], d["exception"]) == ("observe", None)
    said = house.run("partner", "list")
    assert re.search(r"exception: encrypt until 2999-12-01T00:00:00Z \(ticket 123\): in force for "
                     r"\d+ days more", said)
    assert "exception: may until 2001-02-03T04:05:00Z (old): over, remove it" in said
    assert re.search(r"^d.example +verify +observe$", said, re.M)
    assert f"public keys: {pin}" in said


TREE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")


def test_the_manual_names_every_key_and_its_standard():
    manual = open(os.path.join(TREE, "contrib/man/zegel.conf.5.scd")).read()
    source = open(os.path.join(TREE, "config/keys.c")).read()
    keys = re.findall(r'\{ "[a-z.]*", "([a-z0-9-]+)", KEY_\w+(?:, AT\([\w.]+\)(?:, "([^"]+)")?)?', source)
    assert len(keys) > 40
    for name, standard in keys:
        described = re.search(rf"\*(?:stub\* _ZONE_ \*{{ )?{name}\* = .*\n((?:\t+.*\n)*)", manual)
        assert described, name
        if standard:
            assert f"Standard: *{standard}*" in manual, (name, standard)
    sections = re.findall(r'\{ "([a-z.]+)", SECTION_', source)
    for section in sections:
        assert f"*{section.split('.')[-1]}" in manual, section


def test_the_manual_names_every_command():
    manual = open(os.path.join(TREE, "contrib/man/zegel.8.scd")).read()
    for line in run_bare("--help", status=0).splitlines()[2:]:
        words = re.match(r"  ([a-z]+(?: [a-z]+)?)(?: |$)", line)
        if not words:
            break
        assert re.search(rf"^\*{words[1]}\*", manual, re.M), words[1]


# ---- keys and records ----------------------------------------------------


def test_dkim_new_makes_two_keys_once(house):
    records = house.run_json("dkim", "new", "Example.ORG", "op26a")
    assert [one["name"] for one in records] == ["op26a-rsa._domainkey.example.org",
                                                "op26a-ed._domainkey.example.org"]
    assert records[0]["value"].startswith("v=DKIM1; k=rsa; p=MII")
    assert records[1]["value"].startswith("v=DKIM1; k=ed25519; p=")
    keys = house.directory / "dkim/example.org"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    before = {}
    for selector in ("op26a-rsa", "op26a-ed"):
        path = keys / f"{selector}.pem"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        before[path] = path.read_bytes()
    told = house.run("dkim", "new", "example.org", "op26a", status=EX_CANTCREAT)
    assert "is there already and stays as it is" in told
    assert all(path.read_bytes() == content for path, content in before.items())


def test_dkim_new_names_keys_by_the_month(house):
    told = house.run("dkim", "new", "example.org")
    month = time.strftime("%y%m", time.gmtime())
    assert f"domain example.org {{ dkim = {{z{month}-rsa, z{month}-ed}} }}" in told


def test_dkim_new_makes_the_one_that_was_named(house):
    house.run("dkim", "new", "example.org", "solo-ed")
    assert os.listdir(house.directory / "dkim/example.org") == ["solo-ed.pem"]


def test_dkim_new_refuses_paths(house):
    house.run("dkim", "new", "example.org", "../../x", status=EX_USAGE)
    assert not (house.directory / "dkim").exists()


def test_domain_show_tells_what_to_publish(house):
    house.make_domain()
    records = {one["name"]: one["value"] for one in house.run_json("domain", "show", "example.org")}
    assert records["example.org"] == "v=spf1 a:mail.example.org -all"
    assert records["_dmarc.example.org"].startswith("v=DMARC1; p=")
    assert "op26a-rsa._domainkey.example.org" in records
    text = house.run("domain", "show", "example.org")
    assert re.search(r"^op26a-ed\._domainkey\.example\.org\. IN TXT", text, re.M)
    for line in text.splitlines():
        for string in re.findall(r'"([^"]*)"', line):
            assert len(string) <= 255
    assert "is not in" in house.run("domain", "show", "example.net", status=EX_CONFIG)
    assert house.run_json("domain", "list") == [
        {"domain": "example.org", "selectors": ["op26a-rsa", "op26a-ed"]}]


def test_published_key_is_that_of_the_file(house):
    house.make_domain()
    records = {one["name"]: one["value"] for one in house.run_json("domain", "show", "example.org")}
    public = subprocess.run(
        ["openssl", "pkey", "-in", house.directory / "dkim/example.org/op26a-rsa.pem", "-pubout"],
        check=True, capture_output=True, text=True).stdout
    wanted = "".join(public.splitlines()[1:-1])
    assert records["op26a-rsa._domainkey.example.org"] == f"v=DKIM1; k=rsa; p={wanted}"


# ---- accounts ------------------------------------------------------------


def test_account_add_and_passwd(house):
    house.make_domain()
    told = house.run("account", "add", "Web@example.org", stdin="first\n")
    assert "account web@example.org {" in told and "first" not in told
    path = house.directory / "passwords"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    first = path.read_text()
    assert re.fullmatch(r"web@example\.org:SCRAM-SHA-256\$\d+:[^$]+\$[^:]+:[^:]+\n", first)
    assert "has a password already" in house.run(
        "account", "add", "web@example.org", stdin="x\n", status=EX_CANTCREAT)
    house.add('account web@example.org { senders = {"@example.org"} }\n')
    house.run("account", "passwd", "WEB@example.org", stdin="second\r\n")
    second = path.read_text()
    assert second != first and second.count("\n") == 1
    assert "has no password yet" in house.run(
        "account", "passwd", "else", stdin="x\n", status=EX_NOUSER)
    assert house.run_json("account", "list") == [
        {"account": "web@example.org", "senders": ["@example.org"], "stream": "ordinary",
         "password": True}]


@pytest.mark.parametrize("stdin, told", [
    ("", "no password was given"),
    ("\n", "the password is empty"),
    ("a\tb\n", "control character"),
    ("x" * 1025 + "\n", "longer than 1024 bytes"),
], ids=["nothing", "empty", "control", "long"])
def test_passwords_that_are_refused(house, stdin, told):
    assert told in house.run("account", "add", "web", stdin=stdin, status=EX_DATAERR)
    assert not (house.directory / "passwords").exists()


def on_terminal(house, *answers):
    """Types answers at the prompts; what the terminal showed, and the exit status."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(ZEGEL, [ZEGEL, "-c", str(house.path), "account", "add", "web@example.org"])
    shown = b""
    left = list(answers)
    while True:
        if not select.select([terminal], [], [], 60)[0]:
            os.kill(pid, signal.SIGKILL)
        try:
            got = os.read(terminal, 4096)
        except OSError:  # EIO: the other end is closed
            break
        if not got:
            break
        shown += got
        if left and (b"Password: " in shown if len(left) == len(answers) else b"again: " in shown):
            os.write(terminal, left.pop(0).encode() + b"\n")
    os.close(terminal)
    return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_terminal_is_asked_twice_and_shows_nothing(house):
    shown, status = on_terminal(house, "tr0ub4dor", "tr0ub4dor")
    assert status == 0, shown
    assert "tr0ub4dor" not in shown
    assert (house.directory / "passwords").exists()


def test_a_terminal_where_the_two_differ(house):
    shown, status = on_terminal(house, "tr0ub4dor", "troubador")
    assert status == EX_DATAERR
    assert "the two are not the same" in shown
    assert not (house.directory / "passwords").exists()
