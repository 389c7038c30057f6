//! Parameters of a run: merged with the operator's defaults and validated before anything runs.

use jsonschema::Validator;
use serde_json::{Map, Value};

use super::PluginError;

/// Most problems that are told at once.
const MAX_PROBLEMS: usize = 20;

/// Longest message of one problem, in bytes. A message quotes the parameter, which may be as long as all of them together.
const MAX_MESSAGE: usize = 1024;

/// One thing that is wrong with the parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamProblem {
    /// Where, as a JSON pointer into the parameters; empty for the whole.
    pub pointer: String,
    /// What the schema's rule says and what stands there.
    pub message: String,
}

/// Why parameters were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// They are too large.
    #[error("the parameters have {bytes} bytes; the limit `params` allows {limit}")]
    TooLarge {
        /// Their size as JSON.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// They do not match the schema.
    #[error("the parameters do not match the schema of the plugin")]
    Mismatch(Vec<ParamProblem>),
}

/// The schema of a plugin's parameters, with the operator's defaults.
pub(super) struct Params {
    validator: Validator,
    defaults: Map<String, Value>,
}

impl Params {
    /// Compile the schema, and hold the defaults against it. A parameter that only a request can give may be missing from
    /// them.
    pub(super) fn new(schema: &Value, defaults: Map<String, Value>) -> Result<Self, PluginError> {
        let validator = jsonschema::draft202012::new(schema).map_err(|error| PluginError::Schema(error.to_string()))?;
        let instance = Value::Object(defaults.clone());
        let problem = validator.iter_errors(&instance).find(|error| !is_missing(error));
        if let Some(problem) = problem {
            return Err(PluginError::Defaults(describe(&problem)));
        }
        Ok(Self { validator, defaults })
    }

    /// What the operator gave for one parameter.
    pub(super) fn given(&self, name: &str) -> Option<&Value> {
        self.defaults.get(name)
    }

    /// What was asked for over the defaults, as a JSON document.
    pub(super) fn merge(&self, asked: Map<String, Value>, max_bytes: usize) -> Result<String, ParamsError> {
        let mut merged = self.defaults.clone();
        merged.extend(asked);
        let merged = Value::Object(merged);
        let text = merged.to_string();
        if text.len() > max_bytes {
            return Err(ParamsError::TooLarge { bytes: text.len(), limit: max_bytes });
        }
        let problems: Vec<_> = self.validator.iter_errors(&merged).take(MAX_PROBLEMS).map(|e| problem(&e)).collect();
        if problems.is_empty() { Ok(text) } else { Err(ParamsError::Mismatch(problems)) }
    }
}

fn is_missing(error: &jsonschema::ValidationError<'_>) -> bool {
    matches!(error.kind(), jsonschema::error::ValidationErrorKind::Required { .. })
}

fn problem(error: &jsonschema::ValidationError<'_>) -> ParamProblem {
    ParamProblem { pointer: error.instance_path().to_string(), message: message(error) }
}

/// The rule and what stands there, or the rule alone where that is too long.
fn message(error: &jsonschema::ValidationError<'_>) -> String {
    let whole = error.to_string();
    let told = if whole.len() > MAX_MESSAGE { error.masked().to_string() } else { whole };
    crate::domain::cut_bytes(&told, MAX_MESSAGE).to_owned()
}

fn describe(error: &jsonschema::ValidationError<'_>) -> String {
    let pointer = error.instance_path().to_string();
    if pointer.is_empty() { message(error) } else { format!("{pointer}: {}", message(error)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "target": { "type": "string" },
                "limit": { "type": "integer", "minimum": 1, "maximum": 100 }
            },
            "required": ["target"],
            "additionalProperties": false
        })
    }

    #[test]
    fn a_request_goes_over_the_defaults() {
        let params = Params::new(&schema(), object(json!({"limit": 5}))).unwrap();
        let merged = params.merge(object(json!({"target": "main"})), 1000).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&merged).unwrap(), json!({"limit": 5, "target": "main"}));
        let merged = params.merge(object(json!({"target": "main", "limit": 7})), 1000).unwrap();
        assert!(merged.contains("7"));
    }

    #[test]
    fn a_problem_names_the_place_and_the_rule() {
        let params = Params::new(&schema(), Map::new()).unwrap();
        let ParamsError::Mismatch(problems) =
            params.merge(object(json!({"target": 1, "limit": 500, "colour": "red"})), 1000).unwrap_err()
        else {
            panic!("expected a mismatch")
        };
        let of = |pointer: &str| problems.iter().find(|p| p.pointer == pointer).unwrap().message.clone();
        assert!(of("/limit").contains("500") && of("/limit").contains("100"), "{problems:?}");
        assert!(of("/target").contains("string"), "{problems:?}");
        assert!(of("").contains("colour"), "{problems:?}");
    }

    #[test]
    fn a_problem_does_not_repeat_a_long_parameter() {
        let params = Params::new(&schema(), Map::new()).unwrap();
        let long = object(json!({"target": "main", "limit": "x".repeat(5000)}));
        let ParamsError::Mismatch(problems) = params.merge(long, 10_000).unwrap_err() else {
            panic!("expected a mismatch")
        };
        assert_eq!(problems[0].pointer, "/limit");
        assert!(problems[0].message.contains("integer") && problems[0].message.len() < 200, "{problems:?}");
    }

    #[test]
    fn too_many_parameters_are_refused_by_size() {
        let params = Params::new(&schema(), Map::new()).unwrap();
        let long = "x".repeat(2000);
        assert!(matches!(
            params.merge(object(json!({"target": long})), 1000),
            Err(ParamsError::TooLarge { limit: 1000, .. })
        ));
    }

    #[test]
    fn defaults_that_the_schema_refuses_are_found_at_load() {
        let refused = Params::new(&schema(), object(json!({"limit": 0}))).err().unwrap();
        assert!(refused.to_string().contains("/limit"), "{refused}");
        assert!(Params::new(&json!({"type": "no such type"}), Map::new()).is_err());
    }
}
