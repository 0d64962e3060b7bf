//! What the sample store sells, and lines of it.

use super::random::Random;
use super::wire::Money;

/// An article: a product with variants that differ in one option.
pub struct Article {
    pub product_id: i64,
    pub name: &'static str,
    pub sku: &'static str,
    /// List price in USD cents.
    pub cents: i64,
    pub option: &'static str,
    pub values: &'static [&'static str],
}

const fn article(
    product_id: i64,
    name: &'static str,
    sku: &'static str,
    cents: i64,
    option: &'static str,
    values: &'static [&'static str],
) -> Article {
    Article { product_id, name, sku, cents, option, values }
}

const SIZES: &[&str] = &["S", "M", "L", "XL"];
const PACKS: &[&str] = &["Box of 10", "Box of 100", "Pallet"];
const NONE: &[&str] = &[];

/// All articles. Prices from cents to thousands, so that rounding and thresholds meet both.
pub const ARTICLES: &[Article] = &[
    article(201, "Nitrile exam gloves, powder-free", "GLV-NIT", 1_295, "Size", SIZES),
    article(202, "Surgical mask type IIR", "MSK-IIR", 899, "Pack", PACKS),
    article(203, "Autoclave sterilizer 23 l", "AUT-23", 389_000, "", NONE),
    article(204, "Dental composite syringe A2", "CMP-A2", 4_250, "", NONE),
    article(205, "LED operating lamp", "LMP-OP", 124_900, "Mount", &["Ceiling", "Wall", "Mobile"]),
    article(211, "Hex bolt M8×40, stainless A2", "BLT-M8-40", 38, "Pack", PACKS),
    article(212, "Deep groove ball bearing 6204-2RS", "BRG-6204", 465, "", NONE),
    article(213, "Hydraulic hose DN12, per metre", "HYD-DN12", 1_180, "", NONE),
    article(214, "Pneumatic cylinder 32×100", "PNC-32-100", 8_640, "", NONE),
    article(215, "Three-phase motor 4 kW", "MOT-4KW", 61_250, "Foot", &["B3", "B5", "B14"]),
    article(216, "Proximity sensor M12", "SNS-M12", 3_420, "Output", &["PNP", "NPN"]),
    article(221, "Office chair Ergo 300", "CHR-E300", 28_900, "Colour", &["Black", "Grey", "Petrol"]),
    article(222, "Sit-stand desk 160×80", "DSK-160", 54_900, "Top", &["Oak", "White", "Walnut"]),
    article(223, "Filing cabinet, 4 drawers", "CAB-4", 19_900, "", NONE),
    article(224, "Copy paper A4, 80 g, 500 sheets", "PPR-A4", 549, "Pack", &["Carton", "Pallet"]),
    article(
        225,
        "Toner cartridge 508X",
        "TNR-508X",
        17_990,
        "Colour",
        &["Black", "Cyan", "Magenta", "Yellow"],
    ),
    article(231, "Espresso beans, dark roast, 1 kg", "COF-DRK", 1_650, "", NONE),
    article(232, "Oat drink barista, 6 × 1 l", "OAT-6", 1_140, "", NONE),
    article(233, "Compostable cup 240 ml", "CUP-240", 12, "Pack", PACKS),
    article(234, "Combi oven 10 × GN 1/1", "OVN-10", 1_245_000, "Energy", &["Electric", "Gas"]),
    article(235, "Chef's knife 21 cm", "KNF-21", 6_990, "", NONE),
    article(241, "Safety helmet EN 397", "HLM-397", 2_150, "Colour", &["Yellow", "White", "Blue"]),
    article(242, "Work boots S3", "BTS-S3", 8_900, "Size", &["41", "42", "43", "44"]),
    article(243, "High-visibility vest, class 2", "VST-2", 620, "Size", SIZES),
    article(244, "Cordless drill 18 V", "DRL-18", 21_900, "Set", &["Bare", "2 × 5 Ah"]),
    article(245, "Aluminium scaffold, 7 m", "SCF-7", 159_900, "", NONE),
    article(246, "Cement CEM II, 25 kg", "CEM-25", 745, "Pack", &["Bag", "Pallet"]),
    article(251, "Monitor 27\", 4K", "MON-27", 38_900, "", NONE),
    article(252, "Patch cable Cat 6A", "CBL-6A", 590, "Length", &["1 m", "3 m", "10 m"]),
    article(253, "Managed switch, 24 ports", "SWT-24", 48_500, "", NONE),
    article(254, "Server rack 42 U", "RCK-42", 119_000, "", NONE),
    article(261, "Snake plant (Sansevieria), 60 cm", "PLT-SAN", 3_490, "Pot", &["Terracotta", "Anthracite"]),
    article(262, "Raised bed, larch", "BED-LRC", 15_900, "", NONE),
    article(263, "Drip irrigation kit, 50 m", "IRR-50", 9_450, "", NONE),
    article(271, "Welcome kit (free sample)", "SMP-KIT", 0, "", NONE),
];

impl Article {
    /// Id of the n-th variant; an article without options has one.
    pub fn variant_id(&self, n: usize) -> i64 {
        self.product_id * 10 + n as i64
    }

    /// SKU of the n-th variant.
    pub fn variant_sku(&self, n: usize) -> String {
        if self.values.is_empty() {
            self.sku.to_owned()
        } else {
            format!("{}-{}", self.sku, n + 1)
        }
    }

    /// How many variants there are.
    pub fn variants(&self) -> usize {
        self.values.len().max(1)
    }
}

/// A line of a quote or an order.
#[derive(Clone)]
pub struct Line {
    pub article: &'static Article,
    pub variant: usize,
    pub quantity: i64,
    /// Unit prices: before and after the discount.
    pub base: Money,
    pub offered: Money,
}

impl Line {
    /// Invents a line in a currency, at a discount of so many percent.
    pub fn invent(random: &mut Random, currency: &str, percent: i64) -> Line {
        let article = random.pick(ARTICLES);
        let variant = random.between(0, article.variants() as i64 - 1) as usize;
        let base = article.cents * rate(currency);
        let quantity = match base {
            500_000.. => random.between(1, 4),
            20_000..500_000 => random.between(1, 60),
            _ => random.between(5, 250) * 10,
        };
        let mut line = Line { article, variant, quantity, base: rounded(base, currency), offered: 0 };
        line.offered = rounded(line.base * (100 - percent) / 100, currency);
        line
    }

    /// The line at base price, and as offered.
    pub fn totals(&self) -> (Money, Money) {
        (self.base * self.quantity, self.offered * self.quantity)
    }
}

/// Units of a currency for 100 USD.
pub fn rate(currency: &str) -> i64 {
    match currency {
        "EUR" => 92,
        "GBP" => 79,
        "CAD" => 137,
        "AUD" => 152,
        "JPY" => 15_000,
        _ => 100,
    }
}

/// Yen have no decimals; cheap articles are priced to a hundredth of a cent, others to a cent.
pub fn rounded(money: Money, currency: &str) -> Money {
    let unit = match (currency, money) {
        ("JPY", _) => 10_000,
        (_, ..10_000) => 1,
        _ => 100,
    };
    (money + unit / 2) / unit * unit
}
