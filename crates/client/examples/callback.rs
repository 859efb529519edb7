//! Grants a task an object of this very process. Typical uses: an approval that a person gives at
//! the keyboard, or, as here, a price list in memory.
//!
//! With `remit --home mesh up` running in this folder:
//!
//!     cargo run -p remit-client --example callback -- mesh

use std::error::Error;
use std::path::Path;

use remit_client::manifest::{Interface, Method, Param};
use remit_client::{
    Callback, Client, Code, EventNumber, Failure, Followed, GrantSpec, Manifest, OwnObject,
    TaskSpec, Value, value_to_json,
};

const SCRIPT: &str = "
export default async function (remit) {
    const [tea, coffee] = await Promise.all([remit.prices.of('tea'), remit.prices.of('coffee')]);
    const cake = await remit.prices.of('cake').catch((error) => error.code);
    return { tea, coffee, cake };
}";

struct Prices;

impl Callback for Prices {
    async fn call(&self, _method: String, args: Value) -> Result<Value, Failure> {
        match args.field("what").and_then(Value::as_text) {
            Some("tea") => Ok(Value::Float(2.2)),
            Some("coffee") => Ok(Value::Float(3.1)),
            other => Err(Failure::new(Code::NotFound, format!("no price for {other:?}"))),
        }
    }
}

fn manifest() -> Manifest {
    let what = Param { name: "what".into(), required: true, ..Param::default() };
    let of = Method {
        name: "of".into(),
        description: "The price of something.".into(),
        params: vec![what],
        read_only: true,
        ..Method::default()
    };
    Manifest {
        tool: "prices".into(),
        version: "1.0.0".into(),
        description: "What things cost here.".into(),
        root: "Prices".into(),
        interfaces: vec![Interface {
            name: "Prices".into(),
            methods: vec![of],
            ..Default::default()
        }],
        ..Manifest::default()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("name the folder of the mesh")?;
    let folder = Path::new(&folder);
    let seen: toml::Table = std::fs::read_to_string(folder.join("mesh.toml"))?.parse()?;
    let address = seen["address"].as_str().ok_or("mesh.toml has no address")?;
    let mesh = Client::connect(address, folder.join("client")).await?;
    let prices = GrantSpec::own("prices", OwnObject::new(manifest(), Prices));
    let task = mesh.create_task(TaskSpec::script("prices", SCRIPT).grant(prices)).await?;
    let mut events = task.events(EventNumber(0)).await?;
    while let Some(followed) = events.next().await {
        if let Followed::Event(event) = followed? {
            println!("{:>3} {}", event.number, event.fact.name());
        }
    }
    println!("{}", value_to_json(&task.result().await?));
    Ok(())
}
