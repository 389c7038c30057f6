//! Label selectors, as an API server reads them.

/// Longest part of a name, and longest value.
const MOST: usize = 63;

/// What labels have to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selector<'a>(Vec<Requirement<'a>>);

#[derive(Debug, PartialEq, Eq)]
enum Requirement<'a> {
    Exists(&'a str),
    Absent(&'a str),
    In(&'a str, Vec<&'a str>),
    /// Also where there is no such label.
    NotIn(&'a str, Vec<&'a str>),
}

impl<'a> Selector<'a> {
    /// Selects everything.
    pub(super) const ALL: Self = Self(Vec::new());

    /// None where the server would find fault with it. An empty one selects everything.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        if text.trim().is_empty() {
            return Some(Self::ALL);
        }
        parts(text).into_iter().map(requirement).collect::<Option<_>>().map(Self)
    }

    /// Whether it selects something with these labels.
    pub(super) fn selects<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::Exists(name) => label(name).is_some(),
            Requirement::Absent(name) => label(name).is_none(),
            Requirement::In(name, values) => label(name).is_some_and(|value| values.contains(&value)),
            Requirement::NotIn(name, values) => label(name).is_none_or(|value| !values.contains(&value)),
        })
    }
}

/// The parts between commas that stand in no parentheses.
fn parts(text: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    text.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .collect()
}

fn requirement(part: &str) -> Option<Requirement<'_>> {
    let part = part.trim();
    if let Some(name) = part.strip_prefix('!') {
        return name_of(name).map(Requirement::Absent);
    }
    let equal = |(name, value)| Some((name_of(name)?, vec![value_of(value)?]));
    if let Some(two) = part.split_once("!=") {
        return equal(two).map(|(name, values)| Requirement::NotIn(name, values));
    }
    if let Some(two) = part.split_once("==").or_else(|| part.split_once('=')) {
        return equal(two).map(|(name, values)| Requirement::In(name, values));
    }
    let Some((before, set)) = part.split_once('(') else { return name_of(part).map(Requirement::Exists) };
    let (name, operator) = before.trim().split_once(char::is_whitespace)?;
    let values = set.strip_suffix(')')?.split(',').map(value_of).collect::<Option<Vec<_>>>()?;
    let name = name_of(name)?;
    match operator.trim() {
        // One value of no letters is written by a comma alone.
        _ if values == [""] => None,
        "in" => Some(Requirement::In(name, values)),
        "notin" => Some(Requirement::NotIn(name, values)),
        _ => None,
    }
}

/// A name may have a domain before it.
fn name_of(text: &str) -> Option<&str> {
    let text = text.trim();
    let (domain, name) = text.rsplit_once('/').map_or((None, text), |(domain, name)| (Some(domain), name));
    let is_domain = |domain: &str| {
        let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        domain.len() <= 253 && domain.split('.').all(|part| !part.is_empty() && part.chars().all(is_inner))
    };
    (!name.is_empty() && is_word(name) && domain.is_none_or(is_domain)).then_some(text)
}

fn value_of(text: &str) -> Option<&str> {
    let text = text.trim();
    (text.is_empty() || is_word(text)).then_some(text)
}

fn is_word(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_edge = |c: char| c.is_ascii_alphanumeric();
    text.len() <= MOST && text.chars().all(is_inner) && text.starts_with(is_edge) && text.ends_with(is_edge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_selected_as_an_api_server_selects_them() {
        let labels = [("app", "api"), ("tier", "web"), ("example.com/team", "shop"), ("empty", "")];
        let label = |name: &str| labels.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let table = [
            ("", true),
            ("app=api", true),
            ("app==api", true),
            (" app = api ", true),
            ("app=worker", false),
            ("app!=worker", true),
            ("app!=api", false),
            ("missing!=api", true),
            ("app=api,tier=web", true),
            ("app=api,tier=db", false),
            ("app", true),
            ("missing", false),
            ("!missing", true),
            ("!app", false),
            ("app in (api, worker),tier notin (db,cache)", true),
            ("app in (worker)", false),
            ("app notin (api)", false),
            ("missing notin (api)", true),
            ("missing in (api)", false),
            ("example.com/team=shop", true),
            ("empty=", true),
            ("app=", false),
        ];
        for (text, expected) in table {
            assert_eq!(Selector::parse(text).unwrap().selects(label), expected, "{text}");
        }
    }

    #[test]
    fn what_a_server_finds_fault_with_is_no_selector() {
        let long = format!("app={}", "a".repeat(64));
        for text in [
            "app=api,",
            ",",
            "=api",
            "app in (",
            "app in api",
            "app in ()",
            "app within (api)",
            "app=a b",
            "-app=api",
            "app=api-",
            "Ä=1",
            "a/b/c=1",
            "/app=api",
            "in (api)",
            &long,
        ] {
            assert_eq!(Selector::parse(text), None, "{text}");
        }
    }
}
