"""The submitting side: a proper client on smtplib, SCRAM by hand, and dialogues byte for byte."""
import base64
import email.message
import email.policy
import email.utils
import hashlib
import hmac
import os
import smtplib
import socket
import ssl
import time

from .place import PATIENCE_S
from .zegel import PORT_IMPLICIT, PORT_STARTTLS


class Client(smtplib.SMTP):
    """A session that has said EHLO, and by default has started TLS and logged in."""

    def __init__(self, relay, login=None, mechanism="PLAIN", tls=True, implicit=False, source=None,
                 address=None):
        self.tls = relay.client_tls
        self._implicit = implicit
        super().__init__(address or relay.address, PORT_IMPLICIT if implicit else PORT_STARTTLS,
                         local_hostname="client.shop.example", timeout=PATIENCE_S,
                         source_address=(source, 0) if source else None)
        self._host = relay.hostname
        if tls and not implicit:
            self.starttls(context=self.tls)
        self.ehlo()
        if login is not None:
            self.log_in(*login, mechanism=mechanism)

    def _get_socket(self, host, port, timeout):
        plain = super()._get_socket(host, port, timeout)
        if not self._implicit:
            return plain
        return self.tls.wrap_socket(plain, server_hostname="mail.shop.example")

    def log_in(self, user, password, mechanism="PLAIN"):
        self.user, self.password = user, password
        if mechanism == "SCRAM-SHA-256":
            scram = Scram(user, password)
            answer = self.auth(mechanism, scram.respond)
            if not scram.is_server_proved:
                raise AssertionError("the server did not prove that it knows the password")
            return answer
        return self.auth(mechanism, {"PLAIN": self.auth_plain, "LOGIN": self.auth_login}[mechanism])


def submit(relay, sender, recipients, content, login, **how):
    """One message in one session; the final reply's code is 250, or smtplib raises."""
    client = Client(relay, login=login, **how)
    try:
        refused = client.sendmail(sender, recipients, content)
        if refused:
            raise smtplib.SMTPRecipientsRefused(refused)
    finally:
        try:
            client.quit()
        except (smtplib.SMTPException, OSError):
            pass


def message(sender, recipients, subject="A message", text="Hello.\n", attachment=None, **fields):
    """A message as a mail program would write it: bytes with CRLF."""
    m = email.message.EmailMessage(policy=email.policy.SMTP)
    m["From"] = sender
    m["To"] = ", ".join([recipients] if isinstance(recipients, str) else recipients)
    m["Subject"] = subject
    m["Date"] = email.utils.format_datetime(email.utils.localtime())
    m["Message-ID"] = f"<{time.time_ns()}.{os.urandom(4).hex()}@client.shop.example>"
    for name, value in fields.items():
        m[name.replace("_", "-")] = value
    m.set_content(text)
    if attachment is not None:
        name, kind, data = attachment
        main, _, sub = kind.partition("/")
        m.add_attachment(data, maintype=main, subtype=sub, filename=name)
    return m.as_bytes()


class Scram:
    """The client of SCRAM-SHA-256 (RFC 5802, RFC 7677) as the callback that smtplib.auth wants."""

    def __init__(self, user, password):
        self.user = user.replace("=", "=3D").replace(",", "=2C")
        self.password = password.encode()
        self.nonce = base64.b64encode(os.urandom(18)).decode()
        self.step = 0
        self.is_server_proved = False

    def respond(self, challenge=None):
        self.step += 1
        if self.step == 1:
            self.first_bare = f"n={self.user},r={self.nonce}"
            return "n,," + self.first_bare
        if self.step == 2:
            return self._final(challenge.decode())
        fields = _fields(challenge.decode())
        if not hmac.compare_digest(base64.b64decode(fields["v"]), self.server_signature):
            raise AssertionError("wrong signature of the server")
        self.is_server_proved = True
        return ""

    def _final(self, server_first):
        fields = _fields(server_first)
        if not fields["r"].startswith(self.nonce) or fields["r"] == self.nonce:
            raise AssertionError("the server did not add to the nonce")
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(fields["s"]),
                                     int(fields["i"]))
        without_proof = f"c=biws,r={fields['r']}"
        signed = f"{self.first_bare},{server_first},{without_proof}".encode()
        client_key = _hmac(salted, b"Client Key")
        signature = _hmac(hashlib.sha256(client_key).digest(), signed)
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        self.server_signature = _hmac(_hmac(salted, b"Server Key"), signed)
        return f"{without_proof},p={base64.b64encode(proof).decode()}"


class Raw:
    """A dialogue byte for byte. Replies come whole, all lines of them."""

    def __init__(self, relay, tls=True, login=None, implicit=False, source=None):
        self.relay = relay
        port = PORT_IMPLICIT if implicit else PORT_STARTTLS
        self.socket = socket.create_connection(
            (relay.address, port), timeout=PATIENCE_S, source_address=(source, 0) if source else None)
        if implicit:
            self._secure()
        self._rest = b""
        self.banner = self.reply()
        if tls and not implicit:
            self.ask("EHLO client.shop.example")
            self.ask("STARTTLS")
            self._secure()
        if login is not None:
            self.ask("EHLO client.shop.example")
            token = base64.b64encode("\0{}\0{}".format(*login).encode()).decode()
            answer = self.ask(f"AUTH PLAIN {token}")
            assert answer.startswith("235 "), answer

    def _secure(self):
        self.socket = self.relay.client_tls.wrap_socket(
            self.socket, server_hostname=self.relay.hostname)

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def ask(self, line):
        self.send(line + "\r\n" if isinstance(line, str) else line + b"\r\n")
        return self.reply()

    def reply(self):
        """The next reply, its lines joined by newlines; "" when the other side has closed."""
        lines = []
        while True:
            while b"\r\n" not in self._rest:
                try:
                    data = self.socket.recv(65536)
                except (ConnectionError, ssl.SSLEOFError):
                    data = b""
                if not data:
                    return "\n".join(lines)
                self._rest += data
            line, _, self._rest = self._rest.partition(b"\r\n")
            lines.append(line.decode())
            if lines[-1][3:4] != "-":
                return "\n".join(lines)

    def replies_until_close(self):
        replies = []
        while reply := self.reply():
            replies.append(reply)
        return replies

    def close(self):
        self.socket.close()

    def abort(self):
        """Gone without a close_notify and without FIN's courtesy."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()


def _hmac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def _fields(text):
    return dict(part.split("=", 1) for part in text.split(","))
