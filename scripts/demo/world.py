"""The world around the database: the store and what people do there, HubSpot, the spreadsheet, the mail server. Everything
is asked and told over HTTP, as people's browsers and the vendors' clients do it."""

import base64
import hashlib
import hmac
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from decimal import Decimal

from processes import Failed


def call(method, url, body=None, headers=None):
    """The answer's JSON; a refusal is an error with the server's words."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **(headers or {})}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        raise Failed(f"{method} {url}: HTTP {error.code} {error.read().decode(errors='replace')}") from error
    return json.loads(text) if text else None


def line(product, name, quantity, price, offered=None):
    """A line of a quote or an order; prices are texts. `offered`: another price than the base price."""
    made = {"product": product, "name": name, "quantity": quantity, "price": price}
    return made if offered is None else {**made, "offered": offered}


class Store:
    """The sample store. What people do is said to its /_fake calls, what is asked goes through the vendor's API."""

    def __init__(self, url, token, store_hash):
        self.url, self.token, self.hash = url, token, store_hash

    def act(self, method, path, body=None):
        answer = call(method, f"{self.url}/_fake/{path}", body)
        return answer["id"] if answer else None

    def sign_up(self, name, **more):
        """A company fills in the store's form: it is pending unless `companyStatus` says otherwise."""
        return self.act("POST", "companies", {"name": name, **more})

    def join(self, company, email, first, last, **more):
        return self.act("POST", "users", {"company": company, "email": email, "first": first, "last": last, **more})

    def hire(self, name, email):
        return self.act("POST", "staff", {"name": name, "email": email})

    def assign(self, rep, company):
        return self.act("PUT", f"staff/{rep}/companies/{company}")

    def ask_for_quote(self, company, email, lines, **more):
        return self.act("POST", "quotes", {"company": company, "email": email, "lines": lines, **more})

    def change_lines(self, quote, lines):
        return self.act("PUT", f"quotes/{quote}/lines", lines)

    def order_quote(self, quote):
        return self.act("POST", f"quotes/{quote}/order")

    def place_order(self, company, email, lines, **more):
        return self.act("POST", "orders", {"company": company, "email": email, "lines": lines, **more})

    def patch(self, kind, number, **change):
        """Changes a thing as people in the control panel do: quotes, companies, users, orders, invoices, products."""
        return self.act("PATCH", f"{kind}/{number}", change)

    def clock(self, unix_seconds):
        """Stops the store's clock there; 0 lets it run again."""
        call("PUT", f"{self.url}/_fake/clock", {"now": unix_seconds})

    def route(self, host, url):
        """Where webhooks for a host really go."""
        call("POST", f"{self.url}/_fake/routes", {"host": host, "url": url})

    def b2b(self, path, method="GET", body=None, **query):
        """B2B Edition's API; the `data` of its answer."""
        headers = {"X-Auth-Token": self.token, "X-Store-Hash": self.hash}
        query = f"?{urllib.parse.urlencode(query)}" if query else ""
        return call(method, f"{self.url}/api/v3/io/{path}{query}", body, headers)["data"]

    def core(self, path, method="GET", body=None):
        """The core API, such as v2/orders/1201."""
        return call(method, f"{self.url}/stores/{self.hash}/{path}", body, {"X-Auth-Token": self.token})

    def payload(self, kind, number):
        """What the store holds of a thing: quotes, companies, users, orders, invoices, products."""
        return call("GET", f"{self.url}/_fake/{kind}/{number}")

    def company(self, number):
        return self.b2b(f"companies/{number}", isIncludeExtraFields=1)

    def extra_field(self, company, name):
        """A company's extra field; none when it is empty."""
        fields = self.company(company).get("extraFields") or []
        return next((field["fieldValue"] for field in fields if field["fieldName"] == name), None)

    def credit(self, company):
        """What a company has left of its credit."""
        return Decimal(str(self.b2b(f"companies/{company}/credit")["availableCredit"]))

    def invoices(self, order):
        return [row for row in self.b2b("ip/invoices", limit=200) if str(row.get("orderNumber")) == str(order)]

    def rep_of(self, company):
        """The name of the rep who looks after a company."""
        found = self.b2b("sales-staffs", companyId=company)
        return found[0]["salesRepName"] if found else None


class Storefront:
    """A buyer's browser on a page of the store: the store tells the sidecar who is signed in, with a token of its own."""

    def __init__(self, url, app, secret):
        self.url, self.app, self.secret = url, app, secret

    def messages(self, customer, page):
        def part(value):
            return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

        now = int(time.time())
        body = part({"alg": "HS256", "typ": "JWT"}) + b"." + part({
            "customer": {"id": customer, "email": ""}, "iss": "bc/apps", "iat": now, "exp": now + 900, "version": 1,
            "aud": self.app, "application_id": self.app, "operation": "current_customer"})
        signature = base64.urlsafe_b64encode(hmac.new(self.secret.encode(), body, hashlib.sha256).digest()).rstrip(b"=")
        token = (body + b"." + signature).decode()
        return call("GET", f"{self.url}/storefront/messages?{urllib.parse.urlencode({'page': page})}", None,
                    {"authorization": f"Bearer {token}"})["messages"]


class HubSpot:
    """The CRM, through its API."""

    def __init__(self, url, token):
        self.url, self.headers = url, {"authorization": f"Bearer {token}"}

    def call(self, method, path, body=None):
        return call(method, f"{self.url}/crm/{path}", body, self.headers)

    def find(self, kind, unique, value, *properties):
        """The record whose unique property has this value: its properties, and its id. None: there is none."""
        wanted = [unique, *properties]
        try:
            found = self.call("POST", f"objects/2026-09/{kind}/batch/read",
                              {"idProperty": unique, "inputs": [{"id": str(value)}], "properties": wanted})["results"]
        except Failed as error:
            # Nobody has written one yet, so the property is not there either.
            if "is not a unique property" in str(error):
                return None
            raise
        return {"id": found[0]["id"], **found[0]["properties"]} if found else None


class Sheet:
    """Spreadsheets, as the people see them who share them with the service account."""

    def __init__(self, url):
        self.url = f"{url}/_fake/spreadsheets"

    def path(self, spreadsheet, tab):
        return f"{self.url}/{urllib.parse.quote(spreadsheet)}/{urllib.parse.quote(tab)}"

    def make(self, spreadsheet, tab, cells):
        call("PUT", self.path(spreadsheet, tab), cells)

    def write(self, spreadsheet, tab, row):
        """A row below the last one."""
        call("POST", self.path(spreadsheet, tab), row)

    def rows(self, spreadsheet, tab):
        """The rows below the header, each as a dictionary; none when there is no such tab."""
        try:
            cells = call("GET", self.path(spreadsheet, tab))
        except Failed as error:
            if "there is no such" in str(error):
                return []
            raise
        header = cells[0] if cells else []
        return [dict(zip(header, row)) for row in cells[1:]]


class Mails:
    """The mail server's own list of what it was given."""

    def __init__(self, url):
        self.url = url

    def all(self):
        return call("GET", f"{self.url}mails.json")
