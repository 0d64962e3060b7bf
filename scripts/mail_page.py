"""The web page of mail_sink.py: the list of mails, each mail rendered, its text and its source.

  /  ·  /mails.json  ·  /mail/<n>  ·  /mail/<n>/html  ·  /mail/<n>/source

A mail's HTML is shown in a sandboxed frame under a policy that lets nothing run and nothing load: mail is input.
"""

import html
import json
import pathlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; } a { color: inherit; } .dim { opacity: .65; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .45rem .8rem .45rem 0; border-bottom: 1px solid #8885; vertical-align: top; overflow-wrap: anywhere; }
th, td:first-child { white-space: nowrap; }
pre { white-space: pre-wrap; padding: 1rem; border: 1px solid #8885; border-radius: .4rem; }
iframe { width: 100%; height: 26rem; border: 1px solid #8885; border-radius: .4rem; background: white; }
"""

# Nothing is loaded from anywhere, not even from here; inline styles are what HTML mail is made of.
FRAME_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'"


def page(title, body, refresh=False):
    head = '<meta http-equiv="refresh" content="2">' if refresh else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{html.escape(title)}</title>{head}'
        f"<style>{STYLE}</style></head><body>{body}</body></html>"
    )


def list_page(mails):
    rows = "".join(
        f'<tr><td class="dim">{mail["received_at"][11:19]}</td><td>{html.escape(", ".join(mail["to"]))}</td>'
        f'<td><a href="/mail/{mail["id"]}">{html.escape(mail["subject"]) or "(no subject)"}</a></td></tr>'
        for mail in reversed(mails)
    )
    what = f"{len(mails)} mail{'' if len(mails) == 1 else 's'} received"
    table = f"<table><tr><th>UTC</th><th>To</th><th>Subject</th></tr>{rows}</table>" if mails else ""
    return page(what, f"<h1>{what}</h1>{table}<p class=dim>This page looks again every two seconds.</p>", refresh=True)


def mail_view(mail):
    headers = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in mail["headers"].items()
    )
    parts = ""
    if mail["html"] is not None:
        parts += f'<h2>As HTML</h2><iframe sandbox src="/mail/{mail["id"]}/html" title="the mail"></iframe>'
    if mail["text"] is not None:
        parts += f'<h2>As text</h2><pre>{html.escape(mail["text"])}</pre>'
    return page(
        mail["subject"],
        f'<p><a href="/">All mails</a> · <a href="/mail/{mail["id"]}/source">Source</a></p>'
        f'<h1>{html.escape(mail["subject"])}</h1><table>{headers}</table>{parts}',
    )


def answer(path, mails):
    """(status, content type, body, policy) for a path."""
    html_type = "text/html; charset=utf-8"
    if path == "/":
        return 200, html_type, list_page(list(mails.all)), PAGE_POLICY
    if path == "/mails.json":
        return 200, "application/json", json.dumps(mails.all, ensure_ascii=False), PAGE_POLICY
    match path.strip("/").split("/"):
        case ["mail", number, *rest] if number.isdigit() and 1 <= int(number) <= len(mails.all):
            mail = mails.all[int(number) - 1]
            if not rest:
                return 200, html_type, mail_view(mail), PAGE_POLICY
            if rest == ["html"] and mail["html"] is not None:
                return 200, html_type, mail["html"], FRAME_POLICY
            if rest == ["source"]:
                return 200, "text/plain; charset=utf-8", pathlib.Path(mail["file"]).read_bytes(), PAGE_POLICY
    return 404, html_type, page("Not found", '<h1>No such page</h1><p><a href="/">All mails</a></p>'), PAGE_POLICY


def start(mails, host, port):
    """Serves in a thread of its own; returns the server, whose address tells the port."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            status, kind, body, policy = answer(self.path.split("?")[0], mails)
            body = body.encode() if isinstance(body, str) else body
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", policy)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Silent: standard output belongs to the mails."""

    server = ThreadingHTTPServer((host, port), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
