"""Two orders at once: a part of both comes back as credit. What is refunded takes it away again."""

from decimal import Decimal
from threading import Thread

from case import line

RECIPE = "loyalty_credit"
SETTINGS = {"loyalty_percent": "2"}


def show(case):
    company, buyer = case.new_company("Lovelace Looms")
    before, orders = case.store.credit(company), []

    def order(quantity):
        orders.append(case.store.place_order(company, buyer, [line(202, "Lock", quantity, "40.00")], payment_method="Credit Card", status_id=11))

    threads = [Thread(target=order, args=(quantity,)) for quantity in (10, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    case.trigger(f"two orders at the same moment, of 400 and 800 ({min(orders)}, {max(orders)})")
    case.wait("24.00 of credit", lambda: case.store.credit(company) == before + Decimal(24))
    case.arrived(f"store: the credit grew from {before:.2f} to {case.store.credit(company):.2f}")
    case.mails(buyer, "credit", many=2)
    case.arrived(f"2 mails to {buyer}")
