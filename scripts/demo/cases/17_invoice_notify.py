"""An order's invoice is made once, and team and buyer are told once each, also with recipe 7 on."""

from case import line

RECIPE = "invoice_notify"
SETTINGS = {"invoice_team_email": "accounting@northwind.example"}


def show(case):
    order = case.store.place_order(case.company, case.buyer, [line(202, "Lock", 10, "40.00")], payment_method="Check")
    case.trigger(f"order {order}, paid by cheque, so recipe 7 is asked too")
    case.wait("the invoice", lambda: case.store.invoices(order))
    case.mailed("accounting@northwind.example")
    case.mailed(case.buyer, "invoice")
    case.stage.settle()
    case.arrived(f"store: {len(case.store.invoices(order))} invoice")
