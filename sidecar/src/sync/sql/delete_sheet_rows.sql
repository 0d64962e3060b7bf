-- Deletes rows of a tab that the sheet has no longer ($3: the keys it has).
delete from store.sheet_rows t
where t.spreadsheet_id = $1 and t.tab = $2
  and not exists (select from unnest($3::text[]) as seen (row_key) where seen.row_key = t.row_key)
