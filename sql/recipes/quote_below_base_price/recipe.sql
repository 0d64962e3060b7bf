-- quote_below_base_price: the owner is told when a quote line is offered far below its base price.
--
-- When      a line of an open quote is inserted or changed, and its discount reaches the warn or the block percentage;
--           again only when it gets worse, or breaks the limit anew
-- Then      a mail to setting owner_email
-- Settings  discount_warn_percent, discount_block_percent: below; per customer group: table discount_limits
-- Tables    store.quote_items (watched), store.quotes, store.companies
-- Mails     templates/quote_below_base_price
-- Needs     target smtp; settings owner_email, shop_name, shop_url

insert into tradeflow.settings (name, value, description) values
  ('discount_warn_percent', '20', 'A discount from this percentage on is reported'),                        -- numeric 0..100
  ('discount_block_percent', '35', 'A discount from this percentage on is reported as one to stop')         -- numeric 0..100
on conflict (name) do update set value = excluded.value, description = excluded.description;

-- Other limits for some customers: the first line that matches wins, a criterion that is NULL matches all, and a limit that
-- is NULL is the setting's. Lines can be edited here, or in the database with `on conflict do nothing`.
create table if not exists discount_limits (
  position int primary key,
  customer_group text,
  warn_percent numeric,
  block_percent numeric
);
comment on table discount_limits is 'Limits of quote_below_base_price per customer group; the first line that matches wins.';

-- The tier of a discount: 0 nothing, 1 warn, 2 block. No base price, no discount.
create or replace function discount_tier(base_price numeric, offered_price numeric, warn_percent numeric, block_percent numeric) returns int
language sql immutable
return case
  when 100 * (1 - offered_price / nullif(base_price, 0)) >= block_percent then 2
  when 100 * (1 - offered_price / nullif(base_price, 0)) >= warn_percent then 1
  else 0
end;

-- Most lines are not below their base price: the condition sees to it that only those that are reach the query.
insert into tradeflow.rules (name, source, description, condition, query) values (
  'quote_below_base_price', 'store.quote_items', 'A line''s discount reaches the warn or block percentage',
  $$ new.offered_price < new.base_price
     and (old.offered_price is null or new.offered_price is distinct from old.offered_price or new.base_price is distinct from old.base_price) $$,
  $$
    select q.quote_number, q.company_name, q.sales_rep_name, coalesce(q.currency_code, '') as currency_code,
           new.product_name, new.sku, new.quantity, new.base_price, new.offered_price,
           round(100 * (1 - new.offered_price / new.base_price), 1) as percent,
           d.tier = 2 as block, l.warn_percent, l.block_percent
    from store.quotes q
    left join store.companies c using (company_id)
    left join lateral (
      select x.* from discount_limits x
      where tradeflow.matches(x.customer_group, c.bc_customer_group_name)
      order by x.position limit 1) own on true
    cross join lateral (
      select coalesce(own.warn_percent, tradeflow.setting('discount_warn_percent')::numeric) as warn_percent,
             coalesce(own.block_percent, tradeflow.setting('discount_block_percent')::numeric) as block_percent) l
    cross join lateral (
      select discount_tier(new.base_price, new.offered_price, l.warn_percent, l.block_percent) as tier,
             discount_tier(old.base_price, old.offered_price, l.warn_percent, l.block_percent) as tier_before) d
    where q.quote_id = new.quote_id and q.status in (0, 2, 3) and d.tier > d.tier_before
  $$)
on conflict (name) do update set source = excluded.source, description = excluded.description,
  condition = excluded.condition, query = excluded.query;

insert into tradeflow.actions (rule, step, kind, target, params) values (
  'quote_below_base_price', 1, 'email', 'smtp',
  '{"to": "{{ settings.owner_email }}", "template": "quote_below_base_price"}')
on conflict (rule, edge, step) do update set kind = excluded.kind, target = excluded.target, params = excluded.params;
