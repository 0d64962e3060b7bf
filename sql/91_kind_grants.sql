-- 91_kind_grants: who may use what the kinds of action keep.

grant execute on function
  tradeflow.ledger_enter(text, text, numeric, text, numeric, text, bigint), tradeflow.ledger_sending(bigint, numeric, numeric), tradeflow.ledger_settle(bigint, boolean),
  tradeflow.pushed(text, text, text), tradeflow.lock(text, text, interval), tradeflow.unlock(text, text),
  tradeflow.execute(bigint, int, jsonb), tradeflow.messages_for(bigint, text, text), tradeflow.may_mail(bigint, text[], text, int, interval)
to tradeflow_executor;
grant select on tradeflow.ledger_entries, tradeflow.links, tradeflow.pushes to tradeflow_executor;

-- Rules read what is known of other systems, and may keep a ledger of their own.
grant select on tradeflow.ledger_entries, tradeflow.links, tradeflow.pushes, tradeflow.tasks, tradeflow.storefront_messages, tradeflow.suppressions to tradeflow_author;
grant execute on function tradeflow.pushed(text, text, text), tradeflow.ledger_enter(text, text, numeric, text, numeric, text, bigint) to tradeflow_author;

grant insert, update, delete on tradeflow.suppressions, tradeflow.links to tradeflow_operator;
grant update (outcome, note, decided_by, decided_at) on tradeflow.tasks to tradeflow_operator;
grant delete on tradeflow.tasks, tradeflow.storefront_messages, tradeflow.pushes to tradeflow_operator;
grant execute on function tradeflow.decide(bigint, text, text), tradeflow.suppress(text, text), tradeflow.pushed(text, text, text), tradeflow.ledger_settle(bigint, boolean) to tradeflow_operator;
