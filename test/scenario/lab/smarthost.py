"""Next hops that want a login: Postfix with Cyrus SASL (SCRAM, PLAIN, LOGIN) and Exim (PLAIN, LOGIN).

Both take mail for any domain from who has logged in over TLS, and from nobody else.
"""
from . import mta


class Postfix(mta.Postfix):
    """Takes `login` with its password by `mechanisms`."""

    def __init__(self, place, name, certificate, port, login, password,
                 mechanisms="SCRAM-SHA-256 PLAIN LOGIN", domains="bank.example, plain.plain"):
        super().__init__(place, name, domains, certificate, port)
        self.login, self.password, self.mechanisms = login, password, mechanisms

    def more_settings(self):
        sasl = self.place.directory("postfix/etc/postfix/sasl")
        (sasl / "smtpd.conf").write_text(f"""\
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {self.directory}/sasldb
mech_list: {self.mechanisms}
""")
        (self.directory / "password").write_text(self.password)
        return f"""\
cyrus_sasl_config_path = {sasl}
smtpd_sasl_auth_enable = yes
smtpd_tls_auth_only = yes
smtpd_sasl_security_options = noanonymous
smtpd_sasl_authenticated_header = yes
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
"""

    def first(self):
        user, _, realm = self.login.partition("@")
        base = self.directory
        return (f"saslpasswd2 -p -c -f {base}/sasldb -u {realm} {user} < {base}/password; "
                f"chown postfix {base}/sasldb")


class Exim(mta.Exim):
    def __init__(self, place, name, certificate, port, login, password):
        super().__init__(place, name, "*", certificate, port)
        self.login, self.password = login, password

    def accepts(self):
        return "authenticated = *"

    def more_sections(self):
        def fits(user, password):
            return f"and{{{{eq{{{user}}}{{{self.login}}}}}{{eq{{{password}}}{{{self.password}}}}}}}"
        return f"""\
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if {fits("$auth2", "$auth3")}{{yes}}{{no}}}}
  server_set_id = $auth2
  server_advertise_condition = ${{if def:tls_in_cipher}}
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if {fits("$auth1", "$auth2")}{{yes}}{{no}}}}
  server_set_id = $auth1
  server_advertise_condition = ${{if def:tls_in_cipher}}
"""
