"""Real mail servers as receivers: Postfix, Exim and Haraka, each on an address of its own.

Each keeps what it takes as files under `box`. Postfix and Exim are unpacked packages that run in a
private root (test/peer/private-root), so they need root; Haraka comes from npm.
"""
import os
import re
import shutil

from .place import CACHE, TOP, UNPACKED, UNPRIVILEGED, listens, until

PRIVATE_ROOT = TOP / "test/peer/private-root"


class Receiver:
    """What the three have in common: a name, a certificate, an address, a box of files."""

    def __init__(self, place, name, domain, certificate, port):
        self.place = place
        self.name = name  # of the host, as in its MX record
        self.domain = domain  # whose mail it takes
        self.certificate = certificate
        self.port = port
        self.address = place.address()
        self.directory = place.directory(type(self).__name__.lower())
        self.box = place.directory(f"{self.directory.name}/box", owner=UNPRIVILEGED, mode=0o777)
        self.process = None

    def start(self):
        self.process = self._start()
        until(lambda: listens(self.address, self.port),
              what=lambda: f"{self.directory.name} listens\n"
              f"{self.place.output(self.directory.name)}\n{self.log()}")

    def log(self):
        return ""

    def messages(self):
        """What was taken, as it was on the wire: with CRLF."""
        files = [p for p in self.box.rglob("*") if p.is_file() and self._is_complete(p)]
        return [re.sub(rb"\r?\n", b"\r\n", p.read_bytes())
                for p in sorted(files, key=lambda p: p.stat().st_mtime_ns)]

    def wait_for(self, n=1):
        return until(lambda: (m := self.messages()) and len(m) >= n and m,
                     what=lambda: f"{n} message(s) at {self.directory.name}\n{self.log()}")

    def _is_complete(self, path):
        return True

    def _in_private_root(self, *command):
        return self.place.start([PRIVATE_ROOT, UNPACKED, self.directory, *command],
                                self.directory.name)


class Postfix(Receiver):
    def _start(self):
        etc = self.place.directory("postfix/etc/postfix")
        spool = self.place.directory("postfix/spool")
        state = self.place.directory("postfix/state")
        (etc / "main.cf").write_text(f"""\
compatibility_level = 3.6
myhostname = {self.name}
mydestination =
mynetworks =
inet_interfaces = all
inet_protocols = ipv4
queue_directory = {spool}
data_directory = {state}
maillog_file = {self.directory}/log
maillog_file_prefixes = /
alias_maps =
local_recipient_maps =
smtp_dns_support_level = disabled
smtpd_relay_restrictions = reject_unauth_destination
smtpd_tls_security_level = encrypt
smtpd_tls_chain_files = {self.certificate.key}, {self.certificate.chain}
smtpd_tls_received_header = yes
smtpd_tls_loglevel = 1
virtual_mailbox_domains = {self.domain}
virtual_mailbox_maps = static:all/
virtual_mailbox_base = {self.box}
virtual_minimum_uid = 1
virtual_uid_maps = static:{UNPRIVILEGED}
virtual_gid_maps = static:{UNPRIVILEGED}
{self.more_settings()}
""")
        services = [(f"{self.address}:{self.port} inet", "smtpd"), ("cleanup unix", "cleanup"),
                    ("qmgr unix", "qmgr"), ("rewrite unix", "trivial-rewrite"),
                    ("bounce unix", "bounce"), ("defer unix", "bounce"), ("trace unix", "bounce"),
                    ("verify unix", "verify"), ("error unix", "error"), ("retry unix", "error"),
                    ("virtual unix", "virtual"), ("anvil unix", "anvil"), ("tlsmgr unix", "tlsmgr"),
                    ("proxymap unix", "proxymap"), ("scache unix", "scache"),
                    ("smtp unix", "smtp"), ("relay unix", "smtp"),
                    ("postlog unix-dgram", "postlogd")]
        ones = {"qmgr", "tlsmgr", "anvil", "scache", "postlog", "verify"}
        lines = []
        for service, command in services:
            wakeup = {"qmgr": "300", "tlsmgr": "1000?"}.get(command, "-")
            limit = "1" if service.split()[0] in ones else \
                "0" if command in ("cleanup", "bounce") else "-"
            public = service.split()[1] != "unix" or command in ("cleanup", "qmgr")
            private = "n" if public else "-"
            unprivileged = "n" if command == "virtual" else "-"
            lines.append(f"{service} {private} {unprivileged} n {wakeup} {limit} {command}\n")
        (etc / "master.cf").write_text("".join(lines))
        # "check" makes the directories of the queue; master is what "postfix start" would run.
        return self._in_private_root(
            "bash", "-c", 'chown postfix "$1"; eval "$2"; postfix check; '
            'exec /usr/lib/postfix/sbin/master -d', "postfix", state, self.first())

    def more_settings(self):
        """Lines that are added to main.cf, for a kind of its own."""
        return ""

    def first(self):
        """What its shell does before it starts."""
        return ":"

    def log(self):
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _is_complete(self, path):
        return path.parent.name == "new"


class Exim(Receiver):
    def _start(self):
        etc = self.place.directory("exim/etc/exim4")
        spool = self.place.directory("exim/spool", mode=0o777)
        logs = self.place.directory("exim/logs", mode=0o777)
        conf = etc / "exim4.conf"
        conf.write_text(f"""\
primary_hostname = {self.name}
local_interfaces = {self.address}
daemon_smtp_ports = {self.port}
spool_directory = {spool}
log_file_path = {logs}/%slog
pid_file_path = {self.directory}/pid
log_selector = +tls_sni +tls_cipher
host_lookup =
rfc1413_query_timeout = 0s
disable_ipv6 = true
keep_environment =
message_size_limit = 50M
never_users =
tls_advertise_hosts = *
tls_certificate = {self.certificate.chain}
tls_privatekey = {self.certificate.key}
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = accept
begin acl
acl_rcpt:
  require message = not without TLS
          encrypted = *
  accept  {self.accepts()}
  deny
begin routers
all:
  driver = accept
  transport = files
begin transports
files:
  driver = appendfile
  maildir_format
  directory = {self.box}/all
  create_directory
  delivery_date_add = false
  envelope_to_add
  return_path_add
  user = {UNPRIVILEGED}
  group = {UNPRIVILEGED}
begin retry
* * F,1h,1m
{self.more_sections()}
""")
        conf.chmod(0o644)
        return self._in_private_root("exim4", "-bdf")

    def accepts(self):
        """The condition of a recipient that it takes."""
        return f"domains = {self.domain}"

    def more_sections(self):
        return ""

    def log(self):
        path = self.directory / "logs/mainlog"
        return path.read_text(errors="replace") if path.exists() else ""

    def _is_complete(self, path):
        return path.parent.name == "new"


class Haraka(Receiver):
    def _start(self):
        modules = CACHE / "haraka/node_modules"
        config = self.place.directory("haraka/config")
        plugins = self.directory / "plugins"
        shutil.copytree(TOP / "test/peer/haraka/plugins", plugins)
        (self.directory / "node_modules").symlink_to(modules)
        self.place.directory("haraka/queue", owner=UNPRIVILEGED)
        files = {
            "me": self.name + "\n",
            "smtp.ini": f"listen={self.address}:{self.port}\nnodes=0\ndaemonize=false\n",
            "plugins": "tls\nkeep\n",
            "tls.ini": "[main]\n",
            "tls_key.pem": self.certificate.key.read_text(),
            "tls_cert.pem": self.certificate.chain.read_text(),
            "connection.ini": (modules / "Haraka/config/connection.ini").read_text()
            if (modules / "Haraka/config/connection.ini").exists() else "",
            "log.ini": "[main]\nlevel=notice\n",
            "dhparams.pem": DH_PARAMETERS,
        }
        for name, text in files.items():
            (config / name).write_text(text)
        return self.place.start(
            ["node", modules / "Haraka/bin/haraka", "-c", self.directory], "haraka",
            user=UNPRIVILEGED,
            env={"ZEGEL_TEST_BOX": str(self.box), "HOME": str(self.directory)})

    def _is_complete(self, path):
        return path.suffix == ".eml"


def can_have_private_roots():
    return os.geteuid() == 0


# The group ffdhe2048 of RFC 7919 A.1; without a file Haraka spends a minute on making another.
DH_PARAMETERS = """\
-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""
