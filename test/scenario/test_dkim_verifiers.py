"""K3: what we seal, other people's verifiers believe; what they seal, ours believes.

Nasty messages, each sealed twice (RSA-2048 and Ed25519) by test/unit/dkim/dkim_sign_file.c, go to
dkimpy, to opendkim (unpacked, reading keys from a file) and to Mail::DKIM where it is installed
(Debian 12's knows RSA only). No DNS, no daemon.
"""
import os
import pathlib
import random
import re
import shutil
import subprocess
import time

import dkim
import pytest

from lab.place import TOP, UNPACKED

BUILD = pathlib.Path(os.environ.get("ZEGEL_BUILD", TOP / "build"))
SIGN_FILE = BUILD / "test/unit/dkim/dkim-sign-file"
DOMAIN = "example.org"
SELECTORS = {"rsa": "op26a.rsa", "ed25519": "op26a-ed"}
FROM = b"From: Billing <billing@example.org>\r\n"

# name: (header block without its empty line, body)
MESSAGES = {
    "plain": (FROM + b"To: c@example.net\r\nSubject: Invoice\r\nMIME-Version: 1.0\r\n"
              b"Content-Type: text/plain\r\n", b"Hello.\r\n"),
    "empty body": (FROM, b""),
    "one empty line": (FROM, b"\r\n"),
    "many empty lines": (FROM, b"\r\n" * 5000),
    "no CRLF at the end": (FROM, b"the end"),
    "trailing lines": (FROM, b"x\r\n\r\n \r\n\t\r\n\r\n"),
    "leading lines": (FROM, b"\r\n\r\nx\r\n"),
    "white space": (FROM, b"white \t space  \r\n\tat\teither \r\n end\t"),
    "only white space": (FROM, b" \t \r\n  \r\n"),
    "dots": (FROM, b".\r\n..\r\n.x\r\n"),
    "8-bit": (FROM + "Subject: Grüße\r\n".encode(), "Für Zoë\r\n".encode() + b"\xff\xfe\r\n"),
    "folds": (FROM + b"Subject: one\r\n\ttwo\r\n   three  \r\n", b"x\r\n"),
    "only folds": (FROM + b"Subject:\r\n only\r\n \t x\r\nTo:\r\nCc: \r\n", b"x\r\n"),
    "odd names": (b"fROM: billing@example.org\r\nsUBJECT:no space\r\nX-Colon: a:b\r\n", b"x\r\n"),
    "long lines": (FROM + b"Subject: " + b"a" * 980 + b"\r\n " + b"b" * 990 + b"\r\n",
                   b"c" * 998 + b"\r\n"),
    "repeated": (FROM + b"List-Post: 1\r\nX: y\r\nList-Post: 2\r\nReceived: r\r\nReceived: s\r\n",
                 b"x\r\n"),
    "threads": (FROM + b"In-Reply-To: <1@x>\r\nReferences: <1@x>\r\n <2@x>\r\n\t<3@x>\r\n",
                b"x\r\n"),
    "list": (FROM + b"Sender: list@example.org\r\nList-Id: <l.example.org>\r\n"
             b"List-Unsubscribe: <https://example.org/u>\r\n"
             b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nFeedback-ID: 1:2\r\n", b"x\r\n"),
    "another's seal": (b"DKIM-Signature: v=1; a=rsa-sha256; d=example.net; s=x; h=from;\r\n"
                       b" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; b=AAAA\r\n" + FROM,
                       b"x\r\n"),
}


def random_message(seed):
    """Pieces that canonicalisation is about, in any order; never a bare CR or LF."""
    pick = random.Random(seed)
    pieces = [b"a", b"word", b" ", b"  ", b"\t", b"\r\n", b"\r\n\r\n", b".", b"\xc3\xa4", b"=3D", b":"]
    body = b"".join(pick.choice(pieces) for _ in range(pick.randrange(200)))
    words = [b"a", b"b:", b" ", b"\t", b"\r\n ", b"\r\n\t ", b"\xe2\x82\xac", b";"]
    value = b"x" + b"".join(pick.choice(words) for _ in range(pick.randrange(60)))
    # A fold must not be the last thing of a field, nor a line of nothing but white space.
    value = re.sub(rb"\r\n[ \t]+(?=\r\n)", b"", value + b"z")
    return FROM + b"Subject: " + value + b"\r\n", body


MESSAGES.update({f"random {seed}": random_message(seed) for seed in range(40)})


def sign_file(*arguments, message=None, check=True):
    return subprocess.run([SIGN_FILE, *map(str, arguments)], input=message, check=check,
                          stdout=subprocess.PIPE, timeout=60)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """The private keys as files and the records as the DNS would give them."""
    directory = tmp_path_factory.mktemp("dkim-keys")
    files, records = {}, {}
    for kind, selector in SELECTORS.items():
        files[kind] = directory / f"{selector}.pem"
        sign_file("new", kind, files[kind])
        record = sign_file("record", files[kind]).stdout.strip()
        records[f"{selector}._domainkey.{DOMAIN}"] = record
    (directory / "records").write_text(
        "".join(f"{name} {record.decode()}\n" for name, record in records.items()))
    return directory, files, records


def seal(keys, message):
    _, files, _ = keys
    header, body = message
    pairs = [each for kind in SELECTORS for each in (SELECTORS[kind], files[kind])]
    sealed = sign_file("sign", DOMAIN, int(time.time()), *pairs, message=header + b"\r\n" + body)
    return as_transported(sealed.stdout)


def as_transported(message):
    """SMTP's content ends in CRLF (RFC 5321 4.1.1.4), so a receiver never sees it otherwise."""
    return message if message.endswith(b"\r\n") else message + b"\r\n"


def dns_of(keys):
    records = keys[2]
    return lambda name, timeout=5: records.get(name.decode().rstrip("."))


@pytest.mark.parametrize("name", MESSAGES)
def test_K3_dkimpy_believes_both(keys, name):
    message = seal(keys, MESSAGES[name])
    for which in range(len(SELECTORS)):
        verifier = dkim.DKIM(message)
        assert verifier.verify(idx=which, dnsfunc=dns_of(keys)), f"signature {which} of {name}"
        assert verifier.domain == DOMAIN.encode()


def ask_opendkim(keys, message, place):
    opendkim = shutil.which("opendkim") or UNPACKED / "usr/sbin/opendkim"
    assert os.access(opendkim, os.X_OK), "no opendkim: run test/peer/provide test demo"
    (place / "conf").write_text(
        f"Mode v\nTestPublicKeys {keys[0]}/records\nAlwaysAddARHeader yes\n")
    (place / "message").write_bytes(message)
    answer = subprocess.run([opendkim, "-x", place / "conf", "-vvv", "-t", place / "message"],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    text = answer.stdout.decode(errors="replace")
    return set(re.findall(r"dkim=(\w+)[^;]*header\.a=(\S+) header\.s=(\S+)", text)), text


@pytest.mark.parametrize("name", MESSAGES)
def test_K3_opendkim_believes_both(keys, name, tmp_path):
    verdicts, text = ask_opendkim(keys, seal(keys, MESSAGES[name]), tmp_path)
    assert ("pass", "rsa-sha256", SELECTORS["rsa"]) in verdicts, text
    assert ("pass", "ed25519-sha256", SELECTORS["ed25519"]) in verdicts, text


MAIL_DKIM = r"""
use strict; use warnings; use Mail::DKIM::Verifier; use Mail::DKIM::DNS;
my %records;
open my $file, '<', $ARGV[0] or die; while (<$file>) { chomp; my ($n, $r) = split ' ', $_, 2; $records{$n} = $r }
{ package Record; sub new { bless { text => $_[1] } } sub type { 'TXT' } sub txtdata { $_[0]{text} }
  sub char_str_list { $_[0]{text} } }
{ no warnings 'redefine';
  *Mail::DKIM::DNS::query = sub { my $r = $records{$_[0]}; $r ? (Record->new($r)) : () } }
my $v = Mail::DKIM::Verifier->new; binmode STDIN; { local $/; $v->PRINT(scalar <STDIN>) } $v->CLOSE;
print join(' ', $_->algorithm, $_->selector, $_->result), "\n" for $v->signatures;
"""


@pytest.mark.parametrize("name", MESSAGES)
def test_K3_mail_dkim_believes_rsa(keys, name):
    answer = subprocess.run(["perl", "-e", MAIL_DKIM, keys[0] / "records"], check=True, timeout=60,
                            input=seal(keys, MESSAGES[name]), stdout=subprocess.PIPE)
    assert f"rsa-sha256 {SELECTORS['rsa']} pass" in answer.stdout.decode(errors="replace")


@pytest.mark.parametrize("added", [b"From: ceo@bank.example\r\n", b"Subject: another\r\n",
                                   b"Content-Type: text/html\r\n", b"Reply-To: x@bank.example\r\n"])
def test_K5_added_field_is_noticed_by_all(keys, added, tmp_path):
    message = added + seal(keys, MESSAGES["plain"])
    for which in range(len(SELECTORS)):
        # dkimpy gives up on a second From without looking at the signature.
        try:
            assert not dkim.DKIM(message).verify(idx=which, dnsfunc=dns_of(keys))
        except dkim.MessageFormatError:
            assert added.startswith(b"From")
        record = list(keys[2].values())[which].decode()
        judged = sign_file("verify", which, record, int(time.time()), message=message, check=False)
        assert judged.returncode == 1 and b"header was changed" in judged.stdout
    verdicts, text = ask_opendkim(keys, message, tmp_path)
    assert not [v for v in verdicts if v[0] == "pass"], text


@pytest.mark.parametrize("name", MESSAGES)
def test_dkimpy_seals_are_believed_by_us(keys, name):
    _, files, records = keys
    header, body = MESSAGES[name]
    message = as_transported(header + b"\r\n" + body)
    for how in [(b"relaxed", b"relaxed"), (b"simple", b"simple"), (b"relaxed", b"simple")]:
        field = dkim.DKIM(message).sign(
            SELECTORS["rsa"].encode(), DOMAIN.encode(), files["rsa"].read_bytes(), canonicalize=how)
        record = records[f"{SELECTORS['rsa']}._domainkey.{DOMAIN}"].decode()
        judged = sign_file("verify", 0, record, int(time.time()), message=field + message, check=False)
        assert judged.returncode == 0, (how, judged.stdout, field)
