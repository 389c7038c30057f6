//! Parameters as one types them: `key=value`, in both directions.

use serde_json::Value;

use super::text::printable_json;

/// The value that `text` stands for: JSON if it is JSON, else the text itself.
pub fn read_value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// Name and value of `key=value`; none without a `=` or without a name.
pub fn assignment(text: &str) -> Option<(String, Value)> {
    let (name, value) = text.split_once('=')?;
    (!name.is_empty()).then(|| (name.to_owned(), read_value(value)))
}

/// The command that runs a plugin with these parameters.
pub(super) fn command(plugin: &str, params: &Value) -> String {
    let mut command = format!("paramedic run {}", quoted(plugin));
    match params {
        Value::Object(params) if params.keys().all(|key| is_plain_key(key)) => {
            for (key, value) in params {
                command.push_str(&format!(" -p {}", quoted(&format!("{key}={}", written(value)))));
            }
        }
        params => command.push_str(&format!(" --params {}", quoted(&printable_json(&params.to_string())))),
    }
    command
}

/// A key that `-p` can name, and that a terminal shows.
fn is_plain_key(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c))
}

/// A value so that [`read_value`] gives it back. Text that reads as JSON, or that a terminal would obey, is written as
/// JSON.
fn written(value: &Value) -> String {
    let json = printable_json(&value.to_string());
    match value {
        Value::String(text) if read_value(text) == *value && printable_json(text) == *text && !text.contains('\n') => {
            text.clone()
        }
        _ => json,
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:=@%+,-".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_json_where_they_can_be() {
        for (text, expected) in [
            ("limit=5", Some(("limit", json!(5)))),
            ("on=true", Some(("on", json!(true)))),
            ("target=main", Some(("target", json!("main")))),
            ("name=\"5\"", Some(("name", json!("5")))),
            ("keys=[\"a\",1]", Some(("keys", json!(["a", 1])))),
            ("query=a=b", Some(("query", json!("a=b")))),
            ("empty=", Some(("empty", json!("")))),
            ("nothing=null", Some(("nothing", json!(null)))),
            ("=x", None),
            ("target", None),
        ] {
            let expected = expected.map(|(name, value)| (name.to_owned(), value));
            assert_eq!(assignment(text), expected, "{text}");
        }
    }

    #[test]
    fn a_command_reads_as_one_would_type_it() {
        for (params, expected) in [
            (json!({}), "paramedic run x"),
            (json!({"target": "main", "limit": 5}), "paramedic run x -p limit=5 -p target=main"),
            (json!({"id": "5"}), r#"paramedic run x -p 'id="5"'"#),
            (json!({"why": "it's"}), r"paramedic run x -p 'why=it'\''s'"),
            (json!({"a b": 1}), r#"paramedic run x --params '{"a b":1}'"#),
        ] {
            assert_eq!(command("x", &params), expected);
        }
    }

    /// The words of a command as the shell sees them.
    fn words(command: &str) -> Vec<String> {
        let script = format!("for word in {command}; do printf '%s\\0' \"$word\"; done");
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn a_shell_gives_back_what_was_suggested() {
        let params = json!({
            "text": "$(reboot); `id` \"x\" 'y' \\ * ~ é漢",
            "number": "007",
            "float": 1.5,
            "list": ["a", {"b": null}],
            "truth": "true",
            "empty": "",
            "escape": "\u{1b}[31m\u{9b}\nred",
            "quoted": "\"x\"",
        });
        let command = command("x", &params);
        assert!(!command.contains(|c: char| c.is_control()), "{command:?}");
        let words = words(&command);
        let given = words.iter().skip(3).filter(|word| *word != "-p").map(|word| assignment(word).unwrap());
        assert_eq!(Value::Object(given.collect()), params);
    }
}
