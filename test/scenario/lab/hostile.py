"""A peer that misbehaves as a script says: one thread for each connection, a transcript of each.

A script is a function of one Talk. It says and hears what it likes; when it returns, the
connection is closed. helpful() plays a correct server up to any step, so that a test only writes
down where the misbehaviour is.
"""
import socket
import ssl
import struct
import threading

from .place import PATIENCE_S


class Gone(Exception):
    """The other side closed, or said nothing for too long."""


class Talk:
    def __init__(self, connection, tls):
        self.socket = connection
        self.tls = tls
        self.secure = False
        self.heard = []  # (secure, line), bodies too
        self.clear = b""  # every byte that came unencrypted
        self.content = None
        self.is_over = False
        self._rest = b""
        connection.settimeout(PATIENCE_S)

    def say(self, text):
        data = text if isinstance(text, bytes) else text.encode("latin-1") + b"\r\n"
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Gone(str(error)) from None

    def hear(self):
        """One line, without its end."""
        while b"\n" not in self._rest:
            self._more()
        line, _, self._rest = self._rest.partition(b"\n")
        line = line.rstrip(b"\r").decode("latin-1")
        self.heard.append((self.secure, line))
        return line

    def hear_content(self):
        """Everything to the final dot."""
        while not (self._rest.startswith(b".\r\n") or b"\r\n.\r\n" in self._rest):
            self._more()
        if self._rest.startswith(b".\r\n"):
            self.content, self._rest = b"", self._rest[3:]
        else:
            content, _, self._rest = self._rest.partition(b"\r\n.\r\n")
            self.content = content + b"\r\n"
        return self.content

    def hear_silence(self):
        """Reads until the other side closes."""
        try:
            while True:
                self._more()
        except Gone:
            return

    def start_tls(self):
        try:
            self.socket = self.tls.wrap_socket(self.socket, server_side=True)
        except (OSError, ssl.SSLError) as error:
            raise Gone(f"handshake: {error}") from None
        self.secure = True
        self._rest = b""

    def reset(self):
        """Closes with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _more(self):
        try:
            data = self.socket.recv(65536)
        except (OSError, ssl.SSLError) as error:
            raise Gone(str(error)) from None
        if not data:
            raise Gone("closed")
        if not self.secure:
            self.clear += data
        self._rest += data


STEPS = ("banner", "EHLO", "STARTTLS", "EHLO over TLS", "MAIL", "RCPT", "DATA", "content")


def helpful(talk, until=None, name="peer.example", instead=None, extensions=("PIPELINING",)):
    """Serves one message correctly; at the step `until`, calls instead(talk) and returns.

    STARTTLS is offered when the peer has a certificate. Returns True when the content was taken.
    """
    def misbehaves(step):
        if until == step:
            instead(talk)
            return True
        return False

    if misbehaves("banner"):
        return False
    talk.say(f"220 {name} ESMTP")
    while True:
        line = talk.hear()
        verb = line.split(" ")[0].upper()
        step = "EHLO over TLS" if verb in ("EHLO", "HELO") and talk.secure else \
            "EHLO" if verb in ("EHLO", "HELO") else verb
        if misbehaves(step):
            return False
        if verb == "EHLO":
            words = [name, *extensions] + (["STARTTLS"] if talk.tls and not talk.secure else [])
            for word in words[:-1]:
                talk.say(f"250-{word}")
            talk.say(f"250 {words[-1]}")
        elif verb == "STARTTLS":
            talk.say("220 2.0.0 Go ahead")
            talk.start_tls()
        elif verb == "DATA":
            talk.say("354 Go on")
            talk.hear_content()
            if misbehaves("content"):
                return False
            talk.say("250 2.0.0 Kept")
        elif verb == "QUIT":
            talk.say("221 2.0.0 Bye")
            return talk.content is not None
        elif verb in ("HELO", "MAIL", "RCPT", "RSET", "NOOP"):
            talk.say("250 2.0.0 Fine")
        else:
            talk.say("500 5.5.1 What?")


def refuse(talk, reply):
    """Gives this reply to the command just heard, and what follows from it to those behind it."""
    talk.say(reply)
    while True:
        verb = talk.hear()[:4].upper()
        if verb in ("RCPT", "DATA", "MAIL"):
            talk.say("503 5.5.1 Not after that")
        elif verb == "QUIT":
            talk.say("221 2.0.0 Bye")
            return
        else:
            talk.say("250 2.0.0 Fine")


class Hostile:
    """Listens on one address and plays its script to whoever comes."""

    def __init__(self, place, port, script=helpful, certificate=None, address=None):
        self.address = address or place.address()
        self.script = script
        self.talks = []
        self.errors = []
        self.tls = None
        if certificate is not None:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certificate.chain, certificate.key)
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        self._listener = socket.create_server((self.address, port), family=family, backlog=100)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        except OSError:
            pass
        self._listener.close()

    def delivered(self):
        return [talk.content for talk in self.talks if talk.content is not None]

    def is_quiet(self):
        """Whoever came has gone."""
        return all(talk.is_over for talk in list(self.talks))

    def heard(self):
        return [line for talk in self.talks for _, line in talk.heard]

    def heard_in_clear(self):
        return b"".join(talk.clear for talk in self.talks)

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            talk = Talk(connection, self.tls)
            self.talks.append(talk)
            threading.Thread(target=self._play, args=(talk,), daemon=True).start()

    def _play(self, talk):
        try:
            self.script(talk)
        except Gone:
            pass
        except Exception as error:  # the script is wrong, not the client: the test must see it
            self.errors.append(error)
        finally:
            talk.socket.close()
            talk.is_over = True
