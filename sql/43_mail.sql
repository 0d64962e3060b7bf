-- 43_mail: who gets no mail, and who has had enough.

create table tradeflow.suppressions (
  address     text primary key check (address = lower(address)),
  reason      text,
  created_by  name not null default session_user,
  created_at  timestamptz not null default now()
);
select pg_catalog.pg_extension_config_dump('tradeflow.suppressions', '');
comment on table tradeflow.suppressions is 'Addresses that kind email never sends to, unless its parameter transactional is true.';
comment on column tradeflow.suppressions.address is 'The address, in lower case.';
comment on column tradeflow.suppressions.reason is 'Why: unsubscribed, bounced, …';
comment on column tradeflow.suppressions.created_by is 'Who added it.';
comment on column tradeflow.suppressions.created_at is 'When.';

create function tradeflow.suppress(address text, reason text default null) returns boolean
language sql
set search_path = pg_catalog, pg_temp
as $$
  with added as (
    insert into tradeflow.suppressions (address, reason) values (lower(trim(suppress.address)), suppress.reason)
    on conflict do nothing returning 1
  )
  select exists (select from added)
$$;
comment on function tradeflow.suppress(text, text) is 'No more mail to this address. False: it was so already.';

create table tradeflow.mail_sends (
  outbox_id  bigint not null,
  address    text not null,
  topic      text not null,
  sent_at    timestamptz not null,
  primary key (address, topic, sent_at, outbox_id)
);
select pg_catalog.pg_extension_config_dump('tradeflow.mail_sends', '');
comment on table tradeflow.mail_sends is 'Mails sent, or about to be, to addresses with a frequency cap. Rows older than the cap''s period, and those of dead actions, go when the address is asked about again.';
comment on column tradeflow.mail_sends.outbox_id is 'The action.';
comment on column tradeflow.mail_sends.address is 'The recipient, in lower case.';
comment on column tradeflow.mail_sends.topic is 'What the cap counts.';
comment on column tradeflow.mail_sends.sent_at is 'When, by tradeflow.now().';

create function tradeflow.may_mail(id bigint, addresses text[], topic text, most int, period interval) returns table (address text, reason text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  one  text;
begin
  for one in select distinct lower(a) from unnest(addresses) a order by 1 loop
    address := one;
    reason := null;
    select coalesce('suppressed: ' || s.reason, 'suppressed') into reason from tradeflow.suppressions s where s.address = one;
    if reason is null and may_mail.most is not null then
      -- Two mails to one address at the same moment are counted one after the other.
      perform pg_advisory_xact_lock(hashtextextended('tradeflow.mail ' || one, 0));
      -- What is dead was not sent, and is counted anew should it be retried.
      delete from tradeflow.mail_sends m
      where m.address = one and m.topic = may_mail.topic
        and (m.sent_at < tradeflow.now() - greatest(may_mail.period, interval '1 day')
             or exists (select from tradeflow.outbox o where o.id = m.outbox_id and o.state = 'dead'));
      if not exists (select from tradeflow.mail_sends m where m.address = one and m.topic = may_mail.topic and m.outbox_id = may_mail.id) then
        if (select count(*) from tradeflow.mail_sends m where m.address = one and m.topic = may_mail.topic and m.sent_at > tradeflow.now() - may_mail.period) >= may_mail.most then
          reason := format('had %s within %s', may_mail.most, may_mail.period);
        else
          insert into tradeflow.mail_sends (outbox_id, address, topic, sent_at) values (may_mail.id, one, may_mail.topic, tradeflow.now());
        end if;
      end if;
    end if;
    return next;
  end loop;
end
$$;
comment on function tradeflow.may_mail(bigint, text[], text, int, interval) is
  'For each address why it gets no mail of this action (suppressed, or most mails of the topic within the period already); NULL: it gets it, and that is counted, once an action. most NULL: no cap.';
