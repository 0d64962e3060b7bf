-- Every synced table is watched, so a rule may name any of them. Ignored are the columns that a sync may rewrite
-- without anything having happened: synced_at and raw everywhere, the place of a line or row where there is one.
select tradeflow.watch('store.companies', ignore => '{synced_at,raw}');
select tradeflow.watch('store.company_users', ignore => '{synced_at,raw}');
select tradeflow.watch('store.sales_staff', ignore => '{synced_at,raw}');
select tradeflow.watch('store.company_sales_staff', ignore => '{synced_at,raw}');
select tradeflow.watch('store.company_credit', ignore => '{synced_at,raw}');
select tradeflow.watch('store.company_payment_terms', ignore => '{synced_at,raw}');
select tradeflow.watch('store.quotes', ignore => '{synced_at,raw}');
select tradeflow.watch('store.quote_items', ignore => '{synced_at,raw,position}');
select tradeflow.watch('store.orders', ignore => '{synced_at,raw,b2b_raw}');
select tradeflow.watch('store.order_items', ignore => '{synced_at,raw}');
select tradeflow.watch('store.invoices', ignore => '{synced_at,raw}');
select tradeflow.watch('store.products', ignore => '{synced_at,raw}');
select tradeflow.watch('store.variants', ignore => '{synced_at,raw}');
select tradeflow.watch('store.price_lists', ignore => '{synced_at,raw}');
select tradeflow.watch('store.price_list_assignments', ignore => '{synced_at,raw}');
select tradeflow.watch('store.price_list_records', ignore => '{synced_at,raw}');
select tradeflow.watch('store.sheet_rows', ignore => '{synced_at,raw,row_number}');
