-- Prices of a list for variants that the list does not name any more.
delete from store.price_list_records t
where t.price_list_id = $1 and t.synced_at < $3
  and not exists (select from unnest($2::bigint[]) as seen (id) where seen.id = t.variant_id)
