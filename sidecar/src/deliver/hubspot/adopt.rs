//! Records that people made before: found by an address, a domain or a name, and given our key, so that the upsert that follows
//! finds them and makes no second one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use reqwest::Method;
use serde_json::{json, Value as Json};

use super::batch::Item;
use super::Account;
use crate::api::Error;
use crate::deliver::Failure;
use crate::hubspot::VERSION;

/// Gives our key to the records that the items' `match` tells; by key, what forbids to write an item.
///
/// May be repeated: a record that has the key is not looked for any more. Only who has none yet is taken over; of a record that
/// is another key's, the item is dead, as it is when several could be meant: a person decides.
pub async fn adopt(account: &Account, items: &[&Item]) -> Result<HashMap<String, Failure>, Failure> {
    let mut refused = HashMap::new();
    let value = |item: &Item| {
        let property = item.adopt.as_ref()?;
        let value = item.properties.get(property).map(|value| value.trim().to_owned());
        Some((property.clone(), value.filter(|value| !value.is_empty())?))
    };
    let looking: Vec<(&Item, String, String)> = items
        .iter()
        .filter_map(|item| value(item).map(|(property, value)| (*item, property, value)))
        .collect();
    let Some((first, ..)) = looking.first() else { return Ok(refused) };
    let (object, key_property) = (first.object, first.key_property.as_str());
    let keys: Vec<&str> = looking.iter().map(|(item, ..)| item.key.as_str()).collect();
    let known = account.api.read(object, key_property, &keys, &[]).await?;
    let looking: Vec<_> = looking.into_iter().filter(|(item, ..)| !known.contains_key(&item.key)).collect();
    let found = records(account, object, key_property, &looking).await?;
    for (item, property, value) in &looking {
        let same =
            found.get(&(property.as_str(), value.to_lowercase())).map_or(&[] as &[Json], Vec::as_slice);
        if let Err(failure) = take_over(account, item, property, value, same).await? {
            refused.insert(item.key.clone(), failure);
        }
    }
    Ok(refused)
}

/// The records that have what is looked for, by property and value. Addresses are unique there and can be read at once; all else
/// is searched for.
async fn records<'a>(
    account: &Account,
    object: &str,
    key_property: &str,
    looking: &'a [(&Item, String, String)],
) -> Result<HashMap<(&'a str, String), Vec<Json>>, Error> {
    let mut values: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (_, property, value) in looking {
        values.entry(property).or_default().insert(value.to_lowercase());
    }
    let mut found: HashMap<(&str, String), Vec<Json>> = HashMap::new();
    for (property, values) in values {
        let values: Vec<String> = values.into_iter().collect();
        let records = if property == "email" {
            let addresses: Vec<&str> = values.iter().map(String::as_str).collect();
            account.api.read(object, property, &addresses, &[key_property]).await?.into_values().collect()
        } else {
            account.api.search(object, property, &values, key_property).await?
        };
        for record in records {
            let value = record["properties"][property].as_str().unwrap_or_default().to_lowercase();
            found.entry((property, value)).or_default().push(record);
        }
    }
    Ok(found)
}

/// Gives the key to the one that has none, or says why that cannot be.
async fn take_over(
    account: &Account,
    item: &Item,
    property: &str,
    value: &str,
    found: &[Json],
) -> Result<Result<(), Failure>, Error> {
    let key =
        |record: &Json| record["properties"][&item.key_property].as_str().unwrap_or_default().to_owned();
    let free: Vec<&Json> = found.iter().filter(|record| key(record).is_empty()).collect();
    let id = match (free.as_slice(), found) {
        ([], []) => return Ok(Ok(())),
        // Another one of ours has the same name or domain; an address would be refused.
        ([], [taken, ..]) if property == "email" => {
            return Ok(Err(Failure::dead(format!(
                "HubSpot: the record with {property} {value} is that of {} {} already; merge the two, or change one",
                item.key_property,
                key(taken)
            ))))
        }
        ([], _) => return Ok(Ok(())),
        ([one], _) => one["id"].as_str().unwrap_or_default(),
        (several, _) => {
            return Ok(Err(Failure::dead(format!(
                "HubSpot: {} records of {} have {property} {value}; write {} into {} of the right one, then retry",
                several.len(),
                item.object,
                item.key,
                item.key_property
            ))))
        }
    };
    let path = ["crm", "objects", VERSION, item.object, id];
    let body = json!({"properties": {&item.key_property: item.key}});
    account.api.call(Method::PATCH, &path, &[], Some(&body)).await?;
    Ok(Ok(()))
}
