"""HTTPS in a thread: the policy host of an MTA-STS domain (RFC 8461 3.3), and what others make of it."""
import http.server
import ssl
import threading

PORT = 8443
PATH = "/.well-known/mta-sts.txt"


class Website:
    """Serves at an address of its own until it is closed; a kind of its own says what is answered."""

    def __init__(self, place, certificate, port):
        self.address = place.address()
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self._answer(b"")

            def do_POST(self):
                self._answer(self.rfile.read(int(self.headers["Content-Length"])))

            def _answer(self, body):
                status, answer = site.answer(self.path, self.headers, body)
                self.send_response(status)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate.chain, certificate.key)
        self._server = http.server.ThreadingHTTPServer((self.address, port), Handler)
        self._server.daemon_threads = True
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, path, headers, body):
        """A status and the bytes of the answer."""
        raise NotImplementedError

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class PolicyHost(Website):
    """Serves one policy."""

    def __init__(self, place, certificate, text, port=PORT):
        self.text = text
        self.asked = []  # the Host: of each request
        self.may_answer = threading.Event()  # until it is set none of them has an answer
        self.may_answer.set()
        super().__init__(place, certificate, port)

    def answer(self, path, headers, body):
        self.asked.append(headers.get("Host", ""))
        self.may_answer.wait(timeout=60)
        return 200 if path == PATH else 404, self.text.encode()


def publish(lab, domain, mode="enforce", max_age=86400, mx=None, policy_id="1"):
    """A policy for this domain: its record, its host's address, and who serves it."""
    name = f"mta-sts.{domain}"
    host = PolicyHost(lab.place, lab.ca.issue(name),
                      f"version: STSv1\nmode: {mode}\nmx: {mx or f'mx.{domain}'}\n"
                      f"max_age: {max_age}\n")
    lab.dns.set(f"_mta-sts.{domain}", "TXT", f'"v=STSv1; id={policy_id};"')
    lab.dns.host(name, host.address)
    lab.zegel.sections["delivery"]["mta-sts-port"] = PORT
    return host
