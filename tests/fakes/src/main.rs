//! `tradeflow-fakes`: the vendors' stand-ins as a program, for the demo and for trying things by hand.

use std::path::PathBuf;

use clap::Parser;
use tradeflow_fakes::bigcommerce::{BigCommerce, Limits, Settings};
use tradeflow_fakes::google::Google;
use tradeflow_fakes::hubspot::HubSpot;

/// Stand-ins for the vendors' APIs, with state, on free ports of this machine.
#[derive(Parser)]
#[command(name = "tradeflow-fakes", version)]
#[command(after_help = "\
Prints one line a vendor when it listens, such as
  bigcommerce url=http://127.0.0.1:34567 token=bc-test-token store_hash=abc123 client_secret=bc-client-secret
and serves until it is ended.

Examples:
  tradeflow-fakes --store sidecar/samples/store
  tradeflow-fakes --orders 1000000 --limits        a million generated orders, and the vendor's rate limits
  curl -H 'X-Auth-Token: bc-test-token' http://127.0.0.1:34567/stores/abc123/v2/orders?limit=1
  curl -X POST -H 'content-type: application/json' -d '{\"company\": 1001, \"email\": \"ada@example.com\", \"lines\": [
    {\"product\": 201, \"name\": \"Hinge\", \"quantity\": 10, \"price\": \"9.90\"}]}' http://127.0.0.1:34567/_fake/orders
  curl -X PATCH -H 'content-type: application/json' -d '{\"status\": 2}' http://127.0.0.1:34567/_fake/quotes/48002
  curl -d '{\"fault\": {\"status\": {\"status\": 503}}}' http://127.0.0.1:34567/_fake/faults       it is down, as any of the vendors may be
  curl -X DELETE http://127.0.0.1:34567/_fake/faults                                         it is up again")]
struct Args {
    /// Payload files of a store, one folder a kind; without it the store is empty
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,
    /// So many orders more, made when they are asked for
    #[arg(long, value_name = "N", default_value_t = 0)]
    orders: i64,
    /// Refuse requests beyond the vendors' rate limits
    #[arg(long)]
    limits: bool,
    /// Listen for BigCommerce's clients here; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    bigcommerce: String,
    /// Listen for HubSpot's clients here too
    #[arg(long, value_name = "HOST:PORT")]
    hubspot: Option<String>,
    /// Listen for Google's clients here too; the service account's key is written to google-key.json in the working folder
    #[arg(long, value_name = "HOST:PORT")]
    google: Option<String>,
    /// The access token
    #[arg(long, default_value = "bc-test-token")]
    token: String,
    /// The store's hash
    #[arg(long, default_value = "abc123")]
    store_hash: String,
    /// The key that signs webhooks
    #[arg(long, default_value = "bc-client-secret")]
    client_secret: String,
    /// Deliver webhooks for this host to a URL, as a reverse proxy would; may be repeated
    #[arg(long, value_name = "HOST=URL")]
    route: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let settings = Settings {
        address: args.bigcommerce,
        token: args.token,
        store_hash: args.store_hash,
        client_secret: args.client_secret,
        limits: if args.limits { Limits::real() } else { Limits::off() },
        ..Settings::default()
    };
    let shop = BigCommerce::with(settings, args.store.as_deref())?;
    shop.edit(|store| store.generated_orders = args.orders);
    for route in &args.route {
        let (host, url) =
            route.split_once('=').ok_or_else(|| anyhow::anyhow!("--route {route}: write host=url"))?;
        shop.route(host, url);
    }
    println!(
        "bigcommerce url={} token={} store_hash={} client_secret={}",
        shop.url(),
        shop.token(),
        shop.store_hash(),
        shop.client_secret()
    );
    // They end with the process.
    let crm = args.hubspot.as_deref().map(HubSpot::on).transpose()?;
    if let Some(crm) = &crm {
        println!("hubspot url={} token={}", crm.url(), crm.token());
    }
    let office = args.google.as_deref().map(Google::on).transpose()?;
    if let Some(office) = &office {
        std::fs::write("google-key.json", office.key_file())?;
        office.spreadsheet("demo", "Quotes", serde_json::json!([["Quote", "Company", "Total"]]));
        println!("google url={} key=google-key.json spreadsheet=demo", office.url());
    }
    shop.join();
    Ok(())
}
