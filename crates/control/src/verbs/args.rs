use serde_json::Value;

use super::{Asked, problem};
use api::Problem;

impl Asked<'_> {
    fn arg(&self, name: &str) -> Option<&Value> {
        self.request.args.get(name).filter(|v| !v.is_null())
    }

    fn wrong(&self, name: &str, wants: &str) -> Box<Problem> {
        problem("EXO-API-422", format!("`{}` of `{}` is {wants}", name, self.verb.as_str()))
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Box<Problem>> {
        match self.arg(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.wrong(name, "a string")),
        }
    }

    /// A text that has to be there.
    pub(super) fn need(&self, name: &str) -> Result<String, Box<Problem>> {
        self.text(name)?.ok_or_else(|| self.wrong(name, "missing"))
    }

    /// A number that is not negative.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Box<Problem>> {
        match self.arg(name) {
            None => Ok(None),
            Some(value) => {
                value.as_u64().map(Some).ok_or_else(|| self.wrong(name, "a whole number"))
            }
        }
    }

    /// A yes or no.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Box<Problem>> {
        match self.arg(name) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            Some(_) => Err(self.wrong(name, "true or false")),
        }
    }

    /// A list of texts.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, Box<Problem>> {
        let Some(value) = self.arg(name) else { return Ok(Vec::new()) };
        let list = value.as_array().ok_or_else(|| self.wrong(name, "a list of strings"))?;
        list.iter()
            .map(|v| {
                v.as_str().map(str::to_owned).ok_or_else(|| self.wrong(name, "a list of strings"))
            })
            .collect()
    }

    /// One word of a closed set.
    pub(super) fn word<T: std::str::FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, Box<Problem>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|e: T::Err| problem("EXO-API-422", e.to_string()))
    }

    /// A floating-point number.
    pub(super) fn float(&self, name: &str) -> Result<f64, Box<Problem>> {
        let value = self.arg(name).and_then(Value::as_f64);
        value.ok_or_else(|| self.wrong(name, "a number"))
    }
}
