//! A problem as it is sent: `application/problem+json`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{BadField, BadParameter};

/// Why a request has no other answer (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The kind of problem; stable, for programs.
    #[schema(example = "urn:paramedic:problem:invalid-params")]
    pub r#type: String,
    /// The kind of problem in words.
    #[schema(example = "The parameters do not fit")]
    pub title: String,
    /// The status of the answer.
    #[schema(example = 422)]
    pub status: u16,
    /// What is wrong this time, and what would be right.
    #[schema(example = "the parameters do not match the schema of the plugin")]
    pub detail: String,
    /// This one occurrence.
    #[schema(example = "urn:paramedic:request:5d41a1c09e3b7f26")]
    pub instance: String,
    /// The request's id, under which the agent's log tells more.
    #[schema(example = "5d41a1c09e3b7f26")]
    pub request_id: String,
    /// The plugin that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// The step that a version did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "signature")]
    pub step: Option<String>,
    /// The run that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The least role that it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "responder")]
    pub role: Option<String>,
    /// Each thing that is wrong, where there can be several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
}

impl Problem {
    /// Lines for a person and JSON for a program: whoever meets a problem looks at it.
    pub(super) fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// Where in the body, as a JSON pointer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "/params/limit")]
    pub pointer: Option<String>,
    /// Which parameter of the query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// What is wrong, and the rule.
    #[schema(example = "500 is greater than the maximum of 100")]
    pub message: String,
}

impl Fault {
    pub(super) fn of_field(field: &BadField) -> Self {
        Self { pointer: Some(field.pointer.clone()), parameter: None, message: field.message.clone() }
    }

    /// One whose place is part of the text.
    pub(super) fn somewhere(message: &str) -> Self {
        Self { pointer: None, parameter: None, message: message.to_owned() }
    }

    pub(super) fn of_parameter(parameter: &BadParameter) -> Self {
        Self { pointer: None, parameter: Some(parameter.name.clone()), message: parameter.message.clone() }
    }
}

/// For the description: any operation may answer with a problem.
pub(in crate::api) struct Problems;

impl utoipa::IntoResponses for Problems {
    fn responses() -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
        use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new()
            .description("Any refusal or failure; `type` tells which.")
            .content("application/problem+json", content);
        [("default".to_owned(), response.build().into())].into()
    }
}
