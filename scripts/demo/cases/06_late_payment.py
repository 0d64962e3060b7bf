"""An order on net terms is not paid: three mails on the right days, and another payment method in the end."""

import re

from case import line

RECIPE = "late_payment"


def show(case):
    order = case.store.place_order(case.company, case.buyer, [line(202, "Lock", 5, "40.00")], status_id=11, payment_method="Purchase Order")
    case.wait("the order's status", lambda: case.store.core(f"v2/orders/{order}")["status_id"] == 7)
    case.arrived("store: the order is Awaiting Payment")
    due = case.wait("the day it is due", lambda: case.database.rows("select due_at from rules.late_payment_orders where bc_order_id = :order", order=order))[0]["due_at"]
    case.stage.settle()

    def reminders():
        # Not those about its invoice, which other use cases send.
        return [mail for mail in case.stage.mails.all() if re.match(f"Order {order}: |Overdue: .* order {order}$", mail["subject"])]

    for nth, days in enumerate((-7, -1, 3), 1):
        at = case.database.one("select :'due'::timestamptz + make_interval(days => :days, mins => 1) as at", due=due, days=days)["at"]
        case.time_is(at)
        mail = case.wait(f"the mail of day {days:+}", lambda many=nth: len(reminders()) >= many and reminders()[-1])
        case.arrived(f"{days:+} days: mail to {', '.join(mail['to'])}: “{mail['subject']}”")
    case.time_is(case.database.one("select :'due'::timestamptz + interval '15 days' as at", due=due)["at"])
    case.wait("the payment method", lambda: case.store.core(f"v2/orders/{order}")["payment_method"] == "Bank Deposit")
    case.trigger(f"order {order} on net terms, due {due[:10]}; nobody pays, and time passes")
    case.arrived("+14 days: store: the order is to be paid by Bank Deposit")
