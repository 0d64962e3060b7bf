//! Companies and the people who buy for them.

use serde_json::Map;

use super::entity::Parts;
use super::record::Record;
use super::scalar::{extra_fields, id, json, labelled, text, time, Labels};

const STATUS: Labels = &[(0, "Pending"), (1, "Approved"), (2, "Rejected"), (3, "Inactive")];
const ROLE: Labels = &[(0, "Admin"), (1, "Senior Buyer"), (2, "Junior Buyer")];

/// Reads a row of GET /companies or the answer of GET /companies/{companyId}.
pub fn read(company: &mut Record<'_>) -> Parts {
    let key = company.key(&["companyId", "id"]);
    let mut row = Map::new();
    company.set(&mut row, "company_name", &["companyName"], text);
    company.set(&mut row, "company_email", &["companyEmail"], text);
    company.set(&mut row, "company_phone", &["companyPhone", "phoneNumber"], text);
    company.set(&mut row, "status", &["companyStatus"], |v| labelled(v, STATUS));
    company.set(&mut row, "bc_customer_group_id", &["bcGroupId", "customerGroupId"], id);
    company.set(&mut row, "bc_customer_group_name", &["bcGroupName"], text);
    company.set(&mut row, "catalog_id", &["catalogId"], id);
    company.set(&mut row, "catalog_name", &["catalogName"], text);
    company.set(&mut row, "price_lists", &["priceListAssign"], json);
    company.set(&mut row, "external_uuid", &["uuid"], text);
    company.set(&mut row, "extra_fields", &["extraFields"], extra_fields);
    company.set(&mut row, "created_at", &["createdAt"], time);
    company.set(&mut row, "updated_at", &["updatedAt"], time);
    if let Some(mut parent) = company.object("parentCompany") {
        parent.set(&mut row, "parent_company_id", &["id"], id);
        parent.set(&mut row, "parent_company_name", &["name"], text);
        parent.finish();
    }
    company.known(&["addressLine1", "addressLine2", "city", "state", "zipCode", "country", "description"]);
    company.known(&["adminFirstName", "adminLastName", "adminEmail", "adminPhoneNumber", "channelIds"]);
    let key = key?;
    row.insert("company_id".into(), key.into());
    Some((key, row, None))
}

/// Reads a row of GET /users or the answer of GET /users/{id}.
pub fn read_user(user: &mut Record<'_>) -> Parts {
    let key = user.key(&["id", "userId"]);
    let mut row = Map::new();
    user.set(&mut row, "company_id", &["companyId"], id);
    user.set(&mut row, "bc_customer_id", &["customerId", "bcId"], id);
    user.set(&mut row, "email", &["email"], text);
    user.set(&mut row, "first_name", &["firstName"], text);
    user.set(&mut row, "last_name", &["lastName"], text);
    user.set(&mut row, "phone", &["phoneNumber"], text);
    user.set(&mut row, "role", &["role"], |v| labelled(v, ROLE));
    user.set(&mut row, "company_role_id", &["companyRoleId"], id);
    user.set(&mut row, "company_role_name", &["companyRoleName"], text);
    user.set(&mut row, "external_uuid", &["uuid"], text);
    user.set(&mut row, "channels", &["channelList"], json);
    user.set(&mut row, "extra_fields", &["extraFields"], extra_fields);
    user.set(&mut row, "created_at", &["createdAt"], time);
    user.set(&mut row, "updated_at", &["updatedAt"], time);
    user.known(&["catalogId", "channelIds", "originChannelId"]);
    let key = key?;
    row.insert("b2b_user_id".into(), key.into());
    Some((key, row, None))
}
