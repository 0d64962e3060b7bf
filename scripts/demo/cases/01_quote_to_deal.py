"""A buyer asks for a quote and it is edited in a burst: HubSpot has one deal, as the quote is in the end."""

from case import line

RECIPE = "quote_to_deal"


def show(case):
    quote = case.store.ask_for_quote(case.company, case.buyer, [line(201, "Hinge", 10, "9.90")])
    for quantity in (20, 30, 40, 50):
        case.store.change_lines(quote, [line(201, "Hinge", quantity, "9.90")])
    case.store.patch("quotes", quote, status=3)
    case.trigger(f"a buyer asks for quote {quote}; it is edited 5 times in a row")

    def last_state():
        deal = case.hubspot.find("deals", "bc_quote_id", quote, "dealname", "dealstage", "amount")
        return deal and deal["dealstage"] == "contractsent" and deal

    deal = case.wait("the deal in its last state", last_state)
    case.arrived(f"HubSpot: deal {deal['id']} “{deal['dealname']}”, stage {deal['dealstage']}, amount {float(deal['amount']):.2f}")
