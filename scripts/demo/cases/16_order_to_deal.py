"""A quote is ordered: the same deal is won."""

from case import line

RECIPE = "order_to_deal"


def show(case):
    quote = case.store.ask_for_quote(case.company, case.buyer, [line(201, "Hinge", 25, "9.90")])

    def deal():
        return case.hubspot.find("deals", "bc_quote_id", quote, "dealstage", "amount")

    before = case.wait("the quote's deal", deal)
    order = case.store.order_quote(quote)
    case.trigger(f"a buyer asks for quote {quote}, and orders it (order {order})")
    case.wait("the deal to be won", lambda: deal()["dealstage"] == "closedwon")
    case.arrived(f"HubSpot: deal {before['id']} was in stage {before['dealstage']}, and deal {deal()['id']} is in stage {deal()['dealstage']}")
