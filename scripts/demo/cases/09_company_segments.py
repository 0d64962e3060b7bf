"""A large order makes a company Gold; when it has left the window, nobody has to do anything for it to be Standard again."""

from case import line

RECIPE = "company_segments"
SETTINGS = {"segment_window_days": "90"}


def show(case):
    company, buyer = case.new_company("Noether Tools")
    order = case.store.place_order(company, buyer, [line(202, "Lock", 300, "40.00")], payment_method="Credit Card")
    case.wait("Gold", lambda: case.store.extra_field(company, "Segment") == "Gold")
    case.arrived("store: extra field Segment is Gold")
    case.stage.settle()
    case.pass_time(days=91)
    case.wait("Standard", lambda: case.store.extra_field(company, "Segment") == "Standard")
    case.trigger(f"company {company} orders for 12,000 (order {order}); 91 days pass")
    case.arrived("store: extra field Segment is Standard")
