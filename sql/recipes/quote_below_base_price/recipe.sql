-- quote_below_base_price: the owner is told when a quote is offered far below base price; far too low, and it cannot be checked out.
--
-- When      a line of an open quote (or the quote as a whole) is inserted or changed, and its discount reaches the warn or the block
--           percentage; again only when it gets worse, or breaks the limit anew
-- Then      a mail to setting owner_email; from the block percentage on the quote's checkout is closed, with a note. Who agrees to the
--           discount opens the checkout by hand
-- Settings  discount_warn_percent, discount_block_percent, discount_scope, discount_block_note: below; per customer group: table
--           discount_limits
-- Tables    store.quote_items, store.quotes (watched), store.companies
-- Mails     templates/quote_below_base_price
-- Needs     targets smtp, bigcommerce; settings owner_email, shop_name, shop_url

insert into tradeflow.settings (name, value, description) values
  ('discount_warn_percent', '20', 'A discount from this percentage on is reported'),                        -- numeric 0..100
  ('discount_block_percent', '35', 'A discount from this percentage on closes the checkout'),               -- numeric 0..100
  ('discount_scope', 'line', 'What is compared: each line, the quote''s total, or both'),                   -- one of line, total, both
  ('discount_block_note', 'This offer is being checked. Its checkout is closed until that is done.', 'What the buyer reads in the quote meanwhile')   -- text
on conflict (name) do update set value = excluded.value, description = excluded.description;

insert into tradeflow.targets (name, system, base_url, secret) values
  ('bigcommerce', 'bigcommerce', 'https://api.bigcommerce.com/stores/STORE_HASH', 'env:BIGCOMMERCE_TOKEN')
on conflict (name) do nothing;

-- Other limits for some customers: the first line that matches wins, a criterion that is NULL matches all, and a limit that
-- is NULL is the setting's. Lines can be edited here, or in the database with `on conflict do nothing`.
create table if not exists discount_limits (
  position int primary key,
  customer_group text,
  warn_percent numeric,
  block_percent numeric
);
comment on table discount_limits is 'Limits of quote_below_base_price per customer group; the first line that matches wins.';

-- Which quotes' checkouts the rules closed, and why: shared by the recipes that close some. was_open: it was open before the first of
-- them. settled_at: when the store was seen to have it.
create table if not exists quote_blocks (
  quote_id bigint not null,
  reason text not null,
  note text not null,
  was_open boolean not null,
  settled_at timestamptz,
  primary key (quote_id, reason)
);
comment on table quote_blocks is 'A row is a quote whose checkout a rule closed, with its paragraph of the quote''s note; gone when the rule opened it.';

-- Closes a quote's checkout for a reason, or (note NULL) takes the reason back. Returns what the quote is to be: notes, allow_checkout (null:
-- as it is), wanted (whether anything is to be written at all).
create or replace function quote_block(quote_id bigint, reason text, note text) returns jsonb
language plpgsql as $$
declare
  quote  store.quotes;
  mine   quote_blocks;
  rest   text;
  others boolean;
  part   text;
begin
  perform pg_advisory_xact_lock(hashtextextended('quote_block ' || quote_block.quote_id, 0));
  select * into quote from store.quotes q where q.quote_id = quote_block.quote_id and q.status in (0, 2, 3);
  select * into mine from quote_blocks b where b.quote_id = quote_block.quote_id and b.reason = quote_block.reason;
  -- What people wrote stays: only the rules' own paragraphs are taken out, and those that count put back.
  rest := coalesce(quote.notes, '');
  for part in select b.note from quote_blocks b where b.quote_id = quote_block.quote_id loop
    rest := replace(rest, part, '');
  end loop;
  -- A person has opened it since: they decided, and the reasons of before are no reasons any more.
  delete from quote_blocks b
  where b.quote_id = quote_block.quote_id and (quote_block.note is null and b.reason = quote_block.reason or quote.allow_checkout and b.settled_at < quote.synced_at);
  -- One that is ordered, gone or archived cannot be changed; a reason that was not given cannot be taken back.
  if quote.quote_id is null or note is null and mine.quote_id is null then
    return jsonb_build_object('wanted', false);
  end if;
  select bool_or(b.was_open) into others from quote_blocks b where b.quote_id = quote_block.quote_id and b.reason <> quote_block.reason;
  if note is not null then
    insert into quote_blocks (quote_id, reason, note, was_open)
    values (quote_block.quote_id, quote_block.reason, quote_block.note, coalesce(others, quote.allow_checkout is distinct from false))
    on conflict on constraint quote_blocks_pkey do update set note = excluded.note;
  end if;
  select concat_ws(e'\n\n', nullif(btrim(rest, e' \n\r'), ''), string_agg(b.note, e'\n\n' order by b.reason)) into rest
  from quote_blocks b where b.quote_id = quote_block.quote_id;
  return jsonb_build_object('wanted', true, 'created_at', quote.created_at, 'notes', rest,
    'allow_checkout', case when note is not null then false when others is null and mine.was_open then true end);
end
$$;

-- Notes what the store said to a closing: when our note was new there and the checkout was closed already, somebody else closed it, and it
-- is not for us to open. When we were the ones who closed it, other reasons had been overruled by a person.
create or replace function quote_block_settled(quote_id bigint, reason text, changed jsonb) returns void
language plpgsql as $$
begin
  if changed ? 'allowCheckout' then
    delete from quote_blocks b where b.quote_id = quote_block_settled.quote_id and b.reason <> quote_block_settled.reason and b.settled_at is not null;
  end if;
  update quote_blocks b
  set settled_at = coalesce(b.settled_at, clock_timestamp()),
      was_open = case when changed ? 'allowCheckout' then true
                      when changed ? 'notes' and b.settled_at is null
                           and not exists (select from quote_blocks o where o.quote_id = b.quote_id and o.reason <> b.reason) then false
                      else b.was_open end
  where b.quote_id = quote_block_settled.quote_id and b.reason = quote_block_settled.reason;
end
$$;

-- The tier of a discount: 0 nothing, 1 warn, 2 block. No base price, no discount. Both are in the quote's currency, so the percentage
-- is the same in any.
create or replace function discount_tier(base_price numeric, offered_price numeric, warn_percent numeric, block_percent numeric) returns int
language sql immutable
return case
  when 100 * (1 - offered_price / nullif(base_price, 0)) >= block_percent then 2
  when 100 * (1 - offered_price / nullif(base_price, 0)) >= warn_percent then 1
  else 0
end;

-- The limits of each quote that is open: 0 New, 2 In Process, 3 Updated by customer.
create or replace view discount_quotes as
select q.quote_id, q.quote_number, q.company_name, q.sales_rep_name, coalesce(q.currency_code, '') as currency_code,
       coalesce(own.warn_percent, tradeflow.setting('discount_warn_percent')::numeric) as warn_percent,
       coalesce(own.block_percent, tradeflow.setting('discount_block_percent')::numeric) as block_percent
from store.quotes q
left join store.companies c using (company_id)
left join lateral (
  select x.* from discount_limits x where tradeflow.matches(x.customer_group, c.bc_customer_group_name)
  order by x.position limit 1) own on true
where q.status in (0, 2, 3);

-- Most lines are not below their base price: the condition sees to it that only those that are reach the query.
insert into tradeflow.rules (name, source, description, condition, query) values (
  'quote_below_base_price', 'store.quote_items', 'A line''s discount reaches the warn or block percentage',
  $$ tradeflow.setting('discount_scope') in ('line', 'both') and new.offered_price < new.base_price
     and (old.offered_price is null or new.offered_price is distinct from old.offered_price or new.base_price is distinct from old.base_price) $$,
  $$
    select q.*, new.product_name, new.sku, new.quantity, new.base_price, new.offered_price,
           round(100 * (1 - new.offered_price / new.base_price), 1) as percent, d.tier = 2 as block
    from discount_quotes q
    cross join lateral (
      select discount_tier(new.base_price, new.offered_price, q.warn_percent, q.block_percent) as tier,
             discount_tier(old.base_price, old.offered_price, q.warn_percent, q.block_percent) as tier_before) d
    where q.quote_id = new.quote_id and d.tier > d.tier_before
  $$)
on conflict (name) do update set source = excluded.source, description = excluded.description,
  condition = excluded.condition, query = excluded.query;

-- The quote as a whole: its lines at base price, less everything that was taken off, on lines or on the total.
insert into tradeflow.rules (name, source, description, condition, query) values (
  'quote_below_base_price_total', 'store.quotes', 'A quote''s discount reaches the warn or block percentage',
  $$ tradeflow.setting('discount_scope') in ('total', 'both') and new.discount > 0
     and (old.discount is null or new.discount is distinct from old.discount or new.subtotal is distinct from old.subtotal) $$,
  $$
    select q.*, null::text as product_name, null::text as sku, null::int as quantity,
           new.subtotal as base_price, new.subtotal - new.discount as offered_price,
           round(100 * new.discount / new.subtotal, 1) as percent, d.tier = 2 as block
    from discount_quotes q
    cross join lateral (
      select discount_tier(new.subtotal, new.subtotal - new.discount, q.warn_percent, q.block_percent) as tier,
             discount_tier(old.subtotal, old.subtotal - old.discount, q.warn_percent, q.block_percent) as tier_before) d
    where q.quote_id = new.quote_id and d.tier > d.tier_before
  $$)
on conflict (name) do update set source = excluded.source, description = excluded.description,
  condition = excluded.condition, query = excluded.query;

-- The owner first; a mail that cannot be sent does not keep the checkout open.
insert into tradeflow.actions (rule, step, name, kind, target, params, on_failure)
select r.rule, s.step, s.name, s.kind, s.target, s.params::jsonb, case s.name when 'mail' then 'continue' else 'stop' end
from (values ('quote_below_base_price'), ('quote_below_base_price_total')) r(rule)
cross join (values
  (1, 'mail', 'email', 'smtp', '{"to": "{{ settings.owner_email }}", "template": "quote_below_base_price"}'),
  (2, 'block', 'sql', null,
   '{"when": "{{ facts.block }}", "function": "quote_block",
     "args": {"quote_id": "{{ facts.quote_id }}", "reason": "quote_below_base_price", "note": "{{ settings.discount_block_note }}"}}'),
  (3, 'close', 'bigcommerce.update_quote', 'bigcommerce',
   '{"when": "{{ facts.block and steps.block.value.wanted }}", "quote_id": "{{ facts.quote_id }}", "created_at": "{{ steps.block.value.created_at }}",
     "notes": "{{ steps.block.value.notes }}", "allow_checkout": false}'),
  (4, 'settle', 'sql', null,
   '{"when": "{{ facts.block and steps.block.value.wanted }}", "function": "quote_block_settled",
     "args": {"quote_id": "{{ facts.quote_id }}", "reason": "quote_below_base_price", "changed": "{{ steps.close.changed }}"}}')) s(step, name, kind, target, params)
on conflict (rule, edge, step) do update set name = excluded.name, kind = excluded.kind, target = excluded.target, params = excluded.params,
  on_failure = excluded.on_failure;
