//! Selectors: reading one (CouchDB: `mango_selector:normalize`).
//!
//! Names are pulled down to the conditions, and negations too: `{"$not": {"a": {"$gt": 5}}}` asks for an `a` of at most
//! 5, and no document without `a` matches. Within `$elemMatch`, `$allMatch` and `$keyMapMatch` CouchDB leaves negations
//! where they are; there, `$not` is simply the opposite. Invariant: reading a selector takes time and space in
//! proportion to its text, and ends below [`MAX_SELECTOR_TERMS`].

use std::cmp::Ordering;

use super::RichQueryError;
use super::json::Value;
use super::limits::{MAX_REGEXES, MAX_SELECTOR_TERMS};
use super::operators;
use super::path::Path;

/// What a document has to be.
#[derive(Clone, Debug)]
pub(super) enum Selector {
    /// All of them hold.
    All(Vec<Selector>),
    /// One of them holds, or there are none: CouchDB takes an empty `$or` for true.
    Any(Vec<Selector>),
    Not(Box<Selector>),
    Field(Path, Condition),
}

/// What the value of a field has to be.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    Compare(Comparison, Value),
    In(Vec<Value>),
    NotIn(Vec<Value>),
    Exists(bool),
    Type(String),
    Modulo { divisor: i128, remainder: i128 },
    Matches(regex::bytes::Regex),
    BeginsWith(String),
    HasAll(Vec<Value>),
    Size(f64),
    Element(Box<Selector>),
    Elements(Box<Selector>),
    Name(Box<Selector>),
    Not(Box<Condition>),
}

/// The comparisons, which are each other's negations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    GreaterOrEqual,
    Greater,
}

impl Comparison {
    pub(super) fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Greater => order.is_gt(),
        }
    }

    fn negated(self) -> Self {
        match self {
            Self::Less => Self::GreaterOrEqual,
            Self::LessOrEqual => Self::Greater,
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::GreaterOrEqual => Self::Less,
            Self::Greater => Self::LessOrEqual,
        }
    }
}

impl Condition {
    fn negated(self) -> Self {
        match self {
            Self::Compare(comparison, value) => Self::Compare(comparison.negated(), value),
            Self::In(values) => Self::NotIn(values),
            Self::NotIn(values) => Self::In(values),
            Self::Exists(exists) => Self::Exists(!exists),
            Self::Not(condition) => *condition,
            other => Self::Not(Box::new(other)),
        }
    }
}

/// Whether a selector stands for what it says, or for the opposite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sense {
    Plain,
    Negated,
}

/// What a selector is asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A document: a condition needs the name of a field.
    Document,
    /// An element of an array, or a name: conditions may be about itself.
    Element,
}

impl Selector {
    /// Reads the selector of a query or of a partial index.
    pub(super) fn parse(value: &Value) -> Result<Self, RichQueryError> {
        match value {
            Value::Object(members) if members.is_empty() => Ok(Self::All(Vec::new())),
            Value::Object(_) => {
                Reader { terms: 0, regexes: 0, place: Place::Document }.read(value, &Path::default(), Sense::Plain)
            }
            other => {
                let reason = format!("Selector must be a JSON object, not: {other}");
                Err(RichQueryError::refused("invalid_selector_json", reason))
            }
        }
    }
}

struct Reader {
    terms: usize,
    regexes: usize,
    place: Place,
}

impl Reader {
    fn read(&mut self, value: &Value, path: &Path, sense: Sense) -> Result<Selector, RichQueryError> {
        self.count(1)?;
        let members = match value {
            Value::Object(members) if !members.is_empty() => members,
            literal => {
                return self.condition(path, Condition::Compare(Comparison::Equal, literal.clone()), sense);
            }
        };
        let mut parts = Vec::with_capacity(members.len());
        for (name, argument) in members {
            parts.push(match name.starts_with('$') {
                true => self.operator(name, argument, path, sense)?,
                false => self.read(argument, &path.join(Path::parse(name)?)?, sense)?,
            });
        }
        match (parts.len(), sense) {
            (1, _) => Ok(parts.remove(0)),
            (_, Sense::Plain) => Ok(Selector::All(parts)),
            (_, Sense::Negated) => Ok(Selector::Any(parts)),
        }
    }

    fn operator(
        &mut self,
        name: &str,
        argument: &Value,
        path: &Path,
        sense: Sense,
    ) -> Result<Selector, RichQueryError> {
        match (name, argument) {
            ("$and", Value::Array(items)) => self.combined(items, path, sense, Selector::All, Selector::Any),
            ("$or", Value::Array(items)) => self.combined(items, path, sense, Selector::Any, Selector::All),
            ("$nor", Value::Array(items)) => match (self.place, sense) {
                (Place::Element, _) => {
                    let any = self.combined(items, path, Sense::Plain, Selector::Any, Selector::Any)?;
                    Ok(if items.is_empty() { any } else { Selector::Not(Box::new(any)) })
                }
                (Place::Document, Sense::Plain) => {
                    self.combined(items, path, Sense::Negated, Selector::All, Selector::All)
                }
                (Place::Document, Sense::Negated) => {
                    self.combined(items, path, Sense::Plain, Selector::Any, Selector::Any)
                }
            },
            ("$not", Value::Object(_)) => match (self.place, sense) {
                (Place::Element, _) => Ok(Selector::Not(Box::new(self.read(argument, path, Sense::Plain)?))),
                (Place::Document, Sense::Plain) => self.read(argument, path, Sense::Negated),
                (Place::Document, Sense::Negated) => self.read(argument, path, Sense::Plain),
            },
            ("$and" | "$or" | "$nor" | "$not", other) => Err(RichQueryError::bad_argument(name, other)),
            ("$elemMatch", _) => self.of_elements(name, argument, path, sense, Condition::Element),
            ("$allMatch", _) => self.of_elements(name, argument, path, sense, Condition::Elements),
            ("$keyMapMatch", _) => self.of_elements(name, argument, path, sense, Condition::Name),
            _ => {
                if let ("$in" | "$nin" | "$all", Value::Array(items)) = (name, argument) {
                    self.count(items.len())?;
                }
                if name == "$regex" {
                    self.count_regex()?;
                }
                let condition = operators::condition(name, argument)?;
                self.condition(path, condition, sense)
            }
        }
    }

    /// `plain` of the parts, or `negated` of their opposites.
    fn combined(
        &mut self,
        items: &[Value],
        path: &Path,
        sense: Sense,
        plain: fn(Vec<Selector>) -> Selector,
        negated: fn(Vec<Selector>) -> Selector,
    ) -> Result<Selector, RichQueryError> {
        let parts = items.iter().map(|item| self.read(item, path, sense)).collect::<Result<_, _>>()?;
        Ok(if sense == Sense::Plain { plain(parts) } else { negated(parts) })
    }

    fn of_elements(
        &mut self,
        name: &str,
        argument: &Value,
        path: &Path,
        sense: Sense,
        make: fn(Box<Selector>) -> Condition,
    ) -> Result<Selector, RichQueryError> {
        let Value::Object(_) = argument else { return Err(RichQueryError::bad_argument(name, argument)) };
        let outside = std::mem::replace(&mut self.place, Place::Element);
        let inner = self.read(argument, &Path::default(), Sense::Plain);
        self.place = outside;
        self.condition(path, make(Box::new(inner?)), sense)
    }

    fn condition(&self, path: &Path, condition: Condition, sense: Sense) -> Result<Selector, RichQueryError> {
        if path.is_empty() && self.place == Place::Document {
            let reason = "One or more conditions is missing a field name.".to_owned();
            return Err(RichQueryError::refused("invalid_selector", reason));
        }
        let condition = if sense == Sense::Negated { condition.negated() } else { condition };
        Ok(Selector::Field(path.clone(), condition))
    }

    fn count_regex(&mut self) -> Result<(), RichQueryError> {
        self.regexes += 1;
        if self.regexes <= MAX_REGEXES {
            return Ok(());
        }
        Err(RichQueryError::Limit {
            what: "a number of $regex",
            needed: self.regexes,
            name: "MAX_REGEXES",
            limit: MAX_REGEXES,
            advice: "put alternatives into one, as in a|b",
        })
    }

    fn count(&mut self, terms: usize) -> Result<(), RichQueryError> {
        self.terms += terms;
        if self.terms <= MAX_SELECTOR_TERMS {
            return Ok(());
        }
        Err(RichQueryError::Limit {
            what: "a selector",
            needed: self.terms,
            name: "MAX_SELECTOR_TERMS",
            limit: MAX_SELECTOR_TERMS,
            advice: "ask several queries",
        })
    }
}
