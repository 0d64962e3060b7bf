"""A rep goes too low: the owner is told, and above the block percentage the quote cannot be checked out."""

from case import line

RECIPE = "quote_below_base_price"
SETTINGS = {"owner_email": "owner@northwind.example", "discount_warn_percent": "20"}


def show(case):
    quote = case.store.ask_for_quote(case.company, case.buyer, [line(202, "Lock", 4, "40.00")])
    case.store.change_lines(quote, [line(202, "Lock", 4, "40.00", offered="30.00")])
    case.mails("owner@northwind.example", "25.0 %")
    case.store.change_lines(quote, [line(202, "Lock", 4, "40.00", offered="24.00")])
    case.mailed("owner@northwind.example", " %", many=2)
    case.wait("the checkout to be closed", lambda: case.store.payload("quotes", quote)["allowCheckout"] is False)
    case.arrived("store: the checkout is closed")
    case.trigger(f"a line of quote {quote} is offered at 25 % off, then at 40 % off")
