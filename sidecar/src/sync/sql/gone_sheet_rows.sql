-- How many rows of a tab are here ("all"), and how many of them are not in the sheet any more ($3: the keys it has).
select count(*) filter (where not exists (select from unnest($3::text[]) as seen (row_key) where seen.row_key = t.row_key)) as missing,
       count(*) as "all"
from store.sheet_rows t
where t.spreadsheet_id = $1 and t.tab = $2
