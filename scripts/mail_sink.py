#!/usr/bin/env python3
"""A real SMTP server (aiosmtpd) that keeps what it is given, shows it on a web page, and misbehaves on request.

Every mail becomes DIR/<n>.eml and one JSON line on standard output; the first line names the ports. Tests and the
demo share it. It listens on the loopback address, on ports the system chooses, unless told otherwise.

  mail_sink.py --dir mails                       plain SMTP and the web page
  mail_sink.py --dir mails --tls starttls --cert c.pem --key k.pem --auth user:password
  mail_sink.py --dir mails --control             obeys JSON lines on standard input, ends when it closes

A line of control sets how the next connections are answered: {"mode": "temporary", "times": 2}
  ok          takes the mail
  temporary   refuses it after its body with 451
  permanent   refuses it after its body with 554
  refuse_recipient   answers RCPT with 550
  greylist    answers RCPT with 451
  hang        takes the whole body and never answers
  drop        takes the whole body and cuts the connection without an answer (the mail is kept: it did arrive)
  drop_early  cuts the connection at MAIL, before any body
Without "times" the mode stays until the next line; with it, it ends after so many mails.
"""

import argparse
import asyncio
import json
import pathlib
import ssl
import sys
from datetime import datetime, timezone
from email import message_from_bytes, policy

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

import mail_page

MODES = ("ok", "temporary", "permanent", "refuse_recipient", "greylist", "hang", "drop", "drop_early")


def say(event, **fields):
    """One JSON line, at once: whoever started us may be waiting for it."""
    print(json.dumps({"event": event, **fields}, ensure_ascii=False), flush=True)


class Sink:
    """The aiosmtpd handler: one object for all connections, so `mode` governs them all."""

    def __init__(self, mails, implicit_tls):
        self.mails = mails
        # aiosmtpd knows of STARTTLS alone: with implicit TLS the encryption is done before it sees a byte.
        self.implicit_tls = implicit_tls
        self.mode = "ok"
        self.times = None
        self.seen = 0

    def obey(self, order):
        if order.get("mode") not in MODES:
            raise ValueError(f"unknown mode {order.get('mode')!r}, one of {', '.join(MODES)} is needed")
        self.mode, self.times = order["mode"], order.get("times")
        say("mode", mode=self.mode, times=self.times)

    def take_mode(self):
        """The mode for the mail at hand; counts it."""
        mode = self.mode
        if self.times is not None:
            self.times -= 1
            if self.times <= 0:
                self.mode, self.times = "ok", None
        return mode

    async def handle_MAIL(self, server, session, envelope, address, options):
        if self.mode == "drop_early":
            self.take_mode()
            say("dropped", when="MAIL")
            server.transport.abort()
            return "421 closing"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.mode in ("refuse_recipient", "greylist"):
            mode = self.take_mode()
            say("refused", mode=mode, to=address)
            return "550 5.1.1 no such mailbox" if mode == "refuse_recipient" else "451 4.7.1 greylisted, come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mode = self.take_mode()
        self.seen += 1
        say("body", mode=mode, to=envelope.rcpt_tos)
        if mode == "temporary":
            return "451 4.3.0 mailbox busy, try again later"
        if mode == "permanent":
            return "554 5.7.1 refused by policy"
        if mode in ("ok", "drop", "hang"):
            tls = self.implicit_tls or session.ssl is not None
            say("mail", **self.mails.keep(envelope, tls=tls, login=login_of(session)))
        if mode == "hang":
            await asyncio.sleep(3600)
        if mode == "drop":
            server.transport.abort()
        return "250 2.0.0 taken"


def login_of(session):
    login = getattr(session, "auth_data", None)
    return login.login.decode() if isinstance(login, LoginPassword) else None


class Mails:
    """The mails received, in memory for the page and as files for anything else."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.all = []

    def keep(self, envelope, tls, login):
        number = len(self.all) + 1
        path = self.folder / f"{number:05}.eml"
        path.write_bytes(envelope.original_content)
        message = message_from_bytes(envelope.original_content, policy=policy.default)
        mail = {
            "id": number,
            "received_at": datetime.now(timezone.utc).isoformat(),
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "subject": str(message.get("Subject", "")),
            "message_id": str(message.get("Message-ID", "")),
            "headers": {name: str(value) for name, value in message.items()},
            "text": body_of(message, "plain"),
            "html": body_of(message, "html"),
            "tls": tls,
            "login": login,
            "file": str(path),
        }
        self.all.append(mail)
        return mail


def body_of(message, kind):
    part = message.get_body(preferencelist=(kind,))
    return None if part is None else part.get_content()


def authenticator(expected):
    user, _, password = expected.partition(":")

    def check(server, session, envelope, mechanism, login):
        good = isinstance(login, LoginPassword) and (login.login, login.password) == (user.encode(), password.encode())
        say("login", user=login.login.decode(errors="replace"), accepted=good)
        # handled=False lets aiosmtpd answer 535 itself.
        return AuthResult(success=good, handled=good, auth_data=login)

    return check


async def obey_standard_input(sink, stop):
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        try:
            sink.obey(json.loads(line))
        except ValueError as error:
            say("error", message=str(error))
    stop.set()


async def serve(args):
    mails = Mails(args.dir)
    sink = Sink(mails, implicit_tls=args.tls == "implicit")
    context = None
    if args.tls != "plain":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(args.cert, args.key)
    options = {"hostname": "sink.test", "enable_SMTPUTF8": True}
    if args.tls == "starttls":
        options.update(tls_context=context, require_starttls=True)
    if args.auth:
        # Over implicit TLS aiosmtpd does not see the encryption, so it cannot be the one to insist on it.
        options.update(
            authenticator=authenticator(args.auth), auth_required=True, auth_require_tls=args.tls == "starttls"
        )
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    server = await loop.create_server(
        lambda: SMTP(sink, **options), args.host, args.port, ssl=context if args.tls == "implicit" else None
    )
    page = mail_page.start(mails, args.host, args.http_port)
    say("listening", smtp=server.sockets[0].getsockname()[1], http=page.server_address[1])
    if args.control:
        await obey_standard_input(sink, stop)
    else:
        await stop.wait()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", required=True, help="folder for the .eml files")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (a container's is 0.0.0.0)")
    parser.add_argument("--port", type=int, default=0, help="SMTP port (0: any free one)")
    parser.add_argument("--http-port", type=int, default=0, help="port of the web page (0: any free one)")
    parser.add_argument("--tls", choices=("plain", "starttls", "implicit"), default="plain")
    parser.add_argument("--cert", help="PEM certificate chain, with --tls starttls or implicit")
    parser.add_argument("--key", help="PEM private key of --cert")
    parser.add_argument("--auth", metavar="USER:PASSWORD", help="require this login")
    parser.add_argument("--control", action="store_true", help="obey standard input and end when it closes")
    args = parser.parse_args()
    if args.tls != "plain" and not (args.cert and args.key):
        parser.error(f"--tls {args.tls} needs --cert and --key")
    return args


if __name__ == "__main__":
    try:
        asyncio.run(serve(arguments()))
    except KeyboardInterrupt:
        pass
