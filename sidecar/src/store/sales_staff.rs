//! Sales representatives and the companies assigned to them.

use std::collections::BTreeMap;

use serde_json::Map;

use super::entity::Parts;
use super::record::Record;
use super::scalar::{count, id, text, time};

/// Reads a row of GET /sales-staffs or the answer of GET /sales-staffs/{id}.
pub fn read(rep: &mut Record<'_>) -> Parts {
    let key = rep.key(&["id"]);
    let mut row = Map::new();
    rep.set(&mut row, "email", &["email"], text);
    rep.set(&mut row, "name", &["name", "salesRepName"], text);
    rep.set(&mut row, "phone", &["phoneNumber"], text);
    rep.set(&mut row, "role_name", &["roleName"], text);
    rep.set(&mut row, "company_count", &["companyCount"], count);
    let assigned = rep.list("assignedCompanies", |company, payload| {
        let company_id = company.key(&["id", "companyId"]);
        let mut line = Map::new();
        company.set(&mut line, "assigned_at", &["assignedAt"], time);
        company.read(&["bcId"], id);
        company.known(&["companyName", "bcGroupName"]);
        line.insert("company_id".into(), company_id?.into());
        line.insert("raw".into(), payload.clone());
        Some((company_id?, line))
    });
    // The same company twice says nothing new: the last one counts.
    let lines =
        assigned.map(|pairs| pairs.into_iter().collect::<BTreeMap<_, _>>().into_values().collect::<Vec<_>>());
    let key = key?;
    row.insert("sales_staff_id".into(), key.into());
    Some((key, row, lines))
}
