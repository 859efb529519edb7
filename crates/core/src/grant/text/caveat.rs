//! One caveat as text, `name=item,item`, and back.

use super::escape::{escape_item, escape_step, unescape};
use super::time::{moment, parse_moment, parse_span, span};
use super::{NotAGrant, guard};
use crate::grant::{Caveat, Need, Rate, path};

/// A caveat taken apart: its name, and its items with no escapes.
pub(super) struct Term<'a> {
    pub(super) name: &'a str,
    pub(super) items: Vec<String>,
}

/// A caveat as text, for example `methods=read,list`.
pub fn caveat_text(caveat: &Caveat) -> String {
    let (name, items) = match caveat {
        Caveat::Argument(guard) => guard::write(guard),
        Caveat::Unknown(written) => {
            let read = || parse_caveat(written, 0).ok();
            if !written.contains('&') && read().as_ref() == Some(caveat) {
                return written.clone();
            }
            ("unknown".into(), vec![written.clone()])
        }
        Caveat::Only(method, inner) => {
            let method = match method.as_str() {
                // By itself it begins a guard.
                "arg" => "%61rg".to_owned(),
                method => escape_step(method),
            };
            return format!("{method}.{}", caveat_text(inner));
        }
        Caveat::Methods(_)
        | Caveat::Path(_)
        | Caveat::Cel(_)
        | Caveat::ResultBytes(_)
        | Caveat::NoObjects
        | Caveat::Facet(_)
        | Caveat::NotBefore(_)
        | Caveat::Expires(_)
        | Caveat::IdleExpiry(_)
        | Caveat::Calls(_)
        | Caveat::BytesIn(_)
        | Caveat::BytesOut(_)
        | Caveat::Rate(_)
        | Caveat::Concurrency(_)
        | Caveat::Cost(_)
        | Caveat::Audience(_)
        | Caveat::DelegationDepth(_)
        | Caveat::RequiresApproval(_)
        | Caveat::Requires(_)
        | Caveat::Label(_)
        | Caveat::Direct => {
            let (name, items) = write_plain(caveat);
            (name.to_owned(), items)
        }
    };
    let items: Vec<String> = items.iter().map(|item| escape_item(item)).collect();
    format!("{name}={}", items.join(","))
}

fn write_plain(caveat: &Caveat) -> (&'static str, Vec<String>) {
    let one = |item: String| vec![item];
    match caveat {
        Caveat::Methods(names) => ("methods", names.clone()),
        Caveat::Path(prefix) => ("path", one(prefix.clone())),
        Caveat::Cel(source) => ("cel", one(source.clone())),
        Caveat::ResultBytes(most) => ("resultBytes", one(most.to_string())),
        Caveat::NoObjects => ("noObjects", one("true".into())),
        Caveat::Facet(names) => ("facet", names.clone()),
        Caveat::NotBefore(at) => ("notBefore", one(moment(*at))),
        Caveat::Expires(at) => ("until", one(moment(*at))),
        Caveat::IdleExpiry(ms) => ("idleExpiry", one(span(*ms))),
        Caveat::Calls(most) => ("calls", one(most.to_string())),
        Caveat::BytesIn(most) => ("bytesIn", one(most.to_string())),
        Caveat::BytesOut(most) => ("bytesOut", one(most.to_string())),
        Caveat::Rate(rate) => {
            let per = span(rate.per_ms);
            let per = per
                .strip_prefix('1')
                .filter(|unit| !unit.starts_with(|c: char| c.is_ascii_digit()));
            let per = per.map_or_else(|| span(rate.per_ms), str::to_owned);
            ("rate", one(format!("{}/{per}", rate.count)))
        }
        Caveat::Concurrency(most) => ("concurrency", one(most.to_string())),
        Caveat::Cost(most) => ("cost", one(most.to_string())),
        Caveat::Audience(users) => ("audience", users.clone()),
        Caveat::DelegationDepth(most) => ("delegationDepth", one(most.to_string())),
        // By itself `true` stands for all of them.
        Caveat::RequiresApproval(methods) if *methods == ["true"] => {
            ("requiresApproval", vec!["true".into(), String::new()])
        }
        Caveat::RequiresApproval(methods) => ("requiresApproval", methods.clone()),
        Caveat::Requires(Need::Grant(name)) => ("requires", one(format!("grant:{name}"))),
        Caveat::Requires(Need::Task(task)) => ("requires", one(format!("task:{task}"))),
        Caveat::Label(text) => ("label", one(text.clone())),
        Caveat::Direct => ("route", one("direct".into())),
        Caveat::Argument(_) | Caveat::Only(..) | Caveat::Unknown(_) => ("unknown", Vec::new()),
    }
}

/// Reads one caveat. `now_ms` is what `until=10m` counts from. One of a name that is not known is
/// kept, and will refuse every call.
pub fn parse_caveat(text: &str, now_ms: u64) -> Result<Caveat, NotAGrant> {
    let (name, value) = text.split_once('=').ok_or_else(|| {
        NotAGrant(format!("`{text}` is not a caveat: write name=value, for example calls=100"))
    })?;
    let items = if value.is_empty() {
        Vec::new()
    } else {
        value.split(',').map(unescape).collect::<Result<_, _>>()?
    };
    match read(&Term { name, items }, now_ms)? {
        Some(caveat) => Ok(caveat),
        None => Ok(Caveat::Unknown(text.to_owned())),
    }
}

/// The caveat that a term is; `None`: its name is not known.
pub(super) fn read(term: &Term<'_>, now_ms: u64) -> Result<Option<Caveat>, NotAGrant> {
    let guard = term.name.strip_prefix("arg");
    if let Some(place) = guard.filter(|place| place.is_empty() || place.starts_with(['.', '?'])) {
        return guard::read(term, place).map(|guard| Some(Caveat::Argument(guard)));
    }
    if let Some((method, rest)) = term.name.split_once('.') {
        let inner = read(&Term { name: rest, items: term.items.clone() }, now_ms)?;
        let method = unescape(method)?;
        return Ok(inner.map(|inner| Caveat::Only(method, Box::new(inner))));
    }
    let names = || term.items.iter().filter(|name| !name.is_empty()).cloned().collect();
    // A comma that was not escaped belongs to the text.
    let text = || term.items.join(",");
    Ok(Some(match term.name {
        "methods" => Caveat::Methods(names()),
        "facet" => Caveat::Facet(names()),
        "audience" => Caveat::Audience(names()),
        "requiresApproval" if text() == "true" => Caveat::RequiresApproval(vec!["*".into()]),
        "requiresApproval" => Caveat::RequiresApproval(names()),
        "path" => Caveat::Path(
            path::join("", &text()).map_err(|bad| term.wrong(&bad.to_string(), "path=src"))?,
        ),
        "cel" => Caveat::Cel(text()),
        "label" => Caveat::Label(text()),
        "unknown" => Caveat::Unknown(text()),
        "route" if text() == "direct" => Caveat::Direct,
        "route" => return Err(term.wrong("it can only be direct", "route=direct")),
        "noObjects" if text() == "true" => Caveat::NoObjects,
        "noObjects" => return Err(term.wrong("it can only be true", "noObjects=true")),
        "resultBytes" => Caveat::ResultBytes(term.number()?),
        "calls" => Caveat::Calls(term.number()?),
        "bytesIn" => Caveat::BytesIn(term.number()?),
        "bytesOut" => Caveat::BytesOut(term.number()?),
        "cost" => Caveat::Cost(term.number()?),
        "concurrency" => Caveat::Concurrency(term.number()?),
        "delegationDepth" => Caveat::DelegationDepth(term.number()?),
        "notBefore" => Caveat::NotBefore(term.moment(now_ms)?),
        "until" => Caveat::Expires(term.moment(now_ms)?),
        "idleExpiry" => Caveat::IdleExpiry(
            parse_span(&text())
                .ok_or_else(|| term.wrong("how long: 90s, 10m, 2h or 7d", "idleExpiry=1h"))?,
        ),
        "rate" => {
            Caveat::Rate(parse_rate(&text()).ok_or_else(|| {
                term.wrong("how many uses in what time", "rate=10/s or rate=100/5m")
            })?)
        }
        "requires" => Caveat::Requires(parse_need(&text()).ok_or_else(|| {
            term.wrong("another grant of the task, or a task", "requires=grant:repo")
        })?),
        _ => return Ok(None),
    }))
}

impl Term<'_> {
    /// The error that says what was found and what would be right.
    pub(super) fn wrong(&self, what: &str, example: &str) -> NotAGrant {
        let found: String = self.items.join(",").chars().take(80).collect();
        NotAGrant(format!("`{}={found}`: {what}, for example {example}", self.name))
    }

    fn number<T: std::str::FromStr>(&self) -> Result<T, NotAGrant> {
        let digits = self.items.concat();
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = if plain { digits.parse().ok() } else { None };
        number.ok_or_else(|| self.wrong("a whole number is needed", &format!("{}=100", self.name)))
    }

    fn moment(&self, now_ms: u64) -> Result<u64, NotAGrant> {
        parse_moment(&self.items.concat(), now_ms).ok_or_else(|| {
            let what = "write how long (90s, 10m, 2h, 7d) or a moment (2026-11-21T05:10:00.000Z)";
            self.wrong(what, &format!("{}=10m", self.name))
        })
    }
}

fn parse_rate(text: &str) -> Option<Rate> {
    let (count, per) = text.split_once('/')?;
    // `10/s` is `10/1s`.
    let one = || parse_span(&format!("1{per}"));
    Some(Rate { count: count.parse().ok()?, per_ms: parse_span(per).or_else(one)? })
}

fn parse_need(text: &str) -> Option<Need> {
    match text.split_once(':')? {
        ("grant", name) => Some(Need::Grant(name.to_owned())),
        ("task", task) => task.parse().ok().map(Need::Task),
        _ => None,
    }
}
