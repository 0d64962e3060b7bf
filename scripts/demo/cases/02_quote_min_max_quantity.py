"""A quote below the least quantity cannot be checked out until it is put right; the storefront says so meanwhile."""

from case import line

RECIPE = "quote_min_max_quantity"
PREPARE = "insert into quantity_limits (position, product_id, minimum, multiple) values (10, 203, 10, 2)"


def show(case):
    quote = case.store.ask_for_quote(case.company, case.buyer, [line(203, "Door closer", 4, "35.00")])
    page = f"quote:{quote}"
    case.wait("the checkout to be closed", lambda: case.store.payload("quotes", quote)["allowCheckout"] is False)
    case.mailed(case.buyer)
    case.wait("the storefront's message", lambda: case.storefront.messages(case.customer, page))
    case.store.change_lines(quote, [line(203, "Door closer", 12, "35.00")])
    case.wait("the checkout to be open again", lambda: case.store.payload("quotes", quote)["allowCheckout"] is True)
    case.wait("the storefront's message to go", lambda: not case.storefront.messages(case.customer, page))
    case.trigger(f"quote {quote} has 4 pieces where 10 are the least; then 12")
    case.arrived("store: the checkout was closed, then opened again; storefront: a message between the two")
