"""An order that is paid by hand gets its invoice, and then the buyer a mail with its number."""

from case import line

RECIPE = "manual_payment_invoice"


def show(case):
    order = case.store.place_order(case.company, case.buyer, [line(201, "Hinge", 100, "9.90")], payment_method="Bank Deposit")
    case.trigger(f"order {order} is to be paid by bank transfer")
    case.wait("the invoice", lambda: case.store.invoices(order))
    [mail] = case.mails(case.buyer, "invoice")
    [invoice] = case.store.invoices(order)
    number = str(invoice["invoiceNumber"])
    case.arrived(f"store: invoice {number}")
    case.arrived(f"mail to {', '.join(mail['to'])}: “{mail['subject']}”" + (", with its number" if number in mail["text"] else ""))
