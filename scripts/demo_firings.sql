-- One JSON line for each finished action, for demo_report.py. due_at: a timer's mail is late only from its time on.
select json_build_object(
  'id', h.id,
  'rule', h.rule,
  'source', h.source,
  'event', h.event,
  'subject', h.subject,
  'state', h.state,
  'waited', h.run_at - h.created_at > interval '1 second',
  'due_at', greatest(h.created_at, h.run_at))
from tradeflow.outbox_history h
order by h.id;
