#!/usr/bin/env python3
"""Tells in plain words what the demo's changes caused.

Standard input: finished actions, one JSON object a line (demo_firings.sql). Argument: what mail_sink.py printed. A mail
carries the id of its action, so the two are joined on that; both clocks are this machine's.
"""

import json
import sys
from datetime import datetime


def by_action(path):
    """Mails by the id of their action, the last part of X-Tradeflow-Id."""
    events = (json.loads(line) for line in open(path, encoding="utf-8"))
    mails = (event for event in events if event["event"] == "mail")
    return {int(mail["headers"]["X-Tradeflow-Id"].rsplit("-", 1)[1]): mail for mail in mails}


def milliseconds(action, mail):
    passed = datetime.fromisoformat(mail["received_at"]) - datetime.fromisoformat(action["due_at"])
    return passed.total_seconds() * 1000


def main():
    mails = by_action(sys.argv[1])
    actions = [json.loads(line) for line in sys.stdin if line.strip()]
    verbs = {"insert": "a new row in", "update": "a change in", "delete": "a deletion in", "view": "a new member of"}
    times = []
    for action in actions:
        mail = mails.get(action["id"])
        print(f"  {verbs[action['event']]} {action['source']} {action['subject']} fired rule {action['rule']}")
        if mail is None:
            print(f"    → no mail: the action is {action['state']}")
            continue
        passed = milliseconds(action, mail)
        since = "after its time had come" if action["waited"] else "after the commit"
        if not action["waited"]:
            times.append(passed)
        print(f"    → mail to {', '.join(mail['to'])}: “{mail['subject']}”, {passed:.0f} ms {since}")
    if times:
        print(f"  From commit to delivery: {min(times):.0f} to {max(times):.0f} ms.")
    lost = [action["id"] for action in actions if action["id"] not in mails]
    if lost:
        sys.exit(f"error: actions without a mail: {lost}")


if __name__ == "__main__":
    main()
