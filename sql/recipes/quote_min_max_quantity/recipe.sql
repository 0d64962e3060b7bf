-- quote_min_max_quantity: a quote whose quantities are too small, too large or no multiple cannot be checked out, and buyer and rep are told why.
--
-- When      a line of an open quote is inserted or changed, and the pieces of a product (all its lines together) are below its
--           minimum, above its maximum, or no multiple. Again only when something else is wrong than was told already
-- Then      one mail to buyer and rep names everything that is wrong; the quote's checkout is closed, with a note to the buyer; the
--           storefront shows a message. When all is right again, the checkout is opened, the note and the message go; a checkout that
--           was closed by somebody else stays closed
-- Settings  quantity_catalog_limits: below; limits by variant, product, category and customer group: table quantity_limits
-- Tables    store.quotes, store.quote_items, store.products, store.companies (watched)
-- Mails     templates/quote_min_max_quantity
-- Needs     targets smtp, bigcommerce; settings shop_name, shop_url

insert into tradeflow.settings (name, value, description) values
  ('quantity_catalog_limits', 'true', 'Whether the catalog''s own least and most pieces of a product count where quantity_limits says nothing')   -- boolean
on conflict (name) do update set value = excluded.value, description = excluded.description;

insert into tradeflow.targets (name, system, base_url, secret) values
  ('bigcommerce', 'bigcommerce', 'https://api.bigcommerce.com/stores/STORE_HASH', 'env:BIGCOMMERCE_TOKEN')
on conflict (name) do nothing;

-- Limits: a line for a variant wins over one for its product, that over one for a category, that over one for all; then the
-- first by position. A criterion that is NULL matches all, a limit that is NULL is none. The pieces of a variant are counted
-- where the line is about one, else those of the product.
create table if not exists quantity_limits (
  position int primary key,
  customer_group text,
  variant_id bigint,
  product_id bigint,
  category_id bigint,
  minimum int,
  maximum int,
  multiple int
);
comment on table quantity_limits is 'Least, most and multiple of pieces in quotes, by variant, product, category and customer group; the most exact line wins.';

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

-- What was told about each quote already, so that a mail goes out for news only; all is forgotten when the quote is right again.
create table if not exists quantity_told (
  quote_id bigint not null,
  problem text not null,
  primary key (quote_id, problem)
);
comment on table quantity_told is 'What quote_min_max_quantity has told about a quote, until it is right again.';

-- Everything that is wrong with the quantities of open quotes: a row for a quote and a product (or variant).
create or replace view quote_quantity_problems as
select q.quote_id, sums.item, min(sums.name) as name, sums.pieces, sums.minimum, sums.maximum, sums.multiple,
       format('%s: %s', min(sums.name), concat_ws(', ',
         case when sums.pieces < sums.minimum then format('at least %s', sums.minimum) end,
         case when sums.pieces > sums.maximum then format('at most %s', sums.maximum) end,
         case when sums.pieces % sums.multiple <> 0 then format('a multiple of %s', sums.multiple) end)) as wanted
from store.quotes q
left join store.companies c on c.company_id = q.company_id
cross join lateral (
  select case when l.by_variant then 'v' || i.variant_id else coalesce('p' || i.product_id, 's' || i.sku, i.product_name) end as item,
         min(coalesce(i.product_name, i.sku)) as name, sum(i.quantity) as pieces, l.minimum, l.maximum, nullif(l.multiple, 0) as multiple
  from store.quote_items i
  left join store.products p on p.product_id = i.product_id
  cross join lateral (
    select x.minimum, x.maximum, x.multiple, x.variant_id is not null as by_variant
    from (
      select x.position, x.variant_id, x.product_id, x.category_id, x.minimum, x.maximum, x.multiple from quantity_limits x
      where tradeflow.matches(x.customer_group, c.bc_customer_group_name) and tradeflow.matches(x.variant_id, i.variant_id)
        and tradeflow.matches(x.product_id, i.product_id) and (x.category_id is null or x.category_id = any (p.category_ids))
      union all
      select 2147483647, null, null, null,
             coalesce(nullif(i.order_quantity_minimum, 0), nullif(p.order_quantity_minimum, 0)),
             coalesce(nullif(i.order_quantity_maximum, 0), nullif(p.order_quantity_maximum, 0)), null
      where tradeflow.setting('quantity_catalog_limits')::boolean) x
    order by x.variant_id is null, x.product_id is null, x.category_id is null, x.position limit 1) l
  where i.quote_id = q.quote_id and i.quantity is not null and i.is_custom is not true
  group by 1, l.by_variant, l.minimum, l.maximum, l.multiple) sums
where sums.pieces < sums.minimum or sums.pieces > sums.maximum or sums.pieces % sums.multiple <> 0
group by q.quote_id, sums.item, sums.pieces, sums.minimum, sums.maximum, sums.multiple;

-- A quote is in this view while something is wrong with it; what exactly is its occurrence, so that another problem is another answer. One
-- whose checkout we closed stays in it when it is ordered, archived or expired: then there is nothing to open.
create or replace view quote_quantity_violations as
select q.quote_id as subject, p.occurrence, q.quote_number
from store.quotes q
cross join lateral (
  select md5(string_agg(p.item || ' ' || p.wanted, e'\n' order by p.item)) as occurrence
  from quote_quantity_problems p where p.quote_id = q.quote_id) p
where p.occurrence is not null
  and (q.status in (0, 2, 3)
       or exists (select from quote_blocks b where b.quote_id = q.quote_id and b.reason = 'quote_min_max_quantity'));

-- Looks at a quote as it is now, closes or opens it accordingly, and says what is to be told. So it does not matter in which order answers
-- that came and went are worked off.
create or replace function quantity_check(quote_id bigint) returns jsonb
language plpgsql as $$
declare
  problems jsonb;
  lines    text;
  news     int;
  block    jsonb;
begin
  select jsonb_agg(to_jsonb(p) - 'quote_id' order by p.name, p.item), string_agg('- ' || p.wanted, e'\n' order by p.name, p.item)
  into problems, lines
  from quote_quantity_problems p where p.quote_id = quantity_check.quote_id;
  block := quote_block(quantity_check.quote_id, 'quote_min_max_quantity', 'These quantities do not fit yet:' || e'\n' || lines);
  if problems is null then
    delete from quantity_told t where t.quote_id = quantity_check.quote_id;
  else
    insert into quantity_told (quote_id, problem)
    select quantity_check.quote_id, p ->> 'item' || ' ' || (p ->> 'wanted') from jsonb_array_elements(problems) p
    on conflict do nothing;
    get diagnostics news = row_count;
  end if;
  return jsonb_build_object('block', block, 'wrong', problems is not null, 'news', coalesce(news, 0) > 0, 'problems', problems, 'lines', lines)
    || (select jsonb_build_object('quote_number', q.quote_number, 'company_name', q.company_name, 'company_id', q.company_id,
               'contact_name', q.contact_name, 'contact_email', q.contact_email, 'sales_rep_name', q.sales_rep_name,
               'to_address', coalesce(q.contact_email, q.sales_rep_email),
               'cc_address', case when q.contact_email is not null then q.sales_rep_email end)
        from (select 1) one left join store.quotes q on q.quote_id = quantity_check.quote_id);
end
$$;

insert into tradeflow.rules (name, view, description) values
  ('quote_min_max_quantity', 'quote_quantity_violations', 'Quantities of a quote are out of their limits')
on conflict (name) do update set view = excluded.view, description = excluded.description;

-- Whom a changed row concerns: open quotes, and of lines those that have limits, or whose quote was closed for that. Other limits of a
-- product, another group of a company: the quotes that were closed, which may be right now.
insert into tradeflow.rule_inputs (rule, source, subject) values
  ('quote_min_max_quantity', 'store.quotes', 'case when new.status in (0, 2, 3) then new.quote_id end'),
  ('quote_min_max_quantity', 'store.quote_items', $$
    select new.quote_id
    where new.order_quantity_minimum > 0 or new.order_quantity_maximum > 0
       or exists (select from quantity_limits)
       or exists (select from store.products p where p.product_id = new.product_id and (p.order_quantity_minimum > 0 or p.order_quantity_maximum > 0))
       or exists (select from quote_blocks b where b.quote_id = new.quote_id and b.reason = 'quote_min_max_quantity')
  $$),
  ('quote_min_max_quantity', 'store.products', $$
    select i.quote_id from quote_blocks b join store.quote_items i on i.quote_id = b.quote_id
    where b.reason = 'quote_min_max_quantity' and i.product_id = new.product_id
  $$),
  ('quote_min_max_quantity', 'store.companies', $$
    select q.quote_id from quote_blocks b join store.quotes q on q.quote_id = b.quote_id
    where b.reason = 'quote_min_max_quantity' and q.company_id = new.company_id
  $$)
on conflict (rule, source) do update set subject = excluded.subject;

-- A mail that cannot be sent does not keep the checkout open.
insert into tradeflow.actions (rule, edge, step, name, kind, target, params, on_failure) values
  ('quote_min_max_quantity', 'enter', 1, 'check', 'sql', null, '{"function": "quantity_check", "args": {"quote_id": "{{ subject }}"}}', 'stop'),
  ('quote_min_max_quantity', 'enter', 2, 'mail', 'email', 'smtp',
   '{"when": "{{ steps.check.value.news and steps.check.value.to_address is not none }}", "to": "{{ steps.check.value.to_address }}",
     "cc": "{{ steps.check.value.cc_address }}", "template": "quote_min_max_quantity"}', 'continue'),
  ('quote_min_max_quantity', 'enter', 3, 'close', 'bigcommerce.update_quote', 'bigcommerce',
   '{"when": "{{ steps.check.value.block.wanted }}", "quote_id": "{{ subject }}", "created_at": "{{ steps.check.value.block.created_at }}",
     "notes": "{{ steps.check.value.block.notes }}", "allow_checkout": "{{ steps.check.value.block.allow_checkout }}"}', 'stop'),
  ('quote_min_max_quantity', 'enter', 4, 'message', 'storefront_message', null,
   '{"when": "{{ steps.check.value.wrong and (steps.check.value.contact_email is not none or steps.check.value.company_id is not none) }}",
     "key": "quantities of quote {{ subject }}", "company_id": "{{ steps.check.value.company_id }}", "email": "{{ steps.check.value.contact_email }}",
     "page": "quote:{{ subject }}", "level": "warning", "text": "These quantities do not fit yet:\n{{ steps.check.value.lines }}"}', 'stop'),
  ('quote_min_max_quantity', 'enter', 5, 'settle', 'sql', null,
   '{"when": "{{ steps.check.value.block.wanted }}", "function": "quote_block_settled",
     "args": {"quote_id": "{{ subject }}", "reason": "quote_min_max_quantity", "changed": "{{ steps.close.changed }}"}}', 'stop'),
  -- All is right again, or other things are wrong: then the same look, with the same care. That it fits is no mail by itself (make it one
  -- with "when": "{{ not steps.check.value.wrong }}"). The step stays all the same: steps of answers that come quickly one after
  -- another alternate, and the last word must be the last answer's.
  ('quote_min_max_quantity', 'leave', 1, 'check', 'sql', null, '{"function": "quantity_check", "args": {"quote_id": "{{ subject }}"}}', 'stop'),
  ('quote_min_max_quantity', 'leave', 2, 'mail', 'email', 'smtp',
   '{"when": false, "to": "{{ steps.check.value.to_address }}", "subject": "Quote {{ steps.check.value.quote_number }} can be ordered",
     "text": "All quantities of quote {{ steps.check.value.quote_number }} fit now."}', 'continue'),
  ('quote_min_max_quantity', 'leave', 3, 'open', 'bigcommerce.update_quote', 'bigcommerce',
   '{"when": "{{ steps.check.value.block.wanted }}", "quote_id": "{{ subject }}", "created_at": "{{ steps.check.value.block.created_at }}",
     "notes": "{{ steps.check.value.block.notes }}", "allow_checkout": "{{ steps.check.value.block.allow_checkout }}"}', 'stop'),
  ('quote_min_max_quantity', 'leave', 4, 'message', 'storefront_message', null,
   '{"when": "{{ not steps.check.value.wrong }}", "key": "quantities of quote {{ subject }}", "remove": true}', 'stop')
on conflict (rule, edge, step) do update set name = excluded.name, kind = excluded.kind, target = excluded.target, params = excluded.params,
  on_failure = excluded.on_failure;
