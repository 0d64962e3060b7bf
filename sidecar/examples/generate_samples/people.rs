//! Buyers and sales representatives.

use serde_json::{json, Value};

use super::companies::Company;
use super::random::Random;
use super::wire::{envelope, id, lines, page, unix};
use super::{File, DAY, TODAY};

/// A buyer.
pub struct User {
    pub id: i64,
    pub company: usize,
    pub customer_id: i64,
    pub first: &'static str,
    pub last: &'static str,
    pub email: String,
    pub role: i64,
    pub created: i64,
    pub updated: i64,
}

/// A sales representative.
pub struct Rep {
    pub id: i64,
    pub name: &'static str,
    pub email: String,
    pub phone: &'static str,
    pub companies: Vec<(usize, i64)>,
}

/// Everyone.
pub struct People {
    pub users: Vec<User>,
    pub reps: Vec<Rep>,
}

const FIRST: &[&str] = &[
    "Marie",
    "Ada",
    "Grace",
    "Noël",
    "Jürgen",
    "Zoë",
    "José",
    "Siân",
    "Łukasz",
    "Agnieszka",
    "花子",
    "太郎",
    "Liam",
    "Olivia",
    "François",
    "Renée",
    "Björn",
    "Chloé",
    "Mateusz",
    "Emily",
    "Oscar",
    "Priya",
    "Wei",
    "Fatima",
    "Søren",
];
const LAST: &[&str] = &[
    "Curie",
    "Lovelace",
    "Hopper",
    "Müller",
    "O'Connor",
    "García",
    "Nowak",
    "Żak",
    "山田",
    "佐藤",
    "Smith",
    "Dubois",
    "Lefèvre",
    "Jones",
    "van der Berg",
    "Ng",
    "Patel",
    "Schäfer",
    "Brown",
    "Wilson",
    "D'Angelo",
    "Kim",
    "Haddad",
];
const REPS: &[(&str, &str)] = &[
    ("Isaac Newton", "512-111-4444"),
    ("Emmy Noether", "512-111-4445"),
    ("Katherine Johnson", "512-111-4446"),
    ("Łucja Frey", "512-111-4447"),
    ("Jean-Baptiste Fourier", "512-111-4448"),
    ("Sofja Kowalewskaja", "512-111-4449"),
    ("Alan Turing", ""),
    ("On Leave", "512-111-4451"),
];

/// Invents the people of the companies.
pub fn invent(companies: &[Company]) -> People {
    let mut random = Random::new("people");
    let mut users = Vec::new();
    for (company, firm) in companies.iter().enumerate() {
        for n in 0..random.between(1, 5) {
            let (first, last) = (*random.pick(FIRST), *random.pick(LAST));
            let number = users.len() as i64;
            let created = firm.created + random.between(0, (TODAY - firm.created) / 3);
            users.push(User {
                id: 5001 + number,
                company,
                customer_id: 801 + number,
                first,
                last,
                email: format!("buyer{}@{}", n + 1, firm.domain),
                role: if n == 0 { 0 } else { random.between(1, 2) },
                created,
                updated: created + random.between(0, (TODAY - created) / 2),
            });
        }
    }
    let mut reps: Vec<Rep> = REPS
        .iter()
        .enumerate()
        .map(|(n, (name, phone))| {
            let email = format!("rep{}@tradeflow-demo.example", n + 1);
            Rep { id: 301 + n as i64, name, email, phone, companies: Vec::new() }
        })
        .collect();
    for (company, firm) in companies.iter().enumerate() {
        // The last rep has no company, and some companies have no rep.
        if firm.status == 1 && !random.percent(10) {
            let rep = random.between(0, REPS.len() as i64 - 2) as usize;
            let assigned = (firm.created + random.between(1, 20) * DAY).min(TODAY - DAY);
            reps[rep].companies.push((company, assigned));
        }
    }
    People { users, reps }
}

impl People {
    /// The rep who looks after a company.
    pub fn rep_of(&self, company: usize) -> Option<&Rep> {
        self.reps.iter().find(|rep| rep.companies.iter().any(|(c, _)| *c == company))
    }

    /// The people of a company.
    pub fn users_of(&self, company: usize) -> Vec<&User> {
        self.users.iter().filter(|user| user.company == company).collect()
    }
}

fn user(random: &mut Random, companies: &[Company], user: &User) -> Value {
    let mut value = json!({
        "id": user.id,
        "companyId": id(random, companies[user.company].id),
        "customerId": id(random, user.customer_id),
        "firstName": user.first,
        "lastName": user.last,
        "email": user.email,
        "phoneNumber": if random.percent(40) { json!("") } else { json!(format!("555-02{:02}", user.id % 100)) },
        "role": if random.percent(10) { user.role.to_string().into() } else { json!(user.role) },
        "companyRoleId": user.role + 1,
        "uuid": null,
        "channelList": [{"channelId": 1, "channelName": "B2B Store"}],
        "createdAt": unix(random, user.created),
        "updatedAt": unix(random, user.updated),
    });
    if random.percent(60) {
        let language = if companies[user.company].country == "DE" { "de" } else { "en" };
        value["extraFields"] = json!([{"fieldName": "Language", "fieldValue": language}]);
    }
    value
}

/// Pages of GET /users, the list of GET /sales-staffs, and one answer of GET /sales-staffs/{id} a rep.
pub fn files(companies: &[Company], people: &People) -> Vec<File> {
    let mut random = Random::new("people payloads");
    let users: Vec<Value> = people.users.iter().map(|person| user(&mut random, companies, person)).collect();
    let mut files: Vec<File> = users
        .chunks(100)
        .enumerate()
        .map(|(n, chunk)| {
            let text = lines(&page(chunk.to_vec(), users.len(), n * 100, 100));
            (format!("company-users/page-{:04}.json", n + 1), text)
        })
        .collect();
    let list: Vec<Value> = people
        .reps
        .iter()
        .map(|rep| {
            json!({"id": rep.id, "email": rep.email, "salesRepName": rep.name, "roleName": "Sales Rep", "companyCount": rep.companies.len()})
        })
        .collect();
    files.push(("sales-staff/list.json".to_owned(), lines(&page(list, people.reps.len(), 0, 100))));
    for rep in &people.reps {
        let assigned: Vec<Value> = rep
            .companies
            .iter()
            .map(|(company, at)| {
                let firm = &companies[*company];
                json!({"id": firm.id, "bcId": firm.group.to_string(), "companyName": firm.name, "bcGroupName": "", "assignedAt": at})
            })
            .collect();
        let mut detail =
            json!({"id": rep.id, "email": rep.email, "name": rep.name, "assignedCompanies": assigned});
        if !rep.phone.is_empty() {
            detail["phoneNumber"] = rep.phone.into();
        }
        files.push((format!("sales-staff/{}.json", rep.id), lines(&envelope(detail))));
    }
    files
}
