"""A buyer is reminded of a quote before it expires; when the quote is extended, the reminder moves."""

from datetime import datetime, timedelta, timezone

from case import line

RECIPE = "quote_expiry_reminder"
SETTINGS = {"reminder_days": "3"}


def show(case):
    def in_days(days):
        return int((datetime.now(timezone.utc) + timedelta(days=days)).timestamp())

    quote = case.store.ask_for_quote(case.company, case.buyer, [line(201, "Hinge", 10, "9.90")], expiredAt=in_days(5))
    case.fired()
    case.store.patch("quotes", quote, expiredAt=in_days(8))
    case.wait("the reminder's new time", lambda: case.database.rows(
        "select from tradeflow.outbox where rule = 'quote_expiry_reminder' and subject = :'quote' and run_at > now() + interval '4 days'", quote=quote))
    case.pass_time(days=3)
    case.trigger(f"quote {quote} expires in 5 days, then in 8; 3 days pass: nothing; 3 more")
    case.pass_time(days=3)
    [mail] = case.mails(case.buyer, "quote")
    case.arrived(f"1 mail to {', '.join(mail['to'])}: “{mail['subject']}”")
