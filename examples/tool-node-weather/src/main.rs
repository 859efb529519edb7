//! A third party's tool: a weather service with invented weather.
//!
//! To try it with a running mesh (`remit up`):
//!
//! ```text
//! line=$(remit invite --role tool-node --name weather --ttl 10m)
//! cargo run -p tool-node-weather -- --join "$line" --dir .weather
//! ```

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::rc::Rc;

use remit_tool_node::kit::{CallContext, Failure, Interface, Method, NoArgs, Tool, fail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The tool's root object, which holds the reports of all cities.
#[derive(Default)]
struct Weather {
    reports: RefCell<BTreeMap<String, Vec<String>>>,
}

/// One city: an object that can be granted to an agent by itself.
struct City {
    name: String,
    weather: Rc<Weather>,
}

#[derive(Deserialize, JsonSchema)]
struct CityArgs {
    /// For example `Lisbon`.
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct ForecastArgs {
    /// How many days from today, at most 7.
    #[serde(default)]
    days_ahead: u32,
}

#[derive(Deserialize, JsonSchema)]
struct ReportArgs {
    /// What it looks like out there.
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Forecast {
    city: String,
    sky: &'static str,
    degrees_celsius: i32,
}

impl Weather {
    async fn city(self: Rc<Self>, args: CityArgs, _: CallContext) -> Result<Rc<City>, Failure> {
        if args.name.is_empty() {
            return Err(fail::invalid("name", "which city?"));
        }
        Ok(Rc::new(City { name: args.name, weather: self }))
    }
}

impl City {
    async fn forecast(
        self: Rc<Self>,
        args: ForecastArgs,
        _: CallContext,
    ) -> Result<Forecast, Failure> {
        if args.days_ahead > 7 {
            return Err(fail::limit("nobody knows the weather more than 7 days ahead"));
        }
        let letters: u32 = self.name.chars().map(u32::from).sum();
        let chance = letters + args.days_ahead * 7;
        let skies = ["clear", "cloudy", "rain", "snow"];
        let sky = skies.into_iter().cycle().nth(chance as usize % 11).unwrap_or("clear");
        let degrees = i32::try_from(chance % 40).unwrap_or_default() - 10;
        Ok(Forecast { city: self.name.clone(), sky, degrees_celsius: degrees })
    }

    async fn report(self: Rc<Self>, args: ReportArgs, call: CallContext) -> Result<usize, Failure> {
        call.emit(&format!("a report from {}\n", self.name));
        let mut reports = self.weather.reports.borrow_mut();
        let here = reports.entry(self.name.clone()).or_default();
        here.push(args.text);
        Ok(here.len())
    }

    async fn reports(self: Rc<Self>, _: NoArgs, _: CallContext) -> Result<Vec<String>, Failure> {
        Ok(self.weather.reports.borrow().get(&self.name).cloned().unwrap_or_default())
    }
}

fn weather() -> Tool {
    let root = Interface::<Weather>::new("Weather", "The weather, everywhere.").opens(
        "city",
        Method::read_only("One city."),
        Weather::city,
    );
    let city = Interface::<City>::new("City", "The weather of one city.")
        .method("forecast", Method::read_only("What to expect."), City::forecast)
        .method("report", Method::effect("Tells what you see; how many did."), City::report)
        .method("reports", Method::read_only("What others saw."), City::reports);
    Tool::new("weather", env!("CARGO_PKG_VERSION"), "Weather, forecast and reported.")
        .interface(root)
        .interface(city)
        .root(Rc::new(Weather::default()))
}

fn main() -> ExitCode {
    remit_tool_node::main_with(|| vec![weather()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_city_has_weather_and_reports() {
        let weather = weather().open().unwrap().handle();
        let city = weather.call("city", &("Lisbon",)).await.unwrap().object().unwrap();
        let forecast = city.call("forecast", &(3,)).await.unwrap();
        assert!(forecast.value().field("sky").is_some());
        city.call("report", &("sunny",)).await.unwrap();
        let again = weather.call("city", &("Lisbon",)).await.unwrap().object().unwrap();
        let reports: Vec<String> = again.call("reports", &()).await.unwrap().decode().unwrap();
        assert_eq!(reports, ["sunny"]);
        assert!(city.call("forecast", &(8,)).await.is_err());
    }
}
